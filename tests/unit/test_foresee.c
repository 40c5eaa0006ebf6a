/* SPDX-License-Identifier: MIT
 *
 * What a router would choose, computed early and compared with the plain sum; and guesses from what was chosen before.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manage/early_score.h"
#include "manage/foresee.h"

enum { EMBD = 61, EXPERTS = 13, USED = 4 };

static uint32_t seed = 1;

static float random_weight(void) {
    seed = seed * 1664525u + 1013904223u;
    return ((float) (seed >> 8) / (1 << 23) - 1) * 2;
}

/* ---- scores ---- */

struct gate {
    float f32[EXPERTS][EMBD];
    uint16_t half[EXPERTS][EMBD];
    float x[EMBD], norm[EMBD], bias[EXPERTS], work[EMBD], score[EXPERTS];
};

static uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t) (bits >> 16);
}

/* Of a number that a half can hold, subnormal ones included. */
static uint16_t to_f16(float value) {
    int exponent;
    const double part = frexp(fabs((double) value), &exponent); /* 0.5 to 1 */
    const uint16_t sign = value < 0 ? 0x8000 : 0;
    if (exponent < -13) { return (uint16_t) (sign | (uint16_t) ldexp(part, exponent + 24)); }
    return (uint16_t) (sign | (uint16_t) (exponent + 14) << 10 | ((uint16_t) ldexp(part, 11) & 0x3ff));
}

static double of_half(uint16_t half, int type) {
    if (type == EARLY_BF16) {
        const uint32_t bits = (uint32_t) half << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double) value;
    }
    const int exponent = half >> 10 & 31, part = half & 0x3ff;
    const double value = exponent ? ldexp(1024 + part, exponent - 25) : ldexp(part, -24);
    return half & 0x8000 ? -value : value;
}

static void make_gate(struct gate * g, int type) {
    for (int e = 0; e < EXPERTS; e++) {
        for (int i = 0; i < EMBD; i++) {
            g->f32[e][i] = random_weight();
            const float weight = i % 7 ? g->f32[e][i] : g->f32[e][i] * 0x1p-15f;
            g->half[e][i] = type == EARLY_BF16 ? to_bf16(weight) : to_f16(weight);
        }
        g->bias[e] = random_weight();
    }
    for (int i = 0; i < EMBD; i++) {
        g->x[i] = 3 * random_weight();
        g->norm[i] = random_weight();
    }
}

static double plain_score(const struct gate * g, int e, int type, bool with_bias, bool is_sigmoid) {
    double squares = 0, sum = 0;
    for (int i = 0; i < EMBD; i++) { squares += (double) g->x[i] * (double) g->x[i]; }
    const double scale = with_bias ? 1 / sqrt(squares / EMBD + 1e-6) : 1;
    for (int i = 0; i < EMBD; i++) {
        const double weight = type == EARLY_F32 ? (double) g->f32[e][i] : of_half(g->half[e][i], type);
        sum += weight * (double) g->x[i] * (double) g->norm[i] * scale;
    }
    if (is_sigmoid) { sum = 1 / (1 + exp(-sum)); }
    return with_bias ? sum + (double) g->bias[e] : sum;
}

static void scores_are_those_of_the_plain_sum(void ** state) {
    static const int types[] = { EARLY_F32, EARLY_F16, EARLY_BF16 };
    static struct gate g;
    (void) state;
    for (unsigned round = 0; round < 12; round++) {
        const int type = types[round % 3];
        const bool with_bias = round >= 6, is_sigmoid = round >= 9;
        make_gate(&g, type);
        const struct early_weights w = { .gate = type == EARLY_F32 ? (void *) g.f32 : (void *) g.half,
                                         .type = type,
                                         .n_embd = EMBD,
                                         .n_experts = EXPERTS,
                                         .norm = g.norm,
                                         .bias = with_bias ? g.bias : NULL,
                                         .is_sigmoid = is_sigmoid };
        early_score(&w, g.x, g.work, g.score);
        for (int e = 0; e < EXPERTS; e++) {
            const double right = plain_score(&g, e, type, with_bias, is_sigmoid);
            assert_true(fabs((double) g.score[e] - right) <= (is_sigmoid ? 5e-3 : 1e-4) * (1 + fabs(right)));
        }
    }
}

