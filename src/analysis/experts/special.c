/* SPDX-License-Identifier: MIT
 *
 * Whether experts are specialised: by prompt against generation, and by kind of token.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/contingency.h"
#include "analysis/experts/experts.h"
#include "analysis/numbers.h"
#include "analysis/units.h"

static const struct result_column phase_columns[] = {
    { "layer", "layer", UNIT_NUMBER },          { "prompt", "prompt", UNIT_COUNT },
    { "generate", "generation", UNIT_COUNT },   { "cramers_v", "Cramer's V", UNIT_INDEX },
    { "v_by_chance", "if random", UNIT_INDEX }, { "v_corrected", "corrected", UNIT_INDEX },
    { "answer", "different", UNIT_TEXT },
};

static const struct result_column kind_columns[] = {
    { "layer", "layer", UNIT_NUMBER },          { "selections", "choices", UNIT_COUNT },
    { "cramers_v", "Cramer's V", UNIT_INDEX },  { "v_by_chance", "if random", UNIT_INDEX },
    { "v_corrected", "corrected", UNIT_INDEX }, { "answer", "different", UNIT_TEXT },
};

static const struct result_column favourite_columns[] = {
    { "kind", "tokens that are", UNIT_TEXT }, { "tokens", "tokens", UNIT_COUNT },
    { "layer", "layer", UNIT_NUMBER },        { "expert", "expert", UNIT_NUMBER },
    { "selections", "choices", UNIT_COUNT },  { "times_others", "times as often as all", UNIT_FACTOR },
};

static const struct result_column count_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "kind", "kind", UNIT_TEXT },
    { "counts", "counts", UNIT_COUNT },
};

/* Weak, medium and strong after J. Cohen (Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 7):
 * 0.1, 0.3, 0.5. */
enum verdict { TOO_FEW, NO, A_LITTLE, YES, STRONGLY, VERDICTS };

static const struct {
    const char *word, *key;
} verdicts[VERDICTS] = {
    [TOO_FEW] = { "too few choices", "layers_too_few" }, [NO] = { "no", "layers_no" },
    [A_LITTLE] = { "a little", "layers_a_little" },      [YES] = { "yes", "layers_yes" },
    [STRONGLY] = { "strongly", "layers_strongly" },
};

static enum verdict verdict_of(const struct contingency * t) {
    if (!contingency_is_enough(t)) { return TOO_FEW; }
    return t->v_corrected < 0.1 ? NO : t->v_corrected < 0.3 ? A_LITTLE : t->v_corrected < 0.5 ? YES : STRONGLY;
}

/* What the layers of a table say together. `layers`: numbers by verdict, one allocation. */
struct sums {
    uint32_t *layers[VERDICTS], n[VERDICTS], n_layers;
    uint64_t least, most;           /* choices of a layer */
    uint64_t needed, most_needed;   /* times as many choices, where there are too few */
    double v, by_chance, corrected; /* sums */
    double strongest;               /* corrected, of layers with enough choices */
    uint32_t strongest_layer;
};

static bool sums_begin(struct sums * sums, const struct experts * x) {
    *sums = (struct sums){ .strongest = -1 };
    sums->layers[0] = calloc((size_t) VERDICTS * x->n_slots + 1, sizeof *sums->layers[0]);
    for (int i = 1; sums->layers[0] && i < VERDICTS; i++) {
        sums->layers[i] = sums->layers[0] + (size_t) i * x->n_slots;
    }
    return sums->layers[0] != NULL;
}

