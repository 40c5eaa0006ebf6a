/* SPDX-License-Identifier: MIT */
#include "analysis/leading.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/parts.h"
#include "analysis/units.h"

static int by_size(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

/* The time of the whole token, and of its longest column. */
struct whole {
    uint64_t ns, most;
};

static struct whole whole_of(const struct token_times * t, uint32_t token) {
    const uint64_t * row = t->ns + (size_t) token * t->columns;
    struct whole w = { 0 };
    for (uint32_t c = 0; c < t->columns; c++) {
        w.ns += row[c];
        if (row[c] > w.most) { w.most = row[c]; }
    }
    return w;
}

/* `share` is for so many values as there are tokens. */
static double median_share(const struct token_times * t, const struct whole * whole, uint32_t column, double * share) {
    for (uint32_t i = 0; i < t->n; i++) { share[i] = ratio(t->ns[(size_t) i * t->columns + column], whole[i].ns); }
    qsort(share, t->n, sizeof *share, by_size);
    return t->n ? share[(t->n - 1) / 2] : 0;
}

/* Calls `put` with each column and its median share. False: memory. */
static bool each_share(const struct token_times * t, void (*put)(uint32_t column, double share, void * user),
                       void * user) {
    struct whole * whole = malloc(((size_t) t->n + 1) * sizeof *whole);
    double * share = malloc(((size_t) t->n + 1) * sizeof *share);
    const bool good = whole && share;
    for (uint32_t i = 0; good && i < t->n; i++) { whole[i] = whole_of(t, i); }
    for (uint32_t c = 0; good && c < t->columns; c++) { put(c, median_share(t, whole, c, share), user); }
    free(whole);
    free(share);
    return good;
}

static void keep_largest(uint32_t column, double share, void * user) {
    struct leading * l = user;
    if (share > l->share) { *l = (struct leading){ .column = column, .share = share }; }
}

bool leading_of(const struct token_times * t, struct leading * l) {
    *l = (struct leading){ 0 };
    const bool good = each_share(t, keep_largest, l);
    for (uint32_t i = 0; i < t->n && l->share > 0; i++) {
        l->tokens += t->ns[(size_t) i * t->columns + l->column] == whole_of(t, i).most;
    }
    return good;
}

/* ---- the section ---- */

struct row {
    uint32_t operation;
    double share;
    struct spread spread;
};

struct rows {
    struct row * at;
    uint32_t n;
};

static void keep_row(uint32_t column, double share, void * user) {
    struct rows * rows = user;
    rows->at[rows->n++] = (struct row){ .operation = column, .share = share };
}

static int largest_share(const void * a, const void * b) {
    const struct row *x = a, *y = b;
    if (x->share != y->share) { return x->share < y->share ? 1 : -1; }
    if (x->spread.p50 != y->spread.p50) { return x->spread.p50 < y->spread.p50 ? 1 : -1; }
    return x->operation < y->operation ? -1 : x->operation > y->operation;
}

static void add_rows(const struct subject * s, struct result * r, const struct token_times * t, struct rows * rows,
                     uint64_t * room) {
    static const struct result_column columns[] = {
        { "operation", "operation", UNIT_TEXT },
        { "p50_ns", "median", UNIT_NS },
        { "p90_ns", "p90", UNIT_NS },
        { "p99_ns", "p99", UNIT_NS },
        { "share", "share", UNIT_SHARE },
    };
    char title[64];
    snprintf(title, sizeof title, "Times in a %s", times_unit(t));
    result_table(r, "token_times", title, SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < rows->n; i++) { rows->at[i].spread = spread_of(t, rows->at[i].operation, room); }
    qsort(rows->at, rows->n, sizeof *rows->at, largest_share);
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct row * o = &rows->at[i];
        if (!o->spread.p99) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "operation", tat_trace_op_name(s->trace, (uint16_t) o->operation));
        put_spread(r, row, &o->spread);
        result_put_real(r, row, "share", o->share);
    }
}

static void add_table(const struct subject * s, struct result * r, const struct token_times * t) {
    struct rows rows = { .at = calloc((size_t) t->columns + 1, sizeof *rows.at) };
    uint64_t * room = malloc(((size_t) t->n + 1) * sizeof *room);
    if (rows.at && room && each_share(t, keep_row, &rows)) {
        add_rows(s, r, t, &rows, room);
    } else {
        r->failed = true;
    }
    free(rows.at);
    free(room);
}

static void say(const struct subject * s, struct result * r, const struct token_times * t, const struct leading * o,
                const struct leading * p) {
    char share[UNITS_SIZE], part_share[UNITS_SIZE];
    const char * unit = times_unit(t);
    const char * operation = tat_trace_op_name(s->trace, (uint16_t) o->column);
    const char * part = part_name(p->column);
    format_share(share, o->share);
    format_share(part_share, p->share);
    result_headline(r, "%s takes %s of the median %s's time; by part of the model, %s takes most: %s.", operation,
                    share, unit, part, part_share);
    result_answer(r, "Where does the time go?",
                  "In the median %s, %s of it into %s, which takes longest in %" PRIu32 " of %" PRIu32
                  "; by part of the model, %s into %s, the longest in %" PRIu32 ".",
                  unit, share, operation, o->tokens, t->n, part_share, part, p->tokens);
    result_put_count(r, result_values(r), "tokens", t->n);
    result_put_text(r, result_values(r), "leading_operation", operation);
    result_put_real(r, result_values(r), "leading_operation_share", o->share);
    result_put_count(r, result_values(r), "leading_operation_tokens", o->tokens);
    result_put_text(r, result_values(r), "leading_component", part);
    result_put_real(r, result_values(r), "leading_component_share", p->share);
    result_put_count(r, result_values(r), "leading_component_tokens", p->tokens);
}

bool leading_say(const struct subject * s, struct result * r) {
    struct token_times operations = { 0 }, parts = { 0 };
    struct leading o, p;
    bool good = token_times_of(s, TAT_BY_OPERATION, &operations) && token_times_of(s, TAT_BY_COMPONENT, &parts) &&
                leading_of(&operations, &o) && leading_of(&parts, &p);
    r->failed |= !good;
    good = good && operations.n && o.share > 0;
    if (good) {
        say(s, r, &operations, &o, &p);
        add_table(s, r, &operations);
    }
    token_times_free(&operations);
    token_times_free(&parts);
    return good;
}
