/* SPDX-License-Identifier: MIT */
#include "analysis/ubatches.h"

#include <stdlib.h>
#include <string.h>

#include "format/graph_result.h"

struct walk {
    const struct tat_tensor * tensors;
    const struct tat_template * templates;
    const struct tat_evaluation * evaluations;
    uint32_t n_tensors, n_templates, n_evaluations;
    uint32_t * order;      /* evaluations by thread, then in time */
    uint32_t * name_of;    /* by tensor: a number for its name, because occurrences are counted within a graph */
    uint32_t * written;    /* by a name's number: the last ubatch with a node that computed it */
    struct ubatch * alone; /* by template, for a ubatch that is one graph, as most are; count is 0 if unknown yet */
    uint32_t number;       /* the ubatch's number, from 1 */
    uint64_t work;         /* entries looked at */
};

static void see_results(struct walk * w, const struct tat_template * t, uint32_t evaluation, struct ubatch * u) {
    for (uint32_t i = 0; i < t->n_leaves; i++) {
        const struct tat_entry * leaf = &t->entries[i];
        const enum tat_tensor_kind kind = w->tensors[leaf->tensor].kind;
        if (kind == TAT_TENSOR_WEIGHT || kind == TAT_TENSOR_STATE || strcmp(leaf->op, "NONE") == 0) { continue; }
        u->n_results++;
        if (w->written[w->name_of[leaf->tensor]] == w->number || u->n_foreign++) { continue; }
        u->evaluation = evaluation;
        u->leaf = i;
    }
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        w->written[w->name_of[t->entries[t->n_leaves + i].tensor]] = w->number;
    }
}

/* Reads weights other than the token embeddings, which stay on the CPU when a GPU takes all the rest. */
static bool reads_other_weights(const struct walk * w, const struct tat_template * t) {
    for (uint32_t i = 0; i < t->n_leaves; i++) {
        const struct tat_tensor * leaf = &w->tensors[t->entries[i].tensor];
        if (leaf->kind == TAT_TENSOR_WEIGHT && leaf->component != TAT_COMPONENT_TOKEN_EMBD) { return true; }
    }
    return false;
}

static struct ubatch look_at(struct walk * w, const uint32_t * evaluations, uint32_t count) {
    struct ubatch u = { .count = count };
    bool has_result = false, has_state = false, reads_more = false;
    w->number++;
    for (uint32_t i = 0; i < count && w->work <= UBATCHES_WORK_MOST; i++) {
        const struct tat_template * t = &w->templates[w->evaluations[evaluations[i]].template_id];
        see_results(w, t, evaluations[i], &u);
        has_result |= graph_result_of(t, w->tensors) != RESULT_NONE;
        has_state |= graph_has_state(t, w->tensors);
        reads_more |= reads_other_weights(w, t);
        w->work += (uint64_t) t->n_leaves + t->n_nodes;
    }
    u.is_silent = !has_result && (has_state || !reads_more);
    return u;
}

static struct ubatch ubatch_of(struct walk * w, const uint32_t * evaluations, uint32_t count) {
    if (count > 1) { return look_at(w, evaluations, count); }
    struct ubatch * alone = &w->alone[w->evaluations[*evaluations].template_id];
    if (!alone->count) { *alone = look_at(w, evaluations, count); }
    alone->evaluation = *evaluations;
    return *alone;
}

static void walk(struct walk * w, bool ended, ubatch_sink sink, void * user) {
    for (uint32_t from = 0, to = 1; from < w->n_evaluations && w->work <= UBATCHES_WORK_MOST; from = to++) {
        const struct tat_evaluation * first = &w->evaluations[w->order[from]];
        bool cut = first->flags & TAT_EVALUATION_ABORTED;
        for (; to < w->n_evaluations; to++) {
            const struct tat_evaluation * next = &w->evaluations[w->order[to]];
            if (next->thread != first->thread || w->templates[next->template_id].n_tokens) { break; }
            cut |= (next->flags & TAT_EVALUATION_ABORTED) != 0;
        }
        /* A process that was killed was in the middle of a thread's last ubatch. */
        const bool is_last = to == w->n_evaluations || w->evaluations[w->order[to]].thread != first->thread;
        struct ubatch u = ubatch_of(w, &w->order[from], to - from);
        u.evaluations = &w->order[from];
        u.takes_tokens = w->templates[first->template_id].n_tokens > 0;
        u.is_cut = cut || (is_last && !ended);
        if (w->work <= UBATCHES_WORK_MOST) { sink(&u, user); }
    }
}

static int by_thread(const void * a, const void * b, void * user) {
    const struct walk * w = user;
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    const uint32_t p = w->evaluations[x].thread, q = w->evaluations[y].thread;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static int by_name(const void * a, const void * b, void * user) {
    const struct walk * w = user;
    return strcmp(w->tensors[*(const uint32_t *) a].name, w->tensors[*(const uint32_t *) b].name);
}

static bool prepare(struct walk * w) {
    uint32_t * sorted = calloc((size_t) w->n_tensors + 1, sizeof *sorted);
    w->order = calloc((size_t) w->n_evaluations + 1, sizeof *w->order);
    w->name_of = calloc((size_t) w->n_tensors + 1, sizeof *w->name_of);
    w->written = calloc((size_t) w->n_tensors + 1, sizeof *w->written);
    w->alone = calloc((size_t) w->n_templates + 1, sizeof *w->alone);
    const bool good = sorted && w->order && w->name_of && w->written && w->alone;
    for (uint32_t i = 0; good && i < w->n_evaluations; i++) { w->order[i] = i; }
    for (uint32_t i = 0; good && i < w->n_tensors; i++) { sorted[i] = i; }
    if (good) {
        qsort_r(w->order, w->n_evaluations, sizeof *w->order, by_thread, w);
        qsort_r(sorted, w->n_tensors, sizeof *sorted, by_name, w);
    }
    for (uint32_t i = 1; good && i < w->n_tensors; i++) {
        w->name_of[sorted[i]] = w->name_of[sorted[i - 1]] + (by_name(&sorted[i], &sorted[i - 1], w) != 0);
    }
    free(sorted);
    return good;
}

int ubatches_each(const struct tat_trace * trace, ubatch_sink sink, void * user) {
    struct walk w = { 0 };
    w.tensors = tat_trace_tensors(trace, &w.n_tensors);
    w.templates = tat_trace_templates(trace, &w.n_templates);
    w.evaluations = tat_trace_evaluations(trace, &w.n_evaluations);
    const bool good = prepare(&w);
    if (good) { walk(&w, tat_trace_summary(trace)->ended, sink, user); }
    free(w.order);
    free(w.name_of);
    free(w.written);
    free(w.alone);
    return !good ? -1 : w.work > UBATCHES_WORK_MOST ? 1 : 0;
}
