/* SPDX-License-Identifier: MIT */
#include "analysis/view/utf8_joiner.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/view/token_text.h"

#define NO_CHARACTER "\ufffd"
#define CUT          "\u2026"

bool utf8_join_begin(struct utf8_joiner * j, uint32_t entries) {
    *j = (struct utf8_joiner){ .at = calloc((size_t) entries + 1, sizeof *j->at), .count = entries };
    return j->at;
}

void utf8_join_free(struct utf8_joiner * j) {
    for (uint32_t i = 0; j->at && i < j->count; i++) { free(j->at[i].bytes); }
    free(j->at);
    *j = (struct utf8_joiner){ 0 };
}

static bool append(struct joined_text * t, const char * bytes, uint32_t n) {
    if (t->is_cut) { return true; }
    t->is_cut = t->n + n > TOKEN_TEXT_MOST;
    if (t->is_cut) { bytes = CUT, n = sizeof CUT - 1; }
    char * more = realloc(t->bytes, t->n + n);
    if (!more) { return false; }
    memcpy(more + t->n, bytes, n);
    t->bytes = more;
    t->n += n;
    return true;
}

/* Bytes of the character that begins here; 0: it goes on behind the end; -1: it is none. */
static int character(const unsigned char * c, size_t n) {
    const int whole = c[0] < 0x80                    ? 1
                      : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
                      : (c[0] & 0xf0) == 0xe0        ? 3
                      : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                     : -1;
    for (int i = 1; i < whole; i++) {
        if ((size_t) i == n) { return 0; }
        const bool second = i == 1;
        const unsigned char least = second && c[0] == 0xe0 ? 0xa0 : second && c[0] == 0xf0 ? 0x90 : 0x80;
        const unsigned char most = second && c[0] == 0xed ? 0x9f : second && c[0] == 0xf4 ? 0x8f : 0xbf;
        if (c[i] < least || c[i] > most) { return -1; }
    }
    return whole;
}

/* ---- characters that are begun ---- */

static void give_up(struct utf8_joiner * j, struct begun * b) {
    if (b->n && b->entry < j->count) { append(&j->at[b->entry], NO_CHARACTER, sizeof NO_CHARACTER - 1); }
    b->n = 0;
}

void utf8_join_end(struct utf8_joiner * j) {
    for (size_t i = 0; i < BEGUN_MOST; i++) { give_up(j, &j->begun[i]); }
}

/* Takes out what the sequence has begun. */
static struct begun take_begun(struct utf8_joiner * j, uint32_t context, int64_t position) {
    for (size_t i = 0; i < BEGUN_MOST; i++) {
        struct begun * b = &j->begun[i];
        if (b->n && b->context == context && b->position == position) {
            const struct begun taken = *b;
            b->n = 0;
            return taken;
        }
    }
    return (struct begun){ 0 };
}

/* In a free place, or in that of another, which then is given up. */
static void keep_begun(struct utf8_joiner * j, const struct begun * begun) {
    size_t i = 0;
    while (i < BEGUN_MOST && j->begun[i].n) { i++; }
    if (i == BEGUN_MOST) {
        i = j->oldest++ % BEGUN_MOST;
        give_up(j, &j->begun[i]);
    }
    j->begun[i] = *begun;
}

/* ---- */

bool utf8_join(struct utf8_joiner * j, uint32_t entry, uint32_t context, int64_t position, const char * bytes,
               size_t n) {
    const struct begun before = take_begun(j, context, position);
    char all[sizeof before.bytes + TOKEN_TEXT_MOST + 4];
    const size_t room = sizeof all - before.n, taken = n < room ? n : room, count = before.n + taken;
    memcpy(all, before.bytes, before.n);
    if (taken) { memcpy(all + before.n, bytes, taken); }
    j->at[entry].is_known = true;
    for (size_t i = 0; i < count;) {
        const int whole = character((const unsigned char *) all + i, count - i);
        struct joined_text * to = &j->at[i < before.n && whole < 0 ? before.entry : entry];
        if (whole == 0) {
            struct begun b = { .n = (uint8_t) (count - i), .context = context, .position = position,
                               .entry = i < before.n ? before.entry : entry };
            if (position != INT64_MIN) { b.position = position < INT64_MAX ? position + 1 : position; }
            memcpy(b.bytes, all + i, b.n);
            keep_begun(j, &b);
            return true;
        }
        if (!append(to, whole < 0 ? NO_CHARACTER : all + i, whole < 0 ? sizeof NO_CHARACTER - 1 : (uint32_t) whole)) {
            return false;
        }
        i += whole < 0 ? 1 : (size_t) whole;
    }
    return true;
}
