/* SPDX-License-Identifier: MIT
 *
 * Whether prompt and generation use different experts: chi-square of the table phase by expert, and Cramer's V (H.
 * Cramer, Mathematical Methods of Statistics, 1946, chapter 21), which does not grow with the length of a run as
 * chi-square does.
 */
#include <inttypes.h>
#include <math.h>

#include "analysis/experts.h"
#include "analysis/units.h"

enum { FEW = 5 }; /* selections expected in a cell: below, chi-square is no guide (W. G. Cochran, 1954) */

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "prompt", "prompt", UNIT_COUNT },
    { "generate", "generation", UNIT_COUNT },
    { "chi_square", "chi-square", UNIT_FACTOR },
    { "degrees_of_freedom", "deg. of freedom", UNIT_COUNT },
    { "cramers_v", "Cramer's V", UNIT_INDEX },
    { "v_by_chance", "by chance", UNIT_INDEX },
};

struct test {
    uint64_t prompt, generate, freedom;
    double   chi_square;
    uint64_t cells, few;
};

static struct test test_layer(const struct expert_layer * l) {
    struct test t = { 0 };
    for (uint32_t i = 0; i < l->n_experts; i++) {
        t.prompt += l->use[i].chosen[EXPERTS_PROMPT];
        t.generate += l->use[i].chosen[EXPERTS_GENERATE];
    }
    if (t.prompt == 0 || t.generate == 0) { return t; }
    for (uint32_t i = 0; i < l->n_experts; i++) {
        const uint64_t seen[2] = { l->use[i].chosen[EXPERTS_PROMPT], l->use[i].chosen[EXPERTS_GENERATE] };
        if (seen[0] + seen[1] == 0) { continue; }
        t.freedom++; /* one more than there are, until the end */
        for (int phase = 0; phase < 2; phase++) {
            const double share    = ratio(phase ? t.generate : t.prompt, t.prompt + t.generate);
            const double expected = share * (double) (seen[0] + seen[1]), off = (double) seen[phase] - expected;
            t.chi_square += off * off / expected;
            t.cells++;
            t.few += expected < FEW;
        }
    }
    t.freedom--;
    return t;
}

/* With two phases V is the root of chi-square over the selections; independent ones would give about this many degrees
 * of freedom as chi-square. */
static double cramers_v(double chi_square, const struct test * t) {
    return sqrt(chi_square / (double) (t->prompt + t->generate));
}

struct sums {
    uint64_t layers, few, cells;
    double   v, by_chance, most;
    uint32_t most_layer;
};

static void add_layer(struct result * r, uint32_t number, const struct test * t, struct sums * sums) {
    const double v = cramers_v(t->chi_square, t), chance = cramers_v((double) t->freedom, t);
    json_t *     row = result_row(r);
    result_put_layer(r, row, "layer", number);
    result_put_count(r, row, "prompt", t->prompt);
    result_put_count(r, row, "generate", t->generate);
    result_put_real(r, row, "chi_square", t->chi_square);
    result_put_count(r, row, "degrees_of_freedom", t->freedom);
    result_put_real(r, row, "cramers_v", v);
    result_put_real(r, row, "v_by_chance", chance);
    result_put_real(r, row, "cells_below_five", ratio(t->few, t->cells));
    if (sums->layers == 0 || v > sums->most) { sums->most = v, sums->most_layer = number; }
    sums->layers++;
    sums->v += v;
    sums->by_chance += chance;
    sums->few += t->few;
    sums->cells += t->cells;
}

static void say(struct result * r, const struct sums * s) {
    static const char question[] = "Do prompt and generation use different experts?";
    if (s->layers == 0) {
        result_answer(r, question, "Not to be told: not both of them were recorded.");
        return;
    }
    const double v = s->v / (double) s->layers, chance = s->by_chance / (double) s->layers,
                 few = ratio(s->few, s->cells);
    char         share[UNITS_SIZE];
    const char * verdict = few > 0.2          ? "Too few selections to tell"
                           : v < 1.5 * chance ? "Hardly, or not at all"
                           : v < 0.3          ? "Somewhat"
                                              : "Yes";
    format_share(share, few);
    result_put_real(r, result_values(r), "cramers_v", v);
    result_put_real(r, result_values(r), "cramers_v_by_chance", chance);
    result_answer(
        r, question,
        "%s: Cramer's V, the strength of the difference from 0 to 1, is %.2f on average over %" PRIu64
        " layers (most, %.2f, in layer %" PRIu32
        "), where independent choices would give %.2f. %s of the table's cells expect fewer than %d selections.",
        verdict, v, s->layers, s->most, s->most_layer, chance, share, FEW);
    result_note(
        r,
        "No probability is given for chi-square: it would need independent selections, but tokens follow each "
        "other and a token's experts are chosen without replacement. Take Cramer's V against what independent "
        "choices would give by chance, and in a short run, where most cells expect fewer than %d, take neither.",
        FEW);
}

void experts_show_phases(struct experts * x, struct result * r) {
    struct sums sums = { 0 };
    result_table(r, "phases", "Selections of prompt against those of generation", SHOW_ASKED, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        if (!x->layer[i].use) { continue; }
        const struct test t = test_layer(&x->layer[i]);
        if (t.cells) { add_layer(r, i, &t, &sums); }
    }
    say(r, &sums);
}
