/* SPDX-License-Identifier: MIT
 *
 * A model that is unloaded and loaded again has its weights once, wherever they are counted: what is said of such a run
 * is what is said of one in which the model stayed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "small_model.h"
#include "tat/analysis.h"
#include "tat/sums.h"

enum { TURNS = 3 };

struct run {
    struct trace_builder b;
    struct tat_trace * trace;
};

/* A prompt and two generated tokens, three times. */
static void run_begin(struct run * r, bool loads_again) {
    struct small_model m;
    small_model_begin(&r->b, &m);
    for (int turn = 0; turn < TURNS; turn++) {
        if (turn && loads_again) { small_model_load_again(&r->b, &m); }
        const uint32_t prompt = small_model_template(&r->b, &m, 2), generate = small_model_template(&r->b, &m, 1);
        small_model_evaluate(&r->b, prompt, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
        small_model_evaluate(&r->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 3 });
        small_model_evaluate(&r->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 3, 1 });
    }
    r->trace = small_model_open(&r->b);
}

static void run_end(struct run * r) {
    tat_trace_close(r->trace);
    tb_free(&r->b);
}

static int begin(void ** state) {
    struct run * runs = calloc(2, sizeof *runs);
    if (!runs) { abort(); }
    run_begin(&runs[0], false);
    run_begin(&runs[1], true);
    *state = runs;
    return 0;
}

static int end(void ** state) {
    struct run * runs = *state;
    run_end(&runs[0]);
    run_end(&runs[1]);
    free(runs);
    return 0;
}

static json_t * section(const struct run * r, const char * name) {
    struct tat_error error = { 0 };
    char * text = tat_analyze(r->trace, &name, 1, NULL, &error);
    if (!text) { fail_msg("%s", error.message); }
    json_t * all = json_loads(text, 0, NULL);
    json_t * one = json_incref(json_object_get(all, name));
    json_decref(all);
    free(text);
    return one;
}

static void every_section_says_the_same(void ** state) {
    const struct run * runs = *state;
    const char * name;
    for (unsigned i = 0; (name = tat_analysis_name(i)); i++) {
        if (strcmp(name, "run") == 0) { continue; } /* it names the trace and its size */
        json_t *stayed = section(&runs[0], name), *again = section(&runs[1], name);
        if (!json_equal(stayed, again)) {
            print_message("%s\n%s\n", json_dumps(stayed, JSON_COMPACT), json_dumps(again, JSON_COMPACT));
            fail_msg("section %s", name);
        }
        json_decref(stayed);
        json_decref(again);
    }
}

static void tensors_name_the_first(void ** state) {
    const struct run * runs = *state;
    uint32_t n, named = 0;
    const struct tat_tensor * t = tat_trace_tensors(runs[1].trace, &n);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(t[i].weight <= i);
        assert_string_equal(t[t[i].weight].name, t[i].name);
        named += t[i].weight != i;
    }
    assert_int_equal(named, 3 * (TURNS - 1));
}

static void columns_of_a_matrix(void ** state) {
    const struct run * runs = *state;
    uint64_t sums[2][64];
    for (int r = 0; r < 2; r++) {
        const uint32_t columns = tat_matrix_columns(runs[r].trace, TAT_BY_TENSOR);
        assert_int_equal(columns, r ? 9 + 3 * (TURNS - 1) : 9);
        memset(sums[r], 0, sizeof sums[r]);
        for (uint32_t e = 0; e < 3 * TURNS; e++) {
            uint64_t one[64] = { 0 };
            assert_int_equal(tat_matrix(runs[r].trace, TAT_BY_TENSOR, TAT_SUM_BYTES, 0, e, e + 1, one, NULL), 0);
            for (uint32_t c = 0; c < columns; c++) { sums[r][c] += one[c]; }
        }
    }
    assert_memory_equal(sums[0], sums[1], sizeof sums[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_section_says_the_same),
        cmocka_unit_test(tensors_name_the_first),
        cmocka_unit_test(columns_of_a_matrix),
    };
    return cmocka_run_group_tests_name("one weight", tests, begin, end);
}
