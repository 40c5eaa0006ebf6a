/* SPDX-License-Identifier: MIT
 *
 * What capture.c writes of row ids, read back as doc/format.md says: the same values, whatever their type, strides and
 * series, and the same bytes for the same values, whether they lie side by side, which is read in blocks, or apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/capture.h"

enum { TYPE_I32 = 26, TYPE_I64 = 27, VALUES_MAX = 4096, APART = 24 };

/* A tensor as ggml lays it out, and where its fields are. */
struct tensor {
    int32_t type, op, flags, params[16];
    int64_t ne[4];
    size_t nb[4];
    struct tensor * src[10];
    struct tensor * view_src;
    size_t view_offs;
    void * data;
    char name[64];
};

static const struct ggml_layout layout = { .type = offsetof(struct tensor, type),
                                           .op = offsetof(struct tensor, op),
                                           .op_params = offsetof(struct tensor, params),
                                           .flags = offsetof(struct tensor, flags),
                                           .ne = offsetof(struct tensor, ne),
                                           .nb = offsetof(struct tensor, nb),
                                           .src = offsetof(struct tensor, src),
                                           .n_src = 10,
                                           .view_src = offsetof(struct tensor, view_src),
                                           .view_offs = offsetof(struct tensor, view_offs),
                                           .data = offsetof(struct tensor, data),
                                           .name = offsetof(struct tensor, name) };

static int64_t values[VALUES_MAX];
static uint8_t memory[VALUES_MAX * APART];
static uint8_t written[VALUES_MAX * 2 * TAT_VARINT_MAX + 64];

/* Puts the values in memory, `step` bytes apart, as `rows` rows. Returns what is captured of them. */
static size_t capture(int32_t type, uint64_t count, size_t step, int64_t rows) {
    const size_t size = type == TYPE_I64 ? sizeof(int64_t) : sizeof(int32_t);
    for (uint64_t i = 0; i < count; i++) {
        const int32_t narrow = (int32_t) values[i];
        memcpy(memory + i * step, type == TYPE_I64 ? (const void *) &values[i] : (const void *) &narrow, size);
    }
    const int64_t n = (int64_t) count;
    struct tensor ids = { .type = type,
                          .ne = { n / rows, rows, 1, 1 },
                          .nb = { step, (size_t) (n / rows) * step, (size_t) n * step, (size_t) n * step },
                          .data = memory };
    struct tensor node = { .src = { NULL, &ids } };
    const struct capture c = { .src = 1, .kind = TAT_CAPTURE_ROWS };
    struct tat_out out = { .at = written, .end = written + sizeof written };
    capture_read(&layout, (const struct ggml_tensor *) &node, &c, &out);
    assert_false(out.overflow);
    return (size_t) (out.at - written);
}

static uint64_t varint(const uint8_t ** at) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        value |= (uint64_t) (**at & 0x7f) << shift;
        if (!(*(*at)++ & 0x80)) { return value; }
    }
}

static int64_t zigzag(const uint8_t ** at) {
    const uint64_t value = varint(at);
    return (int64_t) (value >> 1) ^ -(int64_t) (value & 1);
}

static void check_written(uint64_t count, size_t bytes) {
    const uint8_t * at = written;
    assert_int_equal(varint(&at), count);
    int64_t value = zigzag(&at);
    uint64_t i = 0;
    assert_int_equal(value, values[i++]);
    while (i < count) {
        const int64_t difference = zigzag(&at);
        for (uint64_t length = varint(&at); length > 0; length--) {
            value = (int64_t) ((uint64_t) value + (uint64_t) difference);
            assert_true(i < count);
            assert_int_equal(value, values[i++]);
        }
    }
    assert_ptr_equal(at, written + bytes);
}

static void check(int32_t type, uint64_t count) {
    static uint8_t packed[sizeof written];
    const size_t size = type == TYPE_I64 ? sizeof(int64_t) : sizeof(int32_t);
    const size_t bytes = capture(type, count, size, 1);
    check_written(count, bytes);
    memcpy(packed, written, bytes);
    assert_int_equal(capture(type, count, APART, 1), bytes);
    assert_memory_equal(written, packed, bytes);
    if (count % 2 == 0) {
        assert_int_equal(capture(type, count, size, 2), bytes);
        assert_memory_equal(written, packed, bytes);
    }
}

/* Series of every length around a block's. */
static void test_every_length(void ** state) {
    (void) state;
    for (uint64_t count = 1; count < 100; count++) {
        for (uint64_t turn = 0; turn <= count; turn++) {
            for (uint64_t i = 0; i < count; i++) { values[i] = (int64_t) (i < turn ? 7 * i : 1000 - 3 * i); }
            check(TYPE_I32, count);
            check(TYPE_I64, count);
        }
    }
}

static void test_random_series(void ** state) {
    (void) state;
    srand(1);
    for (int round = 0; round < 300; round++) {
        const uint64_t count = 1 + (uint64_t) rand() % VALUES_MAX;
        for (uint64_t i = 0, left = 0; i < count; i++, left--) {
            static int64_t step;
            if (left == 0) {
                left = 1 + (uint64_t) rand() % 60;
                step = rand() % 2001 - 1000;
            }
            values[i] = i == 0 ? rand() % 100000 : values[i - 1] + step;
        }
        check(TYPE_I32, count);
        check(TYPE_I64, count);
    }
}

static void test_widest_differences(void ** state) {
    (void) state;
    for (uint64_t i = 0; i < 64; i++) { values[i] = i % 3 ? INT64_MIN : INT64_MAX; }
    check(TYPE_I64, 64);
    for (uint64_t i = 0; i < 64; i++) { values[i] = i % 3 ? INT32_MIN : INT32_MAX; }
    check(TYPE_I32, 64);
}

/* V's ids without flash attention, as llama.cpp makes them: a run for each token, and one to the next token. */
static void test_transposed_values(void ** state) {
    enum { TOKENS = 5, ELEMENTS = 128, CELLS = 512, FIRST = 37 };
    (void) state;
    for (int t = 0; t < TOKENS; t++) {
        for (int e = 0; e < ELEMENTS; e++) { values[t * ELEMENTS + e] = (int64_t) e * CELLS + FIRST + t; }
    }
    check(TYPE_I64, TOKENS * ELEMENTS);
    assert_true(capture(TYPE_I64, TOKENS * ELEMENTS, sizeof(int64_t), 1) < 16 * TOKENS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_random_series),
        cmocka_unit_test(test_widest_differences),
        cmocka_unit_test(test_transposed_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
