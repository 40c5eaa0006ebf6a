/* SPDX-License-Identifier: MIT
 *
 * One token's operations as a picture.
 */
#include "analysis/result.h"
#include "analysis/view/graph_layout.h"
#include "serve/endpoint.h"

static json_t * node_json(const struct graph_node * n) {
    return json_pack("{s:i, s:o?, s:o?, s:o, s:i, s:i, s:i, s:i, s:I, s:i, s:s, s:o, s:o, s:b}", "id", (int) n->node,
                     "name", result_text(n->name), "op", result_text(n->op), "layer",
                     number_or_null(n->layer != TAT_NO_LAYER, n->layer), "x", (int) n->x, "y", (int) n->y, "w",
                     (int) n->w, "h", (int) n->h, "bytes", (json_int_t) n->bytes, "accesses", (int) n->accesses,
                     "category", graph_category_name(n->category), "start_ns", number_or_null(n->timed, n->start_ns),
                     "duration_ns", number_or_null(n->timed, n->duration_ns), "touches", n->accesses > 0);
}

static json_t * group_json(const struct graph_group * g) {
    return json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I}", "layer",
                     number_or_null(g->layer != TAT_NO_LAYER, g->layer), "x", (int) g->x, "y", (int) g->y, "w",
                     (int) g->w, "h", (int) g->h, "first", (int) g->first, "nodes", (int) g->count, "bytes",
                     (json_int_t) g->bytes, "duration_ns", (json_int_t) g->duration_ns);
}

static json_t * layout_json(const struct tat_trace * trace, const struct graph_layout * l) {
    uint32_t n;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &n)[l->evaluation];
    const bool counts = e->phase != TAT_PHASE_WARMUP && e->n_tokens > 0;
    json_t *nodes = json_array(), *edges = json_array(), *groups = json_array();
    for (uint32_t i = 0; i < l->n_nodes; i++) { json_array_append_new(nodes, node_json(&l->nodes[i])); }
    for (uint32_t i = 0; i < l->n_edges; i++) {
        json_array_append_new(edges, json_pack("[i, i]", (int) l->edges[i].from, (int) l->edges[i].to));
    }
    for (uint32_t i = 0; i < l->n_groups; i++) { json_array_append_new(groups, group_json(&l->groups[i])); }
    return json_pack("{s:i, s:I, s:o, s:I, s:s, s:I, s:I, s:I, s:i, s:o, s:o, s:o, s:[i, i, i, i]}", "schema",
                     SERVE_SCHEMA, "evaluation", (json_int_t) l->evaluation, "token",
                     number_or_null(counts, e->token_first), "tokens", (json_int_t) e->n_tokens, "phase",
                     tat_phase_name(e->phase), "begin_ns", (json_int_t) l->begin_ns, "end_ns", (json_int_t) l->end_ns,
                     "bytes", (json_int_t) l->bytes, "dangling", (int) l->dangling, "nodes", nodes, "edges", edges,
                     "groups", groups, "bounds", (int) l->x, (int) l->y, (int) l->w, (int) l->h);
}

/* The graph that computed the token, or the evaluation that is asked for. -1 with *error. */
static int64_t evaluation_of(const struct tat_trace * trace, const struct request * request, struct tat_error * error) {
    uint32_t count;
    uint64_t token = 0, evaluation = 0;
    tat_trace_evaluations(trace, &count);
    if (request_text(request, "evaluation")) {
        return request_count(request, "evaluation", 0, count ? count - 1 : 0, &evaluation, error) == 0
                   ? (int64_t) evaluation
                   : -1;
    }
    if (request_count(request, "token", 0, UINT32_MAX - 1, &token, error) != 0) { return -1; }
    return graph_of_token(trace, (uint32_t) token, error);
}

static struct answer answer_graph(struct served * served, const struct request * request) {
    struct graph_layout layout;
    struct tat_error error;
    uint64_t layer = 0;
    const int64_t evaluation = evaluation_of(served->trace, request, &error);
    if (evaluation < 0 || request_count(request, "layer", 0, TAT_NO_LAYER, &layer, &error) != 0) {
        return answer_error(&error);
    }
    const int32_t wanted = request_text(request, "layer") ? (int32_t) layer : -1;
    if (graph_layout_make(served->trace, (uint32_t) evaluation, wanted, &layout, &error) != 0) {
        return answer_error(&error);
    }
    json_t * json = layout_json(served->trace, &layout);
    graph_layout_free(&layout);
    return answer_json(json);
}

const struct endpoint graph_endpoints[] = {
    { "graph", "token evaluation layer", PACE_QUICK, answer_graph },
    { 0 },
};
