/* SPDX-License-Identifier: MIT
 *
 * What was captured while graphs ran: each row goes to as many different experts as the graph says, positions advance.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/verify/verify.h"
#include "format/expert_stack.h"

static int no_memory(const struct verifier * v, struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(v->trace));
}

/* Reads the values of a capture into memory that grows. Returns how many; *memory is NULL if there is none. */
static size_t read_capture(const struct verifier * v, uint32_t evaluation, uint32_t capture, int64_t ** memory,
                           size_t * capacity) {
    const size_t count = tat_trace_capture(v->trace, evaluation, capture, *memory, *capacity);
    if (count <= *capacity) { return count; }
    free(*memory);
    *memory = malloc(count * 2 * sizeof **memory);
    *capacity = *memory ? count * 2 : 0;
    return *memory ? tat_trace_capture(v->trace, evaluation, capture, *memory, *capacity) : 0;
}

/* ---- experts ---- */

enum { EXPERTS_MAX = 1 << 16 }; /* a hundred times what llama.cpp allows */

struct routing {
    uint64_t rows, selections, wrong;
    bool routes; /* some graph chooses experts */
    uint32_t first_evaluation;
    bool seen[EXPERTS_MAX];
};

/* True if the experts differ and all exist. `seen`: all false before and after. */
static bool row_is_right(const int64_t * ids, uint64_t k, uint64_t experts, bool seen[static EXPERTS_MAX]) {
    uint64_t right = 0;
    while (right < k && ids[right] >= 0 && (uint64_t) ids[right] < experts && !seen[ids[right]]) {
        seen[ids[right++]] = true;
    }
    for (uint64_t i = 0; i < right; i++) { seen[ids[i]] = false; }
    return right == k;
}

static void check_rows(const struct tat_template * t, const struct tat_capture * c, const int64_t * ids, size_t count,
                       uint32_t evaluation, struct routing * r) {
    const struct tat_entry * e = &t->entries[c->entry];
    const uint64_t k = e->ne[0], rows = e->ne[1] * e->ne[2] * e->ne[3];
    const uint64_t there = expert_stack_of(t, &t->entries[t->n_leaves + c->node]).experts;
    const uint64_t experts = there < EXPERTS_MAX ? there : EXPERTS_MAX;
    uint64_t wrong = k == 0 || count != k * rows;
    for (uint64_t row = 0; !wrong && row < rows; row++) { wrong = !row_is_right(ids + row * k, k, experts, r->seen); }
    if (wrong && r->wrong == 0) { r->first_evaluation = evaluation; }
    r->wrong += wrong;
    r->rows += rows;
    r->selections += count;
}

int verify_experts(struct verifier * v, struct tat_error * error) {
    const char * what = "every row goes to exactly as many different experts as its layer uses";
    struct routing r = { 0 };
    int64_t * ids = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        const struct tat_template * t = &v->templates[v->evaluations[i].template_id];
        const bool skipped =
            v->evaluations[i].flags & (TAT_EVALUATION_ABORTED | TAT_EVALUATION_OUTSIDE | TAT_EVALUATION_UNMATCHED);
        for (uint32_t c = 0; c < t->n_captures; c++) {
            if (t->captures[c].kind != TAT_CAPTURE_EXPERTS) { continue; }
            r.routes = true;
            if (skipped) { continue; }
            const size_t count = read_capture(v, i, c, &ids, &capacity);
            if (count && !ids) { return no_memory(v, error); }
            check_rows(t, &t->captures[c], ids, count, i, &r);
        }
    }
    free(ids);
    if (r.rows == 0) {
        verify_add(v, "experts", what, TAT_VERDICT_SKIP,
                   r.routes ? "no selection was recorded" : "no mixture of experts");
    } else if (r.wrong) {
        verify_add(v, "experts", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " rows routed wrongly, first in evaluation %" PRIu32, r.wrong, r.first_evaluation);
    } else {
        verify_add(v, "experts", what, TAT_VERDICT_PASS, "%" PRIu64 " rows, %" PRIu64 " selections", r.rows,
                   r.selections);
    }
    return 0;
}

/* ---- positions ---- */

struct advance {
    int64_t top;   /* the position after the highest seen in the context; -1: any may come */
    uint32_t last; /* the evaluation before */
};

