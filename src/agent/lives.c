/* SPDX-License-Identifier: MIT */
#include "agent/lives.h"

#include <stdlib.h>

#include "agent/table.h"

/* There are few: a model has a buffer or two, and so has a context. */
static struct life {
    const void * key;     /* a buffer, or a graph */
    const void * results; /* of a graph: the buffer of its results */
    uint64_t size;        /* of a buffer; another size means another buffer, whose making was not seen */
    uint32_t number, context;
    bool is_buffer;
} * lives;
static uint32_t n_lives, capacity; /* n_lives: relaxed, for lives_any */
static uint32_t last_number;

uint64_t lives_epoch_now;

static void next_epoch(void) {
    __atomic_fetch_add(&lives_epoch_now, 1, __ATOMIC_RELAXED);
}

static void end(struct life * life) {
    *life = lives[n_lives - 1];
    __atomic_store_n(&n_lives, n_lives - 1, __ATOMIC_RELAXED);
    next_epoch();
}

static struct life * numbered(uint32_t number) {
    for (uint32_t i = 0; i < n_lives; i++) {
        if (lives[i].number == number) { return &lives[i]; }
    }
    return NULL;
}

static struct life * with_key(const void * key, bool is_buffer) {
    for (uint32_t i = 0; i < n_lives; i++) {
        if (lives[i].key == key && lives[i].is_buffer == is_buffer) { return &lives[i]; }
    }
    return NULL;
}

static uint32_t begin(struct life life) {
    if (n_lives == capacity) {
        const uint32_t more = capacity ? capacity * 2 : 16;
        struct life * bigger = realloc(lives, more * sizeof *bigger);
        if (!bigger) { return TABLE_NONE; }
        lives = bigger;
        capacity = more;
    }
    life.number = ++last_number;
    lives[n_lives] = life;
    __atomic_store_n(&n_lives, n_lives + 1, __ATOMIC_RELAXED);
    return life.number;
}

uint32_t life_of_buffer(const void * buffer, uint64_t size) {
    struct life * life = with_key(buffer, true);
    if (life && life->size == size) { return life->number; }
    if (life) { end(life); }
    return begin((struct life){ .key = buffer, .size = size, .is_buffer = true });
}

uint32_t life_of_graph(const void * graph, const void * results) {
    struct life * life = with_key(graph, false);
    if (!life) { return begin((struct life){ .key = graph, .results = results }); }
    life->results = results; /* a result buffer is made anew when it must be larger */
    return life->number;
}

bool life_goes_on(uint32_t number) {
    return number == 0 || numbered(number);
}

uint32_t life_context(uint32_t number) {
    const struct life * life = numbered(number);
    return life ? life->context : 0;
}

void life_set_context(uint32_t number, uint32_t context) {
    struct life * life = numbered(number);
    if (life) { life->context = context; }
}

bool lives_end_buffer(const void * buffer) {
    struct life * life = with_key(buffer, true);
    if (life) { end(life); }
    return life;
}

bool lives_end_results(const void * results) {
    bool any = false;
    for (uint32_t i = 0; i < n_lives;) {
        if (!lives[i].is_buffer && lives[i].results == results) {
            end(&lives[i]);
            any = true;
        } else {
            i++;
        }
    }
    return any;
}

void lives_end(uint32_t number) {
    struct life * life = numbered(number);
    if (life) { end(life); }
}

void lives_doubt(void) {
    next_epoch();
}

bool lives_any(void) {
    return __atomic_load_n(&n_lives, __ATOMIC_RELAXED) > 0;
}

void lives_after_fork(void) {
    n_lives = 0;
}
