/* SPDX-License-Identifier: MIT
 *
 * The sums for pictures of long traces: kept as bytes and read again, and made on for a trace that grew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/view/file_map.h"
#include "analysis/view/pyramid_file.h"
#include "small_model.h"
#include "sums_seal.h"

enum { PROMPT = 40, TOKENS = 400 };

/* A long prompt, and token by token; each trace has its graphs first. */
struct long_trace {
    struct trace_builder b;
    struct small_model m;
    uint32_t prompt, generate;
    uint32_t n_tokens;
};

static void begin_trace(struct long_trace * t) {
    *t = (struct long_trace){ 0 };
    small_model_begin(&t->b, &t->m);
    t->prompt = small_model_template(&t->b, &t->m, PROMPT);
    t->generate = small_model_template(&t->b, &t->m, 1);
}

static void add_prompt(struct long_trace * t) {
    int64_t tokens[PROMPT];
    uint32_t experts[2 * PROMPT];
    for (uint32_t i = 0; i < PROMPT; i++) {
        tokens[i] = i % VOCABULARY;
        experts[2 * i] = i % 3;
        experts[2 * i + 1] = (i + 1) % 3;
    }
    small_model_evaluate(&t->b, t->prompt, tokens, PROMPT, experts);
    t->n_tokens += PROMPT;
}

static void add_token(struct long_trace * t) {
    const uint32_t i = t->n_tokens++;
    small_model_evaluate(&t->b, t->generate, (const int64_t[]){ 3 }, 1,
                         (const uint32_t[]){ i % 4, (i + 1 + i / 7 % 2) % 4 });
}

/* The trace as it is now, opened. */
struct opened {
    struct tat_trace * trace;
    struct subject s;
    struct token_axis axis;
};

static void open_bytes(struct opened * o, const struct long_trace * t) {
    struct tat_error error;
    o->trace = tb_open(&t->b, &error);
    assert_non_null(o->trace);
    assert_true(subject_begin(&o->s, o->trace, NULL) && token_axis_begin(&o->axis, &o->s));
}

static void close_all(struct opened * o) {
    token_axis_free(&o->axis);
    subject_free(&o->s);
    tat_trace_close(o->trace);
}

static struct pyramid * made(const struct opened * o) {
    struct tat_error error;
    struct pyramid * p = pyramid_make(&o->s, &o->axis, NULL, NULL, &error);
    assert_non_null(p);
    return p;
}

/* Bit by bit. */
static void assert_same(const struct pyramid * a, const struct pyramid * b) {
    assert_int_equal(a->block, b->block);
    assert_int_equal(a->n_blocks, b->n_blocks);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_int_equal(a->n_evaluations, b->n_evaluations);
    assert_int_equal(a->last_step, b->last_step);
    assert_int_equal(a->row, b->row);
    assert_int_equal(a->mark_tokens, b->mark_tokens);
    assert_memory_equal(a->width, b->width, sizeof a->width);
    assert_memory_equal(a->at, b->at, sizeof a->at);
    assert_memory_equal(a->sums, b->sums, a->n_blocks * a->row * sizeof *a->sums);
    assert_int_equal(a->n_marks, b->n_marks);
    assert_int_equal(a->slices.count, b->slices.count);
    for (uint32_t i = 0; i < a->n_marks; i++) {
        assert_int_equal(a->marks[i].before, b->marks[i].before);
        assert_int_equal(a->marks[i].token, b->marks[i].token);
        assert_memory_equal(a->marks[i].reads, b->marks[i].reads, 2 * a->slices.count * sizeof *a->marks[i].reads);
    }
}

/* ---- as bytes ---- */

struct fixture {
    struct long_trace t;
    struct opened o;
    struct pyramid * p;
    uint8_t * bytes;
    size_t count;
};

