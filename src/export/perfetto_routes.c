/* SPDX-License-Identifier: MIT */
#include "export/perfetto_routes.h"

#include "format/expert_stack.h"
#include "format/route.h"

/* The ids are a view of what the router wrote: both belong to one tensor. */
static uint32_t tensor_of_ids(const struct tat_template * t, const struct tat_entry * node) {
    const uint32_t ids = node->src[2];
    return expert_stack_of(t, node).e && ids != TAT_NO_ENTRY ? t->entries[ids].tensor : UINT32_MAX;
}

/* Sets routers[] for a template, in one pass over its nodes. */
static bool find_routers(struct routes * r, const struct tat_template * t) {
    uint32_t n_tensors;
    tat_trace_tensors(r->trace, &n_tensors);
    r->routers.count = 0;
    r->t = NULL;
    uint32_t * routers = list_extend(&r->routers, sizeof *routers, t->n_nodes + (size_t) 1); /* never empty */
    if (r->writers.count == 0) {
        const size_t places = n_tensors + (size_t) 1;
        uint32_t * writers = list_extend(&r->writers, sizeof *writers, places);
        if (!writers) { return false; }
        memset(writers, 0, places * sizeof *writers);
    }
    if (!routers) { return false; }
    const struct tat_entry * nodes = t->entries + t->n_leaves;
    uint32_t * writers = LIST(uint32_t, r->writers);
    for (uint32_t n = 0; n < t->n_nodes; n++) {
        const uint32_t ids = tensor_of_ids(t, &nodes[n]), to = nodes[n].tensor;
        routers[n] = ids < n_tensors && writers[ids] ? writers[ids] - 1 : ROUTES_NONE;
        if (to < n_tensors && !(nodes[n].facts & TAT_NODE_EMPTY)) { writers[to] = n + 1; }
    }
    for (uint32_t n = 0; n < t->n_nodes; n++) {
        if (nodes[n].tensor < n_tensors) { writers[nodes[n].tensor] = 0; }
    }
    r->t = t;
    return true;
}

static int by_router(const void * a, const void * b) {
    const struct choice *x = a, *y = b;
    if (x->router != y->router) { return x->router < y->router ? -1 : 1; }
    return (int) x->expert - (int) y->expert;
}

static bool add_choices(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct routes * r = user;
    const struct tat_capture * c = &r->t->captures[capture];
    if (c->kind != TAT_CAPTURE_EXPERTS || c->node >= r->t->n_nodes || count == 0) { return true; }
    const uint32_t router = LIST(uint32_t, r->routers)[c->node];
    const uint64_t experts = expert_stack_of(r->t, &r->t->entries[r->t->n_leaves + c->node]).experts;
    const uint32_t from = r->choices.count;
    struct choice * added = router == ROUTES_NONE ? NULL : list_extend(&r->choices, sizeof *added, count);
    if (!added) {
        r->failed |= router != ROUTES_NONE;
        return !r->failed;
    }
    uint32_t n = from;
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0 || (uint64_t) values[i] >= experts || values[i] >= TAT_NO_EXPERT) { continue; }
        LIST(struct choice, r->choices)
        [n++] = (struct choice){ router, route_layer_of(r->t, c), (uint16_t) values[i], 0, false };
    }
    r->choices.count = n;
    return true;
}

/* Each choice once, with its number. */
static void number_choices(struct routes * r) {
    struct choice * all = LIST(struct choice, r->choices);
    uint32_t kept = 0;
    if (r->choices.count) { qsort(all, r->choices.count, sizeof *all, by_router); }
    for (uint32_t i = 0; i < r->choices.count; i++) {
        if (kept && by_router(&all[kept - 1], &all[i]) == 0) { continue; }
        all[kept] = all[i];
        all[kept++].flow = ++r->flows;
    }
    r->choices.count = kept;
}

void routes_begin(struct routes * r, uint32_t evaluation) {
    uint32_t count;
    struct tat_error error;
    const struct tat_evaluation * e = &tat_trace_evaluations(r->trace, &count)[evaluation];
    const struct tat_template * t = &tat_trace_templates(r->trace, &count)[e->template_id];
    r->choices.count = 0;
    if (t->n_captures == 0 || r->failed) { return; }
    if (t != r->t && !find_routers(r, t)) { r->failed = true; }
    if (r->failed || tat_trace_each_capture(r->trace, evaluation, add_choices, r, &error) < 0) {
        r->failed = true;
        return;
    }
    number_choices(r);
}

void routes_free(struct routes * r) {
    free(r->routers.data);
    free(r->writers.data);
    free(r->choices.data);
}

struct choice * routes_of(const struct routes * r, uint32_t router, size_t * count) {
    struct choice * all = LIST(struct choice, r->choices);
    uint32_t low = 0, high = r->choices.count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (all[middle].router < router) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *count = 0;
    while (low + *count < r->choices.count && all[low + *count].router == router) { ++*count; }
    return *count ? all + low : NULL;
}

struct choice * routes_find(const struct routes * r, uint32_t node, uint16_t expert) {
    if (r->choices.count == 0 || node >= r->t->n_nodes) { return NULL; }
    size_t count;
    struct choice * of = routes_of(r, LIST(uint32_t, r->routers)[node], &count);
    for (size_t low = 0, high = count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (of[middle].expert == expert) { return &of[middle]; }
        if (of[middle].expert < expert) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
