/* SPDX-License-Identifier: MIT
 *
 * Which of the host's objects live. A buffer that is freed and another that is made at its address are two, though
 * nothing but the free tells them apart: each has a number of its own, which goes into the identity of the tensors in
 * it, and a template is valid as long as all the lives it was made for go on.
 *
 * Tracked are buffers of weights and of state, and the graphs that stand for contexts without state. Buffers of results
 * come and go between graphs and hold nothing that outlives one.
 *
 * With the registry's lock held, but for lives_epoch.
 */
#ifndef TAT_AGENT_LIVES_H
#define TAT_AGENT_LIVES_H

#include <stdbool.h>
#include <stdint.h>

/* Changes whenever a life has ended, or may have. Relaxed: whoever computes on memory that was freed meanwhile has
 * waited for whoever freed it. */
extern uint64_t lives_epoch_now; /* for lives_epoch alone */
static inline uint64_t lives_epoch(void) {
    return __atomic_load_n(&lives_epoch_now, __ATOMIC_RELAXED);
}

/* The number of a life, begun if it is new: from 1; TABLE_NONE: no memory. */
uint32_t life_of_buffer(const void * buffer, uint64_t size);

/* Of the context that a graph without state belongs to; `results` is the buffer that its results are in now. */
uint32_t life_of_graph(const void * graph, const void * results);

/* Life 0 is that of what is not tracked: it goes on. */
bool life_goes_on(uint32_t life);

/* The context that a life belongs to; 0: none yet. */
uint32_t life_context(uint32_t life);
void life_set_context(uint32_t life, uint32_t context);

/* True if the buffer was known. */
bool lives_end_buffer(const void * buffer);

/* Of the contexts whose results are in that buffer. True if there was one. */
bool lives_end_results(const void * results);

void lives_end(uint32_t life);

/* A life may have ended without being seen. */
void lives_doubt(void);

/* True if there may be something to end; any thread, without the lock. */
bool lives_any(void);

void lives_after_fork(void);

#endif
