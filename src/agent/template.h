/* SPDX-License-Identifier: MIT
 *
 * A graph seen before. It is written to the trace once; evaluations name it. The hot path asks it three things: is this
 * node still what it was, which node does the n-th callback stand for, and what has to be read there.
 *
 * A template never changes once published (release store, acquire load), but for the steps of a rule, which are added
 * the same way, and `last_used`. When there are too many, as of a server with ever new lengths of prompts, those that
 * were not used for longest are freed (evaluation.c says when that is safe); a graph that comes again is written again.
 */
#ifndef TAT_AGENT_TEMPLATE_H
#define TAT_AGENT_TEMPLATE_H

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
    uint32_t    n_steps;
    uint32_t    tail_node; /* nodes from here on have no callback */
    struct step step[];
};

struct template {
    uint32_t          id;
    uint32_t          context;
    uint32_t          n_nodes;
    uint32_t          n_captures;
    uint32_t          n_tokens;      /* rows that go in, as the reader counts them */
    uint64_t          hash;          /* of all nodes */
    uint64_t          capture_bytes; /* that the captures can take */
    struct expected * expected;
    struct capture *  captures;
    struct steps *    steps[TAT_RULE_COUNT]; /* NULL until asked for */
    uint64_t          last_used;             /* relaxed; a count of evaluations */
    bool              written;
};

struct graph {
    const struct host *   host;
    struct ggml_cgraph *  key;
    struct ggml_tensor ** nodes;
    uint32_t              n_nodes;
};

/* With the registry's lock held: gives up a guess at a template, and says whether nobody holds it, so that it can be
 * freed. */
typedef bool template_let_go(const struct template * t);

/* The template of a graph, found or made and written, and *holder set to it. Takes the registry's lock. Where there are
 * too many, `let_go` is asked for those that were not used for longest. NULL: no memory, or no room in the trace for it
 * yet. */
const struct template * template_of(const struct graph * graph, const struct template ** holder,
                                    template_let_go * let_go);

/* Any thread that holds it. */
void template_used(const struct template * t);

/* Never NULL but for lack of memory. */
const struct steps * template_steps(const struct template * t, uint32_t rule);

/* The rule to try on a host's first graph where it could not be probed. */
uint32_t template_first_rule(const struct template * t);

void templates_after_fork(void);

#endif
