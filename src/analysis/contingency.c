/* SPDX-License-Identifier: MIT */
#include "analysis/contingency.h"

#include <math.h>
#include <stddef.h>

enum { TIMES_MOST = 1 << 20 };

static uint64_t row_sum(const uint64_t * counts, uint32_t columns, uint32_t row) {
    uint64_t sum = 0;
    for (uint32_t c = 0; c < columns; c++) { sum += counts[(size_t) row * columns + c]; }
    return sum;
}

static uint64_t column_sum(const uint64_t * counts, uint32_t rows, uint32_t columns, uint32_t column) {
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rows; r++) { sum += counts[(size_t) r * columns + column]; }
    return sum;
}

/* A cell's count if rows and columns were independent. */
static double expected_at(const struct contingency * t, const uint64_t * counts, uint32_t rows, uint32_t columns,
                          uint32_t row, uint32_t column) {
    return (double) row_sum(counts, columns, row) / (double) t->count *
           (double) column_sum(counts, rows, columns, column);
}

/* The part of chi-square that one row contributes. */
static void add_row(struct contingency * t, const uint64_t * counts, uint32_t rows, uint32_t columns, uint32_t row) {
    const double share = (double) row_sum(counts, columns, row) / (double) t->count;
    for (uint32_t c = 0; c < columns; c++) {
        const double expected = share * (double) column_sum(counts, rows, columns, c);
        if (expected <= 0) { continue; }
        const double off = (double) counts[(size_t) row * columns + c] - expected;
        t->chi_square += off * off / expected;
        t->cells++;
        t->few += expected < CONTINGENCY_FEW;
    }
}

/* Where a fifth of the cells is too small, by doubling. */
static uint64_t find_times_needed(const struct contingency * t, const uint64_t * counts, uint32_t rows,
                                  uint32_t columns) {
    for (uint64_t times = 1; times <= TIMES_MOST; times *= 2) {
        struct contingency larger = { .cells = t->cells };
        for (uint32_t r = 0; r < rows; r++) {
            for (uint32_t c = 0; c < columns; c++) {
                const double expected = expected_at(t, counts, rows, columns, r, c);
                larger.few += expected > 0 && expected * (double) times < CONTINGENCY_FEW;
            }
        }
        if (contingency_is_enough(&larger)) { return times; }
    }
    return 0;
}

static double correct(const struct contingency * t, uint64_t rows, uint64_t columns) {
    if (t->count < 2) { return 0; }
    const double n = (double) t->count - 1, r = (double) rows - 1, c = (double) columns - 1;
    const double phi = t->chi_square / (double) t->count - r * c / n;
    const double most = fmin(r - r * r / n, c - c * c / n);
    return phi > 0 && most > 0 ? fmin(1, sqrt(phi / most)) : 0;
}

struct contingency contingency_of(const uint64_t * counts, uint32_t rows, uint32_t columns) {
    struct contingency t = { 0 };
    uint64_t n_rows = 0, n_columns = 0;
    for (uint32_t r = 0; r < rows; r++) {
        const uint64_t sum = row_sum(counts, columns, r);
        t.count += sum;
        n_rows += sum > 0;
    }
    for (uint32_t c = 0; c < columns; c++) { n_columns += column_sum(counts, rows, columns, c) > 0; }
    if (n_rows < 2 || n_columns < 2) { return (struct contingency){ .count = t.count }; }
    for (uint32_t r = 0; r < rows; r++) { add_row(&t, counts, rows, columns, r); }
    const double most = (double) t.count * (double) ((n_rows < n_columns ? n_rows : n_columns) - 1);
    t.freedom = (n_rows - 1) * (n_columns - 1);
    t.v = sqrt(t.chi_square / most);
    t.v_by_chance = sqrt((double) t.freedom / most);
    t.v_corrected = correct(&t, n_rows, n_columns);
    t.times_needed = find_times_needed(&t, counts, rows, columns);
    return t;
}
