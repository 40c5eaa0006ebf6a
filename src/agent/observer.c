/* SPDX-License-Identifier: MIT */
#include "agent/observer.h"

static const struct observer * observers[OBSERVERS_MAX]; /* immutable once there is a second thread */
static unsigned n_observers;

void observers_add(const struct observer * observer) {
    if (n_observers < OBSERVERS_MAX) { observers[n_observers++] = observer; }
}

bool observers_any(void) {
    return n_observers > 0;
}

/* Its address tells threads apart. */
static _Thread_local char here;

static bool own_answer(struct graph_call * call) {
    return call->own.callback && call->own.callback(call->own.data);
}

/* Thread 0, the one that called ggml_graph_compute, calls this after each node, before the barrier. Another thread
 * comes here only from a graph that it computes at the same time with the same plan. */
static bool on_node(void * data) {
    struct graph_call * call = data;
    if (__builtin_expect(call->thread != &here, 0)) { return own_answer(call); }
    unsigned i = 0;
    do { call->watches[i].node_done(call->watches[i].state); } while (++i < call->n_watches);
    if (!own_answer(call)) { return false; }
    call->aborted = true;
    return true;
}

static void take_plan(struct graph_call * call) {
    struct ggml_abort * abort = plan_abort(&call->host->plan, call->plan);
    call->own = *abort;
    *abort = (struct ggml_abort){ on_node, call };
}

static void give_plan_back(struct graph_call * call) {
    *plan_abort(&call->host->plan, call->plan) = call->own;
}

/* True if the plan's layout is not proven, or if another call has taken the plan. */
static bool must_not_touch(const struct host * host, struct ggml_cplan * plan) {
    return host->trouble[0] || plan_abort(&host->plan, plan)->callback == on_node;
}

void graph_call_begin(struct graph_call * call, struct host * host, struct ggml_cgraph * graph,
                      struct ggml_cplan * plan) {
    call->host = host;
    call->graph = graph;
    call->plan = plan;
    call->thread = &here;
    call->hands_off = must_not_touch(host, plan);
    call->n_threads = call->hands_off ? 0 : plan_threads(plan);
    call->aborted = false;
    call->n_watches = 0;
    for (unsigned i = 0; i < n_observers; i++) {
        if (!observers[i]->graph_begins(call, &call->watches[call->n_watches])) { continue; }
        call->watcher[call->n_watches++] = observers[i];
    }
    if (call->n_watches && !call->hands_off) { take_plan(call); }
}

void graph_call_end(struct graph_call * call, int status) {
    call->status = status;
    if (call->n_watches && !call->hands_off) { give_plan_back(call); }
    for (unsigned i = 0; i < call->n_watches; i++) { call->watcher[i]->graph_ends(call->watches[i].state, call); }
}

void observers_program_ends(void) {
    for (unsigned i = 0; i < n_observers; i++) {
        if (observers[i]->program_ends) { observers[i]->program_ends(); }
    }
}

void observers_after_fork(void) {
    for (unsigned i = 0; i < n_observers; i++) {
        if (observers[i]->after_fork) { observers[i]->after_fork(); }
    }
}
