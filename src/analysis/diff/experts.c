/* SPDX-License-Identifier: MIT
 *
 * Which experts are chosen how often, compared layer by layer.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/diff/choosers.h"
#include "analysis/diff/shares.h"
#include "analysis/units.h"

#define ROUNDING 1e-12

double choices_variation(const struct profile * a, const struct profile * b) {
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0, j = 0; i < a->n_choices && j < b->n_choices;) {
        const struct choices *x = &a->choices[i], *y = &b->choices[j];
        i += x->layer <= y->layer;
        j += y->layer <= x->layer;
        if (x->layer != y->layer || x->n_experts != y->n_experts) { continue; }
        double one = 0;
        for (uint32_t e = 0; e < x->n_experts; e++) {
            one += fabs(ratio(x->all[e], x->selections) - ratio(y->all[e], y->selections)) / 2;
        }
        if (x->selections && y->selections) { sum += one, n++; }
    }
    return n ? sum / n : NAN;
}

/* ---- tables ---- */

static json_t * counts_of(const uint64_t * counts, uint32_t n) {
    json_t * array = json_array();
    for (uint32_t i = 0; i < n; i++) { json_array_append_new(array, json_integer((json_int_t) counts[i])); }
    return array;
}

static void add_layer(struct result * r, const struct choosing * c, const struct layer_pair * l) {
    json_t * row = result_row(r);
    result_put_text(r, row, "from", c->side[0].side->label);
    result_put_text(r, row, "to", c->side[1].side->label);
    result_put_layer(r, row, "layer", l->layer);
    result_put_count(r, row, "experts", l->n_experts);
    result_put_count(r, row, "selections_a", l->selections[0]);
    result_put_count(r, row, "selections_b", l->selections[1]);
    result_put_real(r, row, "total_variation", l->d.variation);
    result_put_real(r, row, "halves_across", l->across);
    result_put_real(r, row, "halves_within", l->within);
    result_put_real(r, row, "jensen_shannon_bits", l->d.divergence);
    result_put_real(r, row, "chi_square", l->table.chi_square);
    result_put_count(r, row, "degrees_of_freedom", l->table.freedom);
    result_put_real(r, row, "cramer_v", l->table.v);
    result_put_real(r, row, "cramer_v_by_chance", l->table.v_by_chance);
    result_put(r, row, "sparse", json_boolean(l->table.few > 0));
    result_put_real(r, row, "p", l->test.p);
    result_put_count(r, row, "most_changed", l->most);
    result_put_real(r, row, "most_change", l->most_change);
    result_put(r, row, "counts_a", counts_of(l->sum[0], l->n_experts));
    result_put(r, row, "counts_b", counts_of(l->sum[1], l->n_experts));
}

/* If there is one pair only, nobody asks which. Without several runs on both sides there is no test. */
static void begin_layers(const struct diff * d, struct result * r, const struct choosing * c) {
    static const struct result_column all[] = {
        { "from", "from", UNIT_TEXT },
        { "to", "to", UNIT_TEXT },
        { "layer", "layer", UNIT_NUMBER },
        { "selections_a", "choices", UNIT_COUNT },
        { "selections_b", "then", UNIT_COUNT },
        { "total_variation", "variation", UNIT_SHARE },
        { "halves_across", "halves", UNIT_SHARE },
        { "halves_within", "in a run", UNIT_SHARE },
        { "jensen_shannon_bits", "J.-Shannon", UNIT_INDEX },
        { "cramer_v", "V", UNIT_INDEX },
        { "cramer_v_by_chance", "if random", UNIT_INDEX },
        { "p", "p", UNIT_INDEX },
    };
    const size_t n = sizeof all / sizeof all[0], first = d->n_sides > 2 ? 0 : 2;
    bool differs = false, tested = false;
    for (size_t i = 0; i + 1 < d->n_sides; i++) {
        differs |= c[i].variation > ROUNDING || c[i].unlike;
        tested |= !isnan(c[i].test.p);
    }
    result_table(r, "layers", NULL, d->n_sides == 2 && differs ? SHOW_ALWAYS : SHOW_ASKED, all + first,
                 n - first - !tested);
}

/* ---- words ---- */

/* "3 of the 4 runs of A+B+C+D ..." */
static void say_copies(struct result * r, const struct choosers * c) {
    if (!c->copies) { return; }
    result_line(r, c->side->label, "%zu of its %zu runs %s every token as another one does, so %zu run%s here.",
                c->copies, c->n + c->copies, c->copies == 1 ? "routes" : "route", c->n,
                c->n == 1 ? " counts" : "s count");
}

static void say_test(struct result * r, const char * label, const struct choosing * c) {
    if (isnan(c->test.p)) {
        if (c->side[0].side->n > 1 && c->side[1].side->n > 1) {
            result_line(
                r, label,
                "no test: it takes two runs on each side that differ. Record some with other seeds or prompts.");
        }
        return;
    }
    result_line(r, label, "permutation test over %zu and %zu runs: p = %.3f; so many runs can give no p below %.3f.",
                c->side[0].n, c->side[1].n, c->test.p, c->test.least);
}

