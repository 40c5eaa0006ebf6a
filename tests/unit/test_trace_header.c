/* SPDX-License-Identifier: MIT
 *
 * Every field of a trace's header, wrong: the error names the field and its byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "trace_builder.h"

/* Opening must fail with an error of the kind "input" that says all of these. */
static void expect_error(const struct trace_builder * b, const char * field, size_t offset) {
    struct tat_error error = { 0 };
    char where[64];
    assert_null(tb_open(b, &error));
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    snprintf(where, sizeof where, "byte %zu, %s:", offset, field);
    if (!strstr(error.message, where)) { fail_msg("\"%s\" is not in \"%s\"", where, error.message); }
}

static void test_good_header(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_error error = { 0 };
    tb_begin(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    assert_non_null(trace);
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    assert_int_equal(count, 0);
    assert_int_equal(tat_trace_summary(trace)->used_bytes, TAT_HEADER_BYTES);
    assert_false(tat_trace_summary(trace)->ended);
    tat_trace_close(trace);
    tb_free(&b);
}

static bool count_blocks(const struct tat_block * block, void * user) {
    if ((int) block->type == 20 && block->payload_bytes == 4) { ++*(int *) user; }
    return true;
}

/* Another kind of file has the same frame and blocks of its own. */
static void test_kinds_of_files(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_error error = { 0 };
    struct tat_file_header header;
    int blocks = 0;
    tb_begin(&b);
    tb_header(&b)->file_kind = TAT_FILE_IO_EVENTS;
    tb_seal(&b);
    for (int i = 0; i < 3; i++) { tb_block(&b, (enum tat_block_type) 20, "read", 4); }
    expect_error(&b, "file_kind", offsetof(struct tat_file_header, file_kind));
    const int fd = memfd_create("io_events", MFD_CLOEXEC);
    char path[64];
    assert_int_equal(write(fd, b.bytes, b.size), b.size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(tat_file_each_block(path, TAT_FILE_IO_EVENTS, &header, count_blocks, &blocks, &error), 0);
    assert_int_equal(blocks, 3);
    assert_int_equal(header.file_kind, TAT_FILE_IO_EVENTS);
    assert_int_equal(tat_file_each_block(path, TAT_FILE_TENSOR_ACCESS, NULL, count_blocks, &blocks, &error), -1);
    assert_non_null(strstr(error.message, "byte 20, file_kind: 2, expected 1 (tensor accesses)"));
    close(fd);
    tb_free(&b);
}

/* Values that a field must not have, with the checksum made to agree. */
static void test_fields(void ** state) {
    (void) state;
    static const struct {
        const char * name;
        size_t offset, width;
        uint64_t value;
    } wrong[] = {
#define FIELD(field, value)                                                                                            \
    { #field, offsetof(struct tat_file_header, field), sizeof(((struct tat_file_header *) 0)->field), value }
        FIELD(magic, 0x4545454545454545),
        FIELD(version, TAT_FORMAT_VERSION + 1),
        FIELD(version, UINT32_MAX),
        FIELD(header_bytes, 0),
        FIELD(header_bytes, TAT_HEADER_BYTES + 1),
        FIELD(byte_order, 0x04030201),
        FIELD(file_kind, 0),
        FIELD(file_kind, TAT_FILE_IO_EVENTS),
        FIELD(features, 1u << 31),
        FIELD(features, UINT64_MAX),
        FIELD(ticks_per_second, 0),
        FIELD(ticks_per_second, UINT64_MAX),
        FIELD(clock, TAT_CLOCK_CNTVCT + 1),
        FIELD(stamp_shift, 17),
        FIELD(stamp_shift, UINT32_MAX),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct trace_builder b;
        tb_begin(&b);
        memcpy(b.bytes + wrong[i].offset, &wrong[i].value, wrong[i].width);
        tb_seal(&b);
        expect_error(&b, wrong[i].name, wrong[i].offset);
        tb_free(&b);
    }
}

static void test_texts_that_do_not_end(void ** state) {
    (void) state;
    static const struct {
        const char * name;
        size_t offset, bytes;
    } texts[] = {
#define TEXT(field) { #field, offsetof(struct tat_file_header, field), sizeof(((struct tat_file_header *) 0)->field) }
        TEXT(producer),
        TEXT(program),
        TEXT(ggml_path),
        TEXT(ggml_version),
#undef TEXT
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct trace_builder b;
        tb_begin(&b);
        memset(b.bytes + texts[i].offset, 'x', texts[i].bytes);
        tb_seal(&b);
        expect_error(&b, texts[i].name, texts[i].offset);
        tb_free(&b);
    }
}

/* Any single byte that differs is noticed, and a field that is checked before the checksum is reported by its own
 * name. */
static void test_every_byte(void ** state) {
    (void) state;
    for (size_t at = 0; at < TAT_HEADER_BYTES; at++) {
        struct trace_builder b;
        struct tat_error error = { 0 };
        tb_begin(&b);
        b.bytes[at] ^= 0x40;
        assert_null(tb_open(&b, &error));
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
        const char * field = at < 8    ? "magic:"
                             : at < 12 ? "version:"
                             : at < 16 ? "header_bytes:"
                             : at < 20 ? "byte_order:"
                                       : "checksum:";
        if (!strstr(error.message, field)) { fail_msg("byte %zu: \"%s\"", at, error.message); }
        tb_free(&b);
    }
}

static void test_every_truncation(void ** state) {
    (void) state;
    for (size_t size = 0; size < TAT_HEADER_BYTES; size++) {
        struct trace_builder b;
        struct tat_error error = { 0 };
        char said[64];
        tb_begin(&b);
        b.size = size;
        assert_null(tb_open(&b, &error));
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
        snprintf(said, sizeof said, ": has %zu bytes", size);
        assert_non_null(strstr(error.message, said));
        tb_free(&b);
    }
}

static void test_paths_that_are_no_trace(void ** state) {
    (void) state;
    struct tat_error error = { 0 };
    assert_null(tat_trace_open("/nonexistent/tensor_access.bin", &error));
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    assert_null(tat_trace_open("/dev/null", &error));
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    assert_null(tat_trace_open("/proc", &error)); /* a folder without a trace */
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    tat_trace_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_files),
        cmocka_unit_test(test_good_header),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_texts_that_do_not_end),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_paths_that_are_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
