/* SPDX-License-Identifier: MIT
 *
 * Whether the trace has the whole of each ubatch. A ubatch may be computed in several graphs: where another backend
 * takes some nodes, and where the host looks at each node. It begins with the graph that takes tokens and goes on with
 * those of the same context after it. Then weights of every layer are read, and no graph reads a result that none in
 * the trace computed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/verify/verify.h"

/* What the graphs of one ubatch come to. */
struct share {
    uint32_t layers, n_seen;       /* of the model; those of which weights are read */
    uint64_t n_results, n_foreign; /* results that came from another graph; those that came from none in the trace */
    uint32_t evaluation, leaf;     /* the first of those */
    bool known;
};

struct walk {
    struct verifier * v;
    uint32_t * order;     /* evaluations by thread, then in time */
    uint32_t * name_of;   /* by tensor: a number of its name, for occurrences are counted within a graph */
    uint32_t * written;   /* by number of a name: the last ubatch with a node that computed it */
    uint32_t * seen;      /* by layer: the last ubatch that read its weights */
    struct share * alone; /* by template: of a ubatch that is one graph, as most are */
    uint32_t ubatch;      /* from 1 */
    uint64_t work;        /* entries looked at */

    uint32_t n_ubatches, most_layers, n_short, first_short;
    struct share shortest, foreign; /* the first of their kind */
    uint64_t n_results, n_foreign, n_leaves;
};

/* No trace, wherever it comes from, keeps us longer than seconds. */
#define WORK_MOST ((uint64_t) 1 << 31)

/* ---- layers and results ---- */

static uint32_t layers_of_model(struct walk * w, uint32_t model) {
    const struct verifier * v = w->v;
    uint32_t layers = 0;
    w->work += v->n_files;
    for (uint32_t i = 0; i < v->n_files; i++) {
        if (v->files[i].model != model || !v->models[i]) { continue; }
        const struct tat_gguf_params * p = tat_gguf_params(v->models[i]);
        const uint32_t n = p->n_layer - (p->n_layer_nextn < p->n_layer ? p->n_layer_nextn : 0);
        if (n > layers) { layers = n; }
    }
    return layers;
}

/* A model may be in several files, there may be several models, and a graph may read an adapter beside its model: that
 * has no layers of its own. */
static void see_weights(struct walk * w, const struct tat_template * t, struct share * share) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < t->n_leaves; i++) {
        const struct tat_tensor * tensor = &w->v->tensors[t->entries[i].tensor];
        if (tensor->kind != TAT_TENSOR_WEIGHT || tensor->file == 0 || tensor->file > w->v->n_files) { continue; }
        const uint32_t model = w->v->files[tensor->file - 1].model;
        const uint32_t n = model == last ? 0 : layers_of_model(w, model);
        last = model;
        if (n > share->layers) { share->layers = n; }
        if (tensor->layer == TAT_NO_LAYER) { continue; }
        share->n_seen += w->seen[tensor->layer] != w->ubatch;
        w->seen[tensor->layer] = w->ubatch;
    }
}

static void see_results(struct walk * w, const struct tat_template * t, uint32_t evaluation, struct share * share) {
    for (uint32_t i = 0; i < t->n_leaves; i++) {
        const struct tat_entry * leaf = &t->entries[i];
        const enum tat_tensor_kind kind = w->v->tensors[leaf->tensor].kind;
        w->n_leaves++;
        if (kind == TAT_TENSOR_WEIGHT || kind == TAT_TENSOR_STATE || strcmp(leaf->op, "NONE") == 0) { continue; }
        share->n_results++;
        if (w->written[w->name_of[leaf->tensor]] == w->ubatch || share->n_foreign++) { continue; }
        share->evaluation = evaluation;
        share->leaf = i;
    }
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        w->written[w->name_of[t->entries[t->n_leaves + i].tensor]] = w->ubatch;
    }
}

/* ---- the walk ---- */

static struct share look_at(struct walk * w, const uint32_t * evaluations, uint32_t count) {
    struct share share = { .known = true };
    w->ubatch++;
    for (uint32_t i = 0; i < count && w->work <= WORK_MOST; i++) {
        const struct tat_template * t = &w->v->templates[w->v->evaluations[evaluations[i]].template_id];
        see_weights(w, t, &share);
        see_results(w, t, evaluations[i], &share);
        w->work += t->n_leaves + t->n_nodes;
    }
    return share;
}

static struct share share_of(struct walk * w, const uint32_t * evaluations, uint32_t count) {
    if (count > 1) { return look_at(w, evaluations, count); }
    struct share * alone = &w->alone[w->v->evaluations[*evaluations].template_id];
    if (!alone->known) { *alone = look_at(w, evaluations, count); }
    alone->evaluation = *evaluations;
    return *alone;
}

static void add_ubatch(struct walk * w, const uint32_t * evaluations, uint32_t count, bool whole) {
    const struct share share = share_of(w, evaluations, count);
    if (share.n_foreign && w->n_foreign == 0) { w->foreign = share; }
    w->n_results += share.n_results;
    w->n_foreign += share.n_foreign;
    if (share.layers == 0 || (share.n_seen < share.layers && !whole)) { return; }
    w->n_ubatches++;
    if (share.layers > w->most_layers) { w->most_layers = share.layers; }
    if (share.n_seen >= share.layers || w->n_short++) { return; }
    w->shortest = share;
    w->first_short = *evaluations;
}

