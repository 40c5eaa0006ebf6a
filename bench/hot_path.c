/* SPDX-License-Identifier: MIT
 *
 * Nanoseconds that the agent's callback takes, alone: a graph of many tiny nodes on the real ggml, one thread, computed
 * with recording, with an empty callback and without; the least of many runs each, so that other load does not show.
 *
 *   LD_PRELOAD=libtat_agent.so hot_path [RUNS]
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml-cpu.h"
#include "ggml.h"
#include "tat/agent.h"

enum { NODES = 512, VIEWS = NODES / 2, ARENA = 4 << 20 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

/* As in a language model, about every second node is a view, which is skipped, and half of the sources are leaves. */
static struct ggml_cgraph * build(struct ggml_context * context) {
    struct ggml_cgraph * graph = ggml_new_graph_custom(context, 4 * NODES, false);
    struct ggml_tensor * x = ggml_new_tensor_1d(context, GGML_TYPE_F32, 4);
    for (int i = 0; i < NODES; i++) {
        struct ggml_tensor * weight = ggml_new_tensor_1d(context, GGML_TYPE_F32, 4);
        x = ggml_add(context, x, weight);
        if (i % (NODES / VIEWS) == 0) { x = ggml_view_1d(context, x, 4, 0); }
    }
    ggml_build_forward_expand(graph, x);
    return graph;
}

int main(int argc, char ** argv) {
    const int runs = argc > 1 ? atoi(argv[1]) : 20000;
    void * symbol = dlsym(RTLD_DEFAULT, "tat_agent_set_mode");
    enum tat_agent_mode (*set_mode)(enum tat_agent_mode);
    if (!symbol) {
        fputs("hot_path: the agent is not loaded: LD_PRELOAD=libtat_agent.so\n", stderr);
        return 2;
    }
    memcpy(&set_mode, &symbol, sizeof set_mode);
    struct ggml_context * context = ggml_init((struct ggml_init_params){ .mem_size = ARENA });
    struct ggml_cgraph * graph = build(context);
    struct ggml_cplan plan = ggml_graph_plan(graph, 1, NULL);
    plan.work_data = malloc(plan.work_size + 1);
    static const enum tat_agent_mode modes[] = { TAT_AGENT_PAUSE, TAT_AGENT_EMPTY, TAT_AGENT_RECORD };
    uint64_t least[] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
    for (int run = 0; run < runs; run++) {
        for (int m = 0; m < 3; m++) {
            set_mode(modes[m]);
            const uint64_t begin = now_ns();
            ggml_graph_compute(graph, &plan);
            const uint64_t ns = now_ns() - begin;
            if (ns < least[m]) { least[m] = ns; }
        }
    }
    printf("%d callbacks a graph, the fastest of %d runs: %.1f ns a node without the hook\n", NODES, runs,
           (double) least[0] / NODES);
    printf("empty callback: %+.1f ns a node\n", ((double) least[1] - (double) least[0]) / NODES);
    printf("recording:      %+.1f ns a node, including the writing of the evaluation\n",
           ((double) least[2] - (double) least[0]) / NODES);
    ggml_free(context);
    return 0;
}
