/* SPDX-License-Identifier: MIT
 *
 * Guesses of what is read next: of a periodic order, which all know, and of shuffled and random ones, where theory says
 * how often a guess is right.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "order_model.h"

static const char * const predictors[] = { "last", "last_frozen", "markov_1", "markov_2", "graph" };
enum { PREDICTORS = 5 };

static double predicted(const struct model * m, int predictor, const char * of) {
    return share_of(model_row(m, "prediction", "predictor", predictors[predictor]), of);
}

/* Every token is the same: all predictors that learn know everything, and so does the graph. */
static void test_predict_periodic(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[10] = { 0 };
    model_begin(&m, 0);
    for (int i = 0; i < 10; i++) { nodes[i].weight = model_weight(&m, i, 4096 + 16 * (uint64_t) (i * 7 % 10)); }
    const uint32_t t = model_graph(&m, nodes, 10);
    for (int i = 0; i < 21; i++) { model_run(&m, t, 10, i % 5, NULL, 0); }
    model_ask(&m);
    assert_int_equal(model_value(&m, "trained_tokens"), 10);
    assert_int_equal(model_value(&m, "scored_tokens"), 10);
    assert_int_equal(model_value(&m, "scored_slices"), 10 * 11);
    for (int p = 0; p < PREDICTORS; p++) {
        assert_true(predicted(&m, p, "tensor_share") == 1.0);
        assert_true(predicted(&m, p, "slice_share") == 1.0);
        assert_true(predicted(&m, p, "slice_bytes_share") == 1.0);
    }
    model_end(&m);
}

/* A weight that is read twice per token, with different successors: the last symbol does not tell which comes, the last
 * two do. */
static void test_predict_by_two(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[4] = { 0 };
    model_begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = model_weight(&m, i, 4096 + 16 * (uint64_t) i); }
    nodes[3].weight = nodes[2].weight;
    nodes[2].weight = nodes[1].weight; /* embedding, w0, w1, w1, w2 */
    const uint32_t t = model_graph(&m, nodes, 4);
    for (int i = 0; i < 21; i++) { model_run(&m, t, 4, 0, NULL, 0); }
    model_ask(&m);
    assert_true(predicted(&m, 0, "slice_share") == 0.6); /* the last slice: w1 after w1, not w2, and the reverse */
    assert_true(predicted(&m, 1, "slice_share") == 0.8);
    assert_true(predicted(&m, 2, "slice_share") == 0.8);
    assert_true(predicted(&m, 3, "slice_share") == 1.0);
    assert_true(predicted(&m, 4, "slice_share") == 1.0);
    model_end(&m);
}

/* Of equally frequent successors the first is the guess: w1 after w0, not w2. */
static void test_predict_ties(void ** state) {
    (void) state;
    struct model m;
    struct node learnt[4] = { 0 }, scored[2] = { 0 };
    model_begin(&m, 0);
    learnt[0].weight = learnt[2].weight = scored[0].weight = model_weight(&m, 0, 4096);
    learnt[1].weight = scored[1].weight = model_weight(&m, 1, 4112);
    learnt[3].weight = model_weight(&m, 2, 4128);
    const uint32_t t = model_graph(&m, learnt, 4), u = model_graph(&m, scored, 2);
    for (int i = 0; i < 6; i++) { model_run(&m, t, 4, 0, NULL, 0); }
    for (int i = 0; i < 5; i++) { model_run(&m, u, 2, 0, NULL, 0); }
    model_ask(&m);
    assert_int_equal(model_value(&m, "scored_slices"), 15);
    /* The embedding comes once after w2, then after w1, where w0 is expected. */
    assert_int_equal(count_of(model_row(&m, "prediction", "predictor", "markov_1"), "slice_hits"), 3 + 4 * 2);
    model_end(&m);
}

/* A token breaks a long repetition in the scored half. What was known is wrong for a while, as it is for whoever goes
 * through the run access by access. */
