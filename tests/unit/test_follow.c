/* SPDX-License-Identifier: MIT
 *
 * A trace that is followed while it grows is the trace that is opened when it is whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/follow.h"
#include "tat/sums.h"
#include "trace_builder.h"

enum { TOKENS = 20, FULL = 1 << 20 /* bytes: the agent reserves ahead of what it writes */ };

struct fixture {
    struct trace_builder b;
    uint32_t weight, ids, out;
    size_t marks[TOKENS + 2]; /* where each evaluation's blocks begin */
    int fd;
    char path[64];
};

static uint32_t graph(struct fixture * f, uint64_t tokens) {
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = f->weight, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = f->ids, .ne = { tokens } },
        { .name = "result_output",
          .op = "GET_ROWS",
          .tensor = f->out,
          .ne = { 8, 1 },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 2 } },
    };
    const struct tb_capture ids = { TAT_CAPTURE_ROWS, 1, 0, 1 };
    return tb_template(&f->b, 1, entries, 2, 1, &ids, 1);
}

static void event(struct fixture * f, enum tat_event_type type) {
    const uint64_t values[] = { 7, 2 };
    tb_event(&f->b, type, f->b.tick - 10, values, 2, NULL);
}

/* A warm-up of two tokens that is known as such only afterwards, a prompt of four, then token by token. The graph of
 * one token comes late. */
static void begin(struct fixture * f) {
    *f = (struct fixture){ .fd = memfd_create("trace", MFD_CLOEXEC) };
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    tb_begin(&f->b);
    f->weight = tb_tensor(&f->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                     .kind = TAT_TENSOR_WEIGHT,
                                                     .memory = TAT_MEMORY_COPY,
                                                     .ne = { 8, 100 } });
    f->ids = tb_token_ids(&f->b, 8);
    f->out = tb_result(&f->b, 8, 4);
    const uint32_t warm = graph(f, 2), prompt = graph(f, 4);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = warm, .n_callbacks = 1 });
    f->marks[0] = f->b.size;
    event(f, TAT_EVENT_MEMORY_CLEAR);
    event(f, TAT_EVENT_PERF_RESET);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = prompt, .n_callbacks = 1 });
    const uint32_t token = graph(f, 1);
    for (int i = 0; i < TOKENS; i++) {
        f->marks[i + 1] = f->b.size;
        struct payload p;
        payload_begin(&p);
        tb_put_series(&p.out, &(int64_t){ i }, 1);
        tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = token,
                                                     .n_callbacks = 1,
                                                     .captures = p.bytes,
                                                     .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    f->marks[TOKENS + 1] = f->b.size;
    tb_end(&f->b);
}

static void put(struct fixture * f, size_t from, size_t to) {
    if (pwrite(f->fd, f->b.bytes + from, to - from, (off_t) from) != (ssize_t) (to - from)) { abort(); }
}

static struct follow * start(struct fixture * f, size_t bytes) {
    struct tat_error error = { 0 };
    put(f, 0, bytes);
    if (ftruncate(f->fd, FULL) != 0) { abort(); }
    struct follow * follow = follow_open(f->path, &error);
    if (!follow) { fail_msg("%s", error.message); }
    return follow;
}

static bool look(struct follow * follow) {
    struct tat_error error = { 0 };
    bool revised = false;
    if (follow_read(follow, &revised, &error) != 0) { fail_msg("%s", error.message); }
    return revised;
}

/* Looks, if there is anything to see: else a look would find nothing. */
static void look_if_worth_it(struct follow * follow) {
    const uint64_t used = tat_trace_summary(follow_trace(follow))->used_bytes;
    const bool worth = follow_has_more(follow);
    look(follow);
    if (!worth) { assert_int_equal(tat_trace_summary(follow_trace(follow))->used_bytes, used); }
}

static uint32_t evaluations(const struct tat_trace * trace) {
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    return count;
}

static bool add(const struct tat_tally * t, void * user) {
    for (size_t i = 0; i < t->count; i++) { *(uint64_t *) user += t->records[i].bytes * t->evaluations; }
    return true;
}

static uint64_t bytes_of(const struct tat_trace * trace) {
    uint64_t bytes = 0;
    assert_int_equal(tat_trace_tally(trace, 0, evaluations(trace), add, &bytes, NULL), 0);
    return bytes;
}

static void assert_same(const struct follow * follow, const struct fixture * f) {
    struct tat_error error;
    struct tat_trace * whole = tat_trace_open(f->path, &error);
    const struct tat_trace * live = follow_trace(follow);
    uint32_t n, m;
    const struct tat_evaluation * a = tat_trace_evaluations(whole, &n);
    const struct tat_evaluation * b = tat_trace_evaluations(live, &m);
    assert_int_equal(n, m);
    for (uint32_t i = 0; i < n; i++) { assert_memory_equal(&a[i], &b[i], sizeof a[i]); }
    assert_int_equal(bytes_of(whole), bytes_of(live));
    assert_int_equal(tat_trace_summary(whole)->ended, tat_trace_summary(live)->ended);
    assert_int_equal(tat_trace_summary(whole)->used_bytes, tat_trace_summary(live)->used_bytes);
    tat_trace_close(whole);
}

static void end(struct fixture * f, struct follow * follow) {
    follow_close(follow);
    close(f->fd);
    tb_free(&f->b);
}

