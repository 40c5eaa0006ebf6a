/* SPDX-License-Identifier: MIT
 *
 * One call of ggml_graph_compute, from begin to end. All state belongs to the call, so any number of contexts may
 * compute at once: the calling thread owns a slot between evaluation_begin and evaluation_end. Of a slot in use, other
 * threads read only which template it holds.
 */
#ifndef TAT_AGENT_EVALUATION_H
#define TAT_AGENT_EVALUATION_H

#include "agent/observer.h"

struct evaluation;

/* Sets *watch to what is called after each node. False: this evaluation is not recorded, and counts as lost or
 * filtered. */
bool evaluation_begin(const struct graph_call * call, struct watch * watch);

/* Writes the evaluation and frees the slot. */
void evaluation_end(struct evaluation * evaluation, const struct graph_call * call);

/* For exact times (barrier.c): from now on thread 0's stamps are moved to the end of the barrier after its callback,
 * and its wait there is kept beside them. */
void evaluation_wait_for_barriers(void);

/* The calling thread has reached a barrier. Returns NULL and does nothing, unless this thread is thread 0 of an
 * evaluation and has had a callback since its last barrier. Hot path. */
struct evaluation * evaluation_at_barrier(void);

/* The thread has passed that barrier. */
void evaluation_passed_barrier(struct evaluation * evaluation);

void evaluations_after_fork(void);

#endif
