/* SPDX-License-Identifier: MIT
 *
 * How evenly a layer's experts are used: selections, shares, gate weights, ranks; entropy and Gini; top and dead ones.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/experts/experts.h"
#include "analysis/numbers.h"
#include "analysis/units.h"

enum { TOP = 10, BARS_MAX = 20 /* experts per layer whose shares are drawn */, NEVER_SAID = 4, NEVER_SIZE = 1024 };

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "selections", "choices", UNIT_COUNT },
    { "never", "never", UNIT_COUNT },
    { "most_chosen", "most chosen", UNIT_NUMBER },
    { "most_share", "its share", UNIT_SHARE },
    { "normalised_entropy", "entropy", UNIT_INDEX },
    { "gini", "Gini", UNIT_INDEX },
    { "shares", "shares by expert", UNIT_SHARES },
};

static const struct result_column top_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "expert", "expert", UNIT_NUMBER },
    { "selections", "choices", UNIT_COUNT },
    { "share", "of the layer's", UNIT_SHARE },
    { "times_even", "times the average", UNIT_FACTOR },
    { "mean_gate", "mean gate weight", UNIT_INDEX },
};

struct evenness {
    double entropy, share, gini; /* in bits; normalised: as a share of the most possible */
    uint64_t never;
    uint32_t most, least;
};

struct ranked {
    uint64_t chosen;
    uint32_t expert;
};

static int by_choice(const void * a, const void * b) {
    const struct ranked *x = a, *y = b;
    if (x->chosen != y->chosen) { return x->chosen > y->chosen ? -1 : 1; }
    return (x->expert > y->expert) - (x->expert < y->expert);
}

/* The layer's experts, the most chosen first. NULL: memory. */
static struct ranked * rank(const struct expert_layer * l) {
    struct ranked * ranked = malloc(l->n_experts * sizeof *ranked);
    for (uint32_t i = 0; ranked && i < l->n_experts; i++) {
        ranked[i] = (struct ranked){ expert_chosen(&l->use[i]), i };
    }
    if (ranked) { qsort(ranked, l->n_experts, sizeof *ranked, by_choice); }
    return ranked;
}

/* Gini coefficient: half the mean difference of two experts' use, divided by the mean use. */
static struct evenness evenness_of(const struct expert_layer * l, const struct ranked * ranked) {
    const double n = l->n_experts, all = (double) l->selections;
    struct evenness e = { .most = ranked[0].expert, .least = ranked[l->n_experts - 1].expert };
    double weighted = 0;
    for (uint32_t i = 0; i < l->n_experts; i++) {
        const double share = (double) ranked[i].chosen / all;
        e.never += ranked[i].chosen == 0;
        if (share > 0) { e.entropy -= share * log2(share); }
        weighted += (n - 1 - 2 * i) * (double) ranked[i].chosen;
    }
    e.share = l->n_experts > 1 ? e.entropy / log2(n) : 1;
    e.gini = weighted / (n * all);
    return e;
}

/* The chance to be left out by so many tokens, if each expert were as likely as any other. */
static double left_out(const struct expert_layer * l) {
    return pow(1 - fmin(1, (double) l->n_used / l->n_experts), (double) l->rows);
}

static double mean_gate(const struct expert_use * use) {
    return use->gated ? use->gates / (double) use->gated : NAN;
}

static json_t * real_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static void put_by_expert(struct result * r, json_t * row, const struct expert_layer * l,
                          const struct ranked * ranked) {
    json_t * counts = json_array();
    json_t * shares = json_array();
    json_t * prompt = json_array();
    json_t * generate = json_array();
    json_t * gates = json_array();
    json_t * order = json_array();
    for (uint32_t i = 0; i < l->n_experts; i++) {
        const struct expert_use * use = &l->use[i];
        json_array_append_new(counts, json_integer((json_int_t) expert_chosen(use)));
        json_array_append_new(shares, json_real(ratio(expert_chosen(use), l->selections)));
        json_array_append_new(prompt, json_integer((json_int_t) use->chosen[EXPERTS_PROMPT]));
        json_array_append_new(generate, json_integer((json_int_t) use->chosen[EXPERTS_GENERATE]));
        json_array_append_new(gates, real_or_null(mean_gate(use)));
        json_array_append_new(order, json_integer((json_int_t) ranked[i].expert));
    }
    result_put(r, row, "counts", counts);
    result_put(r, row, "shares", shares);
    result_put(r, row, "prompt_counts", prompt);
    result_put(r, row, "generate_counts", generate);
    result_put(r, row, "mean_gates", gates);
    result_put(r, row, "ranking", order); /* experts, the most chosen first */
}

