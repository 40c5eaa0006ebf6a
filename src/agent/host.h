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
    const char * path;             /* of the library that computes */
    uint32_t rule;                 /* enum tat_rule set that the last evaluations obeyed; relaxed atomic */
    bool rule_known;
};

/* The host whose code contains `caller`, the address that called ggml_graph_compute and reached `ours`. Never NULL
 * unless the real ggml_graph_compute cannot be found at all. Lock-free for an address seen before; any thread. */
struct host * host_of(const void * caller, const void * ours);

void host_after_fork(void);

#endif
