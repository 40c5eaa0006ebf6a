/* SPDX-License-Identifier: MIT
 *
 * Sums over the records of a small trace, against what can be counted by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/matrix.h"
#include "small_model.h"
#include "tat/sums.h"

enum { TENSORS_MAX = 16, OPS_MAX = 8 };

/* A prompt of two tokens, two generated tokens, and one whose evaluation ends after two operations. */
struct fixture {
    struct trace_builder b;
    struct small_model m;
    struct tat_trace * trace;
};

enum { PROMPT, FIRST, SECOND, ENDED, EVALUATIONS };

static int begin(void ** state) {
    struct fixture * f = calloc(1, sizeof *f);
    if (!f) { abort(); }
    small_model_begin(&f->b, &f->m);
    const uint32_t prompt = small_model_template(&f->b, &f->m, 2), generate = small_model_template(&f->b, &f->m, 1);
    small_model_evaluate(&f->b, prompt, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
    small_model_evaluate(&f->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 3 });
    small_model_evaluate(&f->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 3, 1 });
    small_model_end_early(&f->b, generate, (const int64_t[]){ 4 }, 1, 2);
    f->trace = small_model_open(&f->b);
    *state = f;
    return 0;
}

static int end(void ** state) {
    struct fixture * f = *state;
    tat_trace_close(f->trace);
    tb_free(&f->b);
    free(f);
    return 0;
}

/* ---- tally ---- */

struct totals {
    const struct fixture * f;
    uint64_t bytes[TENSORS_MAX][TAT_PHASE_COUNT], owned[TENSORS_MAX], ns[OPS_MAX];
    uint64_t groups, alike_evaluations, single, expert_records;
    bool at_groups; /* what differs between evaluations is over */
};

static bool add_tally(const struct tat_tally * t, void * user) {
    struct totals * totals = user;
    uint32_t n;
    assert_true(t->count > 0);
    assert_true(t->alike == (t->ns != NULL) && t->alike == (t->owner_ns != NULL));
    const struct tat_evaluation * e = &tat_trace_evaluations(totals->f->trace, &n)[t->records[0].evaluation];
    totals->at_groups |= t->alike && !(e->flags & TAT_EVALUATION_ABORTED);
    totals->groups += t->alike;
    totals->alike_evaluations += t->alike ? t->evaluations : 0;
    totals->single += t->alike ? 0 : t->count * t->evaluations;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        assert_int_equal(a->start_ns, 0);
        assert_int_equal(a->duration_ns, 0);
        totals->bytes[a->tensor][a->flags >> TAT_ACCESS_PHASE_SHIFT & 7] += a->bytes * t->evaluations;
        totals->owned[a->tensor] += t->owner_ns ? t->owner_ns[i] : 0;
        totals->ns[a->op] += t->ns ? t->ns[i] : 0;
        totals->expert_records += !t->alike && a->expert != TAT_NO_EXPERT;
        if (!t->alike && a->expert == TAT_NO_EXPERT) {
            assert_int_equal(t->evaluations, 1);
            assert_false(totals->at_groups);
        }
    }
    return true;
}

static uint64_t ns_of(const struct fixture * f, const struct totals * t, const char * op) {
    for (uint16_t i = 0; i < tat_trace_n_ops(f->trace); i++) {
        if (strcmp(tat_trace_op_name(f->trace, i), op) == 0) { return t->ns[i]; }
    }
    fail_msg("no operation %s", op);
    return 0;
}

static void tally_multiplies(void ** state) {
    const struct fixture * f = *state;
    const struct small_model * m = &f->m;
    struct totals t = { .f = f };
    assert_int_equal(tat_trace_tally(f->trace, 0, UINT32_MAX, add_tally, &t, NULL), 0);
    /* The prompt, both generated tokens together, the one that ended early. */
    assert_int_equal(t.groups, 3);
    assert_int_equal(t.alike_evaluations, EVALUATIONS);
    /* Rows 1 and 2, which touch, and experts 0, 1, 2; then a row and two experts, twice; then a row. */
    assert_int_equal(t.single, 4 + 3 + 3 + 1);
    /* Of them experts 0, 1, 2, and of the generated tokens 0, 1 and, for both, 3. */
    assert_int_equal(t.expert_records, 3 + 3);

    const int p = TAT_PHASE_PROMPT, g = TAT_PHASE_GENERATE;
    assert_int_equal(t.bytes[m->embd][p], 2 * EMBD_ROW + EMBD_BYTES);
    assert_int_equal(t.bytes[m->embd][g], 2 * (EMBD_ROW + EMBD_BYTES) + EMBD_ROW);
    assert_int_equal(t.bytes[m->query][p], QUERY_BYTES);
    assert_int_equal(t.bytes[m->query][g], 3 * QUERY_BYTES);
    assert_int_equal(t.bytes[m->experts][p], 3 * EXPERT_BYTES);
    assert_int_equal(t.bytes[m->experts][g], 4 * EXPERT_BYTES);

    assert_int_equal(ns_of(f, &t, "GET_ROWS"), 4 * TB_CALLBACK_NS);
    assert_int_equal(ns_of(f, &t, "MUL_MAT"), 7 * TB_CALLBACK_NS);
    assert_int_equal(ns_of(f, &t, "MUL_MAT_ID"), 3 * TB_CALLBACK_NS);
    assert_int_equal(t.owned[m->embd], 7 * TB_CALLBACK_NS);
    assert_int_equal(t.owned[m->query], 4 * TB_CALLBACK_NS);
    assert_int_equal(t.owned[m->experts], 3 * TB_CALLBACK_NS);
}

