/* SPDX-License-Identifier: MIT
 *
 * The parts of a Perfetto trace that real runs do not show: long messages, and graphs of one context that overlap. What
 * real runs show is in tests/python/test_perfetto.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "export/access_stream.h"
#include "export/perfetto.h"
#include "export/protobuf.h"
#include "format/io_events.h"
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

/* All records of a trace as a timeline, which the caller frees. */
static char * timeline_of(const struct tat_trace * trace, size_t * count) {
    struct tat_error error = { 0 };
    char * bytes = NULL;
    struct tat_filter * filter = tat_filter_new(trace, &error);
    struct access_writer * writer = malloc(sizeof *writer);
    FILE * out = open_memstream(&bytes, count);
    const struct access_request request = { .filter = filter };
    access_writer_begin(writer, &access_perfetto, trace, out, "memory");
    if (access_stream(&request, trace, writer, &error) != 0) { fail_msg("%s", error.message); }
    assert_null(perfetto_no_io(writer->perfetto));
    fclose(out);
    access_writer_free(writer);
    free(writer);
    tat_filter_free(filter);
    return bytes;
}

/* Slices of one track must nest, so overlapping graphs stand on tracks of their own. */
static void test_overlapping_graphs(void ** state) {
    (void) state;
    for (int overlap = 0; overlap < 2; overlap++) {
        struct trace_builder b = { 0 };
        struct small_model m;
        struct tat_error error = { 0 };
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
        char * bytes = timeline_of(trace, &count);
        assert_int_equal(times_in(bytes, count, "context 1 "), overlap ? 3 : 1);
        free(bytes);
        tat_trace_close(trace);
        tb_free(&b);
    }
}

/* ---- I/O events ---- */

enum { PID = 77, START = 1000000, THREADS = 300 };

static char folder[] = "/tmp/tat_test_perfetto_XXXXXX";

static void put_file(const char * name, const struct trace_builder * b) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(b->bytes, 1, b->size, file), b->size);
    fclose(file);
}

static void put_trace(void) {
    struct trace_builder b = { 0 };
    struct small_model m;
    small_model_begin(&b, &m);
    tb_header(&b)->pid = PID;
    tb_header(&b)->start_monotonic_ns = START;
    tb_seal(&b);
    tb_evaluation(&b, (struct tb_evaluation){
                          .template_id = small_model_template(&b, &m, 1), .n_callbacks = CALLBACKS, .begin = 1000 });
    tb_end(&b);
    put_file("tensor_access.bin", &b);
    tb_free(&b);
}

/* Faults of many threads, each as long as all time; requests that are there at once; a counter that nobody knows. */
static void put_io(void) {
    static struct payload p;
    struct trace_builder b;
    struct io_state s = { 0 };
    tb_begin(&b);
    tb_header(&b)->file_kind = TAT_FILE_IO_EVENTS;
    tb_seal(&b);
    payload_begin(&p);
    for (uint32_t i = 0; i < 2 * THREADS; i++) {
        const uint64_t end = START + 100 + i;
        const struct tat_io_fault fault = { .end_ns = end,
                                            .duration_ns = i % 3 ? end : 0,
                                            .pid = i % 2 ? PID : 5,
                                            .tid = 8192 * (i % THREADS),
                                            .flags = TAT_IO_MAJOR };
        const struct tat_io_request request = { .end_ns = end, .duration_ns = 50, .disk = 1, .bytes = 512 };
        assert_true(io_put_fault(&p.out, &s, &fault));
        assert_true(io_put_request(&p.out, &s, &request));
    }
    assert_true(
        io_put_pages(&p.out, &s, &(struct tat_io_pages){ .ns = START + 1, .file = 1, .count = 9, .left = true }));
    assert_true(io_put_counter(&p.out, &s, &(struct tat_io_counter_value){ START + 1, 3, TAT_IO_COUNTER_COUNT + 7 }));
    tb_payload(&b, TAT_BLOCK_IO, &p);
    put_file("io_events.bin", &b);
    tb_free(&b);
}

static void test_io_events(void ** state) {
    (void) state;
    struct tat_error error = { 0 };
    size_t count = 0;
    assert_non_null(mkdtemp(folder));
    put_trace();
    put_io();
    struct tat_trace * trace = tat_trace_open(folder, &error);
    if (!trace) { fail_msg("%s", error.message); }
    char * bytes = timeline_of(trace, &count);
    assert_int_equal(times_in(bytes, count, "page faults of thread "), THREADS / 2);
    assert_int_equal(times_in(bytes, count, "page faults of process 5, thread "), THREADS / 2);
    assert_int_equal(times_in(bytes, count, " more at once"), 15); /* each lasts as long as 50 begin */
    assert_int_equal(times_in(bytes, count, "requests without a track"), 1);
    free(bytes);
    tat_trace_close(trace);
}

static int remove_folder(void ** state) {
    static const char * const names[] = { "tensor_access.bin", "io_events.bin" };
    char path[64];
    (void) state;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_overlapping_graphs),
        cmocka_unit_test(test_io_events),
    };
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
