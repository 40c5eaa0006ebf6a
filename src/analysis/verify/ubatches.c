/* SPDX-License-Identifier: MIT
 *
 * Whether the trace has the whole of each ubatch: weights of every layer are read, something comes out, and no graph
 * reads a result that none in the trace computed.
 */
#include "analysis/ubatches.h"

#include <inttypes.h>
#include <stdlib.h>

#include "analysis/verify/verify.h"

/* Which layers of the model a ubatch uses, and of which it reads weights. */
struct layers {
    uint32_t there, seen;
    bool known;
};

struct sums {
    struct verifier * v;
    uint32_t * seen;       /* by layer: the last ubatch that read its weights */
    struct layers * alone; /* by template, for a ubatch that is one graph, as most are */
    uint32_t ubatch;       /* from 1 */
    uint64_t work;         /* files and leaves looked at */

    uint32_t n_ubatches, most_layers, n_short, first_short;
    uint32_t n_silent, first_silent; /* ubatches without a result */
    uint64_t n_results, n_foreign, n_leaves;
    struct layers shortest; /* the first of its kind */
    struct ubatch foreign;  /* the first of its kind */
};

/* ---- layers ---- */

static uint32_t layers_of_model(const struct verifier * v, uint32_t model) {
    uint32_t layers = 0;
    for (uint32_t i = 0; i < v->n_files; i++) {
        if (v->files[i].model != model || !v->models[i]) { continue; }
        const struct tat_gguf_params * p = tat_gguf_params(v->models[i]);
        const uint32_t n = p->n_layer - (p->n_layer_nextn < p->n_layer ? p->n_layer_nextn : 0);
        if (n > layers) { layers = n; }
    }
    return layers;
}

/* A model may be in several files, there may be several models, and a graph may read an adapter beside its model. An
 * adapter has no layers of its own. */
static void see_weights(struct sums * s, const struct tat_template * t, struct layers * layers) {
    uint32_t last = 0;
    s->work += t->n_leaves;
    for (uint32_t i = 0; i < t->n_leaves && s->work <= UBATCHES_WORK_MOST; i++) {
        const struct tat_tensor * tensor = &s->v->tensors[t->entries[i].tensor];
        if (tensor->kind != TAT_TENSOR_WEIGHT || tensor->file == 0 || tensor->file > s->v->n_files) { continue; }
        const uint32_t model = s->v->files[tensor->file - 1].model;
        const uint32_t n = model == last ? 0 : layers_of_model(s->v, model);
        s->work += model == last ? 0 : s->v->n_files;
        last = model;
        if (n > layers->there) { layers->there = n; }
        if (tensor->layer == TAT_NO_LAYER) { continue; }
        layers->seen += s->seen[tensor->layer] != s->ubatch;
        s->seen[tensor->layer] = s->ubatch;
    }
}

static struct layers layers_of(struct sums * s, const struct ubatch * u) {
    const struct verifier * v = s->v;
    struct layers * alone = &s->alone[v->evaluations[u->evaluations[0]].template_id];
    struct layers layers = { .known = true };
    if (u->count == 1 && alone->known) { return *alone; }
    s->ubatch++;
    for (uint32_t i = 0; i < u->count; i++) {
        see_weights(s, &v->templates[v->evaluations[u->evaluations[i]].template_id], &layers);
    }
    if (u->count == 1) { *alone = layers; }
    return layers;
}

