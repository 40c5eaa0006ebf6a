/* SPDX-License-Identifier: MIT
 *
 * All that decides which bytes a node touches, in 64 bits. This is most of what a callback costs, so it reads only what
 * can change on its own: the strides of a tensor that is no view follow from its shape.
 */
#ifndef TAT_AGENT_NODE_HASH_H
#define TAT_AGENT_NODE_HASH_H

#include "agent/ggml_layout.h"

/* Of the mask below: a view of the KV cache that is written to. Its offset is captured, not compared. */
#define NODE_SLIDES (1u << 31)

/* Odd and random: a sum of products with them is a universal hash, and the products do not wait for each other. */
enum { NODE_KEYS = 20, NODE_KEY_SRC = 14, NODE_PLAIN_SRC = 4 };
static const uint64_t node_keys[NODE_KEYS] = {
    0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xff51afd7ed558ccd,
    0xc4ceb9fe1a85ec53, 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3,
    0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x9fb21c651e98df25, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
    0x85ebca77c2b2ae63, 0x27d4eb2f165667c5, 0xd1b54a32d192ed03, 0xaef17502108ef2d9, 0x8cb92ba72f3d8dd7,
};

static inline __attribute__((always_inline)) uint64_t node_hash_address(const void * address) {
    return (uint64_t) (uintptr_t) address;
}

/* Few operations have more than four sources: the others are mixed only where there are any. */
static inline __attribute__((always_inline)) uint64_t node_hash_sources(struct ggml_tensor * const * src,
                                                                        unsigned                     n_src) {
    uint64_t sum = 0, rest = 0;
    for (unsigned i = 0; i < NODE_PLAIN_SRC; i++) { sum += node_hash_address(src[i]) * node_keys[NODE_KEY_SRC + i]; }
    for (unsigned i = NODE_PLAIN_SRC; i < n_src; i++) { rest |= node_hash_address(src[i]); }
    for (unsigned i = NODE_PLAIN_SRC; rest && i < n_src; i++) {
        sum = (sum ^ sum >> 31) * node_keys[0] + node_hash_address(src[i]);
    }
    return sum;
}

/* Leaves are compared where they are used: the graph that owns them says nothing when they move. */
static inline __attribute__((always_inline)) uint64_t node_hash_leaf(const struct ggml_layout * l,
                                                                     const struct ggml_tensor * leaf) {
    if (!leaf) { return 0; } /* gone: the sources differ anyhow */
    const int64_t * ne  = layout_ne(l, leaf);
    uint64_t        sum = node_hash_address(layout_data(l, leaf)) * node_keys[3];
    sum += (uint64_t) layout_nb(l, leaf)[1] * node_keys[10];
    for (int i = 0; i < 4; i++) { sum += (uint64_t) ne[i] * node_keys[5 + i]; }
    return sum;
}

/* `mask`: a bit for each source that is a leaf; NODE_SLIDES. */
static inline __attribute__((always_inline)) uint64_t node_hash(const struct ggml_layout * l,
                                                                const struct ggml_tensor * node, uint32_t mask) {
    const int64_t *              ne     = layout_ne(l, node);
    struct ggml_tensor * const * src    = layout_src(l, node);
    const struct ggml_tensor *   view   = layout_view_src(l, node);
    const bool                   slides = mask & NODE_SLIDES;
    const uint32_t               param  = slides ? 0 : (uint32_t) layout_op_params(l, node)[0];
    const uint64_t               data   = slides ? 0 : node_hash_address(layout_data(l, node));

    uint64_t sum = node_hash_address(node) * node_keys[0];
    sum += ((uint64_t) (uint32_t) layout_op(l, node) << 32 | (uint32_t) layout_type(l, node)) * node_keys[1];
    sum += ((uint64_t) (uint32_t) layout_flags(l, node) << 32 | param) * node_keys[2];
    sum += data * node_keys[3];
    for (int i = 0; i < 4; i++) { sum += (uint64_t) ne[i] * node_keys[5 + i]; }
    if (view) {
        const size_t * nb = layout_nb(l, node);
        sum += node_hash_address(view) * node_keys[4];
        for (int i = 0; i < 4; i++) { sum += (uint64_t) nb[i] * node_keys[9 + i]; }
    }
    sum += node_hash_sources(src, l->n_src);
    for (uint32_t leaves = mask & ~NODE_SLIDES; leaves; leaves &= leaves - 1) {
        sum = (sum ^ sum >> 29) * node_keys[13] + node_hash_leaf(l, src[__builtin_ctz(leaves)]);
    }
    return sum;
}

/* The layout since December 2024. With its offsets known to the compiler, the same hash takes half the time. */
static const struct ggml_layout node_layout_2024_12 = {
    .type      = 0,
    .buffer    = 8,
    .ne        = 16,
    .nb        = 48,
    .op        = 80,
    .op_params = 84,
    .flags     = 148,
    .src       = 152,
    .n_src     = 10,
    .view_src  = 232,
    .view_offs = 240,
    .data      = 248,
    .name      = 256,
};

#endif
