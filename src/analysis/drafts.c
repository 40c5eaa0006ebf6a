/* SPDX-License-Identifier: MIT */
#include "analysis/drafts.h"

#include <stdlib.h>

enum { LONGEST = 65 }; /* a draft and the token before it */

/* A check of a draft; the next ubatch tells its outcome. */
struct check {
    int64_t first; /* position; -1: unknown */
    uint32_t rows; /* 0: no check is open */
};

/* Whether the rows come one behind another. */
static bool follows(const int64_t at[static LONGEST], size_t count, uint32_t rows) {
    bool good = count >= rows && rows <= LONGEST;
    for (uint32_t i = 1; good && i < rows; i++) { good = at[i] - i == at[0]; }
    return good;
}

static void settle(struct drafts * d, struct check * check, int64_t next) {
    const bool known = check->first >= 0 && next >= check->first && next <= check->first + check->rows;
    if (check->rows && !known) { d->unclear++; }
    if (check->rows && known && next > check->first) { /* else the host computes again what was accepted */
        d->checks++;
        d->proposed += check->rows - 1;
        d->accepted += (uint64_t) (next - check->first - 1);
    }
    check->rows = 0;
}

struct drafts drafts_count(const struct subject * s) {
    struct drafts d = { 0 };
    uint32_t contexts = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (e->phase == TAT_PHASE_VERIFY && e->context >= contexts) { contexts = e->context + 1; }
    }
    if (contexts == 0) { return d; }
    struct check * open = calloc(contexts, sizeof *open);
    d.failed = !open;
    for (uint32_t i = 0; open && i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        int64_t at[LONGEST];
        if (e->context >= contexts || e->n_tokens == 0) { continue; }
        struct check * check = &open[e->context];
        const bool checks = e->phase == TAT_PHASE_VERIFY && e->n_outputs == e->n_tokens;
        if (!check->rows && !checks) { continue; }
        const size_t count = subject_positions(s, i, at, LONGEST);
        const int64_t first = count && at[0] >= 0 && at[0] < INT64_MAX - LONGEST ? at[0] : -1;
        settle(&d, check, first);
        if (checks) { *check = (struct check){ follows(at, count, e->n_tokens) ? first : -1, e->n_tokens }; }
    }
    for (uint32_t i = 0; open && i < contexts; i++) { settle(&d, &open[i], -1); }
    free(open);
    return d;
}
