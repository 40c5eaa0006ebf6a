/* SPDX-License-Identifier: MIT
 *
 * Where the time goes: by operation, part of the model, phase, and the tensors whose operations took longest; and what
 * of it was waiting. Layers have a section of their own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/leading.h"
#include "analysis/parts.h"
#include "analysis/units.h"
#include "analysis/waits.h"

enum { SLOWEST = 20 };

struct spent {
    uint64_t count, fused, ns, bytes;
    uint32_t of;  /* operation, part or tensor */
    bool weights; /* this part is read from the model file */
};

struct state {
    const struct subject * subject;
    struct node_counter nodes;
    struct waits * waits;
    uint32_t n_ops;
    struct spent phase[TAT_PHASE_COUNT], part[PARTS];
    struct spent * operation; /* in `all` */
    struct spent * tensor;
    struct spent all[];
};

static void * begin(const struct subject * subject) {
    const uint32_t n_ops = tat_trace_n_ops(subject->trace);
    struct state * s = calloc(1, sizeof *s + ((size_t) n_ops + subject->n_tensors) * sizeof s->all[0]);
    if (!s) { return NULL; }
    s->waits = waits_begin(subject);
    if (!s->waits) {
        free(s);
        return NULL;
    }
    s->subject = subject;
    s->n_ops = n_ops;
    s->operation = s->all;
    s->tensor = s->all + n_ops;
    for (uint32_t i = 0; i < n_ops; i++) { s->operation[i].of = i; }
    for (uint32_t i = 0; i < subject->n_tensors; i++) { s->tensor[i].of = i; }
    for (uint32_t i = 0; i < PARTS; i++) { s->part[i].of = i; }
    for (uint32_t i = 0; i < TAT_PHASE_COUNT; i++) { s->phase[i].of = i; }
    return s;
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    waits_tally(s->waits, t);
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t nodes = node_counter_step(&s->nodes, t, i), bytes = a->bytes * t->evaluations;
        if (!is_inference(phase_of(a))) { continue; }
        struct spent *operation = &s->operation[a->op], *tensor = &s->tensor[a->tensor];
        struct spent *part = &s->part[part_of(&s->subject->tensors[a->tensor])], *phase = &s->phase[phase_of(a)];
        const uint64_t ns = t->ns ? t->ns[i] : 0, owned = t->ns ? t->owner_ns[i] : 0;
        operation->count += nodes;
        operation->ns += ns;
        operation->bytes += bytes;
        operation->fused += (a->flags & TAT_ACCESS_FUSED) && (a->flags & TAT_ACCESS_WRITE) ? t->evaluations : 0;
        phase->count += nodes;
        phase->ns += ns;
        phase->bytes += bytes;
        part->count += owned ? t->evaluations : 0;
        part->ns += owned;
        part->bytes += bytes;
        part->weights |= holder_of(&s->subject->tensors[a->tensor]) == HOLDS_WEIGHT;
        tensor->count += owned ? t->evaluations : 0;
        tensor->ns += owned;
        tensor->bytes += bytes;
    }
}

static int most_time(const void * a, const void * b) {
    const struct spent *x = a, *y = b;
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    if (x->count != y->count) { return x->count < y->count ? 1 : -1; }
    return x->of < y->of ? -1 : x->of > y->of;
}

/* ---- tables ---- */

static json_t * add_spent(struct result * r, const char * key, const char * name, const struct spent * o, uint64_t ns) {
    json_t * row = result_row(r);
    result_put_text(r, row, key, name);
    result_put_count(r, row, "count", o->count);
    result_put_count(r, row, "ns", o->ns);
    result_put_real(r, row, "share", ratio(o->ns, ns));
    if (o->count) { result_put_count(r, row, "ns_each", o->ns / o->count); }
    result_put_count(r, row, "bytes", o->bytes);
    return row;
}

/* The KV cache is not told apart: what reads K reads V in the same time. */
static void add_rate(struct result * r, json_t * row, const struct spent * o) {
    if (!o->bytes || !o->ns) { return; }
    result_put_real(r, row, "bytes_per_second", 1e9 * ratio(o->bytes, o->ns));
    result_put_real(r, row, "ns_per_byte", ratio(o->ns, o->bytes));
}

#define TIME_COLUMNS                                                                                                   \
    { "ns", "time", UNIT_NS }, { "share", "share", UNIT_SHARE }, { "ns_each", "time each", UNIT_NS },                  \
        { "bytes", "touched", UNIT_BYTES }, {                                                                          \
        "bytes_per_second", "bytes/s", UNIT_BYTES                                                                      \
    }

