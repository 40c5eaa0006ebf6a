/* SPDX-License-Identifier: MIT */
#include "analysis/order/graph.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/order/gaps.h"
#include "format/expert_stack.h"

#define VARIES (NO_ORDER_SLICE - 1) /* data decide which slices are read */

struct expected {
    uint32_t place, tensor;
    uint32_t slice; /* or VARIES */
};

struct expected_order {
    uint32_t count;
    struct expected at[];
};

bool graph_orders_begin(struct graph_orders * g, const struct subject * subject, struct order_slices * slices) {
    g->subject = subject;
    g->slices = slices;
    g->order = calloc(2 * (size_t) subject->n_templates + 1, sizeof g->order[0]);
    return g->order != NULL;
}

void graph_orders_free(struct graph_orders * g) {
    for (size_t i = 0; g->order && i < 2 * (size_t) g->subject->n_templates; i++) { free(g->order[i]); }
    free(g->order);
}

/* ---- what it says ---- */

static bool is_empty(const struct tat_entry * e) {
    return e->ne[0] == 0 || e->ne[1] == 0 || e->ne[2] == 0 || e->ne[3] == 0;
}

/* Operations that use only the shape of a weight. */
static bool reads_nothing(const struct tat_entry * node, int src) {
    return src == 0 &&
           (strcmp(node->op, "IM2COL") == 0 || strcmp(node->op, "IM2COL_3D") == 0 || strcmp(node->op, "FILL") == 0);
}

/* The bytes of a shape without gaps; 0: it has gaps. */
static uint64_t packed_bytes(const struct tat_entry * e) {
    const uint64_t block = e->type_block ? e->type_block : 1;
    uint64_t bytes = e->type_block_bytes;
    for (int i = 0; i < 4; i++) {
        const uint64_t n = i == 0 ? e->ne[0] / block + (e->ne[0] % block != 0) : e->ne[i];
        if (n > 1 && e->nb[i] != bytes) { return 0; }
        bytes *= n;
    }
    return bytes;
}

/* The slice that an operand reads, as far as the graph tells. */
static uint32_t slice_of(struct graph_orders * g, const struct tat_template * t, const struct tat_entry * node,
                         int src) {
    const struct tat_entry * e = &t->entries[node->src[src]];
    const struct tat_tensor * tensor = &g->subject->tensors[e->tensor];
    const bool rows = src == 0 && strcmp(node->op, "GET_ROWS") == 0;
    const uint64_t bytes = packed_bytes(e);
    if (expert_stack_of(t, node).e == e || (!bytes && !rows)) { return VARIES; }
    const struct order_slice slice = { .offset = rows ? 0 : tensor->file_offset + (uint64_t) e->offset,
                                       .bytes = rows ? 0 : bytes,
                                       .tensor = tensor->weight,
                                       .expert = TAT_NO_EXPERT,
                                       .rows = rows };
    return slice_number(g->slices, &slice);
}

/* The weights that a node reads: counts them, or writes them down. */
static uint32_t add_node(struct graph_orders * g, const struct tat_template * t, uint32_t node, bool asked_only,
                         struct expected * at) {
    const struct tat_entry * n = &t->entries[t->n_leaves + node];
    uint32_t count = 0;
    if (n->facts & TAT_NODE_EMPTY || is_empty(n) || (asked_only && !(n->facts & TAT_NODE_COMPUTE))) { return 0; }
    for (int s = 0; s < TAT_MAX_SRC; s++) {
        if (n->src[s] == TAT_NO_ENTRY) { continue; }
        const struct tat_entry * e = &t->entries[n->src[s]];
        const struct tat_tensor * tensor = &g->subject->tensors[e->tensor];
        if (!is_in_file(tensor) || is_empty(e) || reads_nothing(n, s)) { continue; }
        if (at) {
            at[count] = (struct expected){ place_of(node, (uint8_t) (s + 1)), tensor->weight, slice_of(g, t, n, s) };
        }
        count++;
    }
    return count;
}