static void walk(struct walk * w) {
    const struct verifier * v = w->v;
    for (uint32_t from = 0, to = 1; from < v->n_evaluations; from = to++) {
        const struct tat_evaluation * first = &v->evaluations[w->order[from]];
        bool cut = first->flags & TAT_EVALUATION_ABORTED;
        for (; to < v->n_evaluations; to++) {
            const struct tat_evaluation * next = &v->evaluations[w->order[to]];
            if (next->thread != first->thread || v->templates[next->template_id].n_tokens) { break; }
            cut |= (next->flags & TAT_EVALUATION_ABORTED) != 0;
        }
        /* A process that was killed was in the middle of a thread's last one. */
        const bool is_last = to == v->n_evaluations || v->evaluations[w->order[to]].thread != first->thread;
        /* What comes before any tokens is no ubatch: an encoder, a shift of the cache. */
        const bool is_ubatch = v->templates[first->template_id].n_tokens > 0;
        const bool is_whole = is_ubatch && !cut && (!is_last || v->summary->ended);
        add_ubatch(w, &w->order[from], to - from, is_whole);
    }
}

static int by_thread(const void * a, const void * b, void * user) {
    const struct verifier * v = user;
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    const uint32_t p = v->evaluations[x].thread, q = v->evaluations[y].thread;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static int by_name(const void * a, const void * b, void * user) {
    const struct verifier * v = user;
    return strcmp(v->tensors[*(const uint32_t *) a].name, v->tensors[*(const uint32_t *) b].name);
}

static bool prepare(struct walk * w) {
    struct verifier * v = w->v;
    uint32_t * sorted = calloc(v->n_tensors + 1, sizeof *sorted);
    w->order = calloc(v->n_evaluations + 1, sizeof *w->order);
    w->name_of = calloc(v->n_tensors + 1, sizeof *w->name_of);
    w->written = calloc(v->n_tensors + 1, sizeof *w->written);
    w->seen = calloc(TAT_NO_LAYER, sizeof *w->seen);
    w->alone = calloc(v->n_templates + 1, sizeof *w->alone);
    const bool good = sorted && w->order && w->name_of && w->written && w->seen && w->alone;
    for (uint32_t i = 0; good && i < v->n_evaluations; i++) { w->order[i] = i; }
    for (uint32_t i = 0; good && i < v->n_tensors; i++) { sorted[i] = i; }
    if (good) {
        qsort_r(w->order, v->n_evaluations, sizeof *w->order, by_thread, v);
        qsort_r(sorted, v->n_tensors, sizeof *sorted, by_name, v);
    }
    for (uint32_t i = 1; good && i < v->n_tensors; i++) {
        w->name_of[sorted[i]] = w->name_of[sorted[i - 1]] + (by_name(&sorted[i], &sorted[i - 1], v) != 0);
    }
    free(sorted);
    return good;
}

/* ---- the verdicts ---- */

static void judge_layers(struct walk * w) {
    const char * what = "every ubatch goes through every layer";
    if (w->work > WORK_MOST) {
        verify_add(w->v, "layers", what, TAT_VERDICT_SKIP, "too many graphs in pieces");
    } else if (w->n_short) {
        verify_add(w->v, "layers", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " of %" PRIu32 " ubatches, first at evaluation %" PRIu32 ": weights of %" PRIu32
                   " of %" PRIu32 " layers: the others were computed elsewhere (BLAS, GPU?)",
                   w->n_short, w->n_ubatches, w->first_short, w->shortest.n_seen, w->shortest.layers);
    } else if (w->n_ubatches == 0) {
        verify_add(w->v, "layers", what, TAT_VERDICT_SKIP, "no graph takes tokens, or no model file is there to ask");
    } else {
        verify_add(w->v, "layers", what, TAT_VERDICT_PASS, "%" PRIu32 " ubatches, %" PRIu32 " layers", w->n_ubatches,
                   w->most_layers);
    }
}

static void judge_results(struct walk * w) {
    const char * what = "every result that a graph reads was computed by one in the trace";
    const struct tat_trace_summary * s = w->v->summary;
    const bool has_gaps = s->evaluations_emitted > w->v->n_evaluations;
    if (w->work > WORK_MOST) {
        verify_add(w->v, "results", what, TAT_VERDICT_SKIP, "too many graphs in pieces");
    } else if (w->n_foreign && has_gaps) {
        verify_add(w->v, "results", what, TAT_VERDICT_SKIP, "evaluations are missing that may have computed them");
    } else if (w->n_foreign) {
        const uint32_t template_id = w->v->evaluations[w->foreign.evaluation].template_id;
        const struct tat_entry * leaf = &w->v->templates[template_id].entries[w->foreign.leaf];
        verify_add(w->v, "results", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " were not, first %s, of %s, in evaluation %" PRIu32
                   ": another backend (BLAS, GPU) computed them",
                   w->n_foreign, leaf->name, leaf->op, w->foreign.evaluation);
    } else if (w->n_leaves == 0) {
        verify_add(w->v, "results", what, TAT_VERDICT_SKIP, "no graph reads anything");
    } else {
        verify_add(w->v, "results", what, TAT_VERDICT_PASS, "%" PRIu64 " read in another graph than computed",
                   w->n_results);
    }
}

int verify_ubatches(struct verifier * v, struct tat_error * error) {
    struct walk w = { .v = v };
    const bool good = prepare(&w);
    if (good) {
        walk(&w);
        judge_layers(&w);
        judge_results(&w);
    } else {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(v->trace));
    }
    free(w.order);
    free(w.name_of);
    free(w.written);
    free(w.seen);
    free(w.alone);
    return good ? 0 : -1;
}