static void tally_of_some(void ** state) {
    const struct fixture * f = *state;
    struct totals t = { .f = f };
    assert_int_equal(tat_trace_tally(f->trace, SECOND, ENDED, add_tally, &t, NULL), 0);
    assert_int_equal(t.alike_evaluations, 1);
    assert_int_equal(t.bytes[f->m.embd][TAT_PHASE_GENERATE], EMBD_ROW + EMBD_BYTES);
    memset(&t, 0, sizeof t);
    assert_int_equal(tat_trace_tally(f->trace, ENDED, ENDED, add_tally, &t, NULL), 0);
    assert_int_equal(tat_trace_tally(f->trace, EVALUATIONS, UINT32_MAX, add_tally, &t, NULL), 0);
    assert_int_equal(t.groups, 0);
}

static bool stop(const struct tat_tally * t, void * user) {
    (void) t;
    ++*(unsigned *) user;
    return false;
}

static void tally_ends_when_told(void ** state) {
    const struct fixture * f = *state;
    unsigned calls = 0;
    assert_int_equal(tat_trace_tally(f->trace, 0, UINT32_MAX, stop, &calls, NULL), 1);
    assert_int_equal(calls, 1);
}

/* ---- matrix ---- */

static void expect_row(const struct fixture * f, enum tat_key by, enum tat_measure measure, uint32_t kinds,
                       uint32_t evaluation, uint32_t column, uint64_t expected) {
    const uint32_t columns = tat_matrix_columns(f->trace, by);
    uint64_t * sums = malloc((size_t) columns * sizeof *sums);
    assert_true(sums && column < columns);
    memset(sums, 0x55, (size_t) columns * sizeof *sums); /* set, not added to */
    assert_int_equal(tat_matrix(f->trace, by, measure, kinds, evaluation, evaluation + 1, sums, NULL), 0);
    assert_int_equal(sums[column], expected);
    free(sums);
}

static void matrix_by_tensor(void ** state) {
    const struct fixture * f = *state;
    const struct small_model * m = &f->m;
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 0, PROMPT, m->embd, 2 * EMBD_ROW + EMBD_BYTES);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 0, SECOND, m->experts, 2 * EXPERT_BYTES);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 0, ENDED, m->embd, EMBD_ROW);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 0, ENDED, m->experts, 0);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_ACCESSES, 0, PROMPT, m->experts, 3);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_NS, 0, FIRST, m->embd, 2 * TB_CALLBACK_NS);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_NS, 0, ENDED, m->embd, TB_CALLBACK_NS);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 1u << TAT_TENSOR_ACTIVATION, FIRST, m->query, 0);
    expect_row(f, TAT_BY_TENSOR, TAT_SUM_BYTES, 1u << TAT_TENSOR_WEIGHT, FIRST, m->query, QUERY_BYTES);
}

static void matrix_by_layer_and_expert(void ** state) {
    const struct fixture * f = *state;
    assert_int_equal(tat_matrix_columns(f->trace, TAT_BY_LAYER), 3);
    expect_row(f, TAT_BY_LAYER, TAT_SUM_BYTES, 1u << TAT_TENSOR_WEIGHT, FIRST, 0, QUERY_BYTES);
    expect_row(f, TAT_BY_LAYER, TAT_SUM_BYTES, 1u << TAT_TENSOR_WEIGHT, FIRST, 1, 2 * EXPERT_BYTES);
    expect_row(f, TAT_BY_LAYER, TAT_SUM_BYTES, 1u << TAT_TENSOR_WEIGHT, FIRST, 2, EMBD_ROW + EMBD_BYTES);
    expect_row(f, TAT_BY_LAYER, TAT_SUM_NS, 0, ENDED, 0, TB_CALLBACK_NS);
    assert_int_equal(tat_matrix_columns(f->trace, TAT_BY_EXPERT), N_EXPERTS);
    expect_row(f, TAT_BY_EXPERT, TAT_SUM_BYTES, 0, PROMPT, 1, EXPERT_BYTES);
    expect_row(f, TAT_BY_EXPERT, TAT_SUM_BYTES, 0, FIRST, 1, 0);
    expect_row(f, TAT_BY_EXPERT, TAT_SUM_ACCESSES, 0, SECOND, 3, 1);
    expect_row(f, TAT_BY_COMPONENT, TAT_SUM_BYTES, 0, PROMPT, TAT_COMPONENT_ATTN_Q, QUERY_BYTES);
    expect_row(f, TAT_BY_COMPONENT, TAT_SUM_NS, 0, PROMPT, TAT_COMPONENT_EXPERT_UP, TB_CALLBACK_NS);
}