static void test_predict_interrupted(void ** state) {
    (void) state;
    enum { TOKENS = 40, ODD = 24 };
    struct model m;
    struct node nodes[2] = { 0 }, swapped[2] = { 0 };
    int last[3] = { -1, -1, -1 }, before = -1, hits = 0;
    model_begin(&m, 0);
    nodes[0].weight = swapped[1].weight = model_weight(&m, 0, 4096);
    nodes[1].weight = swapped[0].weight = model_weight(&m, 1, 4112);
    const uint32_t t = model_graph(&m, nodes, 2), u = model_graph(&m, swapped, 2);
    model_run(&m, t, 2, 0, NULL, 0);
    for (int i = 0; i < TOKENS; i++) {
        const int order[] = { 0, i == ODD ? 2 : 1, i == ODD ? 1 : 2 };
        model_run(&m, i == ODD ? u : t, 2, 0, NULL, 0);
        for (int k = 0; k < 3; k++) {
            hits += i >= TOKENS / 2 && last[before < 0 ? 0 : before] == order[k];
            if (before >= 0) { last[before] = order[k]; }
            before = order[k];
        }
    }
    model_ask(&m);
    assert_int_equal(count_of(model_row(&m, "prediction", "predictor", "last"), "slice_hits"), hits);
    assert_int_equal(count_of(model_row(&m, "prediction", "predictor", "last_frozen"), "slice_hits"), 3 * 20 - 3);
    assert_int_equal(hits, 3 * 20 - 6);
    model_end(&m);
}

/* Five standard deviations of n independent guesses. */
static void expect_share(double actual, double expected, uint64_t n) {
    const double tolerance = 5 * sqrt(expected * (1 - expected) / (double) n);
    if (fabs(actual - expected) > tolerance) { fail_msg("%.4f is not %.4f +- %.4f", actual, expected, tolerance); }
}

/* Each token reads 8 weights in an order of its own. After any access, each of the 7 others and the next token's
 * embedding are equally likely, so any guess is right once in 8. But the graph knows. */
static void test_predict_shuffled(void ** state) {
    (void) state;
    enum { N = 8, TOKENS = 400 };
    struct model m;
    struct node nodes[N] = { 0 };
    uint64_t seed = 1;
    model_begin(&m, 0);
    for (int i = 0; i < N; i++) { nodes[i].weight = model_weight(&m, i, 4096 + 16 * (uint64_t) i); }
    for (int i = 0; i <= TOKENS; i++) {
        for (uint32_t k = N - 1; k > 0; k--) {
            const uint32_t other = random_below(&seed, k + 1);
            const struct node swap = nodes[k];
            nodes[k] = nodes[other];
            nodes[other] = swap;
        }
        model_run(&m, model_graph(&m, nodes, N), N, 0, NULL, 0);
    }
    model_ask(&m);
    for (int p = 0; p < 4; p++) {
        expect_share(predicted(&m, p, "tensor_share"), 1.0 / N, (N + 1) * TOKENS / 2);
        expect_share(predicted(&m, p, "slice_share"), 1.0 / N, (N + 1) * TOKENS / 2);
    }
    assert_true(predicted(&m, 4, "tensor_share") == 1.0);
    assert_true(predicted(&m, 4, "slice_share") == 1.0);
    model_end(&m);
}

/* 40 steps per token, each with one slice in 8 at random: right once in 8, apart from the embedding between two tokens,
 * which nobody expects. The tensor is always the same, and known. */
static void test_predict_random_slices(void ** state) {
    (void) state;
    enum { STEPS = 40, TOKENS = 200, SCORED = (STEPS + 1) * TOKENS / 2 };
    struct model m;
    struct node nodes[STEPS];
    uint32_t slices[STEPS];
    uint64_t seed = 2;
    model_begin(&m, 0);
    const uint32_t stack = model_tensor(&m, "blk.0.ffn_up_exps.weight", TAT_TENSOR_WEIGHT, 16, SLICES, 4096);
    for (int i = 0; i < STEPS; i++) { nodes[i] = (struct node){ .weight = stack, .chooses = true }; }
    const uint32_t t = model_graph(&m, nodes, STEPS);
    for (int i = 0; i <= TOKENS; i++) {
        for (int k = 0; k < STEPS; k++) { slices[k] = random_below(&seed, SLICES); }
        model_run(&m, t, STEPS, 0, slices, STEPS);
    }
    model_ask(&m);
    for (int p = 0; p < 4; p++) {
        const double once = (double) STEPS / SLICES / (STEPS + 1);
        expect_share(predicted(&m, p, "slice_share"), p == 0 ? once * (1 - 1.0 / STEPS) : once, SCORED);
    }
    assert_true(predicted(&m, 4, "tensor_share") == 1.0);
    /* The graph knows the embedding, and for the slices what the token before read. */
    expect_share(predicted(&m, 4, "slice_share"), (1 + (double) STEPS / SLICES) / (STEPS + 1), SCORED);
    model_end(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predict_periodic), cmocka_unit_test(test_predict_by_two),
        cmocka_unit_test(test_predict_ties),     cmocka_unit_test(test_predict_interrupted),
        cmocka_unit_test(test_predict_shuffled), cmocka_unit_test(test_predict_random_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
