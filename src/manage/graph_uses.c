/* SPDX-License-Identifier: MIT */
#include "manage/graph_uses.h"

#include <stdlib.h>
#include <string.h>

#include "agent/graph_walk.h"
#include "format/node_rules.h"
#include "manage/growth.h"

enum { USES_MOST_OF_NODE = 16 };

struct search {
    const struct host * host;
    const struct ggml_layout * l;
    struct ggml_tensor ** nodes;
    uint32_t n_nodes;
    uint32_t * step; /* by node: its callback */
    struct graph_uses * uses;
    uint32_t uses_capacity, routers_capacity;
    graph_is_managed * is_managed;
    void * user;
};

static bool op_is(const struct search * s, uint32_t node, const char * op) {
    return strcmp(s->host->ggml.op_desc(s->nodes[node]), op) == 0;
}

static enum operand_use use_of(const struct search * s, uint32_t node, int src) {
    for (size_t i = 0; i < OPERAND_RULES; i++) {
        if (operand_rules[i].operand == src && op_is(s, node, operand_rules[i].op)) { return operand_rules[i].use; }
    }
    return USE_WHOLE;
}

/* Of a weight, which lies without gaps. */
static uint64_t bytes_of(const struct ggml_layout * l, const struct ggml_tensor * t) {
    const int64_t * ne = layout_ne(l, t);
    const size_t * nb = layout_nb(l, t);
    return ne[3] > 0 ? (uint64_t) ne[3] * nb[3] : 0;
}

/* ---- routers ---- */

/* The step that computes what a tensor views, or the steps before the graph. */
static uint32_t made_in(const struct search * s, const struct ggml_tensor * t) {
    const struct ggml_tensor * root = layout_view_src(s->l, t);
    const struct ggml_tensor * wanted = root ? root : t;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] == wanted) { return s->step[i]; }
    }
    return 0;
}

static const struct ggml_tensor * ids_of(const struct search * s, const struct graph_router * r) {
    return layout_src(s->l, s->nodes[r->node])[r->src];
}

/* Thread 0 computes a single row alone, so it is complete at its own callback. More rows are so at the next one, when
 * all threads have passed a barrier. */
static uint32_t ready_at(const struct search * s, const struct ggml_tensor * ids) {
    return made_in(s, ids) + (layout_ne(s->l, ids)[1] > 1 ? 2 : 1);
}

/* NO_ROUTER: memory, or the ids are not complete before they are needed. */
static uint32_t router_of(struct search * s, uint32_t node, uint32_t src) {
    struct graph_uses * u = s->uses;
    const struct ggml_tensor * ids = layout_src(s->l, s->nodes[node])[src];
    if (!ids) { return NO_ROUTER; }
    for (uint32_t i = 0; i < u->n_routers; i++) {
        const struct ggml_tensor * known = ids_of(s, &u->router[i]);
        if (known == ids ||
            (layout_data(s->l, known) == layout_data(s->l, ids) && made_in(s, known) == made_in(s, ids))) {
            return u->router[i].ready <= s->step[node] ? i : NO_ROUTER;
        }
    }
    if (u->n_routers == s->routers_capacity) {
        const uint32_t more = s->routers_capacity ? 2 * s->routers_capacity : 64;
        void * bigger = realloc(u->router, more * sizeof u->router[0]);
        if (!bigger) { return NO_ROUTER; }
        u->router = bigger;
        s->routers_capacity = more;
    }
    u->router[u->n_routers] = (struct graph_router){ node, src, ready_at(s, ids), (uint32_t) layout_ne(s->l, ids)[0] };
    return u->router[u->n_routers++].ready <= s->step[node] ? u->n_routers - 1 : NO_ROUTER;
}

/* ---- uses ---- */

static bool add(struct search * s, struct graph_use use) {
    struct graph_uses * u = s->uses;
    if (u->n_uses == s->uses_capacity) {
        const uint32_t more = s->uses_capacity ? 2 * s->uses_capacity : 512;
        void * bigger = realloc(u->use, more * sizeof u->use[0]);
        if (!bigger) { return false; }
        u->use = bigger;
        s->uses_capacity = more;
    }
    u->use[u->n_uses++] = use;
    return true;
}

/* What a graph multiplies by is a weight if no node made it; caches are views. */
static bool is_weight(const struct search * s, uint32_t node, int src, const struct ggml_tensor * t) {
    return src == 0 && layout_op(s->l, t) == 0 && !layout_view_src(s->l, t) &&
           (op_is(s, node, "MUL_MAT") || op_is(s, node, "MUL_MAT_ID"));
}

