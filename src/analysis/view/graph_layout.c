/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/graph_parts.h"

enum {
    GAP_GROUPS = 36,
    KEYS = TAT_NO_LAYER + 2, /* of groups: layers, what comes before them, what comes after them */
    KEY_BEFORE = TAT_NO_LAYER,
    KEY_AFTER = TAT_NO_LAYER + 1,
};

struct making {
    const struct tat_trace * trace;
    const struct tat_template * t;
    struct graph_layout * layout;
    int32_t wanted;      /* a layer, or -1 */
    uint32_t * key_of;   /* by node of the template */
    uint32_t * group_of; /* by key: 1 + its number */
    uint32_t * place_of; /* by node of the template: place among the nodes that are drawn, or UINT32_MAX */
};

static const struct tat_entry * entry_of(const struct making * m, uint32_t node) {
    return &m->t->entries[m->t->n_leaves + node];
}

/* ---- which evaluation ---- */

int64_t graph_of_token(const struct tat_trace * trace, uint32_t token, struct tat_error * error) {
    uint32_t n, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    const uint32_t model = tat_trace_main_model(trace);
    int64_t found = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].phase == TAT_PHASE_WARMUP || token < e[i].token_first || token - e[i].token_first >= e[i].n_tokens) {
            continue;
        }
        if (!model || templates[e[i].template_id].model == model) { return i; }
        if (found < 0) { found = i; }
    }
    if (found < 0) {
        return tat_fail(error, TAT_ERROR_NO, "no graph of this trace computed token %" PRIu32 ", counted from 0",
                        token);
    }
    return found;
}

/* ---- groups ---- */

/* A node without a layer belongs to the layer before it, unless none comes before it, or none after it. */
static void choose_keys(const struct making * m) {
    uint32_t end = m->t->n_nodes, key = KEY_BEFORE;
    while (end > 0 && entry_of(m, end - 1)->layer == TAT_NO_LAYER) { end--; }
    for (uint32_t i = 0; i < m->t->n_nodes; i++) {
        const uint16_t layer = entry_of(m, i)->layer;
        if (layer != TAT_NO_LAYER) { key = layer; }
        m->key_of[i] = i >= end && end > 0 ? KEY_AFTER : key;
    }
}

static uint16_t layer_of(uint32_t key) {
    return key < TAT_NO_LAYER ? (uint16_t) key : TAT_NO_LAYER;
}

static bool is_wanted(const struct making * m, uint32_t key) {
    return m->wanted < 0 || layer_of(key) == m->wanted;
}

/* Groups in the order of their first nodes; `count` is set, and `first` after all are known. */
static bool make_groups(struct making * m) {
    struct graph_layout * l = m->layout;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->t->n_nodes; i++) {
        const uint32_t key = m->key_of[i];
        if (is_wanted(m, key) && !m->group_of[key]) { m->group_of[key] = ++n; }
    }
    l->groups = calloc((size_t) n + 1, sizeof *l->groups);
    if (!l->groups) { return false; }
    l->n_groups = n;
    for (uint32_t i = 0; i < m->t->n_nodes; i++) {
        if (!is_wanted(m, m->key_of[i])) { continue; }
        struct graph_group * g = &l->groups[m->group_of[m->key_of[i]] - 1];
        g->layer = layer_of(m->key_of[i]);
        g->count++;
        l->n_nodes++;
    }
    for (uint32_t i = 1; i < n; i++) { l->groups[i].first = l->groups[i - 1].first + l->groups[i - 1].count; }
    return true;
}

/* ---- nodes and edges ---- */

static enum graph_category category_of(const struct making * m, uint32_t node) {
    const struct tat_entry * e = entry_of(m, node);
    const bool fused = node > 0 && entry_of(m, node - 1)->facts & TAT_NODE_FUSES_NEXT;
    return fused ? GRAPH_NORM : graph_category_of(e);
}

