/* SPDX-License-Identifier: MIT
 *
 * What follows from the order of things: phases, tokens of each context, times, totals of a run that was killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace_builder.h"

/* A qsort that puts the last of equal elements first, as any may. */
void qsort(void * base, size_t count, size_t size, int (*compare)(const void *, const void *)) {
    char *all = base, *scratch = malloc(size);
    if (!scratch) { abort(); }
    for (size_t i = 0; i + 1 < count; i++) {
        size_t least = i;
        for (size_t j = i + 1; j < count; j++) {
            if (compare(all + j * size, all + least * size) <= 0) { least = j; }
        }
        memcpy(scratch, all + i * size, size);
        memmove(all + i * size, all + least * size, size);
        memcpy(all + least * size, scratch, size);
    }
    free(scratch);
}

enum { YES = 2, NO = 0, SUBJECT = 7 }; /* zigzag: 1, 0 */

struct fixture {
    struct trace_builder b;
    uint32_t weight, ids, out;
    struct tat_trace * trace;
};

static void begin(struct fixture * f) {
    tb_begin(&f->b);
    f->weight = tb_tensor(&f->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                     .kind = TAT_TENSOR_WEIGHT,
                                                     .memory = TAT_MEMORY_COPY,
                                                     .ne = { 8, 100 } });
    f->ids = tb_token_ids(&f->b, 512);
    f->out = tb_result(&f->b, 8, 512);
}

static void end(struct fixture * f) {
    tat_trace_close(f->trace);
    tb_free(&f->b);
}

/* A graph that takes rows of tokens and gives rows of logits. Without tokens, nothing is looked up. */
static uint32_t graph(struct fixture * f, uint32_t context, uint64_t tokens, uint64_t outputs) {
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = f->weight, .ne = { 8, 100 } },
        { .name = tokens ? "inp_tokens" : "k_shift", .type = "i32", .tensor = f->ids, .ne = { tokens ? tokens : 3 } },
        { .name = "result_output",
          .op = tokens ? "GET_ROWS" : "ADD",
          .tensor = f->out,
          .ne = { 8, outputs },
          .empty = outputs == 0,
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 2 } },
    };
    return tb_template(&f->b, context, entries, 2, 1, NULL, 0);
}

static void run(struct fixture * f, uint32_t template_id) {
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = template_id, .rule = 0, .n_callbacks = 1 });
}

static void event(struct fixture * f, enum tat_event_type type, uint64_t value) {
    const uint64_t values[] = { SUBJECT, value };
    tb_event(&f->b, type, f->b.tick - 10, values, 2, NULL);
}

static void open_trace(struct fixture * f) {
    struct tat_error error = { 0 };
    f->trace = tb_open(&f->b, &error);
    if (!f->trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(f->trace)->undecodable_blocks, 0);
}

struct step {
    enum tat_phase phase;
    uint32_t token_first, n_tokens;
};

static void expect(struct fixture * f, const struct step * steps, uint32_t n) {
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(f->trace, &count);
    assert_int_equal(count, n);
    for (uint32_t i = 0; i < n; i++) {
        const bool warmup = steps[i].phase == TAT_PHASE_WARMUP;
        if (e[i].phase != steps[i].phase || (!warmup && e[i].token_first != steps[i].token_first) ||
            e[i].n_tokens != steps[i].n_tokens) {
            fail_msg("evaluation %u: %s, token %u, %u rows", i, tat_phase_name(e[i].phase), e[i].token_first,
                     e[i].n_tokens);
        }
    }
}
#define EXPECT(f, ...)                                                                                                 \
    expect(f, (const struct step[]){ __VA_ARGS__ }, sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

static void test_warmup_that_is_announced(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    event(&f, TAT_EVENT_WARMUP, YES);
    run(&f, graph(&f, 1, 2, 1));
    event(&f, TAT_EVENT_WARMUP, NO);
    run(&f, graph(&f, 1, 5, 1));
    const uint32_t one = graph(&f, 1, 1, 1);
    for (int i = 0; i < 3; i++) { run(&f, one); }
    tb_end(&f.b);
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_WARMUP, 0, 2 }, { TAT_PHASE_PROMPT, 0, 5 }, { TAT_PHASE_GENERATE, 5, 1 },
           { TAT_PHASE_GENERATE, 6, 1 }, { TAT_PHASE_GENERATE, 7, 1 });
    end(&f);
}

