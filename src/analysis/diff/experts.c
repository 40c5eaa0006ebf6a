/* SPDX-License-Identifier: MIT
 *
 * Which experts are chosen how often, compared layer by layer.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/contingency.h"
#include "analysis/diff/diff.h"
#include "analysis/diff/statistics.h"
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
            one += fabs(ratio(x->half[0][e] + x->half[1][e], x->selections) -
                        ratio(y->half[0][e] + y->half[1][e], y->selections)) /
                   2;
        }
        if (x->selections && y->selections) { sum += one, n++; }
    }
    return n ? sum / n : NAN;
}

/* A layer of a side, with its runs joined. */
struct layer_sum {
    uint64_t *half[2], *all;
    uint64_t selections;
};

/* A layer of a pair: the same layer, with as many experts. */
struct layer_pair {
    uint32_t layer, n_experts;
    struct layer_sum side[2];
    struct distance d;
    struct contingency table;
    double own;    /* variation between the halves of a side, averaged over both sides */
    uint32_t most; /* the expert whose share changed most */
    double most_change;
};

static const struct choices * choices_of(const struct profile * p, uint32_t layer) {
    for (uint32_t i = 0; i < p->n_choices; i++) {
        if (p->choices[i].layer == layer) { return &p->choices[i]; }
    }
    return NULL;
}

static void add_side(const struct side * side, uint32_t layer, uint32_t n_experts, struct layer_sum * sum) {
    for (size_t i = 0; i < side->n; i++) {
        const struct choices * c = choices_of(side->run[i], layer);
        if (!c || c->n_experts != n_experts) { continue; }
        for (uint32_t e = 0; e < n_experts; e++) {
            sum->half[0][e] += c->half[0][e];
            sum->half[1][e] += c->half[1][e];
            sum->all[e] += c->half[0][e] + c->half[1][e];
        }
        sum->selections += c->selections;
    }
}

/* The counts of both sides are stored one after the other. */
static void measure(struct layer_pair * p) {
    const struct layer_sum *a = &p->side[0], *b = &p->side[1];
    const struct distance x = distance_of(a->half[0], a->half[1], p->n_experts);
    const struct distance y = distance_of(b->half[0], b->half[1], p->n_experts);
    p->d = distance_of(a->all, b->all, p->n_experts);
    p->table = contingency_of(a->all, 2, p->n_experts);
    p->own = (x.variation + y.variation) / 2;
    for (uint32_t e = 0; e < p->n_experts; e++) {
        const double change = ratio(b->all[e], b->selections) - ratio(a->all[e], a->selections);
        if (fabs(change) > fabs(p->most_change)) {
            p->most_change = change;
            p->most = e;
        }
    }
}

static json_t * counts_of(const uint64_t * counts, uint32_t n) {
    json_t * array = json_array();
    for (uint32_t i = 0; i < n; i++) { json_array_append_new(array, json_integer((json_int_t) counts[i])); }
    return array;
}

static void add_layer(struct result * r, const struct side * a, const struct side * b, const struct layer_pair * p) {
    json_t * row = result_row(r);
    result_put_text(r, row, "from", a->label);
    result_put_text(r, row, "to", b->label);
    result_put_layer(r, row, "layer", p->layer);
    result_put_count(r, row, "experts", p->n_experts);
    result_put_count(r, row, "selections_a", p->side[0].selections);
    result_put_count(r, row, "selections_b", p->side[1].selections);
    result_put_real(r, row, "total_variation", p->d.variation);
    result_put_real(r, row, "own_variation", p->own);
    result_put_real(r, row, "jensen_shannon_bits", p->d.divergence);
    result_put_real(r, row, "chi_square", p->table.chi_square);
    result_put_count(r, row, "degrees_of_freedom", p->table.freedom);
    result_put_real(r, row, "p_if_independent", chi_square_p(p->table.chi_square, p->table.freedom));
    result_put_real(r, row, "cramer_v", p->table.v);
    result_put_real(r, row, "cramer_v_by_chance", p->table.v_by_chance);
    result_put(r, row, "sparse", json_boolean(p->table.few > 0));
    result_put_count(r, row, "most_changed", p->most);
    result_put_real(r, row, "most_change", p->most_change);
    result_put(r, row, "counts_a", counts_of(p->side[0].all, p->n_experts));
    result_put(r, row, "counts_b", counts_of(p->side[1].all, p->n_experts));
}

