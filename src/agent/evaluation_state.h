/* SPDX-License-Identifier: MIT
 *
 * The inside of struct evaluation, for the files evaluation*.c only.
 */
#ifndef TAT_AGENT_EVALUATION_STATE_H
#define TAT_AGENT_EVALUATION_STATE_H

#include "agent/graph_template.h"
#include "agent/observer.h"
#include "format/buffer.h"

enum { EVALUATION_FIXED_BYTES = 256 }; /* room for the payload without stamps, waits and captures */

struct evaluation {
    bool taken; /* the owner's claim: compare-and-swap (acquire), store (release) */

    struct graph graph;
    const struct graph_template * tmpl; /* held, so it is not freed; see let_go */
    const struct steps * steps;
    uint32_t rule;
    uint32_t n_callbacks;
    uint32_t flags;
    uint64_t begin_tick;
    enum tat_clock clock;
    uint32_t n_barriers; /* stamps taken after a barrier */
    struct tat_out captured;
    struct {
        uint32_t capture; /* number of the first capture of positions; if there is none, UINT32_MAX */
        size_t from, to;  /* its bytes */
    } positions;

    /* Populated when allocated, and kept for the slot's next evaluations. */
    uint64_t * stamps;
    uint64_t * waits; /* ticks; after the stamps in the same memory, apart from them only for exact times */
    uint32_t stamps_capacity;
    uint8_t * captures;
    uint8_t * payload;
    size_t captures_capacity, payload_capacity;
};

/* Finds which rule was in force, and writes the block. False: no room for it. Between agent_enter and agent_leave. */
bool evaluation_store(struct evaluation * e, const struct graph_call * call, uint64_t end_tick);

#endif