static void matrix_by_two_keys(void ** state) {
    const struct fixture * f = *state;
    const uint32_t n[] = { tat_matrix_columns(f->trace, TAT_BY_LAYER), tat_matrix_columns(f->trace, TAT_BY_TENSOR) };
    uint64_t * sums[4];
    for (unsigned i = 0; i < 4; i++) {
        sums[i] = malloc((size_t) n[i % 2] * EVALUATIONS * sizeof *sums[i]);
        if (!sums[i]) { abort(); }
    }
    for (enum tat_measure m = TAT_SUM_BYTES; m < TAT_MEASURE_COUNT; m++) {
        assert_int_equal(tat_matrix(f->trace, TAT_BY_LAYER, m, 0, 0, EVALUATIONS, sums[0], NULL), 0);
        assert_int_equal(tat_matrix(f->trace, TAT_BY_TENSOR, m, 0, 0, EVALUATIONS, sums[1], NULL), 0);
        assert_int_equal(matrix_of_layers_and_tensors(f->trace, m, 0, EVALUATIONS, sums[2], sums[3], NULL), 0);
        for (unsigned i = 0; i < 2; i++) {
            assert_memory_equal(sums[i], sums[i + 2], (size_t) n[i] * EVALUATIONS * sizeof *sums[i]);
        }
    }
    for (unsigned i = 0; i < 4; i++) { free(sums[i]); }
}

static void matrix_of_all_at_once(void ** state) {
    const struct fixture * f = *state;
    const uint32_t columns = tat_matrix_columns(f->trace, TAT_BY_OPERATION);
    uint64_t * sums = calloc((size_t) columns * EVALUATIONS, sizeof *sums);
    uint64_t by[EVALUATIONS] = { 0 };
    assert_non_null(sums);
    assert_int_equal(tat_matrix(f->trace, TAT_BY_OPERATION, TAT_SUM_NS, 0, 0, UINT32_MAX, sums, NULL), 0);
    for (uint32_t e = 0; e < EVALUATIONS; e++) {
        for (uint32_t c = 0; c < columns; c++) { by[e] += sums[e * columns + c]; }
    }
    assert_int_equal(by[PROMPT], 4 * TB_CALLBACK_NS);
    assert_int_equal(by[SECOND], 4 * TB_CALLBACK_NS);
    assert_int_equal(by[ENDED], 2 * TB_CALLBACK_NS);
    free(sums);
}

static void matrix_used_wrongly(void ** state) {
    const struct fixture * f = *state;
    static const struct {
        int by, measure;
        uint32_t kinds;
    } wrong[] = {
        { TAT_KEY_COUNT, TAT_SUM_BYTES, 0 },
        { -1, TAT_SUM_BYTES, 0 },
        { TAT_BY_LAYER, TAT_MEASURE_COUNT, 0 },
        { TAT_BY_EXPERT, TAT_SUM_NS, 0 },
        { TAT_BY_LAYER, TAT_SUM_NS, 1u << TAT_TENSOR_WEIGHT },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct tat_error error = { 0 };
        uint64_t sums = 7; /* nothing is stored */
        assert_int_equal(tat_matrix(f->trace, (enum tat_key) wrong[i].by, (enum tat_measure) wrong[i].measure,
                                    wrong[i].kinds, 0, 1, &sums, &error),
                         -1);
        assert_int_equal(error.kind, TAT_ERROR_USAGE);
        assert_non_null(strstr(error.message, "no such sums"));
        assert_int_equal(sums, 7);
    }
    assert_int_equal(tat_matrix_columns(f->trace, TAT_KEY_COUNT), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tally_multiplies, begin, end),
        cmocka_unit_test_setup_teardown(tally_of_some, begin, end),
        cmocka_unit_test_setup_teardown(tally_ends_when_told, begin, end),
        cmocka_unit_test_setup_teardown(matrix_by_tensor, begin, end),
        cmocka_unit_test_setup_teardown(matrix_by_layer_and_expert, begin, end),
        cmocka_unit_test_setup_teardown(matrix_by_two_keys, begin, end),
        cmocka_unit_test_setup_teardown(matrix_of_all_at_once, begin, end),
        cmocka_unit_test_setup_teardown(matrix_used_wrongly, begin, end),
    };
    return cmocka_run_group_tests_name("sums", tests, NULL, NULL);
}