static struct expected_order * make_order(struct graph_orders * g, const struct tat_template * t, bool asked_only) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n_nodes; i++) { n += add_node(g, t, i, asked_only, NULL); }
    struct expected_order * order = malloc(sizeof *order + n * sizeof order->at[0]);
    if (!order) { return NULL; }
    order->count = 0;
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        order->count += add_node(g, t, i, asked_only, order->at + order->count);
    }
    return order;
}

static const struct expected_order * order_of(struct graph_orders * g, uint32_t evaluation) {
    const struct tat_evaluation * e = &g->subject->evaluations[evaluation];
    const bool asked_only = (e->rule & TAT_RULE_SKIP_UNASKED) != 0;
    struct expected_order ** order = &g->order[2 * (size_t) e->template_id + asked_only];
    if (!*order) { *order = make_order(g, &g->subject->templates[e->template_id], asked_only); }
    return *order;
}

/* ---- scoring ---- */

static void mark(struct graph_score * s, const struct sequence * q, uint32_t position, uint32_t guess, uint32_t actual,
                 uint64_t bytes, uint64_t times) {
    s->accesses += times;
    s->bytes += bytes;
    if (guess == actual) {
        s->score.hits += times;
        s->score.hit_bytes += bytes;
        return;
    }
    if (guess == NO_ORDER_SLICE) { s->score.unknown += times; }
    if (!s->first.access) { s->first = (struct difference){ q->evaluation, position + 1, guess, actual }; }
}

/* The slices that a step is expected to read: the one that the graph knows, or those of the same step in the evaluation
 * before. Returns how many. */
static uint32_t expected_slices(const struct expected * x, const struct sequence * before, uint32_t step,
                                const uint32_t ** slices) {
    if (x->slice != VARIES) {
        *slices = &x->slice;
        return 1;
    }
    if (!before || step >= before->n_steps || before->tensor[step] != x->tensor) { return 0; }
    *slices = before->slice + before->first[step];
    return before->first[step + 1] - before->first[step];
}

/* The slice that a step is expected to begin with. */
static uint32_t first_slice(const struct expected_order * order, uint32_t at, const struct sequence * before,
                            uint32_t step) {
    const uint32_t * each;
    if (at >= order->count || expected_slices(&order->at[at], before, step, &each) == 0) { return NO_ORDER_SLICE; }
    return each[0];
}

/* Scores the slices of a step that was expected to be `at`. `late`: the slice with which the step before should have
 * gone on. Returns the slice with which this step should go on. */
static uint32_t score_slices(const struct graph_orders * g, const struct expected_order * order, uint32_t at,
                             const struct sequence * before, const struct sequence * q, uint32_t step, uint32_t late,
                             uint64_t times, struct graph_score * score) {
    const uint32_t * each = NULL;
    const uint32_t n = at < order->count ? expected_slices(&order->at[at], before, step, &each) : 0;
    const uint32_t read = q->first[step + 1] - q->first[step];
    for (uint32_t k = 0; k < read; k++) {
        const uint32_t position = q->first[step] + k, actual = q->slice[position];
        const uint32_t here = k < n ? each[k] : n ? first_slice(order, at + 1, before, step + 1) : NO_ORDER_SLICE;
        const uint32_t guess = k == 0 && late != NO_ORDER_SLICE ? late : here;
        mark(score, q, position, guess, actual, times * g->slices->bytes[actual], times);
    }
    return read < n ? each[read] : NO_ORDER_SLICE;
}

bool graph_orders_score(struct graph_orders * g, const struct sequence * before, const struct sequence * q,
                        uint64_t times, struct graph_score * tensors, struct graph_score * slices) {
    const struct expected_order * order = order_of(g, q->evaluation);
    uint32_t at = 0, late = NO_ORDER_SLICE;
    if (!order) { return false; }
    for (uint32_t i = 0; i < q->n_steps; i++) {
        const uint32_t guess = at < order->count ? order->at[at].tensor : NO_ORDER_SLICE;
        mark(tensors, q, i, guess, q->tensor[i], 0, times);
        late = score_slices(g, order, at, before, q, i, late, times, slices);
        while (at < order->count && order->at[at].place < q->place[i]) { at++; }
        at += at < order->count && order->at[at].place == q->place[i];
    }
    return true;
}
