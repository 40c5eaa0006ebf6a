/* SPDX-License-Identifier: MIT */
#include "serve/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry * next; /* asked for before this one */
    size_t bytes;        /* all that it takes */
    const char * answer; /* in `text`, behind the question */
    size_t answer_bytes;
    char text[];
};

struct kept {
    pthread_mutex_t lock;
    struct entry * newest;
    size_t bytes, most;
};

struct kept * kept_new(size_t most) {
    struct kept * k = calloc(1, sizeof *k);
    if (!k) { return NULL; }
    pthread_mutex_init(&k->lock, NULL);
    k->most = most;
    return k;
}

/* Those from *at on. */
static void drop(struct kept * k, struct entry ** at) {
    struct entry * entry = *at;
    *at = NULL;
    while (entry) {
        struct entry * next = entry->next;
        k->bytes -= entry->bytes;
        free(entry);
        entry = next;
    }
}

/* Takes it out of the list; NULL: it is not there. */
static struct entry * take(struct kept * k, const char * question) {
    struct entry ** at = &k->newest;
    while (*at && strcmp((*at)->text, question) != 0) { at = &(*at)->next; }
    struct entry * entry = *at;
    if (entry) { *at = entry->next; }
    return entry;
}

static void put(struct kept * k, struct entry * entry) {
    entry->next = k->newest;
    k->newest = entry;
}

void kept_clear(struct kept * k) {
    pthread_mutex_lock(&k->lock);
    drop(k, &k->newest);
    pthread_mutex_unlock(&k->lock);
}

void kept_free(struct kept * k) {
    if (!k) { return; }
    drop(k, &k->newest);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static char * copy_of(const struct entry * entry) {
    char * copy = malloc(entry->answer_bytes + 1);
    if (copy) { *(char *) mempcpy(copy, entry->answer, entry->answer_bytes) = '\0'; }
    return copy;
}

char * kept_find(struct kept * k, const char * question, size_t * bytes) {
    pthread_mutex_lock(&k->lock);
    struct entry * entry = take(k, question);
    char * answer = entry ? copy_of(entry) : NULL;
    if (entry) {
        *bytes = entry->answer_bytes;
        put(k, entry);
    }
    pthread_mutex_unlock(&k->lock);
    return answer;
}

/* Drops what was asked for before the newest that fit. */
static void make_room(struct kept * k) {
    size_t bytes = 0;
    struct entry ** at = &k->newest;
    while (*at && (bytes += (*at)->bytes) <= k->most) { at = &(*at)->next; }
    drop(k, at);
}

void kept_add(struct kept * k, const char * question, const void * answer, size_t answer_bytes) {
    const size_t head = strlen(question) + 1, bytes = sizeof(struct entry) + head + answer_bytes;
    struct entry * entry = bytes <= k->most ? malloc(bytes) : NULL;
    if (!entry) { return; }
    entry->bytes = bytes;
    entry->answer = memcpy(strcpy(entry->text, question) + head, answer, answer_bytes);
    entry->answer_bytes = answer_bytes;
    pthread_mutex_lock(&k->lock);
    struct entry * old = take(k, question);
    if (old) {
        k->bytes -= old->bytes;
        free(old);
    }
    put(k, entry);
    k->bytes += bytes;
    make_room(k);
    pthread_mutex_unlock(&k->lock);
}
