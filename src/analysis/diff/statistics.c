/* SPDX-License-Identifier: MIT */
#include "analysis/diff/statistics.h"

#include <math.h>
#include <stdlib.h>

double mean_of(const double * values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) { sum += values[i]; }
    return n ? sum / (double) n : NAN;
}

/* ---- ranks ---- */

struct ranked {
    double value;
    size_t from; /* where it stood */
};

static int by_value(const void * a, const void * b) {
    const double x = ((const struct ranked *) a)->value, y = ((const struct ranked *) b)->value;
    return (x > y) - (x < y);
}

/* Sets twice the rank of each value, so that the mean of tied ranks is whole. Returns the sum of t^3 - t over groups of
 * t ties. NAN: no memory. */
static double double_ranks(const double * values, size_t n, double * ranks) {
    struct ranked * sorted = malloc((n + 1) * sizeof *sorted);
    double ties = 0;
    if (!sorted) { return NAN; }
    for (size_t i = 0; i < n; i++) { sorted[i] = (struct ranked){ values[i], i }; }
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && sorted[end].value == sorted[first].value; end++) {}
        const double t = (double) (end - first);
        ties += t * t * t - t;
        for (size_t i = first; i < end; i++) { ranks[sorted[i].from] = (double) (first + end + 1); }
    }
    free(sorted);
    return ties;
}

static double correlation(const double * x, const double * y, size_t n) {
    const double mx = mean_of(x, n), my = mean_of(y, n);
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

double spearman(const double * x, const double * y, size_t n) {
    double * ranks = malloc((n + 1) * 2 * sizeof *ranks);
    double rho = NAN;
    if (ranks && n > 1 && !isnan(double_ranks(x, n, ranks)) && !isnan(double_ranks(y, n, ranks + n))) {
        rho = correlation(ranks, ranks + n, n);
    }
    free(ranks);
    return rho;
}

/* ---- Mann-Whitney ---- */

enum { EXACT_MOST = 40 }; /* values of both sides */

/* The share, among all choices of `chosen` from n ranks, of those whose sum is at least as far from the expected sum as
 * `sum` is. Ranks and sums are doubled. NAN: no memory. */
static double exact_p(const double * ranks, size_t n, size_t chosen, double sum) {
    const size_t sums = n * (n + 1) + 1;
    double * ways = calloc((chosen + 1) * sums, sizeof *ways); /* [how many chosen][their sum] */
    const double mean = (double) chosen * (double) (n + 1);
    double total = 0, far = 0;
    if (!ways) { return NAN; }
    ways[0] = 1;
    for (size_t i = 0; i < n; i++) {
        const size_t rank = (size_t) ranks[i];
        for (size_t k = i + 1 < chosen ? i + 1 : chosen; k > 0; k--) {
            for (size_t s = sums; s-- > rank;) { ways[k * sums + s] += ways[(k - 1) * sums + s - rank]; }
        }
    }
    for (size_t s = 0; s < sums; s++) {
        total += ways[chosen * sums + s];
        if (fabs((double) s - mean) >= fabs(sum - mean)) { far += ways[chosen * sums + s]; }
    }
    free(ways);
    return far / total;
}

/* The normal approximation, corrected for ties and for continuity. */
static double normal_p(double u, double nx, double ny, double ties) {
    const double n = nx + ny;
    const double var = nx * ny / 12 * (n + 1 - ties / (n * (n - 1)));
    const double away = fmax(fabs(u - nx * ny / 2) - 0.5, 0);
    return var > 0 ? erfc(away / sqrt(var) / sqrt(2)) : 1;
}

struct rank_test rank_test(const double * x, size_t nx, const double * y, size_t ny) {
    const size_t n = nx + ny;
    struct rank_test test = { NAN, NAN, NAN, n <= EXACT_MOST };
    double * both = calloc((n + 1) * 2, sizeof *both);
    if (!both || !nx || !ny) {
        free(both);
        return test;
    }
    for (size_t i = 0; i < n; i++) { both[i] = i < nx ? x[i] : y[i - nx]; }
    double * ranks = both + n;
    const double ties = double_ranks(both, n, ranks);
    if (!isnan(ties)) {
        double sum = 0;
        for (size_t i = nx; i < n; i++) { sum += ranks[i]; }
        test.u = (sum - (double) ny * (double) (ny + 1)) / 2;
        test.superior = test.u / ((double) nx * (double) ny);
        test.p = test.exact ? exact_p(ranks, n, ny, sum) : normal_p(test.u, (double) nx, (double) ny, ties);
    }
    free(both);
    return test;
}

/* ---- distributions ---- */

enum { STEPS = 10000 };
#define SMALLEST 1e-300
#define PRECISE  1e-14

/* Lentz's evaluation of a continued fraction (Numerical Recipes, 5.2). */
struct fraction {
    double c, d, value;
};

/* One more step, with numerator a and denominator b. Returns the factor by which the value changed. */
static double fraction_step(struct fraction * f, double a, double b) {
    f->d = b + a * f->d;
    f->c = b + a / f->c;
    if (fabs(f->d) < SMALLEST) { f->d = SMALLEST; }
    if (fabs(f->c) < SMALLEST) { f->c = SMALLEST; }
    f->d = 1 / f->d;
    const double delta = f->c * f->d;
    f->value *= delta;
    return delta;
}

/* The regularized incomplete beta function (Numerical Recipes, 6.4). */
static double incomplete_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1) { return x <= 0 ? 0 : 1; }
    if (x > (a + 1) / (a + b + 2)) { return 1 - incomplete_beta(b, a, 1 - x); }
    struct fraction f = { .c = 1, .d = 1 / fmax(1 - (a + b) * x / (a + 1), SMALLEST) };
    f.value = f.d;
    for (int m = 1; m < STEPS; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        fraction_step(&f, even, 1);
        if (fabs(fraction_step(&f, odd, 1) - 1) < PRECISE) { break; }
    }
    return f.value * exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a;
}