static bool make_nodes(struct making * m) {
    struct graph_layout * l = m->layout;
    l->nodes = calloc((size_t) l->n_nodes + 1, sizeof *l->nodes);
    uint32_t * next = calloc((size_t) l->n_groups + 1, sizeof *next);
    for (uint32_t i = 0; next && i < l->n_groups; i++) { next[i] = l->groups[i].first; }
    for (uint32_t i = 0; l->nodes && next && i < m->t->n_nodes; i++) {
        m->place_of[i] = UINT32_MAX;
        if (!is_wanted(m, m->key_of[i])) { continue; }
        const struct tat_entry * e = entry_of(m, i);
        m->place_of[i] = next[m->group_of[m->key_of[i]] - 1]++;
        l->nodes[m->place_of[i]] = (struct graph_node){
            .node = i, .name = e->name, .op = e->op, .layer = layer_of(m->key_of[i]), .category = category_of(m, i)
        };
    }
    free(next);
    return l->nodes && next;
}

/* Calls `put` with each drawn source of a node once, as places. What is not there, or not computed before, is counted.
 */
static void each_source(struct making * m, uint32_t place, void (*put)(struct making * m, uint32_t from, uint32_t to)) {
    const uint32_t node = m->layout->nodes[place].node;
    const uint32_t * src = entry_of(m, node)->src;
    for (unsigned i = 0; i < TAT_MAX_SRC; i++) {
        bool again = false;
        if (src[i] == TAT_NO_ENTRY || src[i] < m->t->n_leaves) { continue; }
        for (unsigned k = 0; k < i; k++) { again |= src[k] == src[i]; }
        const uint32_t source = src[i] - m->t->n_leaves;
        if (source >= node) {
            m->layout->dangling++;
        } else if (!again && m->place_of[source] != UINT32_MAX) {
            put(m, m->place_of[source], place);
        }
    }
}

static void count_edge(struct making * m, uint32_t from, uint32_t to) {
    (void) from, (void) to;
    m->layout->n_edges++;
}

static void put_edge(struct making * m, uint32_t from, uint32_t to) {
    m->layout->edges[m->layout->n_edges++] = (struct graph_edge){ from, to };
}

static bool make_edges(struct making * m) {
    struct graph_layout * l = m->layout;
    for (uint32_t i = 0; i < l->n_nodes; i++) { each_source(m, i, count_edge); }
    l->edges = calloc((size_t) l->n_edges + 1, sizeof *l->edges);
    l->n_edges = l->dangling = 0;
    for (uint32_t i = 0; l->edges && i < l->n_nodes; i++) { each_source(m, i, put_edge); }
    return l->edges != NULL;
}

/* ---- what the evaluation says ---- */

static bool add_records(const struct tat_access * records, size_t count, void * user) {
    const struct making * m = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        if (a->node >= m->t->n_nodes || m->place_of[a->node] == UINT32_MAX) { continue; }
        struct graph_node * node = &m->layout->nodes[m->place_of[a->node]];
        node->bytes += a->bytes;
        node->accesses += a->bytes > 0;
        node->timed = !(a->flags & TAT_ACCESS_UNTIMED);
        node->start_ns = a->start_ns;
        node->duration_ns = a->duration_ns;
    }
    return true;
}

static void add_up(struct graph_layout * l) {
    for (uint32_t i = 0; i < l->n_groups; i++) {
        struct graph_group * g = &l->groups[i];
        for (uint32_t k = g->first; k < g->first + g->count; k++) {
            g->bytes += l->nodes[k].bytes;
            g->duration_ns += l->nodes[k].duration_ns;
        }
        l->bytes += g->bytes;
    }
}

/* ---- places ---- */

/* Edges among the nodes of a group, of those to its nodes. Returns how many. */
static uint32_t edges_within(const struct graph_layout * l, const struct graph_group * g, uint32_t * at,
                             struct graph_edge * within) {
    uint32_t n = 0;
    for (; *at < l->n_edges && l->edges[*at].to < g->first + g->count; ++*at) {
        if (l->edges[*at].from >= g->first && l->edges[*at].from < l->edges[*at].to) { within[n++] = l->edges[*at]; }
    }
    return n;
}

