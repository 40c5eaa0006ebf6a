/* SPDX-License-Identifier: MIT */
#include "agent/rule_probe.h"

#include <stdlib.h>

enum { TYPE_F32 = 0, N = 4, GRAPH_NODES = 16, ARENA_BYTES = 1 << 18 };

static bool count(void * data) {
    ++*(unsigned *) data;
    return false;
}

/* A view, a norm of it that can be fused with the product after it, and a node that nobody asks for. */
static struct ggml_cgraph * build(const struct ggml_functions * ggml, const struct ggml_layout * layout,
                                  struct ggml_context * context) {
    struct ggml_cgraph * graph = ggml->new_graph_custom(context, GRAPH_NODES, false);
    struct ggml_tensor * x = ggml->new_tensor_4d(context, TYPE_F32, N, 1, 1, 1);
    struct ggml_tensor * weight = ggml->new_tensor_4d(context, TYPE_F32, N, 1, 1, 1);
    if (!graph || !x || !weight) { return NULL; }
    for (int i = 0; i < N; i++) {
        ((float *) ggml->get_data(x))[i] = 1.0f;
        ((float *) ggml->get_data(weight))[i] = 1.0f;
    }
    struct ggml_tensor * norm = ggml->rms_norm(context, ggml->view_1d(context, x, N, 0), 1e-5f);
    struct ggml_tensor * unused = ggml->scale(context, x, 2.0f);
    ggml->build_forward_expand(graph, ggml->mul(context, norm, weight));
    ggml->build_forward_expand(graph, unused);
    *(int32_t *) ((char *) unused + layout->flags) &= ~GGML_FLAG_COMPUTE;
    return graph;
}

static bool run(const struct ggml_functions * ggml, struct ggml_cgraph * graph, unsigned * callbacks) {
    struct ggml_plan_room room = ggml->graph_plan(graph, 1, NULL);
    struct ggml_cplan * plan = &room.plan;
    void * work = plan->work_size ? malloc(plan->work_size) : NULL;
    if (plan->work_size && !work) { return false; }
    plan->work_data = work;
    plan->abort_callback = count;
    plan->abort_callback_data = callbacks;
    const int status = ggml->graph_compute(graph, plan);
    free(work);
    return status == 0;
}

/* Four nodes: the view, the norm, the product, the unasked one. */
static bool rule_of(unsigned callbacks, uint32_t * rule) {
    static const uint32_t rules[] = {
        [1] = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM,
        [2] = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED,
        [3] = TAT_RULE_SKIP_EMPTY,
        [4] = 0,
    };
    if (callbacks == 0 || callbacks >= sizeof rules / sizeof rules[0]) { return false; }
    *rule = rules[callbacks];
    return true;
}

bool rule_probe(const struct ggml_functions * ggml, const struct ggml_layout * layout, uint32_t * rule) {
    if (!ggml->new_graph_custom || !ggml->rms_norm || !ggml->build_forward_expand || !ggml->graph_plan) {
        return false;
    }
    struct ggml_context * context = ggml->init((struct ggml_init_params){ .mem_size = ARENA_BYTES });
    if (!context) { return false; }
    unsigned callbacks = 0;
    struct ggml_cgraph * graph = build(ggml, layout, context);
    const bool computed = graph && run(ggml, graph, &callbacks);
    ggml->free(context);
    return computed && rule_of(callbacks, rule);
}
