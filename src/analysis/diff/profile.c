/* SPDX-License-Identifier: MIT */
#include "analysis/diff/profile.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/diff/profile_parts.h"
#include "analysis/one_weight.h"
#include "analysis/parts.h"
#include "analysis/run_metadata.h"

/* ---- tensors ---- */

int touched_order(const struct touched * a, const struct touched * b) {
    if (a->kind != b->kind) { return a->kind < b->kind ? -1 : 1; }
    if (a->model != b->model) { return a->model < b->model ? -1 : 1; }
    return strcmp(a->name, b->name);
}

struct numbered {
    struct touched t;
    uint32_t tensor;
};

static int by_name(const void * a, const void * b) {
    const struct numbered *x = a, *y = b;
    const int order = touched_order(&x->t, &y->t);
    return order ? order : x->tensor < y->tensor ? -1 : 1;
}

static struct touched touched_from(const struct profile * p, uint32_t tensor) {
    const struct tat_tensor * t = &p->subject.tensors[tensor];
    const bool known = t->file && t->file <= p->subject.n_files;
    return (struct touched){
        .name = t->name,
        .kind = t->kind,
        .component = t->component,
        .model = known ? p->subject.files[t->file - 1].model : 0,
        .layer = t->layer,
        .size = t->bytes,
        .first_slice = p->slices.first[tensor],
        .n_slices = slices_of(&p->slices, tensor),
    };
}

/* Joins tensors by name; one may stand for several of the trace. */
static bool find_tensors(struct profile * p) {
    const uint32_t n = p->subject.n_tensors;
    struct numbered * all = malloc(((size_t) n + 1) * sizeof *all);
    uint32_t count = 0;
    p->tensors = malloc(((size_t) n + 1) * sizeof *p->tensors);
    p->touched_of = malloc(((size_t) n + 1) * sizeof *p->touched_of);
    if (!all || !p->tensors || !p->touched_of) {
        free(all);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        p->touched_of[i] = UINT32_MAX;
        if (holder_of(&p->subject.tensors[i]) == HOLDS_ACTIVATION || !counts_once(&p->subject, i)) { continue; }
        all[count++] = (struct numbered){ touched_from(p, i), i };
    }
    qsort(all, count, sizeof *all, by_name);
    for (uint32_t i = 0; i < count; i++) {
        struct touched * last = p->n_tensors ? &p->tensors[p->n_tensors - 1] : NULL;
        if (!last || touched_order(last, &all[i].t) != 0) { p->tensors[p->n_tensors++] = all[i].t; }
        last = &p->tensors[p->n_tensors - 1];
        if (all[i].t.size > last->size) { last->size = all[i].t.size; }
        p->touched_of[all[i].tensor] = p->n_tensors - 1;
    }
    free(all);
    return true;
}

/* ---- sums ---- */

struct summing {
    struct profile * p;
    struct access_counter accesses;
    struct one_weight weights;
};

static void add_use(struct profile * p, const struct tat_access * a, struct use use) {
    struct touched * t = &p->tensors[p->touched_of[a->tensor]];
    for (int scope = SCOPE_ALL; scope < SCOPES; scope++) {
        if (scope == SCOPE_GENERATE && phase_of(a) != TAT_PHASE_GENERATE) { continue; }
        t->use[scope].accesses += use.accesses;
        t->use[scope].bytes += use.bytes;
        t->use[scope].ns += use.ns;
    }
}

/* An expert's slice counts for the tensor that stands for its name. */
static void add_slice(struct profile * p, const struct tat_access * a, uint64_t accesses) {
    const struct touched * t = &p->tensors[p->touched_of[a->tensor]];
    const uint32_t slice = slice_of(&p->slices, a);
    if (slice == NO_SLICE) { return; }
    const uint32_t number = slice - p->slices.first[a->tensor];
    if (number < t->n_slices) { p->slice_accesses[t->first_slice + number] += accesses; }
}