static void an_input_that_is_normalised_already_is_taken_as_it_is(void ** state) {
    static const float gate[2][3] = { { 1, 2, 3 }, { -1, 0, 1 } }, x[3] = { 1, 10, 100 };
    const struct early_weights w = { .gate = gate, .type = EARLY_F32, .n_embd = 3, .n_experts = 2 };
    float score[2];
    (void) state;
    early_score(&w, x, NULL, score);
    assert_true(score[0] == 321 && score[1] == 99);
    assert_int_equal(early_row_bytes(EARLY_F32, 3), 12);
    assert_int_equal(early_row_bytes(EARLY_F16, 3), 6);
    assert_int_equal(early_row_bytes(8, 32), 0); /* quantised: not known */
}

static void the_highest_come_first(void ** state) {
    (void) state;
    for (int round = 0; round < 200; round++) {
        float score[EXPERTS];
        uint32_t ids[EXPERTS];
        bool seen[EXPERTS] = { false };
        for (int e = 0; e < EXPERTS; e++) { score[e] = roundf(random_weight() * 4); }
        if (round % 4 == 0) { score[round % EXPERTS] = NAN; }
        const uint32_t k = 1 + (uint32_t) round % EXPERTS, numbers = EXPERTS - (round % 4 == 0);
        const uint32_t n = early_top(score, EXPERTS, k, ids);
        assert_int_equal(n, k < numbers ? k : numbers);
        for (uint32_t i = 0; i < n; i++) {
            int best = -1;
            for (int e = 0; e < EXPERTS; e++) {
                if (!seen[e] && !isnan(score[e]) && (best < 0 || score[e] > score[best])) { best = e; }
            }
            assert_int_equal(ids[i], best);
            seen[best] = true;
        }
    }
    assert_int_equal(early_top(NULL, 0, 3, NULL), 0);
}

/* ---- methods ---- */

static void choose(struct foresee * f, uint32_t router, uint32_t a, uint32_t b) {
    uint8_t chosen[EXPERTS] = { 0 };
    chosen[a] = chosen[b] = 1;
    foresee_chosen(f, router, chosen);
}

static void assert_foresees(struct foresee * f, uint32_t router, const float * score, uint32_t a, uint32_t b) {
    uint32_t ids[EXPERTS];
    assert_int_equal(foresee_next(f, router, score, ids), 2);
    assert_true((ids[0] == a && ids[1] == b) || (ids[0] == b && ids[1] == a));
}

static const uint32_t two_routers[] = { EXPERTS, EXPERTS };

static void the_token_before_is_guessed_again(void ** state) {
    struct foresee * f = foresee_new(FORESEE_PREVIOUS, two_routers, 2);
    uint32_t ids[EXPERTS];
    (void) state;
    choose(f, 0, 1, 2);
    assert_int_equal(foresee_next(f, 1, NULL, ids), 0);
    choose(f, 1, 3, 4);
    assert_foresees(f, 0, NULL, 1, 2);
    choose(f, 0, 2, 7);
    assert_foresees(f, 1, NULL, 3, 4);
    choose(f, 1, 4, 3);
    const struct foresee_totals t = foresee_totals(f);
    assert_int_equal(t.guesses, 4);
    assert_int_equal(t.right, 3);
    foresee_free(f);
}

