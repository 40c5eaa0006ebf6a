/* SPDX-License-Identifier: MIT
 *
 * Whether experts are specialised: by prompt against generation, and by kind of token.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/contingency.h"
#include "analysis/experts/experts.h"
#include "analysis/units.h"

static const struct result_column phase_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "prompt", "prompt", UNIT_COUNT },
    { "generate", "generation", UNIT_COUNT },
    { "chi_square", "chi-square", UNIT_FACTOR },
    { "degrees_of_freedom", "deg. of freedom", UNIT_COUNT },
    { "cramers_v", "Cramer's V", UNIT_INDEX },
    { "v_by_chance", "by chance", UNIT_INDEX },
};

static const struct result_column kind_columns[] = {
    { "layer", "layer", UNIT_NUMBER },           { "selections", "selections", UNIT_COUNT },
    { "chi_square", "chi-square", UNIT_FACTOR }, { "degrees_of_freedom", "deg. of freedom", UNIT_COUNT },
    { "cramers_v", "Cramer's V", UNIT_INDEX },   { "v_by_chance", "by chance", UNIT_INDEX },
};

static const struct result_column favourite_columns[] = {
    { "kind", "tokens that are", UNIT_TEXT }, { "tokens", "tokens", UNIT_COUNT },
    { "layer", "layer", UNIT_NUMBER },        { "expert", "expert", UNIT_NUMBER },
    { "selections", "chosen", UNIT_COUNT },   { "times_others", "times its use by all", UNIT_FACTOR },
};

static const struct result_column count_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "kind", "kind", UNIT_TEXT },
    { "counts", "counts", UNIT_COUNT },
};

struct sums {
    uint64_t layers, few, cells;
    double v, by_chance, most;
    uint32_t most_layer;
};

static void put(struct result * r, json_t * row, uint32_t number, const struct contingency * t, struct sums * sums) {
    result_put_real(r, row, "chi_square", t->chi_square);
    result_put_count(r, row, "degrees_of_freedom", t->freedom);
    result_put_real(r, row, "cramers_v", t->v);
    result_put_real(r, row, "v_by_chance", t->v_by_chance);
    result_put_real(r, row, "cells_below_five", ratio(t->few, t->cells));
    if (sums->layers == 0 || t->v > sums->most) { sums->most = t->v, sums->most_layer = number; }
    sums->layers++;
    sums->v += t->v;
    sums->by_chance += t->v_by_chance;
    sums->few += t->few;
    sums->cells += t->cells;
}

/* Weak, medium and strong after J. Cohen (Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 7):
 * 0.1, 0.3, 0.5. */
static void say(struct result * r, const struct sums * s, const char * question, const char * value,
                const char * by_chance) {
    const double v = s->v / (double) s->layers, chance = s->by_chance / (double) s->layers,
                 few = ratio(s->few, s->cells);
    const char * verdict = few > 0.2          ? "Too few selections to tell"
                           : v < 1.5 * chance ? "No more than chance would do"
                           : v < 0.3          ? "A little"
                           : v < 0.5          ? "Yes"
                                              : "Yes, very";
    char share[UNITS_SIZE];
    result_put_real(r, result_values(r), value, v);
    result_put_real(r, result_values(r), by_chance, chance);
    result_answer(r, question,
                  "%s: Cramer's V, the strength of the difference from 0 to 1, is %.2f on average over %" PRIu64
                  " layers (most, %.2f, in layer %" PRIu32 "), where independent choices would give %.2f; %s of the "
                  "table's cells expect fewer than %d selections.",
                  verdict, v, s->layers, s->most, s->most_layer, chance, format_share(share, few), CONTINGENCY_FEW);
}

/* ---- phases ---- */

static uint64_t sum_of(const uint64_t * counts, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) { sum += counts[i]; }
    return sum;
}

static void add_phases(struct experts * x, struct result * r, uint32_t number, struct sums * sums) {
    const struct expert_layer * l = &x->layer[number];
    const uint32_t n = l->n_experts;
    uint64_t * counts = malloc(2 * (size_t) n * sizeof *counts);
    x->failed |= !counts;
    for (uint32_t i = 0; counts && i < n; i++) {
        counts[i] = l->use[i].chosen[EXPERTS_PROMPT];
        counts[n + i] = l->use[i].chosen[EXPERTS_GENERATE];
    }
    const struct contingency t = counts ? contingency_of(counts, 2, n) : (struct contingency){ 0 };
    if (t.freedom) {
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", number);
        result_put_count(r, row, "prompt", sum_of(counts, n));
        result_put_count(r, row, "generate", sum_of(counts + n, n));
        put(r, row, number, &t, sums);
    }
    free(counts);
}

static bool show_phases(struct experts * x, struct result * r) {
    static const char question[] = "Do prompt and generation use different experts?";
    struct sums sums = { 0 };
    result_table(r, "phases", "Selections of prompt against those of generation", SHOW_ASKED, phase_columns,
                 sizeof phase_columns / sizeof phase_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        if (x->layer[i].use) { add_phases(x, r, i, &sums); }
    }
    if (sums.layers) {
        say(r, &sums, question, "cramers_v", "cramers_v_by_chance");
    } else {
        result_answer(r, question, "Not to be told: not both of them were recorded, or there is but one expert.");
    }
    return sums.layers > 0;
}