/* Means over a pair's layers. */
struct summary {
    size_t layers, unlike; /* unlike: in one side only, or with another number of experts */
    double variation, own, cramer_v, widest;
    uint32_t widest_layer;
    bool differs, sparse;
};

static bool compare_layer(struct result * r, const struct side * a, const struct side * b, const struct choices * like,
                          struct summary * s) {
    const size_t n = like->n_experts;
    uint64_t * counts = calloc(6 * n, sizeof *counts);
    struct layer_pair p = { .layer = like->layer, .n_experts = like->n_experts };
    if (!counts) { return false; }
    for (size_t i = 0; i < 2; i++) {
        uint64_t * of = counts + 2 * n * i;
        p.side[i] = (struct layer_sum){ .half = { of, of + n }, .all = counts + (4 + i) * n };
        add_side(i ? b : a, p.layer, p.n_experts, &p.side[i]);
    }
    measure(&p);
    if (!isnan(p.d.variation)) {
        add_layer(r, a, b, &p);
        s->layers++;
        s->variation += p.d.variation;
        s->cramer_v += p.table.v;
        s->own += isnan(p.own) ? 0 : p.own;
        s->sparse |= p.table.few > 0;
        if (p.d.variation > s->widest) {
            s->widest = p.d.variation;
            s->widest_layer = p.layer;
        }
        s->differs |= p.d.variation > ROUNDING;
    } else if (p.side[0].selections || p.side[1].selections) {
        s->unlike++;
    }
    free(counts);
    return true;
}

static void compare(struct result * r, const struct side * a, const struct side * b, struct summary * s) {
    const struct profile *x = a->run[0], *y = b->run[0];
    for (uint32_t i = 0; i < x->n_choices; i++) {
        const struct choices * other = choices_of(y, x->choices[i].layer);
        if (!other || other->n_experts != x->choices[i].n_experts) {
            s->unlike++;
        } else if (!compare_layer(r, a, b, &x->choices[i], s)) {
            r->failed = true;
        }
    }
    for (uint32_t i = 0; i < y->n_choices; i++) { s->unlike += !choices_of(x, y->choices[i].layer); }
    if (s->layers) {
        s->variation /= (double) s->layers;
        s->cramer_v /= (double) s->layers;
        s->own /= (double) s->layers;
    }
    s->differs |= s->unlike > 0;
}

static void say_pair(struct result * r, const struct side * a, const struct side * b, const struct summary * s) {
    char label[64], variation[UNITS_SIZE], own[UNITS_SIZE], widest[UNITS_SIZE];
    snprintf(label, sizeof label, "%s to %s", a->label, b->label);
    if (s->layers && s->variation > ROUNDING) {
        result_line(r, label,
                    "over %zu layers, %s of the choices would have to go to other experts to make them alike (total "
                    "variation); between the two halves of a run it is %s. Widest in layer %" PRIu32 ": %s.",
                    s->layers, format_share(variation, s->variation), format_share(own, s->own), s->widest_layer,
                    format_share(widest, s->widest));
    }
    if (s->unlike) {
        result_line(r, label,
                    "%zu layers cannot be compared: only one side chose among experts there, or among another "
                    "number of them.",
                    s->unlike);
    }
}