static bool place_groups(struct graph_layout * l) {
    struct graph_edge * within = calloc((size_t) l->n_edges + 1, sizeof *within);
    uint32_t at = 0;
    bool good = within != NULL;
    for (uint32_t i = 0; good && i < l->n_groups; i++) {
        struct graph_group * g = &l->groups[i];
        const uint32_t n = edges_within(l, g, &at, within);
        good = graph_ranks_place(l->nodes, g->first, g->count, within, n, g);
        if (good && g->w > l->w) { l->w = g->w; }
    }
    free(within);
    return good;
}

/* One below the other, their middles on one line. */
static void stack_groups(struct graph_layout * l) {
    for (uint32_t i = 0; i < l->n_groups; i++) {
        struct graph_group * g = &l->groups[i];
        g->x = (l->w - g->w) / 2;
        g->y = l->h;
        for (uint32_t k = g->first; k < g->first + g->count; k++) {
            l->nodes[k].x += g->x;
            l->nodes[k].y += g->y;
        }
        l->h += g->h + (i + 1 < l->n_groups ? GAP_GROUPS : 0);
    }
}

/* ---- all of it ---- */

static int fail_memory(const struct tat_trace * trace, struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(trace));
}

static int make(struct making * m, uint32_t evaluation, struct tat_error * error) {
    struct graph_layout * l = m->layout;
    const size_t n = (size_t) m->t->n_nodes + 1;
    m->key_of = calloc(n, sizeof *m->key_of);
    m->place_of = calloc(n, sizeof *m->place_of);
    m->group_of = calloc(KEYS, sizeof *m->group_of);
    if (!m->key_of || !m->place_of || !m->group_of) { return fail_memory(m->trace, error); }
    choose_keys(m);
    if (!make_groups(m) || !make_nodes(m) || !make_edges(m)) { return fail_memory(m->trace, error); }
    if (l->n_nodes == 0 && m->wanted >= 0) {
        return tat_fail(error, TAT_ERROR_NO, "graph %" PRIu32 " has no operation in layer %" PRId32, evaluation,
                        m->wanted);
    }
    if (tat_trace_expand(m->trace, evaluation, evaluation + 1, add_records, m, error) != 0) { return -1; }
    add_up(l);
    if (!place_groups(l)) { return fail_memory(m->trace, error); }
    stack_groups(l);
    return 0;
}

int graph_layout_make(const struct tat_trace * trace, uint32_t evaluation, int32_t layer, struct graph_layout * layout,
                      struct tat_error * error) {
    uint32_t n, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    *layout = (struct graph_layout){ .evaluation = evaluation };
    if (evaluation >= n) {
        return tat_fail(error, TAT_ERROR_NO, "there is no graph %" PRIu32 ": the trace has %" PRIu32, evaluation, n);
    }
    struct making m = { trace, &templates[e[evaluation].template_id], layout, layer, NULL, NULL, NULL };
    if (m.t->n_nodes > GRAPH_NODES_MAX) {
        return tat_fail(error, TAT_ERROR_NO, "graph %" PRIu32 " has %" PRIu32 " operations; at most %d can be drawn",
                        evaluation, m.t->n_nodes, GRAPH_NODES_MAX);
    }
    layout->begin_ns = e[evaluation].begin_ns;
    layout->end_ns = e[evaluation].end_ns;
    const int status = make(&m, evaluation, error);
    free(m.key_of);
    free(m.place_of);
    free(m.group_of);
    if (status != 0) { graph_layout_free(layout); }
    return status;
}

void graph_layout_free(struct graph_layout * layout) {
    free(layout->nodes);
    free(layout->edges);
    free(layout->groups);
    *layout = (struct graph_layout){ 0 };
}
