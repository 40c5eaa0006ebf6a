/* SPDX-License-Identifier: MIT
 *
 * What a router would choose: the product of its matrix with a layer's input, and the experts with the highest scores.
 * A guess, so what is exact to a few digits is exact enough.
 */
#ifndef TAT_MANAGE_EARLY_SCORE_H
#define TAT_MANAGE_EARLY_SCORE_H

#include <stdbool.h>
#include <stdint.h>

/* As ggml numbers its types. */
enum { EARLY_F32 = 0, EARLY_F16 = 1, EARLY_BF16 = 30 };

struct early_weights {
    const void * gate; /* a row for each expert, without gaps */
    int type;          /* EARLY_F32, EARLY_F16 or EARLY_BF16 */
    uint32_t n_embd, n_experts;
    const float * norm; /* by which the normalised input is multiplied; NULL: it has been */
    const float * bias; /* by expert, or NULL */
    bool is_sigmoid;    /* the bias is added to the sigmoid of the product, as in DeepSeek-V3 */
};

/* Bytes of a row; 0: a type that early_score does not know. */
uint64_t early_row_bytes(int type, uint32_t n_embd);

/* `x`: n_embd numbers, not normalised if there is a norm. `work`: room for as many. Fills in a score for each expert.
 */
void early_score(const struct early_weights * weights, const float * x, float * work, float * score);

/* The `k` experts with the highest scores, the highest first; of equal ones those with lower numbers. Returns how many:
 * fewer than `k` if there are fewer, or if scores are not numbers. */
uint32_t early_top(const float * score, uint32_t n, uint32_t k, uint32_t * ids);

#endif
