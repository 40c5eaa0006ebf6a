/* SPDX-License-Identifier: MIT
 *
 * Who watches graphs. The hook serves a table of observers; the recorder is one of them, and none knows another.
 *
 * An observer sees a graph begin, each of its nodes done, and the graph end. It also learns when the program ends and,
 * in the child, that it has forked.
 *
 * - Any thread calls graph_begins and graph_ends, several at once if several contexts compute. They may lock, allocate
 *   and call the system.
 * - Thread 0 of the graph calls node_done, before the barrier: node i-1 is complete, node i may not be. Every node pays
 *   for it: no lock, no allocation, no system call.
 * - program_ends is called at exit, while other threads may still compute.
 * - after_fork is called in the child, which has one thread. It makes locks anew and lets go of what is the parent's.
 */
#ifndef TAT_AGENT_OBSERVER_H
#define TAT_AGENT_OBSERVER_H

#include "agent/host.h"

enum { OBSERVERS_MAX = 4 };

/* An observer's answer to graph_begins: what to call after each node, and with which argument. */
struct watch {
    void (*node_done)(void * state);
    void * state;
};

/* One call of ggml_graph_compute, on the stack of the hook. Any number of contexts compute at once, and a call belongs
 * to the thread that makes it. */
struct graph_call {
    struct host * host;
    struct ggml_cgraph * graph;
    struct ggml_cplan * plan;
    int n_threads;
    bool hands_off; /* the plan must not be touched: whoever watches nevertheless gets no callbacks */
    bool aborted;   /* the program's own callback ended the graph */
    int status;     /* ggml's answer, for graph_ends */

    struct ggml_abort own; /* the program's own callback */
    const char * thread;   /* the thread that makes this call */
    unsigned n_watches;
    struct watch watches[OBSERVERS_MAX]; /* the first n_watches */
    const struct observer * watcher[OBSERVERS_MAX];
};

struct observer {
    /* False: the observer does not watch this call. True: *watch is filled in, and graph_ends follows. */
    bool (*graph_begins)(const struct graph_call * call, struct watch * watch);
    void (*graph_ends)(void * state, const struct graph_call * call);
    void (*program_ends)(void);
    void (*after_fork)(void);
};

/* Call this in a constructor, before there is a second thread. Observers are called in the order they were added. The
 * recorder goes first, so that its time stamps do not include the work of the others. */
void observers_add(const struct observer * observer);

bool observers_any(void);

/* Enclose ggml's work. In between, the plan's callback is ours; afterwards it is the program's again. If nobody
 * watches, the plan is untouched. Both may change errno. */
void graph_call_begin(struct graph_call * call, struct host * host, struct ggml_cgraph * graph,
                      struct ggml_cplan * plan);
void graph_call_end(struct graph_call * call, int status);

void observers_program_ends(void);
void observers_after_fork(void);

#endif
