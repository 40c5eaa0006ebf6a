/* SPDX-License-Identifier: MIT
 *
 * Layouts of graphs: figures against records, and what must hold for the picture of any graph.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/view/graph_layout.h"
#include "dice.h"
#include "small_model.h"

static void lay_out(const struct tat_trace * trace, uint32_t evaluation, int32_t layer, struct graph_layout * l) {
    struct tat_error error;
    if (graph_layout_make(trace, evaluation, layer, l, &error) != 0) { fail_msg("%s", error.message); }
}

/* ---- what must hold ---- */

static bool meet(int32_t a, int32_t a_size, int32_t b, int32_t b_size) {
    return a < b + b_size && b < a + a_size;
}

static void check_nodes(const struct graph_layout * l, const struct graph_group * g) {
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct graph_node * n = &l->nodes[i];
        assert_true(n->w > 0 && n->h > 0);
        assert_true(n->x >= g->x && n->x + n->w <= g->x + g->w);
        assert_true(n->y >= g->y && n->y + n->h <= g->y + g->h);
        assert_true(i == g->first || n->node > l->nodes[i - 1].node);
        for (uint32_t k = g->first; k < i; k++) {
            const struct graph_node * m = &l->nodes[k];
            assert_false(meet(n->x, n->w, m->x, m->w) && meet(n->y, n->h, m->y, m->h));
        }
    }
}

static uint32_t group_of(const struct graph_layout * l, uint32_t node) {
    uint32_t g = 0;
    while (node >= l->groups[g].first + l->groups[g].count) { g++; }
    return g;
}

/* No two boxes meet, all are within what they belong to, and a source is above what takes from it. */
static void check(const struct graph_layout * l) {
    uint32_t nodes = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < l->n_groups; i++) {
        const struct graph_group * g = &l->groups[i];
        assert_int_equal(g->first, nodes);
        assert_true(g->count > 0);
        assert_true(g->x >= 0 && g->y >= 0 && g->x + g->w <= l->w && g->y + g->h <= l->h);
        for (uint32_t k = 0; k < i; k++) { assert_true(l->groups[k].y + l->groups[k].h <= g->y); }
        check_nodes(l, g);
        nodes += g->count;
        bytes += g->bytes;
    }
    assert_int_equal(nodes, l->n_nodes);
    assert_int_equal(bytes, l->bytes);
    for (uint32_t i = 0; i < l->n_edges; i++) {
        const struct graph_edge e = l->edges[i];
        assert_true(e.from < l->n_nodes && e.to < l->n_nodes);
        assert_true(l->nodes[e.from].node < l->nodes[e.to].node);
        if (group_of(l, e.from) != group_of(l, e.to)) { continue; }
        assert_true(l->nodes[e.from].y + l->nodes[e.from].h <= l->nodes[e.to].y);
    }
}

/* ---- a small model ---- */

struct counts {
    uint64_t bytes[CALLBACKS];
    uint32_t accesses[CALLBACKS];
};

static bool count(const struct tat_access * records, size_t n, void * user) {
    struct counts * c = user;
    for (size_t i = 0; i < n; i++) {
        c->bytes[records[i].node] += records[i].bytes;
        c->accesses[records[i].node] += records[i].bytes > 0;
    }
    return true;
}

