/* SPDX-License-Identifier: MIT
 *
 * Sums of include/tat/sums.h against one record after the other.
 *
 *   sums TRACE...
 *
 * Prints what differs; exit status 1 if anything does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tat/sums.h"

static bool differs; /* anything has differed so far */

static void complain(const char * path, const char * what, uint64_t at, uint64_t found, uint64_t expected) {
    printf("%s: %s, number %" PRIu64 ": %" PRIu64 ", expected %" PRIu64 "\n", path, what, at, found, expected);
    differs = true;
}

static void * zeros(size_t count, size_t size) {
    void * memory = calloc(count + 1, size);
    if (!memory) { abort(); }
    return memory;
}

static enum tat_tensor_kind kind_of(const struct tat_trace * trace, const struct tat_access * a) {
    uint32_t n;
    return tat_trace_tensors(trace, &n)[a->tensor].kind;
}

/* ---- matrix ---- */

struct naive {
    const struct tat_trace * trace;
    enum tat_key by;
    enum tat_measure measure;
    uint32_t kinds, columns;
    uint64_t * sums;
    struct tat_access of; /* the record that has the current callback's time */
    uint64_t ns;
    int rank;
    bool under_way;
};

static uint32_t column(const struct naive * n, const struct tat_access * a) {
    const enum tat_tensor_kind kind = kind_of(n->trace, a);
    uint32_t count;
    switch (n->by) {
        case TAT_BY_LAYER: return a->layer == TAT_NO_LAYER ? n->columns - 1 : a->layer;
        case TAT_BY_TENSOR: return a->tensor;
        case TAT_BY_COMPONENT:
            return kind <= TAT_TENSOR_STATE ? (uint32_t) tat_trace_tensors(n->trace, &count)[a->tensor].component
                                            : n->columns - 1;
        case TAT_BY_OPERATION: return a->op;
        default: return a->expert;
    }
}

static void add_time(struct naive * n) {
    if (n->under_way) { n->sums[(size_t) n->of.evaluation * n->columns + column(n, &n->of)] += n->ns; }
    n->under_way = false;
}

/* By tensor and component, the record that says most about the operation has its time. */
static int rank_of(const struct naive * n, const struct tat_access * a) {
    const enum tat_tensor_kind kind = kind_of(n->trace, a);
    if (n->by != TAT_BY_TENSOR && n->by != TAT_BY_COMPONENT) { return 0; }
    return kind == TAT_TENSOR_WEIGHT ? 3 : kind == TAT_TENSOR_STATE ? 2 : a->operand == 0;
}

static void time_one(struct naive * n, const struct tat_access * a) {
    const struct tat_access * of = &n->of;
    const bool same = n->under_way && a->evaluation == of->evaluation && a->start_ns == of->start_ns &&
                      (a->node == of->node || a->duration_ns == 0); /* the second of two fused ones has no time */
    if (same && rank_of(n, a) <= n->rank) { return; }
    if (!same) {
        add_time(n);
        n->ns = a->duration_ns;
    }
    n->of = *a;
    n->rank = rank_of(n, a);
    n->under_way = true;
}

static bool add_naive(const struct tat_access * a, size_t count, void * user) {
    struct naive * n = user;
    for (size_t i = 0; i < count; i++) {
        if (n->measure == TAT_SUM_NS) {
            time_one(n, &a[i]);
        } else if (a[i].bytes && (!n->kinds || n->kinds >> kind_of(n->trace, &a[i]) & 1) &&
                   column(n, &a[i]) < n->columns) {
            n->sums[(size_t) a[i].evaluation * n->columns + column(n, &a[i])] +=
                n->measure == TAT_SUM_BYTES ? a[i].bytes : 1;
        }
    }
    return true;
}

