/* SPDX-License-Identifier: MIT
 *
 * All that decides which bytes a node touches, in 64 bits. This is most of what a callback costs, so there are several
 * ways to the same end, and the fastest is chosen once for a host; their values differ.
 */
#ifndef TAT_AGENT_NODE_HASH_H
#define TAT_AGENT_NODE_HASH_H

#include "agent/ggml_layout.h"

/* Of the mask below: a view of the KV cache that is written to. Its offset is captured, not compared. */
#define NODE_SLIDES (1u << 31)

struct expected {
    uint64_t hash;
    uint32_t mask;  /* sources that are leaves: a bit each; NODE_SLIDES */
    uint32_t facts; /* enum tat_node_fact */
};

struct node_hash {
    uint64_t (*of)(const struct ggml_layout * l, const struct ggml_tensor * node, uint32_t mask);

    /* Whether nodes [from, to) are as expected. Hot path. */
    bool (*all_match)(const struct ggml_layout * l, struct ggml_tensor * const * nodes,
                      const struct expected * expected, uint32_t from, uint32_t to);
};

/* For a layout, on this processor. Never NULL. */
const struct node_hash * node_hash_for(const struct ggml_layout * l);

#endif