static void add_layer(struct result * r, uint32_t number, const struct expert_layer * l, const struct ranked * ranked,
                      const struct evenness * e) {
    json_t * row = result_row(r);
    result_put_layer(r, row, "layer", number);
    result_put_count(r, row, "experts", l->n_experts);
    result_put_count(r, row, "used", l->n_used);
    result_put_count(r, row, "tokens", l->rows);
    result_put_count(r, row, "selections", l->selections);
    result_put_count(r, row, "never", e->never);
    result_put_count(r, row, "most_chosen", e->most);
    result_put_real(r, row, "most_share", ratio(ranked[0].chosen, l->selections));
    result_put_real(r, row, "least_share", ratio(ranked[l->n_experts - 1].chosen, l->selections));
    result_put_real(r, row, "entropy_bits", e->entropy);
    result_put_real(r, row, "normalised_entropy", e->share);
    result_put_real(r, row, "gini", e->gini);
    result_put_count(r, row, "expert_bytes", l->slice_bytes);
    put_by_expert(r, row, l, ranked);
}

/* ---- top ---- */

struct top {
    uint32_t layer, expert;
    uint64_t chosen;
};

struct summary {
    double evenness, gini; /* sums over layers */
    double by_chance;      /* experts that even use would leave out */
    uint64_t layers, experts, never, selections, expert_bytes, all_bytes;
    uint32_t least_experts, most_experts, most_used;
    struct top top[TOP];
    uint32_t n_top;
};

static void enter(struct summary * s, struct top t) {
    uint32_t at = s->n_top < TOP ? s->n_top++ : TOP - 1;
    if (at == TOP - 1 && s->n_top == TOP && s->top[at].chosen >= t.chosen && s->top[at].chosen > 0) { return; }
    for (; at && s->top[at - 1].chosen < t.chosen; at--) { s->top[at] = s->top[at - 1]; }
    s->top[at] = t;
}

static void add_to_summary(struct summary * s, uint32_t number, const struct expert_layer * l,
                           const struct ranked * ranked, const struct evenness * e) {
    s->evenness += e->share;
    s->gini += e->gini;
    s->layers++;
    s->experts += l->n_experts;
    s->never += e->never;
    s->selections += l->selections;
    s->expert_bytes += l->slice_bytes * l->n_used;
    s->all_bytes += l->slice_bytes * l->n_experts;
    s->by_chance += l->n_experts * left_out(l);
    if (l->n_experts > s->most_experts) { s->most_experts = l->n_experts; }
    if (s->least_experts == 0 || l->n_experts < s->least_experts) { s->least_experts = l->n_experts; }
    if (l->n_used > s->most_used) { s->most_used = l->n_used; }
    for (uint32_t i = 0; i < TOP && i < l->n_experts && ranked[i].chosen; i++) {
        enter(s, (struct top){ number, ranked[i].expert, ranked[i].chosen });
    }
}

static void show_top(const struct experts * x, struct result * r, const struct summary * s) {
    result_table(r, "top_experts", "The ten most chosen experts", SHOW_ASKED, top_columns,
                 sizeof top_columns / sizeof top_columns[0]);
    for (uint32_t i = 0; i < s->n_top; i++) {
        const struct expert_layer * l = &x->layer[s->top[i].layer];
        const struct expert_use * use = &l->use[s->top[i].expert];
        const double share = ratio(s->top[i].chosen, l->selections);
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", s->top[i].layer);
        result_put_count(r, row, "expert", s->top[i].expert);
        result_put_count(r, row, "selections", s->top[i].chosen);
        result_put_real(r, row, "share", share);
        result_put_real(r, row, "times_even", share * l->n_experts);
        result_put_real(r, row, "mean_gate", mean_gate(use));
    }
}