/* ---- kinds ---- */

struct favourite {
    uint64_t tokens, selections;
    uint32_t layer, expert;
    double times;
};

/* The expert that a kind of token prefers most compared with all tokens, among those that chance would give it often
 * enough. */
static void find_favourites(const struct expert_layer * l, uint32_t number, struct favourite favourites[TOKEN_KINDS]) {
    const uint32_t n = l->n_experts;
    uint64_t all = 0;
    for (int k = 0; k < TOKEN_KINDS; k++) { all += sum_of(l->kinds + (size_t) k * n, n); }
    for (int k = 0; k < TOKEN_KINDS; k++) {
        const double share = ratio(sum_of(l->kinds + (size_t) k * n, n), all);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t of_all = 0;
            for (int other = 0; other < TOKEN_KINDS; other++) { of_all += l->kinds[(size_t) other * n + i]; }
            const double expected = share * (double) of_all;
            const uint64_t selections = l->kinds[(size_t) k * n + i];
            if (expected < CONTINGENCY_FEW || (double) selections / expected <= favourites[k].times) { continue; }
            favourites[k].times = (double) selections / expected;
            favourites[k].layer = number;
            favourites[k].expert = i;
            favourites[k].selections = selections;
        }
    }
}

static void show_favourites(const struct experts * x, struct result * r,
                            const struct favourite favourites[TOKEN_KINDS]) {
    result_table(r, "favourites", "The expert that each kind of token prefers most", SHOW_ASKED, favourite_columns,
                 sizeof favourite_columns / sizeof favourite_columns[0]);
    for (int k = 0; k < TOKEN_KINDS; k++) {
        if (x->tokens[k] == 0) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "kind", token_kind_name((enum token_kind) k));
        result_put_count(r, row, "tokens", x->tokens[k]);
        if (favourites[k].times <= 0) { continue; }
        result_put_layer(r, row, "layer", favourites[k].layer);
        result_put_count(r, row, "expert", favourites[k].expert);
        result_put_count(r, row, "selections", favourites[k].selections);
        result_put_real(r, row, "times_others", favourites[k].times);
    }
}

static void show_counts(const struct experts * x, struct result * r) {
    result_table(r, "kind_counts", "Selections by kind of token and expert", SHOW_NEVER, count_columns,
                 sizeof count_columns / sizeof count_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        for (uint32_t k = 0; k < TOKEN_KINDS && l->kinds; k++) {
            if (sum_of(l->kinds + (size_t) k * l->n_experts, l->n_experts) == 0) { continue; }
            json_t * row = result_row(r);
            json_t * counts = json_array();
            for (uint32_t e = 0; e < l->n_experts; e++) {
                json_array_append_new(counts, json_integer((json_int_t) l->kinds[(size_t) k * l->n_experts + e]));
            }
            result_put_layer(r, row, "layer", i);
            result_put_text(r, row, "kind", token_kind_name((enum token_kind) k));
            result_put(r, row, "counts", counts);
        }
    }
}

static bool show_kinds(const struct experts * x, struct result * r) {
    static const char question[] = "Do kinds of tokens have experts of their own?";
    struct favourite favourites[TOKEN_KINDS] = { 0 };
    struct sums sums = { 0 };
    result_table(r, "kinds", "Selections by kind of token", SHOW_ASKED, kind_columns,
                 sizeof kind_columns / sizeof kind_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        const struct contingency t =
            l->kinds ? contingency_of(l->kinds, TOKEN_KINDS, l->n_experts) : (struct contingency){ 0 };
        if (t.freedom == 0) { continue; }
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", i);
        result_put_count(r, row, "selections", t.count);
        put(r, row, i, &t, &sums);
        find_favourites(l, i, favourites);
    }
    if (sums.layers) {
        say(r, &sums, question, "kinds_cramers_v", "kinds_cramers_v_by_chance");
        show_favourites(x, r, favourites);
        show_counts(x, r);
        result_note(
            r,
            "Kinds of tokens are told by their texts in the model file's vocabulary: letters after a space begin "
            "a word, others go on with one. A kind's favourite is the highest of all experts that chance would "
            "send at least %d of its tokens, so part of its lead is luck.",
            CONTINGENCY_FEW);
    } else {
        result_answer(r, question, "Not to be told: %s.",
                      !x->has_tokens   ? "the trace does not have the tokens"
                      : !x->vocabulary ? "the model file is gone, has changed or has no vocabulary"
                                       : "there is but one kind, or one expert");
    }
    return sums.layers > 0;
}

void experts_show_special(struct experts * x, struct result * r) {
    bool any = show_phases(x, r);
    any |= show_kinds(x, r);
    if (any) {
        result_note(
            r,
            "No probability is given for chi-square: it would need independent selections, but tokens follow each "
            "other and a token's experts are chosen without replacement. Take Cramer's V against what "
            "independent choices would give by chance, and in a short run, where most cells expect fewer than "
            "%d, take neither.",
            CONTINGENCY_FEW);
    }
}
