/* SPDX-License-Identifier: MIT
 *
 * A ggml in the traced process: its functions and the layout of its structs. A process can have several, one per
 * plug-in.
 */
#ifndef TAT_AGENT_HOST_H
#define TAT_AGENT_HOST_H

#include "agent/node_hash.h"

struct host {
    struct ggml_functions ggml;
    struct ggml_layout layout;
    struct ggml_plan_layout plan;
    const struct node_hash * hash; /* for nodes of this layout */
    char trouble[160];             /* why its graphs are left alone and not recorded; "": they are recorded */
    bool told;                     /* this process's trace has the trouble; relaxed atomic */
    char * path;                   /* the library that computes */
    uint32_t number;               /* unique in this process: a later host in the same place has another */
    uint32_t rule;                 /* set of enum tat_rule that the last evaluations followed; relaxed atomic */
    bool rule_known;

    /* For host.c alone. Libraries are unloaded, and a host that nobody asks for any more makes room for another. */
    uint64_t since, checked; /* generations that found it first and (under the lock) last */
    uint32_t calls;          /* calls that hold it; sequentially consistent, as is `gone` */
    bool gone;
};

/* The host whose code contains `caller`, the address that called ggml_graph_compute and reached `ours`. It stays what
 * it is until host_leave. NULL if the real ggml_graph_compute cannot be found, or if the table is full of hosts in use.
 * Lock-free for an address seen since a library was last unloaded; any thread. */
struct host * host_enter(const void * caller, const void * ours);
void host_leave(struct host * host);

void host_after_fork(void);

#endif