static bool add_tally(const struct tat_tally * tally, void * user) {
    struct summing * s = user;
    struct profile * p = s->p;
    const struct tat_access * records = one_weight_records(&s->weights, tally->records, tally->count);
    for (size_t i = 0; records && i < tally->count; i++) {
        const struct tat_access * a = &records[i];
        const uint64_t accesses = access_counter_step(&s->accesses, tally, i);
        if (!is_inference(phase_of(a))) { continue; }
        if (tally->ns && tally->ns[i]) {
            p->operations[a->op].ns[SCOPE_ALL] += tally->ns[i];
            if (phase_of(a) == TAT_PHASE_GENERATE) { p->operations[a->op].ns[SCOPE_GENERATE] += tally->ns[i]; }
        }
        if (p->touched_of[a->tensor] == UINT32_MAX) { continue; }
        add_use(p, a,
                (struct use){ (double) accesses, (double) (a->bytes * tally->evaluations),
                              tally->ns ? (double) tally->owner_ns[i] : 0 });
        if (accesses) { add_slice(p, a, accesses); }
    }
    return true;
}

static bool sum_up(struct profile * p) {
    struct summing summing = { .p = p, .weights = one_weight_of(p->subject.trace) };
    p->n_operations = tat_trace_n_ops(p->subject.trace);
    p->operations = calloc((size_t) p->n_operations + 1, sizeof *p->operations);
    p->slice_accesses = calloc((size_t) p->slices.count + 1, sizeof *p->slice_accesses);
    if (!p->operations || !p->slice_accesses) { return false; }
    for (uint32_t i = 0; i < p->n_operations; i++) {
        p->operations[i].name = tat_trace_op_name(p->subject.trace, (uint16_t) i);
    }
    const int status = subject_tally(&p->subject, add_tally, &summing, NULL);
    one_weight_free(&summing.weights);
    return status == 0 && !summing.weights.failed;
}

/* Only of tokens that were evaluated one by one: others share their time. */
static bool find_token_times(struct profile * p) {
    p->token_ns = malloc(((size_t) p->subject.n_evaluations + 1) * sizeof *p->token_ns);
    for (uint32_t i = 0; p->token_ns && i < p->subject.n_evaluations; i++) {
        const struct tat_evaluation * e = &p->subject.evaluations[i];
        if (e->phase != TAT_PHASE_GENERATE || e->n_tokens != 1 || e->flags & TAT_EVALUATION_OUTSIDE) { continue; }
        p->token_ns[p->n_token_ns++] = (double) (e->end_ns - e->begin_ns);
    }
    return p->token_ns != NULL;
}

struct phase_total profile_total(const struct profile * p, enum scope scope) {
    return scope == SCOPE_GENERATE ? p->subject.phase[TAT_PHASE_GENERATE] : inference_total(&p->subject);
}

bool profile_open(struct profile * p, const struct tat_trace * trace) {
    const uint32_t model = tat_trace_main_model(trace);
    *p = (struct profile){ .part = model ? tat_trace_of_model(trace, model, NULL) : NULL };
    if (model && !p->part) { return false; }
    if (!subject_begin(&p->subject, p->part ? p->part : trace, NULL)) { return false; }
    p->metadata = run_metadata(trace);
    caveat_prompt(&p->subject, p->doubt);
    profile_models(p);
    return slices_find(&p->slices, &p->subject) && find_tensors(p) && sum_up(p) && find_token_times(p) &&
           profile_routing(p) && profile_order(p);
}

void profile_close(struct profile * p) {
    profile_free_choices(p);
    slices_free(&p->slices);
    free(p->tensors);
    free(p->operations);
    free(p->readings.data);
    free(p->slice_accesses);
    free(p->token_ns);
    free(p->name_hash);
    free(p->touched_of);
    json_decref(p->metadata);
    subject_free(&p->subject);
    tat_trace_close(p->part);
}