static void add_operations(const struct state * s, struct result * r, uint64_t ns) {
    static const struct result_column columns[] = { { "operation", "operation", UNIT_TEXT },
                                                    { "count", "executed", UNIT_COUNT },
                                                    TIME_COLUMNS };
    result_table(r, "operations", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < s->n_ops && s->operation[i].count; i++) {
        const struct spent * o = &s->operation[i];
        json_t * row = add_spent(r, "operation", tat_trace_op_name(s->subject->trace, (uint16_t) o->of), o, ns);
        add_rate(r, row, o);
        if (o->fused) { result_put_count(r, row, "fused", o->fused); }
    }
}

static void add_parts(struct state * s, struct result * r, uint64_t ns) {
    static const struct result_column columns[] = { { "component", "part", UNIT_TEXT },
                                                    { "count", "operations", UNIT_COUNT },
                                                    TIME_COLUMNS };
    qsort(s->part, PARTS, sizeof s->part[0], most_time);
    result_table(r, "components", "By part of the model that the operation reads", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < PARTS && s->part[i].ns; i++) {
        json_t * row = add_spent(r, "component", part_name(s->part[i].of), &s->part[i], ns);
        if (s->part[i].weights) { add_rate(r, row, &s->part[i]); }
    }
}

static void add_phases(const struct state * s, struct result * r, uint64_t ns) {
    static const struct result_column columns[] = { { "phase", "phase", UNIT_TEXT },
                                                    { "count", "executed", UNIT_COUNT },
                                                    TIME_COLUMNS };
    result_table(r, "phases", "By phase", SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (!s->phase[p].count) { continue; }
        add_rate(r, add_spent(r, "phase", tat_phase_name((enum tat_phase) p), &s->phase[p], ns), &s->phase[p]);
    }
}

static void add_slowest(const struct state * s, struct result * r, uint64_t ns) {
    static const struct result_column columns[] = {
        { "tensor", "tensor", UNIT_TEXT },  { "count", "operations", UNIT_COUNT },
        { "ns", "time", UNIT_NS },          { "share", "share", UNIT_SHARE },
        { "bytes", "touched", UNIT_BYTES }, { "bytes_per_second", "bytes/s", UNIT_BYTES },
    };
    result_table(r, "slowest", "The tensors whose operations took longest", SHOW_ASKED, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < s->subject->n_tensors && i < SLOWEST && s->tensor[i].ns; i++) {
        const struct tat_tensor * tensor = &s->subject->tensors[s->tensor[i].of];
        json_t * row = add_spent(r, "tensor", tensor->name, &s->tensor[i], ns);
        if (tensor->kind == TAT_TENSOR_WEIGHT) { add_rate(r, row, &s->tensor[i]); }
        result_put_count(r, row, "tensor_id", s->tensor[i].of);
        result_put_layer(r, row, "layer", tensor->layer);
    }
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    uint64_t ns = 0, fused = 0;
    for (uint32_t i = 0; i < s->n_ops; i++) {
        ns += s->operation[i].ns;
        fused += s->operation[i].fused;
    }
    qsort(s->operation, s->n_ops, sizeof s->operation[0], most_time);
    qsort(s->tensor, s->subject->n_tensors, sizeof s->tensor[0], most_time);
    result_put_count(r, result_values(r), "ns", ns);
    add_operations(s, r, ns);
    add_parts(s, r, ns);
    add_phases(s, r, ns);
    add_slowest(s, r, ns);
    if (s->n_ops && s->operation[0].count) {
        if (!leading_say(s->subject, r)) {
            result_headline(r, "No token was computed to its end: nothing tells what takes longest.");
        }
        result_note(r,
                    "Sums are of prompt and generation; medians, p90 and p99 are over tokens, so a few slow ones count "
                    "for little. Of two fused operations the time stands with the first. By part and tensor "
                    "it goes to the first weight that the operation reads, else to the KV cache, else to its result; "
                    "two fused ones are one operation there. Bytes/s: bytes touched by that time, those of "
                    "activations too by operation and phase, the part's or tensor's own elsewhere.");
    } else {
        result_headline(r, "Neither a prompt nor a generated token was evaluated.");
    }
    waits_finish(s->waits, r, ns);
    if (fused) {
        char count[UNITS_SIZE];
        result_note(r, "%s operations were fused with the one after them.", format_count(count, fused));
    }
    free(s);
}

const struct analysis time_analysis = {
    .name = "time",
    .title = "Time",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