static void figures_are_those_of_records(void ** state) {
    static const enum graph_category categories[] = { GRAPH_ROWS, GRAPH_MATMUL, GRAPH_EXPERTS, GRAPH_MATMUL };
    static const uint16_t layers[] = { TAT_NO_LAYER, 0, 1, TAT_NO_LAYER };
    struct trace_builder b;
    struct small_model m;
    struct graph_layout l;
    struct counts c = { 0 };
    struct tat_error error;
    (void) state;
    small_model_begin(&b, &m);
    const uint32_t t = small_model_template(&b, &m, 2);
    small_model_evaluate(&b, t, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
    small_model_evaluate(&b, t, (const int64_t[]){ 4, 5 }, 2, (const uint32_t[]){ 3, 3, 3, 3 });
    struct tat_trace * trace = small_model_open(&b);
    assert_int_equal(tat_trace_expand(trace, 1, 2, count, &c, &error), 0);
    lay_out(trace, 1, -1, &l);
    check(&l);
    assert_int_equal(l.n_nodes, 4);
    assert_int_equal(l.n_groups, 4);
    assert_int_equal(l.n_edges, 3); /* rows, projection, experts; and the output from the projection */
    assert_int_equal(l.dangling, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const struct graph_node * n = &l.nodes[i];
        assert_int_equal(n->node, i);
        assert_int_equal(n->bytes, c.bytes[i]);
        assert_int_equal(n->accesses, c.accesses[i]);
        assert_int_equal(n->category, categories[i]);
        assert_int_equal(n->layer, layers[i]);
        assert_true(n->timed);
        assert_int_equal(n->start_ns, l.begin_ns + i * TB_CALLBACK_NS);
        assert_int_equal(n->duration_ns, TB_CALLBACK_NS);
    }
    graph_layout_free(&l);
    tat_trace_close(trace);
    tb_free(&b);
}

static void one_layer_alone(void ** state) {
    struct trace_builder b;
    struct small_model m;
    struct graph_layout l;
    struct tat_error error;
    (void) state;
    small_model_begin(&b, &m);
    small_model_evaluate(&b, small_model_template(&b, &m, 1), (const int64_t[]){ 1 }, 1, (const uint32_t[]){ 0, 1 });
    struct tat_trace * trace = small_model_open(&b);
    lay_out(trace, 0, 1, &l);
    check(&l);
    assert_int_equal(l.n_nodes, 1);
    assert_string_equal(l.nodes[0].name, "ffn_moe_up-1");
    graph_layout_free(&l);
    lay_out(trace, 0, TAT_NO_LAYER, &l);
    check(&l);
    assert_int_equal(l.n_groups, 2);
    graph_layout_free(&l);
    assert_int_equal(graph_layout_make(trace, 0, 7, &l, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    graph_layout_free(&l);
    assert_int_equal(graph_layout_make(trace, 1, -1, &l, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    graph_layout_free(&l);
    tat_trace_close(trace);
    tb_free(&b);
}

static void graphs_of_tokens(void ** state) {
    struct trace_builder b;
    struct small_model m;
    struct tat_error error;
    (void) state;
    small_model_begin(&b, &m);
    const uint32_t prompt = small_model_template(&b, &m, 2), generate = small_model_template(&b, &m, 1);
    small_model_evaluate(&b, prompt, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
    small_model_evaluate(&b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 3 });
    struct tat_trace * trace = small_model_open(&b);
    assert_int_equal(graph_of_token(trace, 0, &error), 0);
    assert_int_equal(graph_of_token(trace, 1, &error), 0);
    assert_int_equal(graph_of_token(trace, 2, &error), 1);
    assert_int_equal(graph_of_token(trace, 3, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    tat_trace_close(trace);
    tb_free(&b);
}

/* ---- any graph ---- */

enum { NODES = 240, LAYERS = 9 };

/* Sources may be anything: leaves, nodes before, nodes behind, the node itself, the same one twice. Returns how many
 * are not before the node. */
static uint32_t throw_graph(struct tb_entry * entries, uint32_t tensor, uint32_t seed, char names[][24]) {
    uint32_t dangling = 0;
    entries[0] = (struct tb_entry){ .name = "leaf", .tensor = tensor, .ne = { 4 } };
    for (uint32_t i = 0; i < NODES; i++) {
        struct tb_entry * e = &entries[1 + i];
        const bool shape = dice(&seed, 4) == 0;
        snprintf(names[i], sizeof names[i], dice(&seed, 8) ? "x-%u" : "none", dice(&seed, LAYERS));
        *e = (struct tb_entry){ .name = names[i], .op = shape ? "VIEW" : "ADD", .tensor = tensor, .ne = { 4 } };
        e->facts = shape ? TAT_NODE_EMPTY : TAT_NODE_COMPUTE;
        for (int s = 0; s < 3; s++) {
            const uint32_t source = dice(&seed, 10) ? dice(&seed, i + 1) : dice(&seed, NODES + 1);
            if (dice(&seed, 3) == 0) { continue; }
            e->src[s] = 1 + (int) source;
            dangling += source > i;
        }
    }
    return dangling;
}

static void any_graph(void ** state) {
    static struct tb_entry entries[1 + NODES];
    static char names[NODES][24];
    (void) state;
    for (uint32_t seed = 1; seed < 12; seed++) {
        struct trace_builder b;
        struct graph_layout l, again;
        struct tat_error error;
        tb_begin(&b);
        const uint32_t tensor = tb_tensor(&b, (struct tb_tensor){ .name = "t",
                                                                  .kind = TAT_TENSOR_ACTIVATION,
                                                                  .memory = TAT_MEMORY_BUFFER,
                                                                  .block = 1,
                                                                  .block_bytes = 4,
                                                                  .ne = { 64 } });
        const uint32_t dangling = throw_graph(entries, tensor, seed, names);
        const uint32_t t = tb_template(&b, 1, entries, 1, NODES, NULL, 0);
        uint32_t callbacks = 0;
        for (uint32_t i = 0; i < NODES; i++) { callbacks += !(entries[1 + i].facts & TAT_NODE_EMPTY); }
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t, .rule = 7, .n_callbacks = callbacks });
        tb_end(&b);
        struct tat_trace * trace = tb_open(&b, &error);
        assert_non_null(trace);
        lay_out(trace, 0, -1, &l);
        check(&l);
        assert_int_equal(l.n_nodes, NODES);
        assert_int_equal(l.dangling, dangling);
        lay_out(trace, 0, -1, &again); /* the same picture */
        for (uint32_t i = 0; i < NODES; i++) {
            assert_int_equal(l.nodes[i].x, again.nodes[i].x);
            assert_int_equal(l.nodes[i].y, again.nodes[i].y);
        }
        graph_layout_free(&l);
        graph_layout_free(&again);
        tat_trace_close(trace);
        tb_free(&b);
    }
}

static void categories_have_names(void ** state) {
    (void) state;
    for (unsigned i = 0; i < GRAPH_CATEGORIES; i++) { assert_non_null(graph_category_name(i)); }
    assert_null(graph_category_name(GRAPH_CATEGORIES));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_records),
        cmocka_unit_test(one_layer_alone),
        cmocka_unit_test(graphs_of_tokens),
        cmocka_unit_test(any_graph),
        cmocka_unit_test(categories_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