static void put(struct result * r, json_t * row, uint32_t number, const struct contingency * t, struct sums * sums) {
    const enum verdict verdict = verdict_of(t);
    result_put_real(r, row, "chi_square", t->chi_square);
    result_put_count(r, row, "degrees_of_freedom", t->freedom);
    result_put_real(r, row, "cramers_v", t->v);
    result_put_real(r, row, "v_by_chance", t->v_by_chance);
    result_put_real(r, row, "v_corrected", t->v_corrected);
    result_put_real(r, row, "cells_below_five", ratio(t->few, t->cells));
    result_put_count(r, row, "times_needed", t->times_needed);
    result_put_text(r, row, "answer", verdicts[verdict].word);
    sums->layers[verdict][sums->n[verdict]++] = number;
    if (sums->n_layers++ == 0 || t->count < sums->least) { sums->least = t->count; }
    if (t->count > sums->most) { sums->most = t->count; }
    if (verdict == TOO_FEW && t->times_needed > sums->most_needed) { sums->most_needed = t->times_needed; }
    if (verdict == TOO_FEW && t->times_needed && (!sums->needed || t->times_needed < sums->needed)) {
        sums->needed = t->times_needed;
    }
    if (verdict != TOO_FEW && t->v_corrected > sums->strongest) {
        sums->strongest = t->v_corrected;
        sums->strongest_layer = number;
    }
    sums->v += t->v;
    sums->by_chance += t->v_by_chance;
    sums->corrected += t->v_corrected;
}

static void put_values(struct result * r, const struct sums * s, const char * prefix) {
    const struct {
        const char * key;
        double value;
    } means[] = { { "cramers_v", s->v },
                  { "cramers_v_by_chance", s->by_chance },
                  { "cramers_v_corrected", s->corrected } };
    char key[64];
    for (size_t i = 0; i < sizeof means / sizeof means[0]; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, means[i].key);
        result_put_real(r, result_values(r), key, means[i].value / s->n_layers);
    }
    for (int v = 0; v < VERDICTS; v++) {
        snprintf(key, sizeof key, "%s%s", prefix, verdicts[v].key);
        result_put_count(r, result_values(r), key, s->n[v]);
    }
}

/* "strongly in layers 3 and 7, a little in 20 layers, ..." */
static size_t say_layers(const struct sums * s, char * text, size_t size) {
    char numbers[NUMBERS_SIZE];
    size_t used = 0;
    for (int v = VERDICTS; v-- > 0;) {
        if (!s->n[v]) { continue; }
        const char *comma = used ? ", " : "", *plural = s->n[v] == 1 ? "" : "s";
        const char * word = v == NO        ? "not"
                            : v == YES     ? "clearly"
                            : v == TOO_FEW ? "unknown (too few choices)"
                                           : verdicts[v].word;
        if (s->n[v] == s->n_layers) {
            used += (size_t) snprintf(text + used, size - used, "%s in all %" PRIu32 " layers", word, s->n_layers);
        } else {
            used += (size_t) snprintf(text + used, size - used, "%s%s in layer%s %s", comma, word, plural,
                                      format_numbers(numbers, s->layers[v], s->n[v]));
        }
    }
    if (used && text[0] >= 'a' && text[0] <= 'z') { text[0] = (char) (text[0] - 'a' + 'A'); }
    return used;
}

/* `sample`: what the choices are of, or "". */
static void say(struct result * r, const struct sums * s, const char * question, const char * sample) {
    char text[1024], least[UNITS_SIZE], most[UNITS_SIZE], counts[3 * UNITS_SIZE];
    size_t used = say_layers(s, text, sizeof text);
    format_count(least, s->least);
    format_count(most, s->most);
    snprintf(counts, sizeof counts, s->least == s->most ? "%s" : "%s to %s", least, most);
    used += (size_t) snprintf(text + used, sizeof text - used, ". A layer has %s choices%s", counts, sample);
    if (s->n[TOO_FEW] && s->needed) {
        format_count(least, s->needed);
        format_count(most, s->most_needed);
        used +=
            (size_t) snprintf(text + used, sizeof text - used, "; the unknown ones need about %s%s%s times as many",
                              least, s->needed < s->most_needed ? " to " : "", s->needed < s->most_needed ? most : "");
    }
    if (s->strongest >= 0) {
        snprintf(text + used, sizeof text - used,
                 ". The difference (Cramer's V less what chance makes of it, from 0 to 1) is largest in layer %" PRIu32
                 ": %.2f",
                 s->strongest_layer, s->strongest);
    }
    result_answer(r, question, "%s.", text);
}