static void test_warmup_by_what_follows(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    run(&f, graph(&f, 1, 2, 1));
    event(&f, TAT_EVENT_MEMORY_CLEAR, YES);
    event(&f, TAT_EVENT_PERF_RESET, NO);
    run(&f, graph(&f, 1, 5, 1));
    run(&f, graph(&f, 1, 1, 1));
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_WARMUP, 0, 2 }, { TAT_PHASE_PROMPT, 0, 5 }, { TAT_PHASE_GENERATE, 5, 1 });
    end(&f);
}

/* An evaluation of rows at positions from `first` on. */
static void run_at(struct fixture * f, uint32_t tokens, uint32_t outputs, int64_t first) {
    static struct payload captures;
    static int64_t positions[512];
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = f->weight, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = f->ids, .ne = { tokens } },
        { .name = "inp_pos", .type = "i32", .tensor = f->ids, .ne = { tokens } },
        { .name = "embd",
          .op = "GET_ROWS",
          .tensor = f->out,
          .ne = { 8, tokens },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 2 } },
        { .name = "result_output",
          .op = "ROPE",
          .tensor = f->out,
          .ne = { 8, outputs },
          .empty = outputs == 0,
          .facts = TAT_NODE_COMPUTE,
          .src = { 4, 3 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_POSITIONS, 2, 1, 1 };
    for (uint32_t i = 0; i < tokens; i++) { positions[i] = first + i; }
    payload_begin(&captures);
    tb_put_series(&captures.out, positions, tokens);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = tb_template(&f->b, 1, entries, 3, 2, &capture, 1),
                                                 .n_callbacks = 2,
                                                 .captures = captures.bytes,
                                                 .captures_bytes = (size_t) (captures.out.at - captures.bytes) });
}

/* A server reads a long prompt piece by piece and meanwhile writes another answer, token by token. */
static void test_two_sequences_in_turn(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    run_at(&f, 5, 1, 0);
    run_at(&f, 1, 1, 5);
    run_at(&f, 63, 0, 0); /* the other's prompt begins */
    run_at(&f, 1, 1, 6);
    run_at(&f, 63, 0, 63);
    run_at(&f, 1, 1, 126); /* it ends */
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_PROMPT, 0, 5 }, { TAT_PHASE_GENERATE, 5, 1 }, { TAT_PHASE_PROMPT, 6, 63 },
           { TAT_PHASE_GENERATE, 69, 1 }, { TAT_PHASE_PROMPT, 70, 63 }, { TAT_PHASE_PROMPT, 133, 1 });
    end(&f);
}

/* A benchmark's first prompt looks like this. It cannot be told apart, so it is not called warm-up. */
static void test_no_warmup(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    run(&f, graph(&f, 1, 64, 1));
    event(&f, TAT_EVENT_MEMORY_CLEAR, YES);
    event(&f, TAT_EVENT_PERF_RESET, NO);
    run(&f, graph(&f, 1, 5, 1));
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_PROMPT, 0, 64 }, { TAT_PHASE_PROMPT, 64, 5 });
    end(&f);
}

/* 4 + 4 + 1 rows, with logits for the last one only: that single row is not a generated token. */
static void test_prompt_in_ubatches(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t silent = graph(&f, 1, 4, 0), one = graph(&f, 1, 1, 1);
    run(&f, silent);
    run(&f, silent);
    run(&f, one);
    run(&f, one);
    run(&f, one);
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_PROMPT, 0, 4 }, { TAT_PHASE_PROMPT, 4, 4 }, { TAT_PHASE_PROMPT, 8, 1 },
           { TAT_PHASE_GENERATE, 9, 1 }, { TAT_PHASE_GENERATE, 10, 1 });
    end(&f);
}

static void test_contexts_count_for_themselves(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t first = graph(&f, 1, 5, 1), second = graph(&f, 2, 3, 1);
    const uint32_t one = graph(&f, 1, 1, 1), two = graph(&f, 2, 1, 1), shift = graph(&f, 2, 0, 1);
    run(&f, first);
    run(&f, second);
    run(&f, one);
    run(&f, two);
    run(&f, shift);
    run(&f, two);
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_PROMPT, 0, 5 }, { TAT_PHASE_PROMPT, 0, 3 }, { TAT_PHASE_GENERATE, 5, 1 },
           { TAT_PHASE_GENERATE, 3, 1 }, { TAT_PHASE_OTHER, 4, 0 }, { TAT_PHASE_GENERATE, 4, 1 });
    end(&f);
}

