/* SPDX-License-Identifier: MIT
 *
 * Which experts a token goes to together, and from which to which the next token goes.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/experts/experts.h"

enum { PAIRS = 10, MATRIX_MAX = 1 << 18 /* cells shown for all layers */, EXPECTED_LEAST = 5 };

static const struct result_column pair_columns[] = {
    { "layer", "layer", UNIT_NUMBER },  { "expert", "expert", UNIT_NUMBER },      { "with", "with", UNIT_NUMBER },
    { "tokens", "tokens", UNIT_COUNT }, { "expected", "if random", UNIT_FACTOR }, { "lift", "times that", UNIT_FACTOR },
};

static const struct result_column matrix_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "from", "from", UNIT_NUMBER },
    { "counts", "counts", UNIT_COUNT },
};

struct pair {
    uint32_t layer, a, b;
    uint64_t tokens;
    double expected;
};

struct strongest {
    struct pair pair[PAIRS];
    uint32_t count;
};

static double lift(const struct pair * p) {
    return (double) p->tokens / p->expected;
}

static void enter(struct strongest * s, const struct pair * p) {
    if (s->count == PAIRS && lift(&s->pair[PAIRS - 1]) >= lift(p)) { return; }
    uint32_t at = s->count < PAIRS ? s->count++ : PAIRS - 1;
    for (; at && lift(&s->pair[at - 1]) < lift(p); at--) { s->pair[at] = s->pair[at - 1]; }
    s->pair[at] = *p;
}

/* Expected by chance: the layer's pairs, spread over all pairs of different experts in proportion to the product of how
 * often each is chosen. (A plain product would pair an expert with itself, which a choice without replacement never
 * does.) */
static void add_layer(const struct expert_layer * l, uint32_t number, struct strongest * strongest) {
    const uint32_t n = l->n_experts;
    double sum = 0, squares = 0;
    uint64_t all = 0;
    for (uint32_t a = 0; a < n; a++) {
        const double chosen = (double) expert_chosen(&l->use[a]);
        sum += chosen;
        squares += chosen * chosen;
        for (uint32_t b = a + 1; b < n; b++) { all += l->together[(size_t) a * n + b]; }
    }
    const double products = (sum * sum - squares) / 2;
    for (uint32_t a = 0; a < n && products > 0; a++) {
        for (uint32_t b = a + 1; b < n; b++) {
            const double chosen = (double) expert_chosen(&l->use[a]) * (double) expert_chosen(&l->use[b]);
            const struct pair p = { number, a, b, l->together[(size_t) a * n + b], (double) all * chosen / products };
            if (p.expected >= EXPECTED_LEAST && (double) p.tokens > p.expected) { enter(strongest, &p); }
        }
    }
}

static void show_strongest(struct result * r, const struct strongest * s) {
    result_table(r, "together", "Pairs of experts that tokens choose together more often than at random", SHOW_ASKED,
                 pair_columns, sizeof pair_columns / sizeof pair_columns[0]);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct pair * p = &s->pair[i];
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", p->layer);
        result_put_count(r, row, "expert", p->a);
        result_put_count(r, row, "with", p->b);
        result_put_count(r, row, "tokens", p->tokens);
        result_put_real(r, row, "expected", p->expected);
        result_put_real(r, row, "lift", lift(p));
    }
    if (s->count) {
        result_note(
            r,
            "Pairs: those that random choices would bring together at least %d times. If random: the layer's pairs "
            "are spread over all pairs of experts in proportion to how often the two are chosen.",
            EXPECTED_LEAST);
    }
}

/* Writes a row for each expert that has anything in it. `both`: the lower half mirrors the upper. */
static void show_matrix(struct result * r, uint32_t number, uint32_t n, const uint32_t * cells, bool both) {
    for (uint32_t a = 0; a < n; a++) {
        uint64_t all = 0;
        for (uint32_t b = 0; b < n; b++) { all += cells[(size_t) a * n + b] + (both ? cells[(size_t) b * n + a] : 0); }
        if (all == 0) { continue; }
        json_t * row = result_row(r);
        json_t * counts = json_array();
        for (uint32_t b = 0; b < n; b++) {
            const uint64_t count = cells[(size_t) a * n + b] + (both ? cells[(size_t) b * n + a] : 0);
            json_array_append_new(counts, json_integer((json_int_t) count));
        }
        result_put_layer(r, row, "layer", number);
        result_put_count(r, row, "from", a);
        result_put(r, row, "counts", counts);
    }
}

static void show_matrices(const struct experts * x, struct result * r, bool together) {
    const char * title =
        together ? "Tokens that go to both of two experts" : "From a token's experts to the next token's";
    result_table(r, together ? "together_counts" : "transition_counts", title, SHOW_NEVER, matrix_columns,
                 sizeof matrix_columns / sizeof matrix_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        const uint32_t * cells = together ? l->together : l->next;
        if (cells) { show_matrix(r, i, l->n_experts, cells, together); }
    }
}

void experts_show_pairs(struct experts * x, struct result * r) {
    struct strongest strongest = { 0 };
    uint64_t cells = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (!l->together) { continue; }
        cells += (uint64_t) l->n_experts * l->n_experts;
        add_layer(l, i, &strongest);
    }
    show_strongest(r, &strongest);
    if (cells > MATRIX_MAX) {
        result_note(r, "The matrices of pairs have %" PRIu64 " cells and are left out of the JSON; the limit is %d.",
                    cells, MATRIX_MAX);
        return;
    }
    show_matrices(x, r, true);
    show_matrices(x, r, false);
}
