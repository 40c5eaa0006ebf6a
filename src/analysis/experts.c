/* SPDX-License-Identifier: MIT
 *
 * Which experts the router of each layer chose: every row, every slot.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/units.h"

enum {
    LAYERS       = TAT_NO_LAYER + 1,
    EXPERTS_MAX  = TAT_NO_EXPERT,
    COUNTERS_MAX = 1 << 22 /* of all layers; far more than any model has */
};

struct layer {
    uint64_t * chosen; /* by expert */
    uint64_t   selections;
    uint32_t   n_experts, n_used;
};

struct state {
    const struct subject * subject;
    uint64_t               n_counters, ignored, missing;
    bool                   failed;
    struct layer           layer[LAYERS];
};

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "experts", "experts", UNIT_COUNT },
    { "selections", "selections", UNIT_COUNT },
    { "never", "never chosen", UNIT_COUNT },
    { "most_chosen", "most chosen", UNIT_NUMBER },
    { "most_share", "its share", UNIT_SHARE },
    { "least_share", "least share", UNIT_SHARE },
    { "shares", "shares by expert, from 0", UNIT_SHARES },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (s) { s->subject = subject; }
    return s;
}

/* Room for n experts in a layer, as many as its stack of weights has. */
static bool reserve(struct state * s, struct layer * layer, uint64_t n) {
    if (n <= layer->n_experts) { return true; }
    if (n > EXPERTS_MAX || s->n_counters + n - layer->n_experts > COUNTERS_MAX) { return false; }
    uint64_t * chosen = realloc(layer->chosen, n * sizeof *chosen);
    if (!chosen) {
        s->failed = true;
        return false;
    }
    memset(chosen + layer->n_experts, 0, (n - layer->n_experts) * sizeof *chosen);
    s->n_counters += n - layer->n_experts;
    layer->chosen    = chosen;
    layer->n_experts = (uint32_t) n;
    return true;
}

/* Experts that the consumer of a capture can choose from: MUL_MAT_ID has a stack of matrices, ADD_ID of rows. */
static uint64_t stack_of(const struct tat_template * t, const struct tat_capture * c) {
    const struct tat_entry * node   = &t->entries[t->n_leaves + c->node];
    const bool               biases = strcmp(node->op, "ADD_ID") == 0;
    const uint32_t           stack  = node->src[biases ? 1 : 0];
    return stack == TAT_NO_ENTRY ? 0 : t->entries[stack].ne[biases ? 1 : 2];
}

struct choice {
    struct state * state;
    const struct tat_template * template;
};

static bool count_choices(uint32_t capture, const int64_t * values, size_t count, void * user) {
    const struct choice *      x = user;
    const struct tat_capture * c = &x->template->captures[capture];
    if (c->kind != TAT_CAPTURE_EXPERTS) { return true; }
    const struct tat_entry * ids   = &x->template->entries[c->entry];
    const uint16_t           of    = x->template->entries[x->template->n_leaves + c->node].layer;
    struct layer *           layer = &x->state->layer[of != TAT_NO_LAYER ? of : ids->layer];
    const bool               room  = reserve(x->state, layer, stack_of(x->template, c));
    if (count == 0 && ids->ne[1]) { x->state->missing++; }
    if (ids->ne[0] <= EXPERTS_MAX) { layer->n_used = (uint32_t) ids->ne[0]; }
    for (size_t i = 0; i < count; i++) {
        if (!room || values[i] < 0 || (uint64_t) values[i] >= layer->n_experts) {
            x->state->ignored++;
            continue;
        }
        layer->chosen[values[i]]++;
        layer->selections++;
    }
    return true;
}

static void count_all(struct state * s) {
    for (uint32_t i = 0; i < s->subject->n_evaluations && !s->failed; i++) {
        const struct tat_evaluation * e = &s->subject->evaluations[i];
        struct choice                 x = { s, &s->subject->templates[e->template_id] };
        if (!is_inference(e->phase)) { continue; }
        if (tat_trace_each_capture(s->subject->trace, i, count_choices, &x, NULL) < 0) { s->failed = true; }
    }
}

/* Adds a layer's row; returns the share of its most chosen expert. */
static double add_layer(struct result * r, uint32_t number, const struct layer * layer) {
    uint64_t most = 0, least = 0, never = 0;
    json_t * row    = result_row(r);
    json_t * counts = json_array();
    json_t * shares = json_array();
    for (uint64_t i = 0; i < layer->n_experts; i++) {
        if (layer->chosen[i] > layer->chosen[most]) { most = i; }
        if (layer->chosen[i] < layer->chosen[least]) { least = i; }
        never += layer->chosen[i] == 0;
        json_array_append_new(counts, json_integer((json_int_t) layer->chosen[i]));
        json_array_append_new(shares, json_real(ratio(layer->chosen[i], layer->selections)));
    }
    const double share = ratio(layer->chosen[most], layer->selections);
    result_put_layer(r, row, "layer", number);
    result_put_count(r, row, "experts", layer->n_experts);
    result_put_count(r, row, "selections", layer->selections);
    result_put_count(r, row, "never", never);
    result_put_count(r, row, "most_chosen", most);
    result_put_real(r, row, "most_share", share);
    result_put_real(r, row, "least_share", ratio(layer->chosen[least], layer->selections));
    result_put(r, row, "counts", counts);
    result_put(r, row, "shares", shares);
    return share;
}

static void finish(void * state, struct result * r) {
    struct state * s     = state;
    double         top   = 0;
    uint32_t       count = 0, top_layer = 0, n_experts = 0, n_used = 0;
    uint64_t       selections = 0;
    count_all(s);
    result_table(r, "experts", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < LAYERS; i++) {
        const struct layer * layer = &s->layer[i];
        if (layer->selections) {
            const double share = add_layer(r, i, layer);
            if (share > top) { top = share, top_layer = i; }
            count++;
            selections += layer->selections;
            n_experts = layer->n_experts;
            n_used    = layer->n_used;
        }
        free(layer->chosen);
    }
    if (count) {
        char share[UNITS_SIZE], even[UNITS_SIZE], all[UNITS_SIZE];
        result_headline(r, "%" PRIu32 " of %" PRIu32 " experts a token in %" PRIu32 " layers: %s selections.", n_used,
                        n_experts, count, format_count(all, selections));
        result_note(r,
                    "Prompt and generation. The most uneven layer is %" PRIu32
                    ", where one expert got %s; an even share is %s.",
                    top_layer, format_share(share, top), format_share(even, ratio(1, n_experts)));
    } else {
        result_headline(r, "No layer chose among experts.");
        result_absent(r);
    }
    result_put_count(r, result_values(r), "selections", selections);
    if (s->missing) { result_note(r, "In %" PRIu64 " cases the selection was not recorded.", s->missing); }
    if (s->ignored) { result_note(r, "%" PRIu64 " selections name experts that the layer does not have.", s->ignored); }
    r->failed |= s->failed;
    free(s);
}

const struct analysis experts_analysis = {
    .name   = "experts",
    .title  = "Experts",
    .begin  = begin,
    .finish = finish,
};
