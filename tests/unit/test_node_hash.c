/* SPDX-License-Identifier: MIT
 *
 * Every field of a node that decides on bytes changes its hash, and nothing else does: in the layout that newer
 * versions have, which is hashed sixteen bytes at once, and in another, field by field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/node_hash.h"

enum { TENSOR_BYTES = 512, SOURCES = 10 };

static const struct ggml_layout newer = { .type = 0,
                                          .buffer = 8,
                                          .ne = 16,
                                          .nb = 48,
                                          .op = 80,
                                          .op_params = 84,
                                          .flags = 148,
                                          .src = 152,
                                          .n_src = SOURCES,
                                          .view_src = 232,
                                          .view_offs = 240,
                                          .data = 248,
                                          .name = 256 };

/* As in 0.3.2, where fields are elsewhere. */
static const struct ggml_layout older = { .type = 0,
                                          .buffer = 8,
                                          .ne = 24,
                                          .nb = 56,
                                          .op = 88,
                                          .op_params = 92,
                                          .flags = 156,
                                          .src = 168,
                                          .n_src = SOURCES,
                                          .view_src = 248,
                                          .view_offs = 256,
                                          .data = 264,
                                          .name = 272 };

static _Alignas(16) uint8_t memory[4][TENSOR_BYTES]; /* a node, a leaf, another node, a view's root */

static void put(int tensor, size_t offset, uint64_t value, size_t size) {
    memcpy(memory[tensor] + offset, &value, size);
}

static void put_pointer(int tensor, size_t offset, const void * value) {
    put(tensor, offset, (uintptr_t) value, sizeof value);
}

/* A view with a leaf and a node as sources. */
static const struct ggml_tensor * make(const struct ggml_layout * l) {
    memset(memory, 0, sizeof memory);
    for (int t = 0; t < 4; t++) {
        for (int i = 0; i < 4; i++) {
            put(t, l->ne + 8u * (unsigned) i, 16u + (unsigned) i, 8);
            put(t, l->nb + 8u * (unsigned) i, 4u << i, 8);
        }
        put_pointer(t, l->data, memory[t] + 300);
        put(t, l->op, 7, 4);
    }
    put_pointer(0, l->src, memory[1]);
    put_pointer(0, l->src + 8u, memory[2]);
    put_pointer(0, l->view_src, memory[3]);
    return (const struct ggml_tensor *) memory[0];
}

enum { LEAF_FIRST = 1u << 0 };

static void changes(const struct ggml_layout * l, int tensor, size_t offset, size_t size, bool expected) {
    const struct ggml_tensor * node = make(l);
    const struct node_hash * hash = node_hash_for(l);
    const uint64_t before = hash->of(l, node, LEAF_FIRST);
    struct ggml_tensor * nodes[] = { (struct ggml_tensor *) memory[0] };
    const struct expected what = { .hash = before, .mask = LEAF_FIRST };
    assert_true(hash->all_match(l, nodes, &what, 0, 1));
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memory[tensor][offset + i] ^= (uint8_t) (1 << bit);
            assert_int_equal(hash->of(l, node, LEAF_FIRST) != before, expected);
            assert_int_equal(!hash->all_match(l, nodes, &what, 0, 1), expected);
            memory[tensor][offset + i] ^= (uint8_t) (1 << bit);
        }
    }
}

static void check_layout(const struct ggml_layout * l) {
    changes(l, 0, l->type, 4, true);
    changes(l, 0, l->ne, 32, true);
    changes(l, 0, l->nb, 32, true);
    changes(l, 0, l->op, 4, true);
    changes(l, 0, l->op_params, 4, true);
    changes(l, 0, l->flags, 4, true);
    changes(l, 0, l->view_src, 8, true);
    changes(l, 0, l->data, 8, true);
    changes(l, 0, l->src + 8u, (SOURCES - 1) * 8u, true); /* the first is followed */
    changes(l, 1, l->type, 4, true);                      /* F16 and BF16 have the same shape and strides */
    changes(l, 1, l->ne, 32, true);
    changes(l, 1, l->nb + 8u, 8, true);
    changes(l, 1, l->data, 8, true);

    changes(l, 0, l->type + 4u, 4, false); /* padding */
    changes(l, 0, l->name, 64, false);
    changes(l, 2, 0, 256, false); /* a source that is a node is compared as a node */
}

static void test_newer_layout(void ** state) {
    (void) state;
    check_layout(&newer);
}

static void test_older_layout(void ** state) {
    (void) state;
    check_layout(&older);
}

/* The place where the KV cache is written moves on with every token. */
static void test_what_slides(void ** state) {
    (void) state;
    const struct ggml_tensor * node = make(&newer);
    const uint64_t before = node_hash_for(&newer)->of(&newer, node, NODE_SLIDES);
    put(0, newer.data, 12345, 8);
    put(0, newer.view_offs, 12345, 8);
    put(0, newer.op_params, 12345, 4);
    assert_true(node_hash_for(&newer)->of(&newer, node, NODE_SLIDES) == before);
    put(0, newer.ne, 12345, 8);
    assert_true(node_hash_for(&newer)->of(&newer, node, NODE_SLIDES) != before);
}

/* Equal parts in other places, equal changes in two: no lane cancels another. */
static void test_swapped_fields(void ** state) {
    (void) state;
    const struct ggml_layout * layouts[] = { &newer, &older };
    for (int l = 0; l < 2; l++) {
        const struct ggml_tensor * node = make(layouts[l]);
        const struct node_hash * hash = node_hash_for(layouts[l]);
        const size_t fields = TENSOR_BYTES / 2 / 8;
        const uint64_t before = hash->of(layouts[l], node, 0);
        for (size_t i = layouts[l]->ne / 8u; i < fields; i++) {
            for (size_t j = i + 1; j < fields; j++) {
                uint64_t a, b;
                memcpy(&a, memory[0] + 8 * i, 8);
                memcpy(&b, memory[0] + 8 * j, 8);
                const bool watched = i >= layouts[l]->ne / 8u && j < layouts[l]->op / 8u; /* ne and nb */
                if (!watched || a == b) { continue; }
                put(0, 8 * i, b, 8);
                put(0, 8 * j, a, 8);
                assert_true(hash->of(layouts[l], node, 0) != before);
                put(0, 8 * i, a, 8);
                put(0, 8 * j, b, 8);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newer_layout),
        cmocka_unit_test(test_older_layout),
        cmocka_unit_test(test_what_slides),
        cmocka_unit_test(test_swapped_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
