/* SPDX-License-Identifier: MIT
 *
 * Which node of a graph chose the experts that another one reads, and which experts it chose.
 */
#ifndef TAT_EXPORT_PERFETTO_ROUTES_H
#define TAT_EXPORT_PERFETTO_ROUTES_H

#include "format/list.h"
#include "tat/trace.h"

/* An expert that a node, the router, chose in the evaluation. */
struct choice {
    uint32_t router;
    uint16_t layer, expert; /* the layer may be TAT_NO_LAYER */
    uint64_t flow;          /* a number of its own in the trace, from 1 */
    bool begun;             /* the caller's */
};

/* Begins zeroed but for the trace. */
struct routes {
    const struct tat_trace * trace;
    const struct tat_template * t; /* that `routers` are of */
    struct list routers;           /* uint32_t, by node: the node that chose its experts, or ROUTES_NONE */
    struct list writers;           /* uint32_t, by tensor: 1 + the node that wrote it last */
    struct list choices;           /* struct choice, by router and expert */
    uint64_t flows;                /* numbers given so far */
    bool failed;                   /* no memory */
};
#define ROUTES_NONE UINT32_MAX

/* Finds the choices of an evaluation. */
void routes_begin(struct routes * r, uint32_t evaluation);
void routes_free(struct routes * r);

/* Those of a router; *count is 0 for all other nodes. */
struct choice * routes_of(const struct routes * r, uint32_t router, size_t * count);

/* The choice by which a node reads an expert, or NULL. */
struct choice * routes_find(const struct routes * r, uint32_t node, uint16_t expert);

#endif
