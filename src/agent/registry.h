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

/* The tensor that owns its bytes (no view). `occurrence` tells apart tensors of one name in one graph. */
uint32_t registry_tensor(const struct host * host, const struct ggml_tensor * root, bool is_leaf, uint32_t occurrence);

/* The context of a graph, by something that lives as long as it: the buffer of its KV cache, or the graph. Numbers
 * start at 1. */
uint32_t registry_context(const void * key, bool is_buffer);

/* True if a leaf holds weights: in a buffer marked so, or in the mapping of a model file. */
bool registry_is_weight(const struct host * host, const struct ggml_tensor * leaf);

/* Writes the strings and tensors not written yet. False: no room; try again later. */
bool registry_flush(void);

void registry_after_fork(void);

#endif