/* ---- tables ---- */

static uint64_t sum_of(const uint64_t * counts, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) { sum += counts[i]; }
    return sum;
}

/* The smallest share that a row has of all choices, of rows that hold any. */
static double least_share(const uint64_t * counts, uint32_t rows, uint32_t n) {
    const uint64_t all = sum_of(counts, rows * n);
    double least = 1;
    for (uint32_t r = 0; r < rows; r++) {
        const double share = ratio(sum_of(counts + (size_t) r * n, n), all);
        if (share > 0 && share < least) { least = share; }
    }
    return least;
}

/* The table with experts that are chosen too rarely in one column, as usual for such tests; as it is where nothing is
 * left to compare then. `counts`: [row][expert]. */
static struct contingency compare_rows(struct experts * x, const uint64_t * counts, uint32_t rows, uint32_t n) {
    uint64_t * pooled = calloc((size_t) rows * (n + 1) + 1, sizeof *pooled);
    const double least = least_share(counts, rows, n);
    uint32_t columns = 0;
    x->failed |= !pooled;
    if (!pooled) { return (struct contingency){ 0 }; }
    for (uint32_t e = 0; e < n; e++) {
        uint64_t sum = 0;
        for (uint32_t r = 0; r < rows; r++) { sum += counts[(size_t) r * n + e]; }
        const bool often = least * (double) sum >= CONTINGENCY_FEW;
        const uint32_t to = often ? columns++ : n;
        for (uint32_t r = 0; r < rows; r++) { pooled[(size_t) r * (n + 1) + to] += counts[(size_t) r * n + e]; }
    }
    struct contingency t = contingency_of(pooled, rows, n + 1);
    if (t.freedom == 0 || !contingency_is_enough(&t)) { t = contingency_of(counts, rows, n); }
    free(pooled);
    return t;
}

/* ---- phases ---- */