/* What the latest evaluation captured; the first two captured nothing. */
static void assert_last_is_whole(const struct tat_trace * trace) {
    const uint32_t n = evaluations(trace);
    int64_t id = -1;
    if (n <= 2) { return; }
    assert_int_equal(tat_trace_capture(trace, n - 1, 0, &id, 1), 1);
    assert_int_equal(id, n - 3);
}

/* Bytes come in any pieces, and half a block does not count yet. Looking costs nothing if nothing came. */
static void grows_by_any_piece(void ** state) {
    (void) state;
    static const size_t pieces[] = { 1, 8, 41, 500 };
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        struct fixture f;
        begin(&f);
        struct follow * follow = start(&f, TAT_HEADER_BYTES);
        for (size_t at = TAT_HEADER_BYTES; at < f.b.size; at += pieces[p]) {
            put(&f, at, at + pieces[p] < f.b.size ? at + pieces[p] : f.b.size);
            if (p > 0 || at % 7 == 0) { look_if_worth_it(follow); }
            bytes_of(follow_trace(follow)); /* makes plans before later graphs come */
            assert_last_is_whole(follow_trace(follow));
        }
        look(follow);
        assert_int_equal(evaluations(follow_trace(follow)), TOKENS + 2);
        assert_same(follow, &f);
        end(&f, follow);
    }
}

/* Asking first tells whether a look is worth it, whether the writer reserved bytes ahead or the file grows. */
static void nothing_new_is_told(void ** state) {
    (void) state;
    for (int reserved = 0; reserved < 2; reserved++) {
        struct fixture f;
        begin(&f);
        struct follow * follow = start(&f, f.marks[5]);
        if (!reserved && ftruncate(f.fd, (off_t) f.marks[5]) != 0) { abort(); }
        assert_true(follow_has_more(follow));
        look(follow);
        assert_false(follow_has_more(follow));
        assert_false(follow_has_more(follow));
        bytes_of(follow_trace(follow)); /* what was read is still there */
        put(&f, f.marks[6], f.marks[7]); /* the one before is late */
        assert_true(follow_has_more(follow));
        look(follow);
        assert_true(follow_has_more(follow));
        put(&f, f.marks[5], f.marks[6]);
        assert_true(follow_has_more(follow));
        look(follow);
        assert_false(follow_has_more(follow));
        assert_int_equal(evaluations(follow_trace(follow)), 8);
        put(&f, f.marks[7], f.b.size);
        assert_true(follow_has_more(follow));
        look(follow);
        assert_false(follow_has_more(follow));
        assert_same(follow, &f);
        end(&f, follow);
    }
}

static void warmup_is_known_afterwards(void ** state) {
    (void) state;
    struct fixture f;
    uint32_t n;
    const struct tat_evaluation * e;
    begin(&f);
    struct follow * follow = start(&f, f.marks[0]);
    assert_false(look(follow));
    e = tat_trace_evaluations(follow_trace(follow), &n);
    assert_int_equal(n, 1);
    assert_int_equal(e[0].phase, TAT_PHASE_PROMPT);
    put(&f, f.marks[0], f.marks[3]);
    assert_true(look(follow));
    e = tat_trace_evaluations(follow_trace(follow), &n);
    assert_int_equal(e[0].phase, TAT_PHASE_WARMUP);
    assert_int_equal(e[1].phase, TAT_PHASE_PROMPT);
    assert_int_equal(e[1].token_first, 0);
    assert_int_equal(e[2].phase, TAT_PHASE_GENERATE);
    assert_int_equal(e[2].token_first, 4);
    put(&f, f.marks[3], f.b.size);
    assert_false(look(follow));
    assert_same(follow, &f);
    end(&f, follow);
}

/* Writers take their places in turn, and commit in any order. */
static void a_block_may_be_late(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    struct follow * follow = start(&f, f.marks[5]);
    look(follow);
    put(&f, f.marks[6], f.b.size);
    look(follow);
    assert_int_equal(evaluations(follow_trace(follow)), 6);
    put(&f, f.marks[5], f.marks[6]);
    look(follow);
    assert_same(follow, &f);
    assert_int_equal(tat_trace_summary(follow_trace(follow))->damaged_bytes, 0);
    end(&f, follow);
}

/* A block that never comes does not hold up the rest for long, and is counted. */
static void a_block_may_never_come(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    struct follow * follow = start(&f, f.marks[5]);
    put(&f, f.marks[6], f.b.size);
    for (int i = 0; i < 5; i++) { look(follow); }
    assert_int_equal(evaluations(follow_trace(follow)), TOKENS + 1);
    assert_int_equal(tat_trace_summary(follow_trace(follow))->damaged_bytes, f.marks[6] - f.marks[5]);
    assert_true(tat_trace_summary(follow_trace(follow))->ended);
    end(&f, follow);
}

static void what_is_none(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    bool revised;
    begin(&f);
    assert_null(follow_open(f.path, &error)); /* empty */
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    assert_null(follow_open("/nonexistent", &error));
    struct follow * follow = start(&f, f.b.size);
    look(follow);
    if (ftruncate(f.fd, TAT_HEADER_BYTES) != 0) { abort(); }
    assert_int_equal(follow_read(follow, &revised, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    assert_non_null(strstr(error.message, "became shorter"));
    end(&f, follow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_by_any_piece),  cmocka_unit_test(warmup_is_known_afterwards),
        cmocka_unit_test(a_block_may_be_late), cmocka_unit_test(a_block_may_never_come),
        cmocka_unit_test(what_is_none),        cmocka_unit_test(nothing_new_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
