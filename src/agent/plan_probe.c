/* SPDX-License-Identifier: MIT */
#include "agent/plan_probe.h"

#include <stdlib.h>
#include <string.h>

enum { TYPE_F32 = 0, N = 4, GRAPH_NODES = 16, ARENA_BYTES = 1 << 18, THREADS = 3 };

/* The words of ggml's plan: work_size, work_data, n_threads, threadpool, abort_callback, abort_callback_data. */
enum { WORD_WORK_SIZE = 0, WORD_WORK_DATA = 1, WORD_POOL = 3, WORD_ABORT = 4 };

/* How many words of a plan made by a backend are searched; plan and graph together are longer in all versions. */
enum { SEARCHED_WORDS = 8 };

/* Belongs to the probing thread. There is one at a time, because hosts are added under a lock. */
static unsigned callbacks;

static bool argument(void * data);

/* The callback, and its argument, which is a function too: a plan that holds the two in the other order calls that
 * one. */
static bool count(void * data) {
    callbacks += data == (void *) argument;
    return false;
}

static bool argument(void * data) {
    (void) data;
    return false;
}

static const struct ggml_abort told = { count, (void *) argument };

/* Builds a view, a norm of it that can be fused with the product after it, and a node that nobody asks for. */
static struct ggml_cgraph * build(const struct ggml_functions * ggml, const struct ggml_layout * layout,
                                  struct ggml_context * context) {
    struct ggml_cgraph * graph = ggml->new_graph_custom(context, GRAPH_NODES, false);
    struct ggml_tensor * x = ggml->new_tensor_4d(context, TYPE_F32, N, 1, 1, 1);
    struct ggml_tensor * weight = ggml->new_tensor_4d(context, TYPE_F32, N, 1, 1, 1);
    if (!graph || !x || !weight || !ggml->get_data(x) || !ggml->get_data(weight)) { return NULL; }
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

/* ---- where the callback lies ---- */

/* The word where the CPU backend itself puts a callback into a plan; 0: it makes no plan, or the callback is not in
 * it. */
static unsigned word_by_backend(const struct ggml_functions * ggml, struct ggml_cgraph * graph) {
    if (!ggml->cpu_init || !ggml->cpu_set_abort || !ggml->plan_create || !ggml->plan_free || !ggml->backend_free) {
        return 0;
    }
    struct ggml_backend * backend = ggml->cpu_init();
    if (!backend) { return 0; }
    unsigned word = 0, hits = 0;
    ggml->cpu_set_abort(backend, told.callback, told.data);
    void * plan = ggml->plan_create(backend, graph);
    for (unsigned i = WORD_POOL; plan && i + 2 <= SEARCHED_WORDS; i++) {
        if (memcmp((const uint64_t *) plan + i, &told, sizeof told) != 0) { continue; }
        word = i;
        hits++;
    }
    if (plan) { ggml->plan_free(backend, plan); }
    ggml->backend_free(backend);
    return hits == 1 ? word : 0;
}

/* ggml stores the thread pool right before the callback. Forks from before there were thread pools take no such
 * argument. There, a wrong guess could overwrite another field, so the backend is asked where it puts a callback. */
static const char * find_callback(const struct ggml_functions * ggml, struct ggml_cgraph * graph,
                                  struct ggml_plan_layout * plan) {
    static _Alignas(64) char pool[4096]; /* only its address counts */
    const struct ggml_plan_room room = ggml->graph_plan(graph, THREADS, pool);
    if (plan_threads((const struct ggml_cplan *) &room) != THREADS || room.word[WORD_WORK_DATA]) {
        return "its number of threads is not where ggml has it";
    }
    const bool has_pool = room.word[WORD_POOL] == (uintptr_t) pool;
    const unsigned word = has_pool ? WORD_ABORT : word_by_backend(ggml, graph);
    if (!word || room.word[word] || room.word[word + 1]) { return "the host's callback could not be found in it"; }
    plan->abort = (uint16_t) (word * sizeof room.word[0]);
    return NULL;
}

/* ---- when it is called ---- */

static bool run(const struct ggml_functions * ggml, const struct ggml_plan_layout * found, struct ggml_cgraph * graph) {
    struct ggml_plan_room room = ggml->graph_plan(graph, 1, NULL);
    struct ggml_cplan * plan = (struct ggml_cplan *) &room;
    const size_t work_size = room.word[WORD_WORK_SIZE];
    void * work = work_size ? malloc(work_size) : NULL;
    if (work_size && !work) { return false; }
    room.word[WORD_WORK_DATA] = (uintptr_t) work;
    *plan_abort(found, plan) = told;
    callbacks = 0;
    const int status = ggml->graph_compute(graph, plan);
    free(work);
    return status == 0;
}

/* Of four nodes: the view, the norm, the product, and the one that nobody asks for. */
static bool rule_of(unsigned n, uint32_t * rule) {
    static const uint32_t rules[] = {
        [1] = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM,
        [2] = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED,
        [3] = TAT_RULE_SKIP_EMPTY,
        [4] = 0,
    };
    if (n == 0 || n >= sizeof rules / sizeof rules[0]) { return false; }
    *rule = rules[n];
    return true;
}

/* Our callback was called with our argument: that proves both words. */
static const char * probe_with(const struct ggml_functions * ggml, struct ggml_cgraph * graph,
                               struct ggml_plan_layout * plan) {
    const char * missing = find_callback(ggml, graph, plan);
    if (missing) { return missing; }
    if (!run(ggml, plan, graph)) { return "no graph could be computed with it"; }
    if (!callbacks) { return "the callback in it was not called"; }
    plan->rule_known = rule_of(callbacks, &plan->rule);
    return NULL;
}

const char * plan_probe(const struct ggml_functions * ggml, const struct ggml_layout * layout,
                        struct ggml_plan_layout * plan) {
    struct ggml_context * context = ggml->init((struct ggml_init_room){ .params = { .mem_size = ARENA_BYTES } });
    if (!context) { return "no context for a graph of its own"; }
    struct ggml_cgraph * graph = build(ggml, layout, context);
    const char * missing = graph ? probe_with(ggml, graph, plan) : "no graph of its own";
    ggml->free(context);
    return missing;
}
