/* SPDX-License-Identifier: MIT
 *
 * Which operations the graphs consist of, and where the time goes.
 */
#include <stdlib.h>

#include "analysis/analysis.h"
#include "analysis/units.h"

struct operation {
    uint64_t count, fused, ns, bytes;
    uint16_t op;
};

struct state {
    const struct subject * subject;
    struct cursor          cursor;
    uint32_t               n_ops;
    struct operation       operation[];
};

static const struct result_column columns[] = {
    { "operation", "operation", UNIT_TEXT },  { "count", "executed", UNIT_COUNT },
    { "fused", "fused", UNIT_COUNT },         { "ns", "time", UNIT_NS },
    { "share", "of the time", UNIT_SHARE },   { "ns_each", "time each", UNIT_NS },
    { "bytes", "bytes touched", UNIT_BYTES },
};

static void * begin(const struct subject * subject) {
    const uint32_t n = tat_trace_n_ops(subject->trace);
    struct state * s = calloc(1, sizeof *s + n * sizeof s->operation[0]);
    if (!s) { return NULL; }
    s->subject = subject;
    s->cursor  = cursor_begin();
    s->n_ops   = n;
    for (uint32_t i = 0; i < n; i++) { s->operation[i].op = (uint16_t) i; }
    return s;
}

static void feed(void * state, const struct tat_access * a, size_t count) {
    struct state * s = state;
    for (size_t i = 0; i < count; i++) {
        if (!is_inference(phase_of(&a[i]))) { continue; }
        const struct step  step = cursor_step(&s->cursor, &a[i]);
        struct operation * o    = &s->operation[a[i].op];
        o->count += step.node;
        o->ns += step.ns;
        o->bytes += a[i].bytes;
        o->fused += (a[i].flags & (TAT_ACCESS_FUSED | TAT_ACCESS_WRITE)) == (TAT_ACCESS_FUSED | TAT_ACCESS_WRITE);
    }
}

static int most_time(const void * a, const void * b) {
    const struct operation *x = a, *y = b;
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    if (x->count != y->count) { return x->count < y->count ? 1 : -1; }
    return (int) x->op - (int) y->op;
}

static void finish(void * state, struct result * r) {
    struct state * s  = state;
    uint64_t       ns = 0, fused = 0;
    char           share[UNITS_SIZE];
    for (uint32_t i = 0; i < s->n_ops; i++) {
        ns += s->operation[i].ns;
        fused += s->operation[i].fused;
    }
    qsort(s->operation, s->n_ops, sizeof s->operation[0], most_time);
    result_table(r, "operations", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    result_put_count(r, result_values(r), "ns", ns);
    for (uint32_t i = 0; i < s->n_ops && s->operation[i].count; i++) {
        const struct operation * o   = &s->operation[i];
        json_t *                 row = result_row(r);
        result_put_text(r, row, "operation", tat_trace_op_name(s->subject->trace, o->op));
        result_put_count(r, row, "count", o->count);
        if (o->fused) { result_put_count(r, row, "fused", o->fused); }
        result_put_count(r, row, "ns", o->ns);
        result_put_real(r, row, "share", ratio(o->ns, ns));
        result_put_count(r, row, "ns_each", o->ns / o->count);
        result_put_count(r, row, "bytes", o->bytes);
    }
    if (s->n_ops && s->operation[0].count) {
        result_headline(r, "%s takes %s of the time.", tat_trace_op_name(s->subject->trace, s->operation[0].op),
                        format_share(share, ratio(s->operation[0].ns, ns)));
        result_note(r, "Prompt and generation. Time is thread 0's, from one operation's end to the next's: it includes "
                       "waiting for the other threads.");
    } else {
        result_headline(r, "Neither a prompt nor a generated token was evaluated.");
    }
    if (fused) { result_note(r, "Fused: computed together with the operation after it, whose time stands here."); }
    free(s);
}

const struct analysis operations_analysis = {
    .name   = "operations",
    .title  = "Operations",
    .begin  = begin,
    .feed   = feed,
    .finish = finish,
};
