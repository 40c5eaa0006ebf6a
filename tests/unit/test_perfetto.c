/* SPDX-License-Identifier: MIT
 *
 * The parts of a Perfetto trace that real runs do not show: long messages, and graphs of one context that overlap. What
 * real runs show is in tests/python/test_perfetto.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "export/access_stream.h"
#include "export/protobuf.h"
#include "small_model.h"

static void expect_bytes(const struct protobuf * p, const uint8_t * expected, size_t count) {
    assert_false(p->failed);
    assert_int_equal(p->used, count);
    assert_memory_equal(p->bytes, expected, count);
}

static void test_fields(void ** state) {
    (void) state;
    struct protobuf p = { 0 };
    protobuf_uint(&p, 1, 150);
    protobuf_uint(&p, 16, UINT64_MAX);
    protobuf_fixed64(&p, 2, 0x0102030405060708);
    protobuf_string(&p, 3, "abc");
    const uint8_t expected[] = { 0x08, 0x96, 0x01, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff,
                                 0xff, 0xff, 0xff, 0xff, 0x01, 0x11, 8,    7,    6,    5,
                                 4,    3,    2,    1,    0x1a, 3,    'a',  'b',  'c' };
    expect_bytes(&p, expected, sizeof expected);
    free(p.bytes);
}

/* The length of a message is known only at its end, and may take several bytes. */
static void test_messages(void ** state) {
    (void) state;
    static const size_t lengths[] = { 0, 125, 126, 16381, 16382, 70000 };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct protobuf p = { 0 }, expected = { 0 }, inner = { 0 };
        char * text = calloc(1, lengths[i] + 1);
        const size_t outer_begun = protobuf_begin(&p, 1), inner_begun = protobuf_begin(&p, 2);
        protobuf_bytes(&p, 3, text, lengths[i]);
        protobuf_end(&p, inner_begun);
        protobuf_uint(&p, 4, 1);
        protobuf_end(&p, outer_begun);
        protobuf_bytes(&expected, 3, text, lengths[i]);
        protobuf_bytes(&inner, 2, expected.bytes, expected.used);
        protobuf_uint(&inner, 4, 1);
        expected.used = 0;
        protobuf_bytes(&expected, 1, inner.bytes, inner.used);
        expect_bytes(&p, expected.bytes, expected.used);
        free(p.bytes);
        free(inner.bytes);
        free(expected.bytes);
        free(text);
    }
}

static size_t times_in(const char * bytes, size_t count, const char * text) {
    size_t times = 0;
    for (const char * at = bytes; (at = memmem(at, count - (size_t) (at - bytes), text, strlen(text))); at++) {
        times++;
    }
    return times;
}

/* Slices of one track must nest, so overlapping graphs stand on tracks of their own. */
static void test_overlapping_graphs(void ** state) {
    (void) state;
    for (int overlap = 0; overlap < 2; overlap++) {
        struct trace_builder b = { 0 };
        struct small_model m;
        struct tat_error error = { 0 };
        char * bytes = NULL;
        size_t count = 0;
        small_model_begin(&b, &m);
        const uint32_t t = small_model_template(&b, &m, 1);
        for (uint64_t i = 0; i < 3; i++) {
            const uint64_t begin = overlap ? 1000 + i * TB_CALLBACK_NS : 1000 + i * 10 * TB_CALLBACK_NS;
            const struct tb_evaluation e = { .template_id = t, .n_callbacks = CALLBACKS, .begin = begin };
            tb_evaluation(&b, e);
        }
        tb_end(&b);
        struct tat_trace * trace = tb_open(&b, &error);
        struct tat_filter * filter = tat_filter_new(trace, &error);
        struct access_writer * writer = malloc(sizeof *writer);
        FILE * out = open_memstream(&bytes, &count);
        const struct access_request request = { .filter = filter };
        access_writer_begin(writer, &access_perfetto, trace, out, "memory");
        if (access_stream(&request, trace, writer, &error) != 0) { fail_msg("%s", error.message); }
        fclose(out);
        assert_int_equal(times_in(bytes, count, "context 1 "), overlap ? 3 : 1);
        access_writer_free(writer);
        free(writer);
        free(bytes);
        tat_filter_free(filter);
        tat_trace_close(trace);
        tb_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_overlapping_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
