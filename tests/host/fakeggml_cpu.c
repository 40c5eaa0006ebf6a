/* SPDX-License-Identifier: MIT
 *
 * The loop over the nodes, after ggml-cpu's: every thread takes its rows of a node; thread 0 calls back after its own
 * part, before the barrier; an abort takes effect behind that node.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fakeggml.h"

enum { THREADS_MAX = 16 };

static uint64_t callbacks; /* relaxed */

_Thread_local const struct ggml_cgraph * fakeggml_hosts_graph;

uint64_t fakeggml_callbacks(void) {
    return __atomic_load_n(&callbacks, __ATOMIC_RELAXED);
}

enum fakeggml_rule fakeggml_rule(void) {
    static const char * const names[] = { "every", "empty", "unasked", "fused", "unknown" };
    const char * chosen = getenv("FAKEGGML_RULE");
    for (int i = 0; chosen && i <= RULE_UNKNOWN; i++) {
        if (strcmp(chosen, names[i]) == 0) { return (enum fakeggml_rule) i; }
    }
    return FAKEGGML_LAYOUT == 2 ? RULE_EVERY : RULE_FUSE;
}

struct team {
    struct ggml_cgraph * graph;
    struct ggml_cplan * plan;
    enum fakeggml_rule rule;
    bool fuses;
    int abort_at; /* relaxed: the barrier orders it */
    int status;
    unsigned arrived; /* barriers that thread 0 has reached; release and acquire */
    pthread_t first;  /* thread 0 */
    pthread_barrier_t barrier;
};

/* Called by every thread after each node, through the linkage table, as in ggml-cpu. */
void ggml_barrier(struct team * team);

void ggml_barrier(struct team * team) {
    if (pthread_equal(pthread_self(), team->first)) { __atomic_fetch_add(&team->arrived, 1, __ATOMIC_RELEASE); }
    pthread_barrier_wait(&team->barrier);
}

/* FAKEGGML_SLOW: at the node of this number, all threads but the first take 10 ms more than the first, which waits at
 * the barrier behind `passed` others. */
static void dawdle(const struct team * team, int node, unsigned passed) {
    const char * slow = getenv("FAKEGGML_SLOW");
    if (!slow || atoi(slow) != node) { return; }
    while (__atomic_load_n(&team->arrived, __ATOMIC_ACQUIRE) <= passed) { sched_yield(); }
    nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

struct worker {
    struct team * team;
    int thread;
    pthread_t handle;
};

static bool is_empty(const struct ggml_tensor * t) {
    return t->op == GGML_OP_NONE || t->op == GGML_OP_RESHAPE || t->op == GGML_OP_VIEW || t->op == GGML_OP_PERMUTE ||
           t->op == GGML_OP_TRANSPOSE;
}

static int uses_of(const struct ggml_cgraph * graph, const struct ggml_tensor * t) {
    int uses = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int s = 0; s < GGML_MAX_SRC; s++) { uses += graph->nodes[i]->src[s] == t; }
    }
    return uses;
}

static bool can_fuse(const struct ggml_cgraph * graph, int n) {
    if (n + 1 >= graph->n_nodes) { return false; }
    const struct ggml_tensor *norm = graph->nodes[n], *mul = graph->nodes[n + 1];
    if (norm->op != GGML_OP_RMS_NORM || mul->op != GGML_OP_MUL || (mul->src[0] != norm && mul->src[1] != norm)) {
        return false;
    }
    const struct ggml_tensor * weight = mul->src[0] == norm ? mul->src[1] : mul->src[0];
    return (norm->flags & mul->flags & GGML_FLAG_COMPUTE) && !(norm->flags & GGML_FLAG_OUTPUT) && !norm->view_src &&
           uses_of(graph, norm) == 1 && weight->ne[0] == norm->ne[0] && weight->nb[0] == sizeof(float) &&
           memcmp(norm->ne, mul->ne, sizeof norm->ne) == 0;
}

/* On the thread that computes the graph. */
static void call_back(struct team * team, int node) {
    const struct ggml_cplan * plan = team->plan;
    if (team->graph == fakeggml_hosts_graph) { __atomic_fetch_add(&callbacks, 1, __ATOMIC_RELAXED); }
    if (plan->abort_callback && plan->abort_callback(plan->abort_callback_data)) {
        __atomic_store_n(&team->abort_at, node + 1, __ATOMIC_RELAXED);
        team->status = GGML_STATUS_ABORTED;
    }
}

static void * compute(void * argument) {
    const struct worker * w = argument;
    struct team * team = w->team;
    struct ggml_cgraph * graph = team->graph;
    const int threads = team->plan->n_threads;
    unsigned passed = 0;
    for (int n = 0; n < graph->n_nodes && __atomic_load_n(&team->abort_at, __ATOMIC_RELAXED) != n; n++) {
        struct ggml_tensor * node = graph->nodes[n];
        if (team->rule != RULE_EVERY && is_empty(node)) { continue; }
        if (team->rule >= RULE_SKIP_UNASKED && !(node->flags & GGML_FLAG_COMPUTE)) { continue; }
        if (team->fuses && can_fuse(graph, n)) {
            ggml_compute_fused(node, graph->nodes[++n], w->thread, threads);
        } else {
            ggml_compute_node(node, w->thread, threads);
        }
        if (w->thread != 0) { dawdle(team, n, passed); }
        if (w->thread == 0) { call_back(team, n); }
        if (w->thread == 0 && team->rule == RULE_UNKNOWN && n % 7 == 3) { call_back(team, n); }
        ggml_barrier(team);
        passed++;
    }
    return NULL;
}

static bool fusion_is_on(const struct team * team) {
    const char * off = getenv("GGML_CPU_DISABLE_FUSION");
#if FAKEGGML_PLAN == FAKEGGML_PLAN_GGML
    if (team->plan->use_ref) { return false; }
#endif
    return team->rule == RULE_FUSE && !(off && atoi(off) == 1);
}

struct ggml_cplan ggml_graph_plan(const struct ggml_cgraph * graph, int n_threads, void * threadpool) {
    (void) graph;
    struct ggml_cplan plan = { .n_threads = n_threads, .guard = FAKEGGML_GUARD };
#if FAKEGGML_PLAN == FAKEGGML_PLAN_NO_POOL
    (void) threadpool;
#else
    plan.threadpool = threadpool;
#endif
    return plan;
}

int ggml_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    if (plan->guard != FAKEGGML_GUARD || plan->n_threads > THREADS_MAX) { abort(); }
    struct team team = {
        .graph = graph, .plan = plan, .rule = fakeggml_rule(), .abort_at = -1, .first = pthread_self()
    };
    struct worker workers[THREADS_MAX];
    team.fuses = fusion_is_on(&team);
    pthread_barrier_init(&team.barrier, NULL, (unsigned) plan->n_threads);
    for (int i = 0; i < plan->n_threads; i++) {
        workers[i] = (struct worker){ .team = &team, .thread = i };
        if (i > 0 && pthread_create(&workers[i].handle, NULL, compute, &workers[i]) != 0) { abort(); }
    }
    compute(&workers[0]);
    for (int i = 1; i < plan->n_threads; i++) { pthread_join(workers[i].handle, NULL); }
    pthread_barrier_destroy(&team.barrier);
    return team.status;
}
