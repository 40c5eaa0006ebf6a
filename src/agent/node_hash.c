/* SPDX-License-Identifier: MIT */
#include "agent/node_hash.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INSTEAD(condition) __builtin_expect(!!(condition), 0)

/* The layout since December 2024. With its offsets known to the compiler, the hash takes half the time. */
static const struct ggml_layout known_layout = {
    .type = 0,
    .buffer = 8,
    .ne = 16,
    .nb = 48,
    .op = 80,
    .op_params = 84,
    .flags = 148,
    .src = 152,
    .n_src = 10,
    .view_src = 232,
    .view_offs = 240,
    .data = 248,
    .name = 256,
};

/* ---- field by field ---- */

/* Reads only what can change on its own. The strides of a tensor that is not a view follow from its shape. */

/* Odd, random keys: a sum of products with them is a universal hash, and the products do not wait for each other. */
enum { FIELD_KEYS = 20, KEY_SRC = 14, PLAIN_SRC = 4 };
static const uint64_t field_keys[FIELD_KEYS] = {
    0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xff51afd7ed558ccd,
    0xc4ceb9fe1a85ec53, 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3,
    0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x9fb21c651e98df25, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
    0x85ebca77c2b2ae63, 0x27d4eb2f165667c5, 0xd1b54a32d192ed03, 0xaef17502108ef2d9, 0x8cb92ba72f3d8dd7,
};

static inline __attribute__((always_inline)) uint64_t address_of(const void * address) {
    return (uint64_t) (uintptr_t) address;
}

/* Few operations have more than four sources, so further ones are mixed in only if there are any. */
static inline __attribute__((always_inline)) uint64_t hash_sources(struct ggml_tensor * const * src, unsigned n_src) {
    uint64_t sum = 0, rest = 0;
    for (unsigned i = 0; i < PLAIN_SRC; i++) { sum += address_of(src[i]) * field_keys[KEY_SRC + i]; }
#pragma GCC unroll 16
    for (unsigned i = PLAIN_SRC; i < n_src; i++) { rest |= address_of(src[i]); }
    for (unsigned i = PLAIN_SRC; rest && i < n_src; i++) {
        sum = (sum ^ sum >> 31) * field_keys[0] + address_of(src[i]);
    }
    return sum;
}

/* Leaves are compared where they are used: nothing in the graph that owns them shows when they move. */
static inline __attribute__((always_inline)) uint64_t hash_leaf(const struct ggml_layout * l,
                                                                const struct ggml_tensor * leaf) {
    if (!leaf) { return 0; } /* gone: then the sources differ too */
    const int64_t * ne = layout_ne(l, leaf);
    uint64_t sum = address_of(layout_data(l, leaf)) * field_keys[3];
    sum += (uint64_t) (uint32_t) layout_type(l, leaf) * field_keys[1];
    sum += (uint64_t) layout_nb(l, leaf)[1] * field_keys[10];
    for (int i = 0; i < 4; i++) { sum += (uint64_t) ne[i] * field_keys[5 + i]; }
    return sum;
}

/* `mask`: a bit for each source that is a leaf, and NODE_SLIDES. */
static inline __attribute__((always_inline)) uint64_t hash_fields(const struct ggml_layout * l,
                                                                  const struct ggml_tensor * node, uint32_t mask) {
    const int64_t * ne = layout_ne(l, node);
    struct ggml_tensor * const * src = layout_src(l, node);
    const struct ggml_tensor * view = layout_view_src(l, node);
    const bool slides = mask & NODE_SLIDES;
    const uint32_t param = slides ? 0 : (uint32_t) layout_op_params(l, node)[0];
    const uint64_t data = slides ? 0 : address_of(layout_data(l, node));

    uint64_t sum = address_of(node) * field_keys[0];
    sum += ((uint64_t) (uint32_t) layout_op(l, node) << 32 | (uint32_t) layout_type(l, node)) * field_keys[1];
    sum += ((uint64_t) (uint32_t) layout_flags(l, node) << 32 | param) * field_keys[2];
    sum += data * field_keys[3];
    for (int i = 0; i < 4; i++) { sum += (uint64_t) ne[i] * field_keys[5 + i]; }
    if (view) {
        const size_t * nb = layout_nb(l, node);
        sum += address_of(view) * field_keys[4];
        for (int i = 0; i < 4; i++) { sum += (uint64_t) nb[i] * field_keys[9 + i]; }
    }
    sum += hash_sources(src, l->n_src);
    for (uint32_t leaves = mask & ~NODE_SLIDES; leaves; leaves &= leaves - 1) {
        sum = (sum ^ sum >> 29) * field_keys[13] + hash_leaf(l, src[__builtin_ctz(leaves)]);
    }
    return sum;
}

static inline __attribute__((always_inline)) bool match_fields(const struct ggml_layout * l,
                                                               struct ggml_tensor * const * nodes,
                                                               const struct expected * expected, uint32_t from,
                                                               uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        if (INSTEAD(hash_fields(l, nodes[i], expected[i].mask) != expected[i].hash)) { return false; }
    }
    return true;
}

static uint64_t any_of(const struct ggml_layout * l, const struct ggml_tensor * node, uint32_t mask) {
    return hash_fields(l, node, mask);
}

