/* SPDX-License-Identifier: MIT */
#include "analysis/caching/min_stack.h"

#include <stdlib.h>

enum { STRETCH = 64 };

bool min_stack_begin(struct min_stack * s, uint32_t n_items) {
    const size_t stretches = n_items / STRETCH + 1;
    *s = (struct min_stack){ 0 };
    s->next = malloc(stretches * STRETCH * sizeof *s->next);
    s->most = calloc(stretches, sizeof *s->most);
    s->least = calloc(stretches, sizeof *s->least);
    return s->next && s->most && s->least;
}

void min_stack_end(struct min_stack * s) {
    free(s->next);
    free(s->most);
    free(s->least);
}

static void bound(struct min_stack * s, uint32_t stretch) {
    const uint32_t first = stretch * STRETCH, end = first + STRETCH < s->count ? first + STRETCH : s->count;
    uint32_t most = 0, least = NEVER_AGAIN;
    for (uint32_t i = first; i < end; i++) {
        most = s->next[i] > most ? s->next[i] : most;
        least = s->next[i] < least ? s->next[i] : least;
    }
    s->most[stretch] = most;
    s->least[stretch] = least;
}

/* Passes what moves down through places [from, end), none of which holds the item accessed now. */
static uint32_t pass(uint32_t * next, uint32_t from, uint32_t end, uint32_t down) {
    for (uint32_t i = from; i < end; i++) {
        const uint32_t here = next[i];
        next[i] = here < down ? here : down;
        down = here < down ? down : here;
    }
    return down;
}

static uint32_t find(const uint32_t * next, uint32_t from, uint32_t now) {
    while (next[from] != now) { from++; }
    return from;
}

/* What is accessed now is what is needed soonest: its need is now. */
uint32_t min_stack_access(struct min_stack * s, uint32_t next) {
    const uint32_t now = s->now++;
    if (s->count == 0 || s->next[0] == now) {
        const bool was = s->count > 0;
        s->count += !was;
        s->next[0] = next;
        bound(s, 0);
        return was;
    }
    uint32_t down = s->next[0], at = 1, stretch = 0;
    s->next[0] = next;
    for (; stretch * STRETCH < s->count; stretch++, at = stretch * STRETCH) {
        if (stretch && s->least[stretch] != now && s->most[stretch] <= down) { continue; }
        const uint32_t end = (stretch + 1) * STRETCH < s->count ? (stretch + 1) * STRETCH : s->count;
        const bool found = s->least[stretch] == now;
        const uint32_t place = found ? find(s->next, at, now) : end;
        down = pass(s->next, at, place, down);
        if (found) { s->next[place] = down; }
        bound(s, stretch);
        if (found) { return place + 1; }
    }
    s->next[s->count++] = down;
    bound(s, (s->count - 1) / STRETCH);
    return 0;
}
