/* SPDX-License-Identifier: MIT
 *
 * Who watches graphs. The hook serves a table of observers; the recorder is one of them, and none knows another.
 *
 * An observer sees a graph begin, each of its nodes done, and the graph end. It also learns when the program ends and,
 * in the child, that it has forked.
 *
 * - graph_begins and graph_ends are called by any thread, by several at once for several contexts. They may lock,
 *   allocate and call the system.
 * - node_done is called by thread 0 of the graph, before the barrier: node i-1 is complete, node i may not be. Every
 * node pays for it: no lock, no allocation, no system call.
 * - program_ends is called at exit, while other threads may still compute.
 * - after_fork is called in the child, which has one thread. It makes locks anew and lets go of what is the parent's.
 */
#ifndef TAT_AGENT_OBSERVER_H
#define TAT_AGENT_OBSERVER_H

#include "agent/host.h"

enum { OBSERVERS_MAX = 4 };

/* What to call after each node, and with what: an observer's answer to graph_begins. */
struct watch {
    void (*node_done)(void * state);
    void * state;
};

/* One call of ggml_graph_compute. It lives on the stack of the hook: any number of contexts compute at once, and a call
 * belongs to the thread that makes it. */
struct graph_call {
    struct host * host;
    struct ggml_cgraph * graph;
    struct ggml_cplan * plan;
    int n_threads;
    bool hands_off; /* the plan cannot be touched: what asks to watch all the same has no callbacks */
    bool aborted;   /* the program's own callback ended the graph */
    int status;     /* ggml's answer, for graph_ends */

    struct ggml_abort own; /* what the program wants to be asked after each node */
    const char * thread;   /* whose call this is */
    unsigned n_watches;
    struct watch watches[OBSERVERS_MAX]; /* the first n_watches */
    const struct observer * watcher[OBSERVERS_MAX];
};

struct observer {
    /* False: does not watch this call. True: *watch is filled in, and graph_ends follows. */
    bool (*graph_begins)(const struct graph_call * call, struct watch * watch);
    void (*graph_ends)(void * state, const struct graph_call * call);
    void (*program_ends)(void);
    void (*after_fork)(void);
};

/* In a constructor, before there is a second thread. They are called in this order, which for times means: the recorder
 * first. */
void observers_add(const struct observer * observer);

/* Whether there are any. */
bool observers_any(void);

/* Around ggml's work. The plan's callback is ours in between, and the program's again afterwards; where nobody watches,
 * the plan is untouched. Both may change errno. */
void graph_call_begin(struct graph_call * call, struct host * host, struct ggml_cgraph * graph,
                      struct ggml_cplan * plan);
void graph_call_end(struct graph_call * call, int status);

void observers_program_ends(void);
void observers_after_fork(void);

#endif