/* ---- words ---- */

/* Shared experts, which every token uses beside those chosen. */
static uint64_t shared_bytes(const struct subject * s) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const enum tat_component c = s->tensors[i].component;
        const bool shared =
            c == TAT_COMPONENT_SHARED_GATE || c == TAT_COMPONENT_SHARED_UP || c == TAT_COMPONENT_SHARED_DOWN;
        if (shared && s->tensors[i].kind == TAT_TENSOR_WEIGHT && counts_once(s, i)) { bytes += s->tensors[i].bytes; }
    }
    return bytes;
}

static void say(const struct experts * x, struct result * r, const struct summary * s) {
    const struct top * top = &s->top[0];
    const struct expert_layer * first = &x->layer[top->layer];
    const uint64_t shared = shared_bytes(x->subject);
    const double entropy = s->evenness / (double) s->layers;
    char number[2][UNITS_SIZE], share[2][UNITS_SIZE], bytes[2][UNITS_SIZE], of[UNITS_SIZE] = "";
    if (s->most_experts == s->least_experts) {
        snprintf(of, sizeof of, "%" PRIu32, s->most_experts);
    } else {
        snprintf(of, sizeof of, "%" PRIu32 " to %" PRIu32, s->least_experts, s->most_experts);
    }
    result_headline(r,
                    "A token goes to %" PRIu32 " of %s experts in each of %" PRIu64
                    " layers. Normalised entropy of their use: %.2f.",
                    s->most_used, of, s->layers, entropy);
    result_line(r, "bytes", "a token's experts have %s of the %s of all experts",
                format_bytes(bytes[0], s->expert_bytes), format_bytes(bytes[1], s->all_bytes));
    if (shared) {
        result_line(r, "shared", "%s of shared experts, which every token uses, are not counted here",
                    format_bytes(bytes[0], shared));
    }
    if (s->never) {
        result_line(r, "never", "%s of %s experts were never chosen; random choices would leave out %.1f",
                    format_count(number[0], s->never), format_count(number[1], s->experts), s->by_chance);
    }
    result_answer(r, "Which experts does the router prefer?",
                  "Expert %" PRIu32 " of layer %" PRIu32
                  " most: it gets %s of its layer's %s choices, where the average expert gets %s. "
                  "The normalised entropy of use is %.2f in the mean of %" PRIu64
                  " layers: 1 would be even use, 0 one expert only.",
                  top->expert, top->layer, format_share(share[0], ratio(top->chosen, first->selections)),
                  format_count(number[0], first->selections), format_share(share[1], ratio(1, first->n_experts)),
                  entropy, s->layers);
}

/* ---- never chosen ---- */

static const struct result_column never_columns[] = {
    { "layer", "layer", UNIT_NUMBER }, { "tokens", "tokens routed", UNIT_COUNT },
    { "never", "never", UNIT_COUNT },  { "of", "of", UNIT_COUNT },
    { "names", "experts", UNIT_TEXT }, { "by_chance", "each, if random", UNIT_SHARE },
};

static uint32_t never_of(const struct expert_layer * l, uint32_t * experts) {
    uint32_t n = 0;
    for (uint32_t e = 0; e < l->n_experts; e++) {
        if (expert_chosen(&l->use[e]) == 0) { experts[n++] = e; }
    }
    return n;
}

static void add_never(struct result * r, uint32_t number, const struct expert_layer * l, const uint32_t * experts,
                      uint32_t n) {
    char names[NUMBERS_SIZE];
    json_t * row = result_row(r);
    json_t * all = json_array();
    for (uint32_t i = 0; i < n; i++) { json_array_append_new(all, json_integer(experts[i])); }
    result_put_layer(r, row, "layer", number);
    result_put_count(r, row, "tokens", l->rows);
    result_put_count(r, row, "never", n);
    result_put_count(r, row, "of", l->n_experts);
    result_put(r, row, "experts", all);
    result_put_text(r, row, "names", format_numbers(names, experts, n));
    result_put_real(r, row, "by_chance", left_out(l));
}