static void set_headline(const struct diff * d, struct result * r, const struct summary * s, size_t layers,
                         bool differs) {
    char variation[UNITS_SIZE], own[UNITS_SIZE];
    if (layers == 0) {
        result_headline(r, "No layer chose among experts on both sides.");
    } else if (!differs) {
        result_headline(r, "Every expert of every layer was chosen as often.");
    } else if (d->n_sides == 2) {
        result_headline(r, "Expert use differs by %s in the mean of %zu layers; between the halves of a run, by %s.",
                        format_share(variation, s->variation), layers, format_share(own, s->own));
    } else {
        result_headline(r, "Expert use differs: see pair by pair.");
    }
}

static void note(struct result * r, bool sparse) {
    result_note(r, "Total variation is half the sum of the differences of shares: 0 where use is the same, 1 where no "
                   "expert is shared. Jensen-Shannon is the divergence in bits, at most 1. Choices of prompt and "
                   "generation.");
    result_note(r,
                "Chi-square takes choices for independent samples, and they are not: successive tokens, and the "
                "experts of one token, depend on each other. Take Cramer's V as the size of the effect, beside what "
                "it would be by chance were they independent, and the "
                "distance between the halves of a run as what a single run changes on its way.%s",
                sparse ? " In some layers a cell expects fewer than 5 choices: chi-square is rough there." : "");
}

static const struct result_column columns[] = {
    { "from", "from", UNIT_TEXT },
    { "to", "to", UNIT_TEXT },
    { "layer", "layer", UNIT_NUMBER },
    { "selections_a", "choices", UNIT_COUNT },
    { "selections_b", "then", UNIT_COUNT },
    { "total_variation", "variation", UNIT_SHARE },
    { "own_variation", "of halves", UNIT_SHARE },
    { "jensen_shannon_bits", "J.-Shannon", UNIT_INDEX },
    { "chi_square", "chi-square", UNIT_FACTOR },
    { "degrees_of_freedom", "df", UNIT_NUMBER },
    { "cramer_v", "V", UNIT_INDEX },
    { "cramer_v_by_chance", "by chance", UNIT_INDEX },
};

static void answer(const struct diff * d, struct result * r) {
    const size_t pair = d->n_sides > 2 ? 0 : 2; /* if there is only one, nobody asks which */
    struct summary * s = calloc(d->n_sides, sizeof *s);
    size_t layers = 0, unlike = 0;
    bool differs = false, sparse = false;
    r->failed |= !s;
    bool alike = true;
    for (size_t i = 1; i < d->n_sides; i++) {
        alike &= choices_variation(d->side[0].run[0], d->side[i].run[0]) <= ROUNDING; /* false for NAN */
    }
    result_table(r, "layers", NULL, d->n_sides > 2 || alike ? SHOW_ASKED : SHOW_ALWAYS, columns + pair,
                 sizeof columns / sizeof columns[0] - pair);
    for (size_t i = 1; s && i < d->n_sides; i++) {
        compare(r, &d->side[0], &d->side[i], &s[i]);
        say_pair(r, &d->side[0], &d->side[i], &s[i]);
        layers += s[i].layers;
        unlike += s[i].unlike;
        differs |= s[i].differs;
        sparse |= s[i].sparse;
    }
    if (s) { set_headline(d, r, &s[1], layers, differs); }
    if (!layers && !unlike) { result_absent(r); }
    result_put(r, result_values(r), "differs", json_boolean(differs));
    result_put_count(r, result_values(r), "layers", layers);
    result_put_count(r, result_values(r), "layers_unlike", unlike);
    if (s && d->n_sides == 2 && layers) {
        result_put_real(r, result_values(r), "mean_total_variation", s[1].variation);
        result_put_real(r, result_values(r), "mean_own_variation", s[1].own);
        result_put_real(r, result_values(r), "mean_cramer_v", s[1].cramer_v);
    }
    if (layers && differs) { note(r, sparse); }
    free(s);
}

const struct diff_section diff_experts = { "experts", "Experts", answer };