static void add_ubatch(const struct ubatch * u, void * user) {
    struct sums * s = user;
    const struct layers layers = layers_of(s, u);
    const bool is_whole = u->takes_tokens && !u->is_cut;
    if (u->n_foreign && s->n_foreign == 0) { s->foreign = *u; }
    for (uint32_t i = 0; i < u->count; i++) {
        s->n_leaves += s->v->templates[s->v->evaluations[u->evaluations[i]].template_id].n_leaves;
    }
    s->n_results += u->n_results;
    s->n_foreign += u->n_foreign;
    if (is_whole && u->is_silent && s->n_silent++ == 0) { s->first_silent = u->evaluations[0]; }
    if (layers.there == 0 || (layers.seen < layers.there && !is_whole)) { return; }
    s->n_ubatches++;
    if (layers.there > s->most_layers) { s->most_layers = layers.there; }
    if (layers.seen >= layers.there || s->n_short++) { return; }
    s->shortest = layers;
    s->first_short = u->evaluations[0];
}

/* ---- the verdicts ---- */

static void judge_layers(const struct sums * s, bool too_many) {
    const char * what = "every ubatch goes through every layer";
    if (too_many) {
        verify_add(s->v, "layers", what, TAT_VERDICT_SKIP, "too many graphs in pieces");
    } else if (s->n_short) {
        verify_add(s->v, "layers", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " of %" PRIu32 " ubatches, first at evaluation %" PRIu32 ": weights of %" PRIu32
                   " of %" PRIu32 " layers: the others were computed elsewhere (BLAS, GPU?)",
                   s->n_short, s->n_ubatches, s->first_short, s->shortest.seen, s->shortest.there);
    } else if (s->n_ubatches == 0) {
        verify_add(s->v, "layers", what, TAT_VERDICT_SKIP, "no graph takes tokens, or no model file is there to ask");
    } else {
        verify_add(s->v, "layers", what, TAT_VERDICT_PASS, "%" PRIu32 " ubatches, %" PRIu32 " layers", s->n_ubatches,
                   s->most_layers);
    }
}

static void judge_results(const struct sums * s, bool too_many) {
    const char * what = "every result that a graph reads was computed by one in the trace";
    const bool has_gaps = s->v->summary->evaluations_emitted > s->v->n_evaluations;
    if (too_many) {
        verify_add(s->v, "results", what, TAT_VERDICT_SKIP, "too many graphs in pieces");
    } else if ((s->n_foreign || s->n_silent) && has_gaps) {
        verify_add(s->v, "results", what, TAT_VERDICT_SKIP, "evaluations are missing that may have computed them");
    } else if (s->n_foreign) {
        const uint32_t template_id = s->v->evaluations[s->foreign.evaluation].template_id;
        const struct tat_entry * leaf = &s->v->templates[template_id].entries[s->foreign.leaf];
        verify_add(s->v, "results", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " were not, first %s, of %s, in evaluation %" PRIu32
                   ": another backend (BLAS, GPU) computed them",
                   s->n_foreign, leaf->name, leaf->op, s->foreign.evaluation);
    } else if (s->n_silent) {
        verify_add(s->v, "results", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " ubatches have no result, first at evaluation %" PRIu32
                   ": another backend (BLAS, GPU) computed it",
                   s->n_silent, s->first_silent);
    } else if (s->n_leaves == 0) {
        verify_add(s->v, "results", what, TAT_VERDICT_SKIP, "no graph reads anything");
    } else {
        verify_add(s->v, "results", what, TAT_VERDICT_PASS, "%" PRIu64 " read in another graph than computed",
                   s->n_results);
    }
}

int verify_ubatches(struct verifier * v, struct tat_error * error) {
    struct sums s = { .v = v };
    s.seen = calloc(TAT_NO_LAYER, sizeof *s.seen);
    s.alone = calloc((size_t) v->n_templates + 1, sizeof *s.alone);
    const int status = s.seen && s.alone ? ubatches_each(v->trace, add_ubatch, &s) : -1;
    if (status >= 0) {
        judge_layers(&s, status > 0 || s.work > UBATCHES_WORK_MOST);
        judge_results(&s, status > 0);
        v->elsewhere = s.n_foreign || s.n_short || s.n_silent;
    } else {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(v->trace));
    }
    free(s.seen);
    free(s.alone);
    return status < 0 ? -1 : 0;
}
