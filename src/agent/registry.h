/* SPDX-License-Identifier: MIT
 *
 * What is written once and known by its number from then on: strings, tensors, contexts, model files. All of it is a
 * cold path under one lock (registry_lock), which also keeps the blocks in the order of their numbers.
 */
#ifndef TAT_AGENT_REGISTRY_H
#define TAT_AGENT_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"

void registry_lock(void);
void registry_unlock(void);

/* The functions below need the lock. A number of TABLE_NONE means no memory. */

uint32_t registry_string(const char * string);

/* A tensor that owns its bytes (not a view), as a graph has it. */
struct root {
    const struct ggml_tensor * tensor;
    uint32_t occurrence; /* tells results of the same name in one graph apart */
    bool is_leaf;
    bool is_written;    /* a leaf that the graph writes to */
    uint16_t direction; /* layer to whose output this leaf without a name is added; 0: it is not */
};

uint32_t registry_tensor(const struct host * host, const struct root * root);

/* The life (lives.h) that is part of a leaf's identity: its buffer's, if that holds weights or state; else 0. */
uint32_t registry_life(const struct host * host, const struct ggml_tensor * leaf);

/* The context that a life belongs to; begins one if it has none. `key`: the buffer or graph whose life it is. Numbers
 * start at 1. */
uint32_t registry_context(uint32_t life, const void * key, bool is_buffer);

/* Forgets what has ended since the last call. */
void registry_refresh(void);

/* Writes the strings and tensors not written yet. False: no room or no memory; try again later. */
bool registry_flush(void);

/* The functions below take the lock. Any thread. */

/* A buffer is about to be freed. `with_context`: so is the context whose results it holds. */
void registry_buffer_freed(const void * buffer, bool with_context);

/* A model was opened: from now on other objects may be where the known ones were. */
void registry_doubt(void);

void registry_after_fork(void);

#endif