static void check_matrix(const struct tat_trace * trace, enum tat_key by, enum tat_measure measure, uint32_t kinds) {
    uint32_t rows;
    struct naive n = { .trace = trace, .by = by, .measure = measure, .kinds = kinds };
    char what[64];
    tat_trace_evaluations(trace, &rows);
    n.columns = tat_matrix_columns(trace, by);
    n.sums = zeros((size_t) rows * n.columns, sizeof *n.sums);
    uint64_t * found = zeros((size_t) rows * n.columns, sizeof *found);
    const uint32_t mid = rows / 2; /* in two parts; that must make no difference */
    if (tat_trace_expand(trace, 0, rows, add_naive, &n, NULL) != 0 ||
        tat_matrix(trace, by, measure, kinds, 0, mid, found, NULL) != 0 ||
        tat_matrix(trace, by, measure, kinds, mid, rows, found + (size_t) mid * n.columns, NULL) != 0) {
        abort();
    }
    add_time(&n);
    snprintf(what, sizeof what, "matrix by %d of %d, kinds %u", (int) by, (int) measure, kinds);
    for (size_t i = 0; i < (size_t) rows * n.columns; i++) {
        if (found[i] != n.sums[i]) { complain(tat_trace_path(trace), what, i, found[i], n.sums[i]); }
    }
    free(n.sums);
    free(found);
}

/* ---- tally ---- */

enum { SUMS = 5 }; /* accesses, bytes, nodes, time, results kept back by fusion */

struct totals {
    const struct tat_trace * trace;
    uint32_t n_ops, n_tensors;
    uint64_t * sum; /* by phase, operation or tensor, and by kind of sum */
    struct tat_access last;
    bool any;
};

/* Sums time and nodes by operation, the rest by tensor. */
static uint64_t * sum_of(struct totals * t, const struct tat_access * a, int what) {
    const unsigned phase = a->flags >> TAT_ACCESS_PHASE_SHIFT & 7;
    const size_t at = what == 2 || what == 3 ? a->op : t->n_ops + a->tensor;
    return &t->sum[(phase * (size_t) (t->n_ops + t->n_tensors) + at) * SUMS + (size_t) what];
}

static void add_record(struct totals * t, const struct tat_access * a, uint64_t times) {
    *sum_of(t, a, 0) += a->bytes ? times : 0;
    *sum_of(t, a, 1) += a->bytes * times;
    *sum_of(t, a, 4) += a->flags & TAT_ACCESS_FUSED ? times : 0;
}

static bool add_one_by_one(const struct tat_access * a, size_t count, void * user) {
    struct totals * t = user;
    for (size_t i = 0; i < count; i++) {
        const bool same = t->any && t->last.evaluation == a[i].evaluation;
        const bool node = !same || t->last.node != a[i].node;
        *sum_of(t, &a[i], 2) += node;
        *sum_of(t, &a[i], 3) += node ? a[i].duration_ns : 0;
        add_record(t, &a[i], 1);
        t->last = a[i];
        t->any = true;
    }
    return true;
}

static bool add_tally(const struct tat_tally * tally, void * user) {
    struct totals * t = user;
    for (size_t i = 0; i < tally->count; i++) {
        const struct tat_access * a = &tally->records[i];
        const bool node = tally->alike && (!t->any || t->last.node != a->node || t->last.evaluation != a->evaluation);
        if (tally->alike) {
            *sum_of(t, a, 2) += node ? tally->evaluations : 0;
            *sum_of(t, a, 3) += tally->ns[i];
            t->last = *a;
            t->any = true;
        }
        add_record(t, a, tally->evaluations);
    }
    return true;
}

static void check_tally(const struct tat_trace * trace) {
    static const char * const whats[SUMS] = { "accesses", "bytes", "nodes", "time", "fused" };
    struct totals one = { .trace = trace }, many;
    tat_trace_tensors(trace, &one.n_tensors);
    one.n_ops = tat_trace_n_ops(trace);
    many = one;
    const size_t n = (size_t) 8 * (one.n_ops + one.n_tensors) * SUMS;
    one.sum = zeros(n, sizeof *one.sum);
    many.sum = zeros(n, sizeof *many.sum);
    if (tat_trace_expand(trace, 0, UINT32_MAX, add_one_by_one, &one, NULL) != 0 ||
        tat_trace_tally(trace, 0, UINT32_MAX, add_tally, &many, NULL) != 0) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        if (many.sum[i] != one.sum[i]) {
            complain(tat_trace_path(trace), whats[i % SUMS], i / SUMS, many.sum[i], one.sum[i]);
        }
    }
    free(one.sum);
    free(many.sum);
}