/* Says the first few layers. */
static size_t say_never_of(char * text, size_t size, uint32_t number, const struct expert_layer * l,
                           const uint32_t * experts, uint32_t n, bool first) {
    char names[NUMBERS_SIZE], tokens[UNITS_SIZE];
    return (size_t) snprintf(text, size, "%s expert%s %s of layer %" PRIu32 " (%s tokens)", first ? "" : ",",
                             n == 1 ? "" : "s", format_numbers(names, experts, n), number,
                             format_count(tokens, l->rows));
}

static void show_never(struct experts * x, struct result * r, const struct summary * s) {
    static const char question[] = "Which experts were never chosen?";
    uint32_t * experts = malloc(((size_t) s->most_experts + 1) * sizeof *experts);
    char text[NEVER_SIZE] = "", never[UNITS_SIZE], all[UNITS_SIZE];
    size_t used = 0;
    uint32_t layers = 0, said = 0;
    result_table(r, "never", "Experts that were never chosen", SHOW_ASKED, never_columns,
                 sizeof never_columns / sizeof never_columns[0]);
    x->failed |= !experts;
    for (uint32_t i = 0; i < x->n_slots && experts; i++) {
        const struct expert_layer * l = &x->layer[i];
        const uint32_t n = l->use && l->selections ? never_of(l, experts) : 0;
        if (n == 0) { continue; }
        add_never(r, i, l, experts, n);
        if (layers++ < NEVER_SAID) {
            used += say_never_of(text + used, sizeof text - used, i, l, experts, n, said++ == 0);
        }
    }
    free(experts);
    format_count(never, s->never);
    format_count(all, s->experts);
    if (layers == 0) {
        result_answer(r, question, "None: each of the %s experts was chosen at least once.", all);
    } else if (layers > said) {
        result_answer(r, question, "%s of %s:%s, and those of %" PRIu32 " more layers.", never, all, text,
                      layers - said);
    } else {
        result_answer(r, question, "%s of %s:%s.", never, all, text);
    }
}

static void put_values(struct result * r, const struct summary * s) {
    json_t * v = result_values(r);
    result_put_count(r, v, "selections", s->selections);
    result_put_count(r, v, "layers", s->layers);
    result_put_count(r, v, "experts", s->experts);
    result_put_count(r, v, "never", s->never);
    result_put_real(r, v, "never_by_chance", s->by_chance);
    result_put_real(r, v, "mean_normalised_entropy", s->evenness / (double) s->layers);
    result_put_real(r, v, "mean_gini", s->gini / (double) s->layers);
    result_put_count(r, v, "expert_bytes_per_token", s->expert_bytes);
    result_put_count(r, v, "expert_bytes", s->all_bytes);
}

void experts_show_use(struct experts * x, struct result * r) {
    struct summary s = { 0 };
    size_t n = sizeof columns / sizeof columns[0];
    for (uint32_t i = 0; i < x->n_slots; i++) {
        if (x->layer[i].n_experts > BARS_MAX) { n = sizeof columns / sizeof columns[0] - 1; }
    }
    result_table(r, "experts", NULL, SHOW_ALWAYS, columns, n);
    for (uint32_t i = 0; i < x->n_slots && !x->failed; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (!l->use || l->selections == 0) { continue; }
        struct ranked * ranked = rank(l);
        if (ranked) {
            const struct evenness e = evenness_of(l, ranked);
            add_layer(r, i, l, ranked, &e);
            add_to_summary(&s, i, l, ranked, &e);
        }
        x->failed |= !ranked;
        free(ranked);
    }
    if (x->failed) { return; }
    show_top(x, r, &s);
    put_values(r, &s);
    if (s.layers) {
        say(x, r, &s);
        show_never(x, r, &s);
        result_note(
            r, "Every choice of every token of prompt and generation counts. The last layer routes only tokens whose "
               "output is asked for. Entropy is normalised: 1 where all experts of a layer are chosen as often, 0 "
               "where one gets all. The Gini coefficient is 0 and near 1 there.");
    } else {
        result_headline(r, "No layer's choice names an expert that it has.");
        result_absent(r);
    }
}
