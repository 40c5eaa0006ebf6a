/* SPDX-License-Identifier: MIT
 *
 * Files that change while they are read: whoever cuts one makes an error, never a signal; and a writer that cuts off
 * what it had reserved makes none.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/follow.h"
#include "tat/analysis.h"
#include "tat/sums.h"
#include "trace_builder.h"

enum {
    EVALUATIONS = 2000,
    RESERVED = 1 << 22, /* bytes; zeros follow what is written */
    ROUNDS = 200,
};

struct file {
    struct trace_builder b;
    int fd;
    char path[64];
    bool over;       /* relaxed */
    size_t from, to; /* the cutter switches between these two lengths */
};

static void put_all(const struct file * f) {
    if (pwrite(f->fd, f->b.bytes, f->b.size, 0) != (ssize_t) f->b.size) { abort(); }
}

static void set_size(const struct file * f, size_t size) {
    if (ftruncate(f->fd, (off_t) size) != 0) { abort(); }
}

/* Evaluations whose records need what was captured. */
static void begin(struct file * f) {
    *f = (struct file){ .fd = memfd_create("trace", MFD_CLOEXEC) };
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    tb_begin(&f->b);
    const uint32_t weight = tb_tensor(&f->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                                 .kind = TAT_TENSOR_WEIGHT,
                                                                 .memory = TAT_MEMORY_COPY,
                                                                 .ne = { 8, 5000 } });
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = weight, .ne = { 8, 5000 } },
        { .name = "ids", .tensor = weight, .ne = { 2 } },
        { .name = "rows", .op = "GET_ROWS", .tensor = weight, .ne = { 8, 2 }, .src = { 1, 2 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_ROWS, 1, 0, 1 };
    const uint32_t t = tb_template(&f->b, 1, entries, 2, 1, &capture, 1);
    for (int i = 0; i < EVALUATIONS; i++) {
        struct payload p;
        const int64_t ids[] = { i, 2 * i + 7 };
        payload_begin(&p);
        tb_put_series(&p.out, ids, 2);
        tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = t,
                                                     .n_callbacks = 1,
                                                     .captures = p.bytes,
                                                     .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    tb_end(&f->b);
    put_all(f);
}

static void end(struct file * f) {
    close(f->fd);
    tb_free(&f->b);
}

static void * cut_again_and_again(void * user) {
    struct file * f = user;
    while (!__atomic_load_n(&f->over, __ATOMIC_RELAXED)) {
        set_size(f, f->to);
        set_size(f, f->from);
        if (f->to < f->b.size) { put_all(f); }
    }
    return NULL;
}

static void start_cutting(struct file * f, pthread_t * thread, size_t from, size_t to) {
    f->from = from;
    f->to = to;
    set_size(f, from);
    if (pthread_create(thread, NULL, cut_again_and_again, f) != 0) { abort(); }
}

static void stop_cutting(struct file * f, pthread_t thread) {
    __atomic_store_n(&f->over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

static bool count_records(const struct tat_access * records, size_t count, void * user) {
    *(uint64_t *) user += records ? count : 0;
    return true;
}

static bool count_tally(const struct tat_tally * t, void * user) {
    return count_records(t->records, t->count, user);
}

static bool count_values(uint32_t capture, const int64_t * values, size_t count, void * user) {
    *(uint64_t *) user += values[0] >= 0 ? count + capture : 0;
    return true;
}

static bool count_blocks(const struct tat_block * block, void * user) {
    *(uint64_t *) user += block->payload_bytes ? block->payload[0] : 0;
    return true;
}

static uint32_t evaluations(const struct tat_trace * trace) {
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    return count;
}

/* Does everything that reads the file again; each must fail with an error if it cannot. Returns how many could not. */
static int ask_all(const struct tat_trace * trace, struct tat_error * error) {
    struct tat_token tokens[4];
    uint64_t seen = 0, *sums = calloc((size_t) evaluations(trace) * 3 + 1, sizeof *sums);
    const uint32_t n = evaluations(trace);
    size_t count;
    int failed = 0;
    failed += tat_trace_expand(trace, 0, n, count_records, &seen, error) < 0;
    failed += tat_trace_tally(trace, 0, n, count_tally, &seen, error) < 0;
    failed += tat_matrix(trace, TAT_BY_LAYER, TAT_SUM_BYTES, 0, 0, n, sums, error) < 0;
    failed += tat_matrix(trace, TAT_BY_LAYER, TAT_SUM_NS, 0, 0, n, sums, error) < 0;
    failed += tat_trace_routing(trace, 0, n, NULL, 0, &count, error) < 0;
    failed += n && tat_trace_each_capture(trace, n - 1, count_values, &seen, error) < 0;
    if (tat_trace_tokens(trace, 0, n, tokens, 4, &count, error) < 0) { failed++; }
    tat_trace_each_block(trace, count_blocks, &seen);
    free(sums);
    return failed;
}

static void test_cut_after_opening(void ** state) {
    (void) state;
    struct file f;
    struct tat_error error = { 0 };
    int64_t values[2];
    begin(&f);
    struct tat_trace * trace = tat_trace_open(f.path, &error);
    assert_non_null(trace);
    assert_int_equal(evaluations(trace), EVALUATIONS);
    assert_int_equal(ask_all(trace, &error), 0);
    assert_int_equal(tat_trace_trouble(trace, &error), 0);
    assert_int_equal(tat_trace_capture(trace, EVALUATIONS - 1, 0, values, 2), 2);
    set_size(&f, f.b.size / 2); /* what was read ahead, and what the first half answers, is still there */
    assert_int_equal(tat_trace_capture(trace, EVALUATIONS - 1, 0, values, 2), 2); /* read already */
    assert_true(ask_all(trace, &error) >= 5);
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    assert_non_null(strstr(error.message, "became shorter"));
    set_size(&f, 0);
    assert_int_equal(tat_trace_capture(trace, 0, 0, values, 2), 0);
    assert_int_equal(tat_trace_trouble(trace, &error), -1);
    assert_true(ask_all(trace, &error) >= 6);
    tat_trace_close(trace);
    end(&f);
}

/* In a trace of experts, every section reads the file again, except those on the run, and on faults and managed memory,
 * of which there are none here. */
static void test_cut_before_sections(void ** state) {
    (void) state;
    const char * path = getenv("TRACE");
    const int whole = path ? open(path, O_RDONLY | O_CLOEXEC) : -1, part = memfd_create("trace", MFD_CLOEXEC);
    const char * name;
    char copy[64];
    struct stat status;
    if (!path) { skip(); }
    assert_int_equal(fstat(whole, &status), 0);
    snprintf(copy, sizeof copy, "/proc/self/fd/%d", part);
    for (unsigned i = 0; (name = tat_analysis_name(i)); i++) {
        struct tat_error error = { 0 };
        off_t at = 0;
        lseek(part, 0, SEEK_SET);
        assert_int_equal(sendfile(part, whole, &at, (size_t) status.st_size), status.st_size);
        struct tat_trace * trace = tat_trace_open(copy, &error);
        assert_non_null(trace);
        assert_int_equal(ftruncate(part, 0), 0);
        char * text = tat_analyze(trace, &name, 1, NULL, &error);
        assert_int_equal(text != NULL,
                         strcmp(name, "run") == 0 || strcmp(name, "storage") == 0 || strcmp(name, "managed") == 0);
        if (!text) { assert_non_null(strstr(error.message, "became shorter")); }
        free(text);
        tat_trace_close(trace);
    }
    close(part);
    close(whole);
}

static void test_cut_while_read(void ** state) {
    (void) state;
    struct file f;
    pthread_t cutter;
    begin(&f);
    start_cutting(&f, &cutter, f.b.size, 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct tat_error error = { 0 };
        struct tat_trace * trace = tat_trace_open(f.path, &error);
        const bool good = trace && ask_all(trace, &error) == 0;
        if (!good && error.kind != TAT_ERROR_INPUT) { fail_msg("%s", error.message); }
        tat_trace_close(trace);
    }
    stop_cutting(&f, cutter);
    end(&f);
}

/* An agent that closes its trace cuts off the zeros; nothing is lost with them. */
static void test_reserve_cut_while_opened(void ** state) {
    (void) state;
    struct file f;
    pthread_t cutter;
    begin(&f);
    start_cutting(&f, &cutter, f.b.size + RESERVED, f.b.size);
    for (int round = 0; round < ROUNDS; round++) {
        struct tat_error error = { 0 };
        struct tat_trace * trace = tat_trace_open(f.path, &error);
        if (!trace) { fail_msg("%s", error.message); }
        assert_int_equal(evaluations(trace), EVALUATIONS);
        assert_int_equal(tat_trace_summary(trace)->damaged_bytes, 0);
        assert_true(tat_trace_summary(trace)->ended);
        tat_trace_close(trace);
    }
    stop_cutting(&f, cutter);
    end(&f);
}

static void test_cut_while_followed(void ** state) {
    (void) state;
    struct file f;
    struct tat_error error = { 0 };
    pthread_t cutter;
    bool revised;
    begin(&f);
    for (int to = 0; to < 2; to++) {
        put_all(&f);
        f.over = false;
        start_cutting(&f, &cutter, f.b.size + RESERVED, to ? f.b.size : 0);
        for (int round = 0; round < ROUNDS; round++) {
            struct follow * follow = follow_open(f.path, &error);
            const int status = follow ? follow_read(follow, &revised, &error) : -1;
            if (to) { assert_int_equal(status, 0); }
            if (status == 0) { ask_all(follow_trace(follow), &error); }
            if (status == 0 && to) { assert_int_equal(evaluations(follow_trace(follow)), EVALUATIONS); }
            follow_close(follow);
        }
        stop_cutting(&f, cutter);
    }
    end(&f);
}

/* A file that is almost one hole is read as quickly as its contents. */
static void test_holes(void ** state) {
    (void) state;
    struct file f;
    struct tat_error error = { 0 };
    const size_t far = (size_t) 1 << 40;
    begin(&f);
    set_size(&f, far);
    struct tat_trace * trace = tat_trace_open(f.path, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(evaluations(trace), EVALUATIONS);
    assert_int_equal(tat_trace_summary(trace)->damaged_bytes, 0);
    tat_trace_close(trace);
    if (pwrite(f.fd, "the end", 8, (off_t) far - 8) != 8) { abort(); }
    trace = tat_trace_open(f.path, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(evaluations(trace), EVALUATIONS);
    assert_int_equal(tat_trace_summary(trace)->damaged_bytes, far - f.b.size);
    assert_int_equal(ask_all(trace, &error), 0);
    tat_trace_close(trace);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_after_opening),  cmocka_unit_test(test_cut_before_sections),
        cmocka_unit_test(test_cut_while_read),     cmocka_unit_test(test_reserve_cut_while_opened),
        cmocka_unit_test(test_cut_while_followed), cmocka_unit_test(test_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
