/* SPDX-License-Identifier: MIT
 *
 * The first records in an order: a heap keeps the best so far, and records that cannot be better are not made.
 */
#include <stdlib.h>

#include "analysis/view/records_parts.h"
#include "format/filter_narrow.h"

struct candidate {
    uint64_t key, number; /* lowest first; its place among the records that were made */
    struct tat_access record;
};

struct sorting {
    enum records_order order;
    struct candidate * heap; /* the worst on top */
    uint32_t count;
    uint64_t seen;
};

static uint64_t key_of(enum records_order order, const struct tat_access * a, uint32_t duration_ns) {
    switch (order) {
        case RECORDS_BY_BYTES_DOWN: return ~a->bytes;
        case RECORDS_BY_BYTES_UP: return a->bytes;
        case RECORDS_BY_DURATION_DOWN: return ~(uint64_t) duration_ns;
        case RECORDS_BY_DURATION_UP: return duration_ns;
        case RECORDS_BY_OFFSET_DOWN: return ~a->offset;
        case RECORDS_BY_OFFSET_UP: return a->offset;
        default: return 0;
    }
}

static bool is_before(const struct candidate * a, const struct candidate * b) {
    return a->key != b->key ? a->key < b->key : a->number < b->number;
}

static void swap(struct candidate * a, struct candidate * b) {
    const struct candidate c = *a;
    *a = *b;
    *b = c;
}

static void rise(struct candidate * heap, uint32_t at) {
    for (; at && is_before(&heap[(at - 1) / 2], &heap[at]); at = (at - 1) / 2) { swap(&heap[at], &heap[(at - 1) / 2]); }
}

static void sink_down(struct candidate * heap, uint32_t count) {
    for (uint32_t at = 0;;) {
        uint32_t worst = at;
        for (uint32_t child = 2 * at + 1; child < count && child <= 2 * at + 2; child++) {
            if (is_before(&heap[worst], &heap[child])) { worst = child; }
        }
        if (worst == at) { return; }
        swap(&heap[at], &heap[worst]);
        at = worst;
    }
}

static bool take(const struct tat_access * records, size_t count, void * user) {
    struct sorting * s = user;
    for (size_t i = 0; i < count; i++) {
        const uint64_t key = key_of(s->order, &records[i], records[i].duration_ns), number = s->seen++;
        if (s->count < RECORDS_SORTED_MAX) {
            s->heap[s->count] = (struct candidate){ key, number, records[i] };
            rise(s->heap, s->count++);
        } else if (key < s->heap[0].key) { /* one that is as good came before */
            s->heap[0] = (struct candidate){ key, number, records[i] };
            sink_down(s->heap, s->count);
        }
    }
    return true;
}

static bool may_be_better(const struct tat_access * planned, uint32_t duration_ns, bool varies, void * user) {
    const struct sorting * s = user;
    const bool known = !varies || s->order == RECORDS_BY_BYTES_DOWN || s->order == RECORDS_BY_DURATION_DOWN ||
                       s->order == RECORDS_BY_DURATION_UP;
    if (s->count < RECORDS_SORTED_MAX || !known) { return true; }
    return key_of(s->order, planned, duration_ns) < s->heap[0].key;
}

static int compare(const void * a, const void * b) {
    return is_before(a, b) ? -1 : is_before(b, a);
}

struct tat_access * records_sort(const struct tat_filter * filter, enum records_order order, uint32_t * count,
                                 struct tat_error * error) {
    struct sorting s = { .order = order, .heap = malloc(RECORDS_SORTED_MAX * sizeof *s.heap) };
    struct tat_access * rows = NULL;
    if (!s.heap) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    if (filter_expand_useful(filter, may_be_better, take, &s, error) == 0) {
        rows = malloc(((size_t) s.count + 1) * sizeof *rows);
        if (!rows) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    }
    if (rows) {
        qsort(s.heap, s.count, sizeof s.heap[0], compare);
        for (uint32_t i = 0; i < s.count; i++) { rows[i] = s.heap[i].record; }
        *count = s.count;
    }
    free(s.heap);
    return rows;
}
