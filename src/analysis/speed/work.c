/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "analysis/speed/speed.h"

/* Hostile shapes wrap nothing: they saturate. */
static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t elements(const struct tat_entry * e) {
    return times(times(e->ne[0], e->ne[1]), times(e->ne[2], e->ne[3]));
}

static const struct tat_entry * source(const struct tat_template * t, const struct tat_entry * e, int i) {
    return e->src[i] == TAT_NO_ENTRY ? NULL : &t->entries[e->src[i]];
}

static bool is_one_of(const char * op, const char * const * names) {
    while (*names && strcmp(op, *names) != 0) { names++; }
    return *names != NULL;
}

/* Of each element of the result, a product and a sum for each of a row. */
static uint64_t of_product(const struct tat_entry * e, const struct tat_entry * a) {
    return a ? times(2, times(a->ne[0], elements(e))) : 0;
}

/* Scores: a product and a sum for each element of a query, each cell, each query and head; as many with the values. */
static uint64_t of_attention(const struct tat_entry * q, const struct tat_entry * k, const struct tat_entry * v) {
    if (!q || !k || !v) { return 0; }
    return times(times(2, k->ne[0] + v->ne[0]), times(k->ne[1], times(q->ne[1], times(q->ne[2], q->ne[3]))));
}

uint64_t flops_of(const struct tat_template * t, uint32_t node) {
    static const char * const moves[] = { "CPY",     "CONT",    "DUP",       "GET_ROWS", "SET_ROWS", "VIEW",
                                          "RESHAPE", "PERMUTE", "TRANSPOSE", "CONCAT",   "REPEAT",   "ARGSORT",
                                          "TOP_K",   "FILL",    "NONE",      "PAD",      "ROLL",     NULL };
    static const char * const products[] = { "MUL_MAT", "MUL_MAT_ID", NULL };
    const struct tat_entry * e = &t->entries[t->n_leaves + node];
    if (is_one_of(e->op, products)) { return of_product(e, source(t, e, 0)); }
    if (strcmp(e->op, "FLASH_ATTN_EXT") == 0) {
        return of_attention(source(t, e, 0), source(t, e, 1), source(t, e, 2));
    }
    return is_one_of(e->op, moves) ? 0 : elements(e);
}
