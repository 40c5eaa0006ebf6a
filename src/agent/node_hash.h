/* SPDX-License-Identifier: MIT
 *
 * All that decides which bytes a node touches, in 64 bits. A callback spends most of its time here, so there are
 * several implementations, and the fastest is chosen once for each host. Their values differ.
 */
#ifndef TAT_AGENT_NODE_HASH_H
#define TAT_AGENT_NODE_HASH_H

#include "agent/ggml_layout.h"

/* A bit of the mask below: the node is a view of the KV cache that is written to. Its offset is captured, not
 * compared. */
#define NODE_SLIDES (1u << 31)

struct expected {
    uint64_t hash;
    uint32_t mask;  /* a bit for each source that is a leaf, and NODE_SLIDES */
    uint32_t facts; /* enum tat_node_fact */
};

struct node_hash {
    uint64_t (*of)(const struct ggml_layout * l, const struct ggml_tensor * node, uint32_t mask);

    /* Whether nodes [from, to) are as expected. Hot path. */
    bool (*all_match)(const struct ggml_layout * l, struct ggml_tensor * const * nodes,
                      const struct expected * expected, uint32_t from, uint32_t to);
};

/* The fastest for this layout and processor. Never NULL. */
const struct node_hash * node_hash_for(const struct ggml_layout * l);

#endif