/* When the host cleared the cache or gave it other contents, in order. */
struct changes {
    int64_t * at_ns;
    uint32_t count;
};

static struct changes find_changes(const struct verifier * v) {
    struct changes c = { .at_ns = calloc((size_t) v->n_events + 1, sizeof *c.at_ns) };
    for (uint32_t i = 0; c.at_ns && i < v->n_events; i++) {
        const struct tat_event * e = &v->events[i];
        if (e->type == TAT_EVENT_MEMORY_CLEAR || e->type == TAT_EVENT_MEMORY_SET) { c.at_ns[c.count++] = e->at_ns; }
    }
    return c;
}

static bool changed_between(const struct verifier * v, const struct changes * c, uint32_t before, uint32_t after) {
    const int64_t from = (int64_t) v->evaluations[before].end_ns, to = (int64_t) v->evaluations[after].begin_ns;
    uint32_t low = 0, high = c->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (c->at_ns[middle] < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < c->count && c->at_ns[low] <= to;
}

/* True for one sequence, whose positions count up by one. */
static bool is_series(const int64_t * positions, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (positions[i - 1] == INT64_MAX || positions[i] != positions[i - 1] + 1) { return false; }
    }
    return true;
}

struct advancing {
    struct advance * context; /* by number */
    struct changes changes;
    uint32_t checked, followed, several, jumps, first; /* evaluations; first: the first one that jumps */
};

/* Going back is not a jump: hosts take tokens back (speculation), shift their cache, or turn to another sequence. */
static void check_advance(const struct verifier * v, struct advancing * x, uint32_t evaluation,
                          const int64_t * positions, size_t count) {
    struct advance * a = &x->context[v->evaluations[evaluation].context];
    if (!is_series(positions, count)) {
        x->several++;
        a->top = -1;
        return;
    }
    const bool changed = a->top >= 0 && changed_between(v, &x->changes, a->last, evaluation);
    x->followed += a->top >= 0;
    if (a->top >= 0 && positions[0] > a->top && !changed && x->jumps++ == 0) { x->first = evaluation; }
    const int64_t end = positions[count - 1] < INT64_MAX ? positions[count - 1] + 1 : -1;
    if (changed || a->top < end) { a->top = end; }
    a->last = evaluation;
    x->checked++;
}

/* Checks the first positions of each evaluation. */
static void check_all(const struct verifier * v, struct advancing * x) {
    int64_t * positions = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        const struct tat_template * t = &v->templates[v->evaluations[i].template_id];
        for (uint32_t c = 0; c < t->n_captures; c++) {
            if (t->captures[c].kind != TAT_CAPTURE_POSITIONS) { continue; }
            const size_t count = read_capture(v, i, c, &positions, &capacity);
            if (count) { check_advance(v, x, i, positions, count); }
            break;
        }
    }
    free(positions);
}

int verify_positions(struct verifier * v, struct tat_error * error) {
    const char * what = "in each context positions follow on those seen before";
    uint32_t contexts = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        if (v->evaluations[i].context > contexts) { contexts = v->evaluations[i].context; }
    }
    struct advancing x = { .changes = find_changes(v) };
    x.context = contexts <= v->summary->used_bytes ? calloc(contexts + 1, sizeof *x.context) : NULL;
    const bool good = x.context && x.changes.at_ns;
    for (uint32_t i = 0; good && i <= contexts; i++) { x.context[i].top = -1; }
    if (good) { check_all(v, &x); }
    free(x.changes.at_ns);
    free(x.context);
    if (!good) { return no_memory(v, error); }
    if (x.jumps && !x.several) {
        verify_add(v, "positions", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " jumps, first at evaluation %" PRIu32
                   ": an evaluation before it is missing, or the host loaded a state",
                   x.jumps, x.first);
    } else if (x.followed == 0 || x.several) {
        verify_add(v, "positions", what, TAT_VERDICT_SKIP,
                   x.several   ? "ubatches of several sequences"
                   : x.checked ? "no context goes on after its first"
                               : "no positions");
    } else {
        verify_add(v, "positions", what, TAT_VERDICT_PASS, "%" PRIu32 " evaluations", x.checked);
    }
    return 0;
}