static bool look_at(struct search * s, uint32_t node, int src) {
    enum { IDS = 2 };
    const struct ggml_tensor * t = layout_src(s->l, s->nodes[node])[src];
    const char * at = t ? layout_data(s->l, t) : NULL;
    if (!at) { return true; }
    if (!s->is_managed(at, s->user)) {
        s->uses->has_elsewhere |= is_weight(s, node, src, t);
        return true;
    }
    const enum operand_use how = use_of(s, node, src);
    struct graph_use use = { .step = s->step[node],
                             .node = node,
                             .src = (uint32_t) src,
                             .at = at,
                             .bytes = bytes_of(s->l, t),
                             .router = NO_ROUTER };
    if (how == USE_ROWS || how == USE_NOTHING || use.bytes == 0) { return true; } /* a few rows: the file's */
    if (how == USE_EXPERTS) {
        use.experts = (uint32_t) layout_ne(s->l, t)[2];
        use.router = router_of(s, node, IDS);
    }
    if (s->uses->rows_node == s->n_nodes && op_is(s, node, "MUL_MAT")) { s->uses->rows_node = node; }
    return add(s, use);
}

static uint32_t number_steps(const struct search * s, const uint32_t * facts, uint32_t rule) {
    uint32_t steps = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        s->step[i] = steps;
        if (node_executes(facts[i], rule) && !(node_fuses(facts[i], rule) && i + 1 < s->n_nodes)) { steps++; }
    }
    return steps;
}

static bool search_all(struct search * s, const uint32_t * facts, uint32_t rule) {
    s->uses->n_nodes = s->uses->rows_node = s->n_nodes;
    s->uses->n_steps = number_steps(s, facts, rule);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (!node_executes(facts[i], rule)) { continue; }
        for (int src = 0; src < s->l->n_src && src < USES_MOST_OF_NODE; src++) {
            if (!look_at(s, i, src)) { return false; }
        }
    }
    return true;
}

static struct graph graph_of(const struct host * host, struct ggml_cgraph * graph) {
    const int n = host->ggml.graph_n_nodes(graph);
    return (struct graph){ host, graph, host->ggml.graph_nodes(graph), n > 0 ? (uint32_t) n : 0 };
}

bool graph_uses_find(const struct host * host, struct ggml_cgraph * graph, uint32_t rule, graph_is_managed * is_managed,
                     void * user, struct graph_uses * uses) {
    const struct graph g = graph_of(host, graph);
    struct search s = { .host = host,
                        .l = &host->layout,
                        .nodes = g.nodes,
                        .n_nodes = g.n_nodes,
                        .uses = uses,
                        .is_managed = is_managed,
                        .user = user };
    *uses = (struct graph_uses){ 0 };
    uint32_t * facts = calloc((size_t) g.n_nodes + 1, sizeof *facts);
    s.step = calloc((size_t) g.n_nodes + 1, sizeof *s.step);
    const bool good = facts && s.step && graph_facts(&g, facts) && search_all(&s, facts, rule);
    uses->has_rows = good && graph_rows(uses, host, graph) > 1;
    free(facts);
    free(s.step);
    if (!good) { graph_uses_free(uses); }
    return good;
}

void graph_uses_free(struct graph_uses * uses) {
    free(uses->use);
    free(uses->router);
    *uses = (struct graph_uses){ 0 };
}

uint32_t graph_rows(const struct graph_uses * uses, const struct host * host, struct ggml_cgraph * graph) {
    if (uses->rows_node >= uses->n_nodes) { return 0; }
    return (uint32_t) layout_ne(&host->layout, host->ggml.graph_nodes(graph)[uses->rows_node])[1];
}

bool graph_uses_hold(const struct graph_uses * uses, const struct host * host, struct ggml_cgraph * graph) {
    const struct ggml_layout * l = &host->layout;
    const struct graph g = graph_of(host, graph);
    if (g.n_nodes != uses->n_nodes) { return false; }
    for (uint32_t i = 0; i < uses->n_uses; i++) {
        const struct graph_use * u = &uses->use[i];
        const struct ggml_tensor * t = layout_src(l, g.nodes[u->node])[u->src];
        if (!t || layout_data(l, t) != u->at) { return false; }
    }
    if ((graph_rows(uses, host, graph) > 1) != uses->has_rows) { return false; }
    for (uint32_t i = 0; i < uses->n_routers; i++) {
        const struct graph_router * r = &uses->router[i];
        if (!layout_src(l, g.nodes[r->node])[r->src]) { return false; }
    }
    return true;
}