static int begin(void ** state) {
    struct fixture * f = calloc(1, sizeof *f);
    if (!f) { abort(); }
    begin_trace(&f->t);
    add_prompt(&f->t);
    while (f->t.n_tokens < TOKENS) { add_token(&f->t); }
    tb_end(&f->t.b);
    open_bytes(&f->o, &f->t);
    f->p = made(&f->o);
    assert_true(f->p->n_blocks == TOKENS / 16 && f->p->n_marks > 20);
    f->bytes = pyramid_to_bytes(f->p, f->o.trace, &f->count);
    assert_non_null(f->bytes);
    *state = f;
    return 0;
}

static int end(void ** state) {
    struct fixture * f = *state;
    free(f->bytes);
    pyramid_free(f->p);
    close_all(&f->o);
    tb_free(&f->t.b);
    free(f);
    return 0;
}

static struct pyramid * read_bytes(const struct fixture * f, const void * bytes, size_t count) {
    return pyramid_from_bytes(&f->o.s, &f->o.axis, bytes, count);
}

static void test_what_is_read_is_what_was_made(void ** state) {
    const struct fixture * f = *state;
    struct pyramid * p = read_bytes(f, f->bytes, f->count);
    assert_non_null(p);
    assert_same(p, f->p);
    assert_true(f->count < f->p->n_blocks * f->p->row * sizeof *f->p->sums / 2);
    pyramid_free(p);
}

/* A copy that ends where its memory does, so that AddressSanitizer sees what reads beyond. */
static void * copy_of(const void * bytes, size_t count) {
    void * copy = malloc(count + !count);
    if (!copy) { abort(); }
    return memcpy(copy, bytes, count);
}

static void test_a_part_is_nothing(void ** state) {
    const struct fixture * f = *state;
    for (size_t count = 0; count < f->count; count++) {
        void * part = copy_of(f->bytes, count);
        assert_null(read_bytes(f, part, count));
        free(part);
    }
    uint8_t * more = calloc(1, f->count + 8);
    memcpy(more, f->bytes, f->count);
    assert_null(read_bytes(f, more, f->count + 1));
    assert_null(read_bytes(f, more, f->count + 8));
    free(more);
}

static void test_any_changed_byte_is_seen(void ** state) {
    const struct fixture * f = *state;
    uint8_t * bytes = copy_of(f->bytes, f->count);
    for (size_t i = 0; i < f->count; i++) {
        bytes[i] ^= 1u << i % 8;
        assert_null(read_bytes(f, bytes, f->count));
        bytes[i] = f->bytes[i];
    }
    free(bytes);
}

/* Nothing that a sum cannot be, and nothing beyond the file, whoever sealed it. */
static void assert_sane(const struct pyramid * p) {
    for (size_t i = 0; i < p->n_blocks * p->row; i++) { assert_true(isfinite(p->sums[i]) && p->sums[i] >= 0); }
    for (uint32_t i = 0; i < p->n_marks; i++) {
        assert_true(p->marks[i].before > (i ? p->marks[i - 1].before : 0));
        assert_true(p->marks[i].before <= p->n_evaluations && p->marks[i].token <= p->n_tokens);
        for (size_t s = 0; i && s < 2 * (size_t) p->slices.count; s++) {
            assert_true(p->marks[i].reads[s] >= p->marks[i - 1].reads[s]);
        }
    }
}

static void test_sealed_nonsense(void ** state) {
    const struct fixture * f = *state;
    size_t taken = 0;
    for (size_t i = 0; i < f->count - 16; i++) {
        for (unsigned change = 0; change < 3; change++) {
            uint8_t * bytes = copy_of(f->bytes, f->count);
            bytes[i] = change == 0 ? (uint8_t) ~bytes[i] : change == 1 ? 0xff : 0;
            sums_seal(bytes, f->count);
            struct pyramid * p = read_bytes(f, bytes, f->count);
            if (memcmp(bytes, f->bytes, f->count) != 0 && i < SUMS_LENGTH_AT) { assert_null(p); }
            if (p) { assert_sane(p); }
            taken += p != NULL;
            pyramid_free(p);
            free(bytes);
        }
    }
    assert_true(taken > 0);
    for (size_t count = SUMS_HEADER; count < f->count; count++) {
        uint8_t * part = copy_of(f->bytes, count);
        sums_seal(part, count);
        assert_null(read_bytes(f, part, count));
        free(part);
    }
}

