/* SPDX-License-Identifier: MIT
 *
 * One call of ggml_graph_compute, from begin to end. All state belongs to the call, so any number of contexts may
 * compute at once: a slot is owned by the calling thread between evaluation_begin and evaluation_end, and nobody else
 * looks.
 */
#ifndef TAT_AGENT_EVALUATION_H
#define TAT_AGENT_EVALUATION_H

#include "agent/observer.h"

struct evaluation;

/* Says by *watch what is called after each node. False: this evaluation is not recorded, and counted as lost or
 * filtered. */
bool evaluation_begin(const struct graph_call * call, struct watch * watch);

/* Writes the evaluation and frees the slot. */
void evaluation_end(struct evaluation * evaluation, const struct graph_call * call);

/* Exact times (barrier.c): from now on thread 0's stamps are moved to the end of the barrier after its callback, and
 * what it waited there is kept beside them. */
void evaluation_wait_for_barriers(void);

/* The calling thread is at a barrier. Hot path: NULL, and nothing done, unless it is the thread 0 of an evaluation that
 * has had a callback since the barrier before. */
struct evaluation * evaluation_at_barrier(void);

/* It has passed that barrier. */
void evaluation_passed_barrier(struct evaluation * evaluation);

void evaluations_after_fork(void);

#endif