/* The time by tensor over all evaluations. */
static bool add_owned(const struct tat_tally * tally, void * user) {
    for (size_t i = 0; i < tally->count && tally->ns; i++) {
        ((uint64_t *) user)[tally->records[i].tensor] += tally->owner_ns[i];
    }
    return true;
}

static void check_owners(const struct tat_trace * trace) {
    const uint32_t columns = tat_matrix_columns(trace, TAT_BY_TENSOR);
    uint32_t rows;
    tat_trace_evaluations(trace, &rows);
    uint64_t * matrix = zeros((size_t) rows * columns, sizeof *matrix);
    uint64_t * owned = zeros(columns, sizeof *owned);
    if (tat_matrix(trace, TAT_BY_TENSOR, TAT_SUM_NS, 0, 0, rows, matrix, NULL) != 0 ||
        tat_trace_tally(trace, 0, rows, add_owned, owned, NULL) != 0) {
        abort();
    }
    for (uint32_t c = 0; c < columns; c++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < rows; i++) { sum += matrix[(size_t) i * columns + c]; }
        if (owned[c] != sum) { complain(tat_trace_path(trace), "time by owner", c, owned[c], sum); }
    }
    free(matrix);
    free(owned);
}

/* ---- waits ---- */

/* The operation of a node's first record in each evaluation, which a wait belongs to. */
static uint16_t op_of(const struct tat_trace * trace, const struct tat_wait * w) {
    uint32_t n;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &n)[w->evaluation];
    const struct tat_template * t = &tat_trace_templates(trace, &n)[e->template_id];
    return t->entries[t->n_leaves + w->node].op_index;
}

static bool add_tally_waits(const struct tat_tally * tally, void * user) {
    for (size_t i = 0; i < tally->count && tally->wait_ns; i++) {
        ((uint64_t *) user)[tally->records[i].op] += tally->wait_ns[i];
    }
    return true;
}

/* By operation, the agent's waits: it records all waits of an evaluation or none. */
static void check_waits(const struct tat_trace * trace) {
    const uint16_t n_ops = tat_trace_n_ops(trace);
    uint64_t *one = zeros(n_ops, sizeof *one), *many = zeros(n_ops, sizeof *many);
    size_t count;
    if (tat_trace_waits(trace, 0, UINT32_MAX, NULL, 0, &count, NULL) != 0) { abort(); }
    struct tat_wait * waits = zeros(count, sizeof *waits);
    if (tat_trace_waits(trace, 0, UINT32_MAX, waits, count, &count, NULL) != 0 ||
        tat_trace_tally(trace, 0, UINT32_MAX, add_tally_waits, many, NULL) != 0) {
        abort();
    }
    for (size_t i = 0; i < count; i++) { one[op_of(trace, &waits[i])] += waits[i].ns; }
    for (uint16_t i = 0; i < n_ops; i++) {
        if (many[i] != one[i]) { complain(tat_trace_path(trace), "waiting by operation", i, many[i], one[i]); }
    }
    free(waits);
    free(many);
    free(one);
}

int main(int argc, char ** argv) {
    for (int i = 1; i < argc; i++) {
        struct tat_error error;
        struct tat_trace * trace = tat_trace_open(argv[i], &error);
        if (!trace) {
            fprintf(stderr, "sums: %s\n", error.message);
            return 2;
        }
        for (int by = 0; by < TAT_KEY_COUNT; by++) {
            check_matrix(trace, by, TAT_SUM_BYTES, 0);
            check_matrix(trace, by, TAT_SUM_ACCESSES, 0);
            check_matrix(trace, by, TAT_SUM_BYTES, 1u << TAT_TENSOR_WEIGHT);
            check_matrix(trace, by, TAT_SUM_BYTES, 1u << TAT_TENSOR_STATE | 1u << TAT_TENSOR_ACTIVATION);
            if (by != TAT_BY_EXPERT) { check_matrix(trace, by, TAT_SUM_NS, 0); }
        }
        check_tally(trace);
        check_owners(trace);
        check_waits(trace);
        tat_trace_close(trace);
    }
    return differs;
}