static void add_phases(struct experts * x, struct result * r, uint32_t number, struct sums * sums) {
    const struct expert_layer * l = &x->layer[number];
    const uint32_t n = l->n_experts;
    uint64_t * counts = malloc(2 * (size_t) n * sizeof *counts);
    x->failed |= !counts;
    for (uint32_t i = 0; counts && i < n; i++) {
        counts[i] = l->use[i].chosen[EXPERTS_PROMPT];
        counts[n + i] = l->use[i].chosen[EXPERTS_GENERATE];
    }
    const struct contingency t = counts ? compare_rows(x, counts, 2, n) : (struct contingency){ 0 };
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
    char sample[3 * UNITS_SIZE], prompt[UNITS_SIZE];
    uint64_t most = 0;
    struct sums sums;
    x->failed |= !sums_begin(&sums, x);
    result_table(r, "phases", "Do prompt and generation use different experts? Choices by layer", SHOW_ASKED,
                 phase_columns, sizeof phase_columns / sizeof phase_columns[0]);
    for (uint32_t i = 0; i < x->n_slots && !x->failed; i++) {
        uint64_t of_prompt = 0;
        if (!x->layer[i].use) { continue; }
        add_phases(x, r, i, &sums);
        for (uint32_t e = 0; e < x->layer[i].n_experts; e++) { of_prompt += x->layer[i].use[e].chosen[EXPERTS_PROMPT]; }
        if (of_prompt > most) { most = of_prompt; }
    }
    snprintf(sample, sizeof sample, ", at most %s of them of the prompt", format_count(prompt, most));
    if (sums.n_layers) {
        put_values(r, &sums, "");
        say(r, &sums, question, sample);
    } else {
        result_answer(r, question,
                      "Unknown: prompt and generation were not both recorded, or there is only one expert.");
    }
    free(sums.layers[0]);
    return sums.n_layers > 0;
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
    result_table(r, "favourites", "The expert that each kind of token prefers most, compared with all tokens",
                 SHOW_ASKED, favourite_columns, sizeof favourite_columns / sizeof favourite_columns[0]);
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

/* Of kinds that are too rare to be compared expert by expert nothing is left in the table. */
static struct contingency table_of_kinds(struct experts * x, const struct expert_layer * l) {
    const size_t n = l->n_experts;
    struct contingency t = { 0 };
    uint64_t * counts = l->kinds ? malloc(TOKEN_KINDS * n * sizeof *counts) : NULL;
    x->failed |= l->kinds && !counts;
    if (!counts) { return t; }
    memcpy(counts, l->kinds, TOKEN_KINDS * n * sizeof *counts);
    for (size_t k = 0; k < TOKEN_KINDS; k++) {
        if (sum_of(counts + k * n, (uint32_t) n) < CONTINGENCY_FEW * n) {
            memset(counts + k * n, 0, n * sizeof *counts);
        }
    }
    t = compare_rows(x, counts, TOKEN_KINDS, (uint32_t) n);
    if (t.freedom == 0) { t = contingency_of(l->kinds, TOKEN_KINDS, (uint32_t) n); }
    free(counts);
    return t;
}

static void add_kinds(struct experts * x, struct result * r, struct sums * sums,
                      struct favourite favourites[TOKEN_KINDS]) {
    result_table(r, "kinds", "Do kinds of tokens have experts of their own? Choices by layer", SHOW_ASKED, kind_columns,
                 sizeof kind_columns / sizeof kind_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        const struct contingency t = table_of_kinds(x, l);
        if (t.freedom == 0) { continue; }
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", i);
        result_put_count(r, row, "selections", t.count);
        put(r, row, i, &t, sums);
        find_favourites(l, i, favourites);
    }
}

static bool show_kinds(struct experts * x, struct result * r) {
    static const char question[] = "Do kinds of tokens have experts of their own?";
    struct favourite favourites[TOKEN_KINDS] = { 0 };
    struct sums sums;
    x->failed |= !sums_begin(&sums, x);
    if (x->failed) { return false; }
    add_kinds(x, r, &sums, favourites);
    if (sums.n_layers) {
        put_values(r, &sums, "kinds_");
        say(r, &sums, question, "");
        show_favourites(x, r, favourites);
        show_counts(x, r);
        result_note(
            r,
            "Kinds of tokens are told by their texts in the model file's vocabulary: letters after a space begin a "
            "word, "
            "others continue one. Kinds with fewer than %d choices for each expert are left out of the comparison, "
            "unless fewer than two kinds are left. A kind's favourite is the expert with the highest lead among those "
            "that chance would choose for it at least %d times, so part of the lead is luck.",
            CONTINGENCY_FEW, CONTINGENCY_FEW);
    } else {
        result_answer(r, question, "Unknown: %s.",
                      !x->has_tokens   ? "the trace does not have the tokens"
                      : !x->vocabulary ? "the model file is gone, has changed or has no vocabulary"
                                       : "there is only one kind of token, or only one expert");
    }
    free(sums.layers[0]);
    return sums.n_layers > 0;
}

void experts_show_special(struct experts * x, struct result * r) {
    bool any = show_phases(x, r);
    any |= show_kinds(x, r);
    if (any) {
        result_note(
            r,
            "Cramer's V is the strength of a difference, from 0 to 1. If random: about what V would be if every choice "
            "were random. Corrected: V without the part that chance explains (Bergsma, 2013); below 0.1 counts as no "
            "difference, from 0.3 on as a clear one, from 0.5 on as a strong one (Cohen). Too few choices: more than a "
            "fifth of the table's cells expect fewer than %d (Cochran), even if experts that are chosen rarely are "
            "taken as one. "
            "No probability is given, because choices are "
            "not independent: tokens follow each other, and the experts of one token differ.",
            CONTINGENCY_FEW);
    }
}
