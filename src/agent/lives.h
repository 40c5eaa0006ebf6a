/* SPDX-License-Identifier: MIT
 *
 * Which of the host's objects are alive. If a buffer is freed and another is made at its address, only the free tells
 * them apart. So each has a number of its own, its life, which goes into the identity of the tensors in it. A template
 * is valid while all the lives it was made for go on.
 *
 * Buffers of weights and of state are tracked, and so are the graphs that stand for contexts without state. Result
 * buffers come and go between graphs and hold nothing that outlives one.
 *
 * The registry's lock must be held, except for lives_epoch and lives_any.
 */
#ifndef TAT_AGENT_LIVES_H
#define TAT_AGENT_LIVES_H

#include <stdbool.h>
#include <stdint.h>

/* Changes whenever a life has ended, or may have. Relaxed: whoever computes on memory that was freed meanwhile has
 * waited for the thread that freed it. */
extern uint64_t lives_epoch_now; /* for lives_epoch alone */
static inline uint64_t lives_epoch(void) {
    return __atomic_load_n(&lives_epoch_now, __ATOMIC_RELAXED);
}

/* The number of the buffer's life, from 1; begins a life if it is new. TABLE_NONE: no memory. */
uint32_t life_of_buffer(const void * buffer, uint64_t size);

/* The same for the context that a graph without state belongs to. `results`: the buffer that holds its results now. */
uint32_t life_of_graph(const void * graph, const void * results);

/* Life 0 stands for what is not tracked, and always goes on. */
bool life_goes_on(uint32_t life);

/* The context that a life belongs to; 0: none yet. */
uint32_t life_context(uint32_t life);
void life_set_context(uint32_t life, uint32_t context);

/* True if the buffer was known. */
bool lives_end_buffer(const void * buffer);

/* Ends the lives of the contexts whose results are in that buffer. True if there was one. */
bool lives_end_results(const void * results);

void lives_end(uint32_t life);

/* A life may have ended unseen. */
void lives_doubt(void);

/* True if there may be something to end. Any thread, without the lock. */
bool lives_any(void);

void lives_after_fork(void);

#endif