uint32_t graph_rule(const struct host * host, struct ggml_cgraph * graph) {
    if (__atomic_load_n(&host->rule_known, __ATOMIC_ACQUIRE)) { return __atomic_load_n(&host->rule, __ATOMIC_RELAXED); }
    const char * off = getenv("GGML_CPU_DISABLE_FUSION");
    const uint32_t fuse = off && atoi(off) == 1 ? 0 : TAT_RULE_FUSE_NORM;
    if (host->plan.rule_known) { return host->plan.rule & ~(fuse ? 0u : (uint32_t) TAT_RULE_FUSE_NORM); }
    const struct graph g = graph_of(host, graph);
    for (uint32_t i = 0; i < g.n_nodes; i++) {
        if (layout_flags(&host->layout, g.nodes[i]) & GGML_FLAG_COMPUTE) {
            return TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | fuse;
        }
    }
    return 0;
}

void graph_router_ids(const struct host * host, struct ggml_cgraph * graph, const struct graph_router * router,
                      void (*chosen)(int32_t id, void * user), void * user) {
    enum { TYPE_I32 = 26 };
    const struct ggml_layout * l = &host->layout;
    const struct ggml_tensor * ids = layout_src(l, host->ggml.graph_nodes(graph)[router->node])[router->src];
    const char * data = layout_data(l, ids);
    const int64_t * ne = layout_ne(l, ids);
    const size_t * nb = layout_nb(l, ids);
    if (!data || layout_type(l, ids) != TYPE_I32) { return; }
    for (int64_t row = 0; row < ne[1]; row++) {
        for (int64_t slot = 0; slot < ne[0]; slot++) {
            int32_t id;
            memcpy(&id, data + (size_t) row * nb[1] + (size_t) slot * nb[0], sizeof id);
            chosen(id, user);
        }
    }
}

/* ---- memory ---- */

/* From its first byte to its last, with gaps between rows. */
static uint64_t extent(const struct ggml_layout * l, const struct ggml_tensor * t) {
    const int64_t * ne = layout_ne(l, t);
    const size_t * nb = layout_nb(l, t);
    uint64_t most = 0;
    for (int i = 0; i < 4; i++) {
        const uint64_t bytes = ne[i] > 0 ? (uint64_t) ne[i] * nb[i] : 0;
        if (bytes > most) { most = bytes; }
    }
    return most;
}

/* What a node writes, as a whole: its result, or the cache that it writes rows of, which the program may also clear at
 * once. NULL: nothing of its own. */
static const struct ggml_tensor * written_by(const struct host * host, const struct ggml_tensor * node) {
    const struct ggml_tensor * root = layout_view_src(&host->layout, node);
    if (!root) { return node; }
    const char * op = host->ggml.op_desc(node);
    return layout_op(&host->layout, root) == 0 && (strcmp(op, "SET_ROWS") == 0 || strcmp(op, "CPY") == 0) ? root : NULL;
}

uint64_t graph_growth(const struct host * host, struct ggml_cgraph * graph) {
    const struct ggml_layout * l = &host->layout;
    struct ggml_tensor ** nodes = host->ggml.graph_nodes(graph);
    const int n = host->ggml.graph_n_nodes(graph);
    struct memory_range * ranges = n > 0 ? malloc((size_t) n * sizeof *ranges) : NULL;
    uint32_t count = 0;
    uint64_t copied = 0;
    for (int i = 0; ranges && i < n; i++) {
        const struct ggml_tensor * t = written_by(host, nodes[i]);
        const uintptr_t at = t ? (uintptr_t) layout_data(l, t) : 0;
        const uint64_t bytes = at ? extent(l, t) : 0;
        if (!bytes || bytes > UINTPTR_MAX / 2 - at / 2) { continue; }
        ranges[count++] = (struct memory_range){ at, at + bytes };
        copied = bytes;
    }
    const uint64_t growth = count ? growth_of(ranges, count) + copied : 0;
    free(ranges);
    return growth;
}

const void * graph_results(const struct host * host, struct ggml_cgraph * graph) {
    return host->ggml.graph_n_nodes(graph) > 0 ? layout_data(&host->layout, host->ggml.graph_nodes(graph)[0]) : NULL;
}
