/* SPDX-License-Identifier: MIT
 *
 * A graph seen before. It is written to the trace once; evaluations name it. The hot path asks it three things: is this
 * node still what it was, which node does the n-th callback stand for, and what has to be read there.
 */
#ifndef TAT_AGENT_GRAPH_TEMPLATE_H
#define TAT_AGENT_GRAPH_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"
#include "agent/node_hash.h"

/* One callback. */
struct step {
    uint32_t first_node, last_node; /* compared here: skipped nodes before the executed one, the fused ones with it */
    uint32_t first_capture, n_captures;
};

struct capture {
    uint32_t entry; /* of the template: what is read */
    uint32_t node;  /* it is read when this one's callback fires */
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
    uint32_t host; /* its number */
    uint32_t context;
    uint32_t n_nodes;
    uint32_t n_captures;
    uint32_t n_tokens;      /* rows that go in, as the reader counts them */
    bool has_output;        /* rows come out */
    uint64_t hash;          /* of all nodes */
    uint64_t capture_bytes; /* that the captures can take */
    struct expected * expected;
    struct capture * captures;
    struct steps * steps[TAT_RULE_COUNT]; /* NULL until asked for */
    uint64_t last_used;                   /* relaxed; a count of evaluations */
    uint64_t epoch;                       /* relaxed: when all its lives were seen to go on */
    uint32_t * lives;                     /* that it was made for, its context's too; see lives.h */
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