/* Sums that other rules would give: the blocks that are made anew differ. */
static void test_sums_by_other_rules(void ** state) {
    struct fixture * f = *state;
    size_t count;
    for (uint32_t block = 0; block < f->p->n_blocks; block += f->p->n_blocks / 2) {
        double * sum = &f->p->sums[block * f->p->row];
        *sum += 1;
        void * bytes = pyramid_to_bytes(f->p, f->o.trace, &count);
        assert_null(read_bytes(f, bytes, count));
        free(bytes);
        *sum -= 1;
    }
}

static void test_of_another_trace(void ** state) {
    const struct fixture * f = *state;
    struct opened other;
    struct long_trace t;
    for (unsigned change = 0; change < 3; change++) {
        begin_trace(&t);
        if (change == 1) { /* another run of the same tokens */
            tb_header(&t.b)->run_id[0] = 1;
            tb_seal(&t.b);
        }
        add_prompt(&t);
        while (t.n_tokens < TOKENS - (change == 0)) { /* the same run, before it ended */
            /* the same in size and header, but for tokens of a block that is not made anew */
            t.b.callback_ns = change == 2 && t.n_tokens == 50 ? TB_CALLBACK_NS + 1 : TB_CALLBACK_NS;
            add_token(&t);
        }
        if (change) { tb_end(&t.b); }
        if (change == 2) { assert_int_equal(t.b.size, f->t.b.size); }
        open_bytes(&other, &t);
        assert_null(pyramid_from_bytes(&other.s, &other.axis, f->bytes, f->count));
        close_all(&other);
        tb_free(&t.b);
    }
}

/* ---- made on ---- */

/* From each number of tokens to each other: with prompts that end within blocks, and single tokens. */
static void test_what_is_extended_is_what_is_made(void ** state) {
    enum { STEPS = 60 };
    struct long_trace t;
    struct opened o[STEPS];
    struct pyramid * p[STEPS];
    struct tat_error error;
    size_t taken_over = 0;
    (void) state;
    begin_trace(&t);
    for (int i = 0; i < STEPS; i++) {
        if (i % 6 == 2) { add_prompt(&t); }
        for (int more = i % 5 * 3; more >= 0; more--) { add_token(&t); }
        if (i % 7 == 3) { small_model_end_early(&t.b, t.generate, (const int64_t[]){ 3 }, 1, 2), t.n_tokens++; }
        open_bytes(&o[i], &t);
        p[i] = made(&o[i]);
    }
    assert_true(p[STEPS - 1]->n_blocks > 40);
    for (int to = 0; to < STEPS; to++) {
        for (int from = 0; from <= to; from++) {
            struct pyramid * extended = pyramid_extend(p[from], &o[to].s, &o[to].axis, &error);
            assert_non_null(extended);
            assert_same(extended, p[to]);
            taken_over += p[from]->n_marks > 1;
            pyramid_free(extended);
        }
    }
    assert_true(taken_over > STEPS);
    for (int i = 0; i < STEPS; i++) {
        pyramid_free(p[i]);
        close_all(&o[i]);
    }
    tb_free(&t.b);
}

/* What was there before is not made again. */
static void test_only_what_came_is_made(void ** state) {
    struct fixture * f = *state;
    struct tat_error error;
    double * first = f->p->sums;
    *first += 1;
    struct pyramid * extended = pyramid_extend(f->p, &f->o.s, &f->o.axis, &error);
    assert_true(*extended->sums == *first);
    *first -= 1;
    pyramid_free(extended);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_read_is_what_was_made, begin, end),
        cmocka_unit_test_setup_teardown(test_a_part_is_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_any_changed_byte_is_seen, begin, end),
        cmocka_unit_test_setup_teardown(test_sealed_nonsense, begin, end),
        cmocka_unit_test_setup_teardown(test_sums_by_other_rules, begin, end),
        cmocka_unit_test_setup_teardown(test_of_another_trace, begin, end),
        cmocka_unit_test(test_what_is_extended_is_what_is_made),
        cmocka_unit_test_setup_teardown(test_only_what_came_is_made, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
