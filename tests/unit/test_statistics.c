/* SPDX-License-Identifier: MIT
 *
 * The tests of src/analysis/diff/statistics.h against published values, and against trying all arrangements.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/diff/permutation.h"
#include "analysis/diff/statistics.h"

#define assert_near(a, b, most) assert_true(fabs((a) - (b)) <= (most))

/* IQ and hours of television, the example in many textbooks: 1 - 6 * 194 / (10 * 99). */
static void spearman_without_ties(void ** state) {
    (void) state;
    const double iq[] = { 106, 100, 86, 101, 99, 103, 97, 113, 112, 110 };
    const double tv[] = { 7, 27, 2, 50, 28, 29, 20, 12, 6, 17 };
    assert_near(spearman(iq, tv, 10), -29.0 / 165, 1e-12);
    assert_near(spearman(iq, iq, 10), 1, 1e-12);
}

/* Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: sums of squares 4.5 and 5, of products 4.5. */
static void spearman_with_ties(void ** state) {
    (void) state;
    const double x[] = { 5, 7, 7, 9 }, y[] = { 10, 20, 30, 40 }, same[] = { 3, 3, 3, 3 };
    assert_near(spearman(x, y, 4), 4.5 / sqrt(4.5 * 5), 1e-12);
    assert_true(isnan(spearman(same, y, 4)));
    assert_true(isnan(spearman(x, y, 1)));
}

static double u_of(const double * both, size_t n, unsigned is_y) {
    double u = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (!(is_y >> i & 1) || is_y >> j & 1) { continue; }
            u += both[i] > both[j] ? 1 : both[i] == both[j] ? 0.5 : 0;
        }
    }
    return u;
}

/* Goes through every way of calling `ny` of the values y. */
static double brute_force_p(const double * both, size_t n, size_t ny, double u) {
    const double mean = (double) ny * (double) (n - ny) / 2;
    double all = 0, far = 0;
    for (unsigned is_y = 0; is_y < 1u << n; is_y++) {
        if ((size_t) __builtin_popcount(is_y) != ny) { continue; }
        all++;
        far += fabs(u_of(both, n, is_y) - mean) >= fabs(u - mean) - 1e-9;
    }
    return far / all;
}

static void rank_test_is_every_arrangement(void ** state) {
    (void) state;
    const double sets[][9] = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 },
                               { 1, 1, 2, 2, 2, 3, 9, 9, 4 },
                               { 5, 5, 5, 5, 5, 5, 5, 5, 6 },
                               { 9, 3, 7, 1, 8, 2, 6, 4, 5 } };
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        for (size_t nx = 1; nx < 9; nx++) {
            const struct rank_test t = rank_test(sets[s], nx, sets[s] + nx, 9 - nx);
            const double u = u_of(sets[s], 9, 0x1ffu & ~((1u << nx) - 1));
            assert_true(t.exact);
            assert_near(t.u, u, 1e-9);
            assert_near(t.superior, u / (double) (nx * (9 - nx)), 1e-12);
            assert_near(t.p, brute_force_p(sets[s], 9, 9 - nx, u), 1e-12);
        }
    }
}

/* Three against three, where all of one side are above all of the other: 2 of 20 arrangements. */
static void rank_test_of_three_and_three(void ** state) {
    (void) state;
    const double x[] = { 1, 2, 3 }, y[] = { 4, 5, 6 };
    assert_near(rank_test(x, 3, y, 3).p, 0.1, 1e-12);
    assert_near(rank_test(y, 3, x, 3).p, 0.1, 1e-12);
    assert_near(rank_test(x, 3, y, 3).superior, 1, 1e-12);
    assert_true(isnan(rank_test(x, 0, y, 3).p));
}

/* Where arrangements are not counted, the normal approximation must be near: 20 and 20 are counted, 21 and 20 are
 * not. */
static void approximation_continues_the_count(void ** state) {
    (void) state;
    double x[21], y[20];
    for (int i = 0; i < 21; i++) { x[i] = i; }
    for (int i = 0; i < 20; i++) { y[i] = i + 4.5; }
    const struct rank_test exact = rank_test(x, 20, y, 20), normal = rank_test(x, 21, y, 20);
    assert_true(exact.exact && !normal.exact);
    assert_true(exact.p > 0.01 && exact.p < 0.2);
    assert_near(normal.p, exact.p, 0.03);
    double tied[50] = { 0 };
    assert_near(rank_test(tied, 25, tied + 25, 25).p, 1, 1e-12);
}

/* Student's t at 95 %: 12.706 with 1 degree of freedom, 2.776 with 4. With equal variances and numbers, Welch's degrees
 * are those of the pooled test. */
