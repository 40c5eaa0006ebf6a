/* SPDX-License-Identifier: MIT */
#include "agent/observer.h"

static const struct observer * observers[OBSERVERS_MAX]; /* immutable once there is a second thread */
static unsigned n_observers;

void observers_add(const struct observer * observer) {
    if (n_observers < OBSERVERS_MAX) { observers[n_observers++] = observer; }
}

/* Called by thread 0 after each node, before the barrier. */
static bool on_node(void * data) {
    struct graph_call * call = data;
    unsigned i = 0;
    do { call->watches[i].node_done(call->watches[i].state); } while (++i < call->n_watches);
    if (!call->callback || !call->callback(call->callback_data)) { return false; }
    call->aborted = true;
    return true;
}

static void take_plan(struct graph_call * call) {
    call->callback = call->plan->abort_callback;
    call->callback_data = call->plan->abort_callback_data;
    call->plan->abort_callback = on_node;
    call->plan->abort_callback_data = call;
}

static void give_plan_back(struct graph_call * call) {
    call->plan->abort_callback = call->callback;
    call->plan->abort_callback_data = call->callback_data;
}

void graph_call_begin(struct graph_call * call, struct host * host, struct ggml_cgraph * graph,
                      struct ggml_cplan * plan) {
    call->host = host;
    call->graph = graph;
    call->plan = plan;
    call->n_threads = plan->n_threads;
    call->aborted = false;
    call->n_watches = 0;
    for (unsigned i = 0; i < n_observers; i++) {
        if (!observers[i]->graph_begins(call, &call->watches[call->n_watches])) { continue; }
        call->watcher[call->n_watches++] = observers[i];
    }
    if (call->n_watches) { take_plan(call); }
}

void graph_call_end(struct graph_call * call, int status) {
    call->status = status;
    if (call->n_watches) { give_plan_back(call); }
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