static bool any_match(const struct ggml_layout * l, struct ggml_tensor * const * nodes,
                      const struct expected * expected, uint32_t from, uint32_t to) {
    return match_fields(l, nodes, expected, from, to);
}

static bool known_match(const struct ggml_layout * l, struct ggml_tensor * const * nodes,
                        const struct expected * expected, uint32_t from, uint32_t to) {
    (void) l;
    return match_fields(&known_layout, nodes, expected, from, to);
}

static const struct node_hash any_layout = { any_of, any_match };
static const struct node_hash plain = { any_of, known_match };

/* ---- sixteen bytes at once ---- */

#if defined(__x86_64__)

#define WITH_AES static inline __attribute__((always_inline, target("aes,sse4.1")))

/* A round of AES mixes 16 bytes into 16 in one instruction, so a hash takes a third of the instructions. With four
 * lanes, no round waits for the one before it. */
struct lanes {
    __m128i a, b, c, d;
};

WITH_AES __m128i bytes_at(const void * p, size_t offset) {
    return _mm_loadu_si128((const __m128i *) ((const char *) p + offset));
}

WITH_AES __m128i two(uint64_t low, uint64_t high) {
    return _mm_set_epi64x((long long) high, (long long) low);
}

WITH_AES void mix(struct lanes * s, __m128i a, __m128i b, __m128i c, __m128i d) {
    s->a = _mm_aesenc_si128(s->a, a);
    s->b = _mm_aesenc_si128(s->b, b);
    s->c = _mm_aesenc_si128(s->c, c);
    s->d = _mm_aesenc_si128(s->d, d);
}

/* After two whole rounds, each of the last bytes affects all 64 bits. */
WITH_AES uint64_t drain(const struct lanes * s, __m128i key) {
    const __m128i ab = _mm_aesenc_si128(s->a, s->b), cd = _mm_aesenc_si128(s->c, s->d);
    const __m128i all = _mm_aesenc_si128(_mm_aesenc_si128(ab, cd), key);
    return (uint64_t) _mm_cvtsi128_si64(_mm_aesenc_si128(_mm_aesenc_si128(all, key), key));
}

WITH_AES void mix_leaf(struct lanes * s, const struct ggml_tensor * leaf) {
    const struct ggml_layout * l = &known_layout;
    if (!leaf) { return; } /* gone: then the sources differ too */
    s->a = _mm_aesenc_si128(s->a, bytes_at(leaf, known_layout.ne));
    s->b = _mm_aesenc_si128(s->b, bytes_at(leaf, known_layout.ne + 16));
    const uint64_t type = (uint32_t) layout_type(l, leaf);
    s->c = _mm_aesenc_si128(s->c, two(address_of(layout_data(l, leaf)), layout_nb(l, leaf)[1] ^ type << 32));
}

/* Padding is left out, since its contents are undefined. */
WITH_AES uint64_t hash_chunks(const struct ggml_tensor * node, uint32_t mask) {
    const struct ggml_layout * l = &known_layout;
    const uint64_t type = (uint32_t) layout_type(l, node), flags = (uint32_t) layout_flags(l, node);
    const __m128i key = two(field_keys[0], field_keys[1]);
    uint64_t op_and_param;
    struct lanes s = { key, key, key, key };
    memcpy(&op_and_param, (const char *) node + known_layout.op, sizeof op_and_param);
    mix(&s, two(address_of(node), op_and_param), two(address_of(layout_data(l, node)), flags << 32 | type),
        bytes_at(node, known_layout.ne), bytes_at(node, known_layout.ne + 16));
    mix(&s, bytes_at(node, known_layout.nb), bytes_at(node, known_layout.nb + 16), bytes_at(node, known_layout.src),
        bytes_at(node, known_layout.src + 16));
    mix(&s, bytes_at(node, known_layout.src + 32), bytes_at(node, known_layout.src + 48),
        bytes_at(node, known_layout.src + 64), bytes_at(node, known_layout.view_src));
    for (; mask; mask &= mask - 1) { mix_leaf(&s, layout_src(l, node)[__builtin_ctz(mask)]); }
    return drain(&s, key);
}

static __attribute__((target("aes,sse4.1"))) uint64_t fast_of(const struct ggml_layout * l,
                                                              const struct ggml_tensor * node, uint32_t mask) {
    return mask & NODE_SLIDES ? any_of(l, node, mask) : hash_chunks(node, mask);
}

static __attribute__((target("aes,sse4.1"))) bool fast_match(const struct ggml_layout * l,
                                                             struct ggml_tensor * const * nodes,
                                                             const struct expected * expected, uint32_t from,
                                                             uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        const uint32_t mask = expected[i].mask;
        const uint64_t hash = INSTEAD(mask & NODE_SLIDES) ? any_of(l, nodes[i], mask) : hash_chunks(nodes[i], mask);
        if (INSTEAD(hash != expected[i].hash)) { return false; }
    }
    return true;
}

static const struct node_hash fast = { fast_of, fast_match };
#endif

const struct node_hash * node_hash_for(const struct ggml_layout * l) {
    if (memcmp(l, &known_layout, sizeof known_layout) != 0) { return &any_layout; }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1")) { return &fast; }
#endif
    return &plain;
}