static void welch_interval(void ** state) {
    (void) state;
    const double x[] = { 1, 2, 3 }, y[] = { 5, 6, 7 };
    const struct difference d = mean_difference(x, 3, y, 3);
    assert_near(d.value, 4, 1e-12);
    assert_near(d.high - d.value, 2.7764451 * sqrt(2.0 / 3), 1e-6);
    assert_near(d.value - d.low, d.high - d.value, 1e-9);
    const double a[] = { 0, 0 }, b[] = { 0, 2 };
    const struct difference e = mean_difference(a, 2, b, 2);
    assert_near(e.high - e.value, 12.7062047, 1e-5);
    assert_true(isnan(mean_difference(x, 1, y, 3).low));
    assert_near(mean_difference(a, 2, a, 2).high, 0, 0);
}

/* 10, 20, 30 against 20, 20, 20: two shares differ by a sixth each. */
static void distances(void ** state) {
    (void) state;
    const uint64_t a[] = { 10, 20, 30, 0 }, b[] = { 20, 20, 20, 0 };
    const struct distance d = distance_of(a, b, 4);
    assert_near(d.variation, 1.0 / 6, 1e-12);
    const double p[] = { 1.0 / 6, 1.0 / 3, 1.0 / 2 };
    double js = 0;
    for (int i = 0; i < 3; i++) {
        const double m = (p[i] + 1.0 / 3) / 2;
        js += (p[i] * log2(p[i] / m) + 1.0 / 3 * log2(1.0 / 3 / m)) / 2;
    }
    assert_near(d.divergence, js, 1e-12);
}

static void distances_at_their_ends(void ** state) {
    (void) state;
    const uint64_t a[] = { 8, 0, 2 }, b[] = { 0, 5, 0 }, none[] = { 0, 0, 0 };
    const struct distance d = distance_of(a, b, 3);
    assert_near(d.variation, 1, 1e-12);
    assert_near(d.divergence, 1, 1e-12);
    assert_near(distance_of(a, a, 3).variation, 0, 0);
    assert_true(isnan(distance_of(a, none, 3).variation));
}

/* From tables of chi-square: 5 % beyond 18.307 with 10 degrees, 43.773 with 30. */
static void chi_square_tail(void ** state) {
    (void) state;
    static const struct {
        uint32_t freedom;
        double chi_square;
    } table[] = { { 10, 18.307 }, { 30, 43.773 } };
    for (size_t t = 0; t < 2; t++) {
        const double p_low = chi_square_p(table[t].chi_square + 0.001, table[t].freedom);
        const double p_high = chi_square_p(table[t].chi_square - 0.001, table[t].freedom);
        assert_true(p_low < 0.05 && p_high > 0.05);
    }
    assert_near(chi_square_p(3.8414588, 1), 0.05, 1e-8);
    assert_near(chi_square_p(7.5, 2), exp(-7.5 / 2), 1e-12);
    assert_near(chi_square_p(0, 0), 1, 0);
}

/* How far the means of two groups lie apart. */
struct sample {
    const double * values;
    size_t n;
};

static double apart(uint64_t is_y, void * user) {
    const struct sample * s = user;
    double sum[2] = { 0 }, n[2] = { 0 };
    for (size_t i = 0; i < s->n; i++) {
        sum[is_y >> i & 1] += s->values[i];
        n[is_y >> i & 1]++;
    }
    return fabs(sum[1] / n[1] - sum[0] / n[0]);
}

/* Of 1, 2, 4 against 3, 5, 9 the difference of means is 10 / 3; of the 20 sums of three the 4 that are at most 7 or at
 * least 17 lie as far from their mean of 12. */
static void permutations_are_every_arrangement(void ** state) {
    (void) state;
    struct sample s = { (const double[]){ 1, 2, 4, 3, 5, 9 }, 6 };
    const struct permutation t = permutation_test(3, 3, apart, &s);
    assert_true(t.exact);
    assert_near(t.p, 4.0 / 20, 1e-12);
    assert_near(t.least, 2.0 / 20, 1e-12);
    assert_near(permutation_test(2, 4, apart, &s).least, 1.0 / 15, 1e-12);
    assert_true(isnan(permutation_test(1, 5, apart, &s).p));
}

/* Where there are too many to try all, a sample of them is near the rank test, and the same each time. */
static void many_permutations_are_sampled(void ** state) {
    (void) state;
    double values[30];
    for (int i = 0; i < 30; i++) { values[i] = i < 15 ? i : i - 10.5; }
    struct sample s = { values, 30 };
    const struct permutation t = permutation_test(15, 15, apart, &s);
    assert_false(t.exact);
    assert_near(t.p, rank_test(values, 15, values + 15, 15).p, 0.02);
    assert_true(t.p > 0.003);
    assert_near(permutation_test(15, 15, apart, &s).p, t.p, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spearman_without_ties),
        cmocka_unit_test(spearman_with_ties),
        cmocka_unit_test(rank_test_is_every_arrangement),
        cmocka_unit_test(rank_test_of_three_and_three),
        cmocka_unit_test(approximation_continues_the_count),
        cmocka_unit_test(welch_interval),
        cmocka_unit_test(distances),
        cmocka_unit_test(distances_at_their_ends),
        cmocka_unit_test(chi_square_tail),
        cmocka_unit_test(permutations_are_every_arrangement),
        cmocka_unit_test(many_permutations_are_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