/* With several contexts, evaluations are written in the order in which they end. */
static void test_order_of_beginning(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t prompt = graph(&f, 1, 5, 1), one = graph(&f, 1, 1, 1);
    tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = one, .n_callbacks = 1, .begin = 9000 });
    tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = prompt, .n_callbacks = 1, .begin = 4000 });
    open_trace(&f);
    EXPECT(&f, { TAT_PHASE_PROMPT, 0, 5 }, { TAT_PHASE_GENERATE, 5, 1 });
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &count);
    assert_int_equal(e[0].begin_ns, 4000);
    assert_int_equal(e[0].end_ns, 4000 + 2 * TB_CALLBACK_NS);
    assert_int_equal(e[1].begin_ns, 9000);
    end(&f);
}

/* Evaluations, events and anchors of one tick keep the order of the file, whatever qsort does with equal elements. */
static void test_ties_keep_the_order_of_the_file(void ** state) {
    (void) state;
    enum { TIES = 5 };
    struct fixture f;
    begin(&f);
    const uint32_t t = graph(&f, 1, 1, 1);
    const uint64_t last[] = { 9000, 9000 };
    tb_event(&f.b, TAT_EVENT_CLOCK, 9000, last, 2, NULL);
    for (uint32_t i = 0; i < TIES; i++) {
        const uint64_t anchor[] = { 1000, 1000 + i }, value[] = { SUBJECT, 2 * i };
        tb_event(&f.b, TAT_EVENT_CLOCK, 3000, anchor, 2, NULL);
        tb_event(&f.b, TAT_EVENT_LOAD_END, 2000, value, 2, NULL);
        tb_evaluation(&f.b,
                      (struct tb_evaluation){ .template_id = t, .n_callbacks = 1, .begin = 7000, .n_threads = 9 - i });
    }
    tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = t, .n_callbacks = 1, .begin = 5000, .n_threads = 4 });
    open_trace(&f);
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &count);
    assert_int_equal(count, TIES + 1);
    assert_int_equal(e[0].n_threads, 4);
    for (uint32_t i = 0; i < TIES; i++) { assert_int_equal(e[1 + i].n_threads, 9 - i); }
    /* From the last of the anchors at one tick to the next: 1004 at 1000, 9000 at 9000. */
    assert_int_equal(e[0].begin_ns, 1004 + 7996 / 2);
    const struct tat_event * events = tat_trace_events(f.trace, &count);
    assert_int_equal(count, 2 * TIES + 1);
    for (uint32_t i = 0; i < TIES; i++) {
        assert_int_equal(events[i].value[1], i);
        assert_int_equal(events[TIES + i].value[1], 1000 + i);
    }
    end(&f);
}

/* The clock runs at 2 ticks per nanosecond, then at 4: times between two anchors lie on the line through them. */
static void test_clock_anchors(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    struct tat_file_header * h = tb_header(&f.b);
    h->start_monotonic_ns = 500;
    h->start_tick = 10000;
    h->ticks_per_second = 2000000000;
    tb_seal(&f.b);
    const uint64_t anchors[][2] = { { 34000, 500 + 8000 }, { 10000, 500 }, { 18000, 500 + 4000 } };
    for (int i = 0; i < 3; i++) { tb_event(&f.b, TAT_EVENT_CLOCK, anchors[i][0], anchors[i], 2, NULL); }
    const uint32_t t = graph(&f, 1, 1, 1);
    for (uint64_t at = 12000; at <= 36000; at += 8000) {
        tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = t, .n_callbacks = 1, .begin = at });
    }
    open_trace(&f);
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &count);
    const uint64_t begins[] = { 1000, 4500, 6500, 8500 };
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) { assert_int_equal(e[i].begin_ns, begins[i]); }
    assert_int_equal(e[0].end_ns - e[0].begin_ns, TB_CALLBACK_NS); /* 200 ticks of half a nanosecond */
    assert_int_equal(e[2].end_ns - e[2].begin_ns, TB_CALLBACK_NS / 2);
    end(&f);
}

static void test_clock_without_anchors(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    tb_header(&f.b)->start_tick = 1000;
    tb_header(&f.b)->ticks_per_second = 500000000;
    tb_seal(&f.b);
    tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = graph(&f, 1, 1, 1), .n_callbacks = 1, .begin = 3000 });
    const uint64_t values[] = { SUBJECT, NO };
    tb_event(&f.b, TAT_EVENT_LOAD_END, 500, values, 2, NULL);
    tb_event(&f.b, TAT_EVENT_LOAD_BEGIN, 400, NULL, 0, "/models/a.gguf");
    open_trace(&f);
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &count);
    assert_int_equal(e[0].begin_ns, 4000);
    const struct tat_event * events = tat_trace_events(f.trace, &count);
    assert_int_equal(count, 2);
    assert_int_equal(events[0].type, TAT_EVENT_LOAD_BEGIN); /* in the order of time */
    assert_string_equal(events[0].text, "/models/a.gguf");
    assert_int_equal(events[0].at_ns, -1200); /* loading comes before the first graph */
    assert_int_equal(events[1].at_ns, -1000);
    end(&f);
}