static void say_pair(struct result * r, const struct choosing * c) {
    const char *a = c->side[0].side->label, *b = c->side[1].side->label;
    char label[64], tokens[UNITS_SIZE], share[4][UNITS_SIZE];
    snprintf(label, sizeof label, "%s to %s", a, b);
    if (c->n_layers && c->variation > ROUNDING) {
        result_line(r, label,
                    "over %zu layers, %s of the choices would have to go to other experts to make them alike (total "
                    "variation); most in layer %" PRIu32 ": %s.",
                    c->n_layers, format_share(share[0], c->variation), c->widest_layer,
                    format_share(share[1], c->widest));
        result_line(
            r, label,
            "samples of half a run, %s tokens each: one of %s and one of %s differ by %s, two of one run by %s.",
            format_count(tokens, c->halves), a, b, format_share(share[2], c->across),
            format_share(share[3], c->within));
        say_test(r, label, c);
    }
    if (c->unlike) {
        result_line(r, label,
                    "%zu layers cannot be compared: only one side chose among experts there, or among another "
                    "number of them.",
                    c->unlike);
    }
}

static void set_headline(const struct diff * d, struct result * r, const struct choosing * c, size_t layers,
                         bool differs) {
    char share[3][UNITS_SIZE];
    if (layers == 0) {
        result_headline(r, "No layer chose among experts on both sides.");
    } else if (!differs) {
        result_headline(r, "Every expert of every layer was chosen as often.");
    } else if (d->n_sides > 2) {
        result_headline(r, "Expert use differs: see pair by pair.");
    } else {
        result_headline(r,
                        "Expert use differs by %s between the sides, in the mean of %zu layers. Of samples of equal "
                        "size, half a run each, those of both sides differ by %s, those of one run by %s%s.",
                        format_share(share[0], c->variation), layers, format_share(share[1], c->across),
                        format_share(share[2], c->within),
                        c->across <= c->within ? ": a run changes as much on its way" : "");
    }
}

static void note(struct result * r, bool sparse) {
    result_note(r, "Total variation is half the sum of the differences of shares: 0 where use is the same, 1 where no "
                   "expert is shared. Jensen-Shannon is the divergence in bits, at most 1. Choices of prompt and "
                   "generation.");
    result_note(
        r, "Small samples differ more by chance than large ones. That is why halves are compared with halves: they "
           "have the same number of tokens in every run, counted from its first token.");
    result_note(r,
                "Successive tokens depend on each other, and so do the experts of one token. Choices are therefore not "
                "independent samples, and tests are over runs. Cramer's V is the size of the effect; beside it stands "
                "about what it would be if every choice were random.%s",
                sparse ? " In some layers a cell expects fewer than 5 choices: V is rough there." : "");
}

static void put_values(struct result * r, const struct choosing * c) {
    json_t * values = result_values(r);
    result_put_real(r, values, "mean_total_variation", c->variation);
    result_put_real(r, values, "mean_halves_across", c->across);
    result_put_real(r, values, "mean_halves_within", c->within);
    result_put_count(r, values, "half_tokens", c->halves);
    result_put_real(r, values, "mean_cramer_v", c->cramer_v);
    result_put_count(r, values, "runs_a", c->side[0].n);
    result_put_count(r, values, "runs_b", c->side[1].n);
    result_put_real(r, values, "p", c->test.p);
    result_put_real(r, values, "least_p", c->test.least);
}

static bool is_sparse(const struct choosing * c) {
    bool sparse = false;
    for (size_t i = 0; i < c->n_layers; i++) { sparse |= c->layers[i].table.few > 0; }
    return sparse;
}

/* One pair is compared after the other: halves have another size in each. */
static void answer(const struct diff * d, struct result * r) {
    struct choosing * c = calloc(d->n_sides, sizeof *c);
    size_t layers = 0, unlike = 0;
    bool differs = false, sparse = false;
    r->failed |= !c;
    for (size_t i = 0; c && i + 1 < d->n_sides; i++) {
        r->failed |= !choosing_compare(&c[i], &d->side[0], &d->side[i + 1]);
        layers += c[i].n_layers;
        unlike += c[i].unlike;
        differs |= c[i].variation > ROUNDING || c[i].unlike;
        sparse |= is_sparse(&c[i]);
        if (i == 0) { say_copies(r, &c[i].side[0]); }
        say_copies(r, &c[i].side[1]);
        say_pair(r, &c[i]);
    }
    if (c && !r->failed) {
        set_headline(d, r, &c[0], layers, differs);
        begin_layers(d, r, c);
    }
    for (size_t i = 0; c && !r->failed && i + 1 < d->n_sides; i++) {
        for (size_t l = 0; l < c[i].n_layers; l++) { add_layer(r, &c[i], &c[i].layers[l]); }
    }
    if (c && !r->failed && layers) { shares_show(d, differs, r); }
    if (!layers && !unlike) { result_absent(r); }
    result_put(r, result_values(r), "differs", json_boolean(differs));
    result_put_count(r, result_values(r), "layers", layers);
    result_put_count(r, result_values(r), "layers_unlike", unlike);
    if (c && d->n_sides == 2 && layers) { put_values(r, &c[0]); }
    if (layers && differs) { note(r, sparse); }
    for (size_t i = 0; c && i + 1 < d->n_sides; i++) { choosing_free(&c[i]); }
    free(c);
}

const struct diff_section diff_experts = { "experts", "Experts", answer };
