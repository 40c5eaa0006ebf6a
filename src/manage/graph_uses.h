/* SPDX-License-Identifier: MIT
 *
 * Which bytes of a model's mapping a graph needs, and before which of its callbacks. The only file of the manager that
 * looks into ggml's structs.
 */
#ifndef TAT_MANAGE_GRAPH_USES_H
#define TAT_MANAGE_GRAPH_USES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"

#define NO_ROUTER UINT32_MAX

/* A weight, needed whole, or those of its experts that a router chooses. Before `step` callbacks have come, it is not
 * needed; the node that needs it is the one of callback number `step`, counted from 0. */
struct graph_use {
    uint32_t step, node;
    uint32_t src;
    const char * at;
    uint64_t bytes;
    uint32_t experts; /* in it; 0: it is needed whole */
    uint32_t router;  /* index, or NO_ROUTER */
};

/* Whose choice several stacks of experts wait for. It is complete once `ready` callbacks have come. */
struct graph_router {
    uint32_t node, src; /* where a node has the ids as its source */
    uint32_t ready;
    uint32_t used; /* experts that it chooses for a row */
};

struct graph_uses {
    struct graph_use * use; /* in the order of their steps */
    uint32_t n_uses;
    struct graph_router * router;
    uint32_t n_routers;
    uint32_t n_nodes, n_steps;
    uint32_t rows_node; /* the first weight's product, whose rows are the graph's tokens; n_nodes: there is none */
    bool has_rows;      /* more than one */
    bool has_elsewhere; /* weights that are not in a mapping that can be managed */
};

/* Whether the address is of a mapping that can be managed. */
typedef bool graph_is_managed(const char * at, void * user);

/* `rule`: enum tat_rule, after which nodes this ggml calls back. The caller frees with graph_uses_free. False: memory.
 */
bool graph_uses_find(const struct host * host, struct ggml_cgraph * graph, uint32_t rule, graph_is_managed * is_managed,
                     void * user, struct graph_uses * uses);
void graph_uses_free(struct graph_uses * uses);

/* The tokens that a graph computes, if it is as the uses say; 0: unknown. */
uint32_t graph_rows(const struct graph_uses * uses, const struct host * host, struct ggml_cgraph * graph);

/* Whether another graph needs the same at the same times. Looks at those of its nodes that need something. */
bool graph_uses_hold(const struct graph_uses * uses, const struct host * host, struct ggml_cgraph * graph);

/* The rule that the host follows, as far as it is known before a graph. */
uint32_t graph_rule(const struct host * host, struct ggml_cgraph * graph);

/* Calls `chosen` for each id that the router has chosen, row by row. Only once it is ready. */
void graph_router_ids(const struct host * host, struct ggml_cgraph * graph, const struct graph_router * router,
                      void (*chosen)(int32_t id, void * user), void * user);

/* Bytes of memory that the graph is going to touch for the first time, to write its results, of the caches that it
 * writes to, and that the program may take to copy the last result: llama.cpp does that with logits. Takes some ten
 * microseconds; may allocate. If memory is short, 0. */
uint64_t graph_growth(const struct host * host, struct ggml_cgraph * graph);

/* Where it writes the first of them. */
const void * graph_results(const struct host * host, struct ggml_cgraph * graph);

#endif