/* Router 1 chooses what is one above the choice of router 0. */
static void what_follows_a_choice_is_learned(void ** state) {
    struct foresee * f = foresee_new(FORESEE_MARKOV, two_routers, 2);
    uint32_t ids[EXPERTS];
    (void) state;
    for (uint32_t token = 0; token < 100; token++) {
        const uint32_t a = token * 5 % 11, b = (a + 1 + token % 3) % 11;
        choose(f, 0, a, b);
        if (token >= 60) { assert_foresees(f, 1, NULL, a + 1, b + 1); }
        if (token == 0) { assert_int_equal(foresee_next(f, 1, NULL, ids), 0); }
        choose(f, 1, a + 1, b + 1);
    }
    const struct foresee_totals t = foresee_totals(f);
    assert_int_equal(t.guesses, 80);
    assert_int_equal(t.right, 80);
    foresee_free(f);
}

static void scores_decide_where_there_are_any(void ** state) {
    struct foresee * f = foresee_new(FORESEE_ROUTER, two_routers, 2);
    float score[EXPERTS] = { 0 };
    uint32_t ids[EXPERTS];
    (void) state;
    score[9] = 2;
    score[5] = 1;
    choose(f, 0, 1, 2);
    assert_int_equal(foresee_next(f, 1, score, ids), 2);
    assert_int_equal(ids[0], 9);
    assert_int_equal(ids[1], 5);
    choose(f, 1, 9, 10);
    assert_int_equal(foresee_next(f, 0, NULL, ids), 0);
    choose(f, 0, 1, 2);
    const struct foresee_totals t = foresee_totals(f);
    assert_int_equal(t.guesses, 2);
    assert_int_equal(t.right, 1);
    assert_int_equal(t.first, 1);
    assert_int_equal(t.first_right, 1);
    foresee_free(f);
}

/* What pays at first, stops to once too little came, and pays again once enough does. */
static void guesses_are_read_while_enough_of_them_come(void ** state) {
    struct foresee * f = foresee_new(FORESEE_PREVIOUS, two_routers, 2);
    (void) state;
    assert_true(foresee_pays(f));
    foresee_came(f, 0, 0);
    for (int i = 0; i < 1000; i++) { foresee_came(f, 4, 1); }
    assert_true(foresee_pays(f));
    for (int i = 0; i < 1000; i++) { foresee_came(f, 20, 1); }
    assert_false(foresee_pays(f));
    choose(f, 0, 1, 2);
    choose(f, 1, 3, 4);
    assert_foresees(f, 0, NULL, 1, 2);
    choose(f, 0, 1, 7);
    assert_int_equal(foresee_totals(f).not_to_read, 2); /* still compared */
    for (int i = 0; i < 1000; i++) { foresee_came(f, 4, 1); }
    assert_true(foresee_pays(f));
    foresee_free(f);
}

static void other_routers_are_told_apart(void ** state) {
    static const uint32_t fewer[] = { EXPERTS, EXPERTS - 1 }, none[] = { 0 };
    struct foresee * f = foresee_new(FORESEE_MARKOV, two_routers, 2);
    (void) state;
    assert_true(foresee_is_for(f, two_routers, 2));
    assert_false(foresee_is_for(f, two_routers, 1));
    assert_false(foresee_is_for(f, fewer, 2));
    foresee_free(f);
    static const uint32_t too_many[] = { 3000, 3000 };
    assert_null(foresee_new(FORESEE_MARKOV, too_many, 2));
    f = foresee_new(FORESEE_PREVIOUS, none, 1); /* of which nothing is known */
    uint32_t id;
    foresee_chosen(f, 0, (const uint8_t[]){ 1 });
    assert_int_equal(foresee_next(f, 0, NULL, &id), 0);
    foresee_free(f);
    foresee_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_plain_sum),
        cmocka_unit_test(an_input_that_is_normalised_already_is_taken_as_it_is),
        cmocka_unit_test(the_highest_come_first),
        cmocka_unit_test(the_token_before_is_guessed_again),
        cmocka_unit_test(what_follows_a_choice_is_learned),
        cmocka_unit_test(scores_decide_where_there_are_any),
        cmocka_unit_test(guesses_are_read_while_enough_of_them_come),
        cmocka_unit_test(other_routers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
