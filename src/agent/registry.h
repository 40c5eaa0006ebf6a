/* SPDX-License-Identifier: MIT
 *
 * What is written once and then known by number: strings, tensors, contexts, model files. Everything here is a cold
 * path under one lock (registry_lock), which also keeps the blocks in the order of their numbers.
 */
#ifndef TAT_AGENT_REGISTRY_H
#define TAT_AGENT_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"

void registry_lock(void);
void registry_unlock(void);

/* All below: with the lock held. A number of TABLE_NONE means no memory. */

uint32_t registry_string(const char * string);

/* A tensor that owns its bytes (no view), as a graph has it. */
struct root {
    const struct ggml_tensor * tensor;
    uint32_t occurrence; /* tells apart results of one name in one graph */
    bool is_leaf;
    bool is_written;    /* a leaf that the graph writes to */
    uint16_t direction; /* a leaf without a name that is added to the output of this layer; 0: it is not */
};

uint32_t registry_tensor(const struct host * host, const struct root * root);

/* The life (lives.h) that a leaf's identity hangs on: its buffer's, if weights or state are in it; else 0. */
uint32_t registry_life(const struct host * host, const struct ggml_tensor * leaf);

/* The context that a life belongs to, new if it has none. `key` is what the life is of. Numbers start at 1. */
uint32_t registry_context(uint32_t life, const void * key, bool is_buffer);

/* Forgets what has ended since the last call. */
void registry_refresh(void);

/* Writes the strings and tensors not written yet. False: no room; try again later. */
bool registry_flush(void);

/* Those below take the lock. Any thread. */

/* A buffer is about to be freed; `with_context`: the context that computes in it too. */
void registry_buffer_freed(const void * buffer, bool with_context);

/* Something happened after which other things may be where the known ones were: a model was opened. */
void registry_doubt(void);

void registry_after_fork(void);

#endif
