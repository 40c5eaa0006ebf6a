/* SPDX-License-Identifier: MIT
 *
 * A ggml in the traced process: its functions and the layout of its structs. There can be several, from several
 * plug-ins.
 */
#ifndef TAT_AGENT_HOST_H
#define TAT_AGENT_HOST_H

#include "agent/node_hash.h"

struct host {
    struct ggml_functions ggml;
    struct ggml_layout layout;
    struct ggml_plan_layout plan;
    const struct node_hash * hash; /* of nodes with this layout */
    char trouble[160];             /* why its graphs cannot be recorded, and are left alone; "": they can */
    bool told;                     /* that trouble, in this process's trace; relaxed atomic */
    char * path;                   /* of the library that computes */
    uint32_t number;               /* no other host of this process has it, not even a later one in the same place */
    uint32_t rule;                 /* enum tat_rule set that the last evaluations obeyed; relaxed atomic */
    bool rule_known;

    /* host.c's. Libraries are unloaded, and what is no longer asked for makes room for another. */
    uint64_t since, checked; /* generations: which found it first; which found it last, under the lock */
    uint32_t calls;          /* that hold it: sequentially consistent, as is `gone` */
    bool gone;
};

/* The host whose code contains `caller`, the address that called ggml_graph_compute and reached `ours`; it stays what
 * it is until host_leave. NULL where the real ggml_graph_compute cannot be found at all, and where more ggmls compute
 * at once than there is room for. Lock-free for an address seen since a library was last unloaded; any thread. */
struct host * host_enter(const void * caller, const void * ours);
void host_leave(struct host * host);

void host_after_fork(void);

#endif