/* The upper tail of the regularized incomplete gamma function (Numerical Recipes, 6.2). */
static double gamma_tail(double a, double x) {
    if (x <= 0) { return 1; }
    const double front = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (int i = 1; i < STEPS && term > sum * PRECISE; i++) {
            term *= x / (a + i);
            sum += term;
        }
        return fmax(1 - front * sum, 0);
    }
    struct fraction f = { .c = 1 / SMALLEST, .d = 1 / (x + 1 - a) };
    f.value = f.d;
    for (int i = 1; i < STEPS; i++) {
        if (fabs(fraction_step(&f, -i * (i - a), x + 1 - a + 2 * i) - 1) < PRECISE) { break; }
    }
    return front * f.value;
}

double chi_square_p(double chi_square, uint64_t freedom) {
    return freedom ? gamma_tail((double) freedom / 2, chi_square / 2) : 1;
}

/* The value that Student's distribution exceeds, in either direction, with probability p. */
static double student_quantile(double p, double freedom) {
    double low = 0, high = 1;
    for (; incomplete_beta(freedom / 2, 0.5, freedom / (freedom + high * high)) > p && high < 1e9; high *= 2) {}
    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        const bool beyond = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + middle * middle)) > p;
        *(beyond ? &low : &high) = middle;
    }
    return high;
}

static double variance_of_mean(const double * values, size_t n) {
    const double mean = mean_of(values, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) { sum += (values[i] - mean) * (values[i] - mean); }
    return sum / ((double) n - 1) / (double) n;
}

struct difference mean_difference(const double * x, size_t nx, const double * y, size_t ny) {
    struct difference d = { mean_of(y, ny) - mean_of(x, nx), NAN, NAN };
    if (nx < 2 || ny < 2) { return d; }
    const double vx = variance_of_mean(x, nx), vy = variance_of_mean(y, ny), v = vx + vy;
    double half = 0;
    if (v > 0) {
        const double freedom = v * v / (vx * vx / ((double) nx - 1) + vy * vy / ((double) ny - 1));
        half = student_quantile(0.05, freedom) * sqrt(v);
    }
    d.low = d.value - half;
    d.high = d.value + half;
    return d;
}

/* ---- distance ---- */

static double bits(double share, double mean) {
    return share > 0 ? share * log2(share / mean) : 0;
}

struct distance distance_of(const uint64_t * a, const uint64_t * b, size_t n) {
    struct distance d = { NAN, NAN };
    double na = 0, nb = 0;
    for (size_t i = 0; i < n; i++) {
        na += (double) a[i];
        nb += (double) b[i];
    }
    if (!(na > 0 && nb > 0)) { return d; }
    d = (struct distance){ 0 };
    for (size_t i = 0; i < n; i++) {
        const double p = (double) a[i] / na, q = (double) b[i] / nb;
        d.variation += fabs(p - q) / 2;
        d.divergence += (bits(p, (p + q) / 2) + bits(q, (p + q) / 2)) / 2;
    }
    d.divergence = fmin(fmax(d.divergence, 0), 1); /* rounding */
    return d;
}
