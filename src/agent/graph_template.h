/* SPDX-License-Identifier: MIT
 *
 * A graph seen before. It is written to the trace once, and evaluations refer to it. The hot path asks it three things:
 * is this node still what it was, which node does the n-th callback stand for, and what must be read there?
 */
#ifndef TAT_AGENT_GRAPH_TEMPLATE_H
#define TAT_AGENT_GRAPH_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"
#include "agent/node_hash.h"

/* What one callback stands for. */
struct step {
    uint32_t first_node, last_node; /* compared here: skipped nodes before the executed one, fused ones after it */
    uint32_t first_capture, n_captures;
};

struct capture {
    uint32_t entry; /* the template's entry that is read */
    uint32_t node;  /* the node whose callback reads it */
    uint16_t src;
    uint16_t kind; /* enum tat_capture_kind */
};

struct steps {
    uint32_t n_steps;
    uint32_t tail_node; /* nodes from here on have no callback */
    struct step step[];
};

struct graph_template {
    uint32_t id;
    uint32_t host; /* the host's number */
    uint32_t context;
    uint32_t n_nodes;
    uint32_t n_captures;
    uint32_t n_tokens;      /* rows in, counted as the reader counts them */
    bool has_output;        /* rows of results come out */
    uint64_t hash;          /* of all nodes */
    uint64_t capture_bytes; /* that the captures may take */
    struct expected * expected;
    struct capture * captures;
    struct steps * steps[TAT_RULE_COUNT]; /* NULL until asked for */
    uint64_t last_used;                   /* relaxed; when, as a count of evaluations */
    uint64_t epoch;                       /* relaxed; in which all its lives were last seen to go on */
    uint32_t * lives;                     /* that it was made for, with its context's; see lives.h */
    uint32_t n_lives;
    bool written;
};

struct graph {
    const struct host * host;
    struct ggml_cgraph * key;
    struct ggml_tensor ** nodes;
    uint32_t n_nodes;
};

#endif