/* Anchors may coincide, lie ages apart, or put evaluations before the beginning: no time wraps. */
static void test_clock_that_lies(void ** state) {
    (void) state;
    static const uint64_t clocks[][3][2] = {
        { { 5000, 100 }, { 5000, 200 }, { 9000, 300 } },
        { { 0, 0 }, { 1, UINT64_C(1) << 59 }, { UINT64_MAX, 1 } },
        { { 0, UINT64_MAX }, { 1, INT64_MAX }, { 2, UINT64_C(1) << 63 } },
        { { 50000, 0 }, { 60000, 10000 }, { 70000, 20000 } },
    };
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        struct fixture f;
        struct tat_error error = { 0 };
        uint32_t count;
        begin(&f);
        for (int k = 0; k < 3; k++) { tb_event(&f.b, TAT_EVENT_CLOCK, clocks[i][k][0], clocks[i][k], 2, NULL); }
        const uint32_t t = graph(&f, 1, 1, 1);
        for (int k = 0; k < 3; k++) { run(&f, t); }
        f.trace = tb_open(&f.b, &error);
        assert_non_null(f.trace);
        const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &count);
        for (uint32_t k = 0; k < count; k++) {
            assert_true(e[k].begin_ns <= e[k].end_ns && e[k].end_ns < UINT64_C(1) << 62);
        }
        end(&f);
    }
}

static void test_totals_without_an_end(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t t = graph(&f, 1, 1, 1);
    for (int i = 0; i < 5; i++) { run(&f, t); }
    tb_loss(&f.b, TAT_LOSS_SLOTS, 1, 2);
    tb_loss(&f.b, TAT_LOSS_SLOTS, 2, 0);
    open_trace(&f);
    const struct tat_trace_summary * s = tat_trace_summary(f.trace);
    assert_false(s->ended);
    assert_int_equal(s->evaluations_stored, 5);
    assert_int_equal(s->evaluations_emitted, 8);
    assert_int_equal(s->callbacks_stored, 5);
    assert_int_equal(s->lost[TAT_LOSS_SLOTS], 3);
    assert_int_equal(s->events_lost, 2);
    assert_int_equal(s->events_emitted, s->events_stored + 2);
    end(&f);
}

/* END has all that LOSS blocks told, and what there was no room to tell. */
static void test_losses_of_an_end(void ** state) {
    (void) state;
    for (int told = 0; told < 2; told++) {
        struct fixture f;
        begin(&f);
        const uint32_t t = graph(&f, 1, 1, 1);
        for (int i = 0; i < 5; i++) { run(&f, t); }
        if (told) { tb_loss(&f.b, TAT_LOSS_SLOTS, 3, 2); }
        tb_end_lost(&f.b, TAT_LOSS_SLOTS, 3, 2);
        open_trace(&f);
        const struct tat_trace_summary * s = tat_trace_summary(f.trace);
        assert_true(s->ended);
        assert_int_equal(s->evaluations_stored, 5);
        assert_int_equal(s->evaluations_emitted, 8);
        assert_int_equal(s->lost[TAT_LOSS_SLOTS], 3);
        assert_int_equal(s->events_lost, 2);
        assert_int_equal(s->events_emitted, s->events_stored + 2);
        end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_sequences_in_turn),
        cmocka_unit_test(test_warmup_that_is_announced),
        cmocka_unit_test(test_warmup_by_what_follows),
        cmocka_unit_test(test_no_warmup),
        cmocka_unit_test(test_prompt_in_ubatches),
        cmocka_unit_test(test_contexts_count_for_themselves),
        cmocka_unit_test(test_order_of_beginning),
        cmocka_unit_test(test_clock_anchors),
        cmocka_unit_test(test_ties_keep_the_order_of_the_file),
        cmocka_unit_test(test_clock_without_anchors),
        cmocka_unit_test(test_clock_that_lies),
        cmocka_unit_test(test_totals_without_an_end),
        cmocka_unit_test(test_losses_of_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
