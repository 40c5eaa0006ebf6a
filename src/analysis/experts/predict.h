/* SPDX-License-Identifier: MIT
 *
 * What tests of the prediction of experts leave: predict.c guesses and scores, scores.c shows.
 */
#ifndef TAT_ANALYSIS_EXPERTS_PREDICT_H
#define TAT_ANALYSIS_EXPERTS_PREDICT_H

#include "analysis/experts/experts.h"

enum question { NEXT_TOKEN, NEXT_LAYER, QUESTIONS };
enum method { LAST, FREQUENT, MARKOV, METHODS };

struct score {
    uint64_t rows, first, right, chosen; /* rows whose first guess is among the chosen; experts guessed correctly */
};

struct tested {
    uint32_t * frequent; /* the layer's guess; NULL: untested */
    uint64_t * from;     /* row sums of the matrices: the last token's, and the layer's above */
    uint64_t * from_above;
    uint64_t asked[QUESTIONS];
    struct score score[QUESTIONS][METHODS];
};

struct prediction {
    struct tested * layer; /* like those of struct experts */
    double * points;
    uint64_t every[QUESTIONS]; /* one row of the test in so many is tried */
    bool failed;
};

void experts_show_scores(const struct experts * x, const struct prediction * p, struct result * r);

#endif
