/* SPDX-License-Identifier: MIT */
#include "doctor/busy.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 4 << 20, STEP = 1 << 12 }; /* more than processors keep near them */

struct busy {
    uint64_t * words;
    uint64_t sum; /* so that no compiler leaves the work out */
    bool stop;
    unsigned n;
    pthread_t thread[];
};

static void * compute(void * user) {
    struct busy * b = user;
    uint64_t sum = 0;
    for (size_t at = 0; !__atomic_load_n(&b->stop, __ATOMIC_RELAXED); at = (at + STEP) % WORDS) {
        for (size_t i = 0; i < STEP; i++) { sum += b->words[at + i]; }
    }
    __atomic_fetch_add(&b->sum, sum, __ATOMIC_RELAXED);
    return NULL;
}

struct busy * busy_begin(void) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t n = processors > 0 ? (size_t) processors : 1;
    struct busy * b = calloc(1, sizeof *b + n * sizeof b->thread[0]);
    if (!b) { return NULL; }
    b->words = malloc(WORDS * sizeof *b->words);
    if (b->words) { memset(b->words, 1, WORDS * sizeof *b->words); }
    while (b->words && b->n < n && pthread_create(&b->thread[b->n], NULL, compute, b) == 0) { b->n++; }
    if (b->n == n) { return b; }
    busy_end(b);
    return NULL;
}

void busy_end(struct busy * b) {
    if (!b) { return; }
    __atomic_store_n(&b->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < b->n; i++) { pthread_join(b->thread[i], NULL); }
    free(b->words);
    free(b);
}
