/* SPDX-License-Identifier: MIT
 *
 * Does a token read weights in the order in which the token before it did?
 */
#ifndef TAT_ANALYSIS_ORDER_SAME_H
#define TAT_ANALYSIS_ORDER_SAME_H

#include "analysis/order/access_slices.h"

/* An access that was not the expected one. NO_ORDER_SLICE stands for a missing one. */
struct difference {
    uint32_t evaluation;
    uint32_t access;           /* its number in the evaluation, from 1; 0: no difference was found */
    uint32_t expected, actual; /* tensors or slices */
};

struct sameness {
    uint64_t identical;       /* evaluations that read the same as the one before */
    uint64_t same, positions; /* accesses that are the same as in the one before, by the same operand */
    struct difference first;
};

struct comparison {
    uint64_t compared; /* evaluations with one before them in their context */
    struct sameness tensors, slices;
};

/* Compares the two. Returns true if they are identical. */
bool same_add(struct comparison * c, const struct sequence * before, const struct sequence * now);

void same_tell(const struct comparison * c, const struct subject * subject, const struct order_slices * slices,
               struct result * r);

/* Puts {evaluation, token, access, expected, actual} as `key`; nothing if no difference was found. */
void difference_put(struct result * r, json_t * object, const char * key, const struct difference * d,
                    const struct subject * subject, const struct order_slices * slices);
/* "token 7, access 9: blk.0... was expected, blk.0... came". `slices`: NULL for tensors. The caller frees it. */
char * difference_text(const struct difference * d, const struct subject * subject, const struct order_slices * slices);

#endif
