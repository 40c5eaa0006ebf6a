/* SPDX-License-Identifier: MIT */
#include "analysis/diff/profile_parts.h"

#include <stdlib.h>
#include <string.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char * text) {
    for (; *text; text++) { hash = mix(hash, (unsigned char) *text); }
    return hash;
}

/* ---- routing ---- */

void profile_free_choices(struct profile * p) {
    for (uint32_t i = 0; i < p->n_choices; i++) { free(p->choices[i].all); }
    free(p->choices);
    p->choices = NULL;
    p->n_choices = 0;
}

/* Takes the layers that chose; from here on the profile owns the counts. */
static bool keep_choices(struct profile * p, struct choice_table * table) {
    p->choices = calloc((size_t) table->n_layers + 1, sizeof *p->choices);
    for (uint32_t i = 0; p->choices && i < table->n_layers; i++) {
        if (!table->layer[i].n_experts) { continue; }
        p->choices[p->n_choices++] = table->layer[i];
        table->layer[i].all = NULL;
    }
    return p->choices != NULL;
}

/* The shape of a prompt and, if they were recorded, its token ids. */
static void add_prompt(struct profile * p, const struct tat_evaluation * e, const struct list * tokens) {
    p->shape_hash = mix(p->shape_hash, e->n_tokens);
    p->has_ids |= tokens->count > 0;
    for (uint32_t i = 0; i < tokens->count; i++) { p->ids_hash = mix(p->ids_hash, LIST(uint32_t, *tokens)[i]); }
}

static bool read_routing(struct profile * p, uint64_t half) {
    struct choice_table table = { 0 };
    struct choice_span span = { .middle = half, .end = 2 * half };
    struct routing routing = { 0 };
    bool good = true;
    p->shape_hash = p->ids_hash = HASH_BEGIN;
    p->halves = half;
    for (uint32_t i = 0; good && i < p->subject.n_evaluations; i++) {
        const struct tat_evaluation * e = &p->subject.evaluations[i];
        if (!is_inference(e->phase)) { continue; }
        span.tokens = e->n_tokens;
        good = routing_read(&routing, p->subject.trace, i) && choice_table_add(&table, &routing, span);
        if (good && e->phase == TAT_PHASE_PROMPT) { add_prompt(p, e, &routing.tokens); }
        span.first += e->flags & TAT_EVALUATION_OUTSIDE ? 0 : e->n_tokens;
    }
    good = good && keep_choices(p, &table);
    choice_table_free(&table);
    routing_free(&routing);
    return good;
}

bool profile_routing(struct profile * p) {
    return read_routing(p, profile_total(p, SCOPE_ALL).tokens / 2);
}

bool profile_halve(struct profile * p, uint64_t tokens) {
    if (p->halves == tokens || !p->n_choices) { return true; }
    profile_free_choices(p);
    return read_routing(p, tokens);
}

bool profile_chose_alike(const struct profile * a, const struct profile * b) {
    bool alike = a->n_choices == b->n_choices && a->n_choices > 0;
    for (uint32_t i = 0; i < a->n_choices && alike; i++) {
        const struct choices *x = &a->choices[i], *y = &b->choices[i];
        alike = x->layer == y->layer && x->n_experts == y->n_experts && x->selections == y->selections &&
                x->hash == y->hash;
    }
    return alike;
}

/* ---- order ---- */

static struct reading * reading_of(struct profile * p, uint32_t evaluation) {
    struct reading * last = p->readings.count ? &LIST(struct reading, p->readings)[p->readings.count - 1] : NULL;
    if (last && last->evaluation == evaluation) { return last; }
    struct reading * reading = list_add(&p->readings, sizeof *reading);
    if (reading) { *reading = (struct reading){ evaluation, HASH_BEGIN, HASH_BEGIN }; }
    return reading;
}

/* The record before, which shows where a tensor is read anew: the experts of one operation are one read of their
 * stack. */
struct ordering {
    struct profile * p;
    struct reading * reading;
    uint32_t node, tensor;
};

static bool add_order(const struct tat_access * records, size_t count, void * user) {
    struct ordering * o = user;
    struct profile * p = o->p;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const uint64_t name = p->name_hash[a->tensor];
        if (!name || a->bytes == 0) { continue; }
        const bool same = o->reading && o->reading->evaluation == a->evaluation;
        if (!same) { o->reading = reading_of(p, a->evaluation); }
        if (!o->reading) {
            p->failed = true;
            return false;
        }
        o->reading->slices = mix(o->reading->slices, name + a->expert);
        if (!same || o->node != a->node || o->tensor != a->tensor) {
            o->reading->weights = mix(o->reading->weights, name);
        }
        o->node = a->node;
        o->tensor = a->tensor;
    }
    return true;
}

static bool is_generation(const struct profile * p, uint32_t evaluation) {
    return evaluation < p->subject.n_evaluations && p->subject.evaluations[evaluation].phase == TAT_PHASE_GENERATE;
}

/* Leaves prompts out: their order depends on how many rows go in at once. */
bool profile_order(struct profile * p) {
    struct ordering o = { .p = p };
    p->name_hash = calloc((size_t) p->subject.n_tensors + 1, sizeof *p->name_hash);
    if (!p->name_hash) { return false; }
    for (uint32_t i = 0; i < p->subject.n_tensors; i++) {
        const struct tat_tensor * t = &p->subject.tensors[i];
        if (t->kind == TAT_TENSOR_WEIGHT) { p->name_hash[i] = mix_text(HASH_BEGIN, t->name) | 1; }
    }
    for (uint32_t i = 0, end; i < p->subject.n_evaluations && !p->failed; i = end + 1) {
        for (end = i; is_generation(p, end); end++) {}
        p->failed |= end > i && tat_trace_expand(p->subject.trace, i, end, add_order, &o, NULL) < 0;
    }
    return !p->failed;
}

/* ---- models ---- */

void profile_models(struct profile * p) {
    p->model_hash = HASH_BEGIN;
    for (uint32_t i = 0; i < p->subject.n_files; i++) {
        const struct tat_model_file * f = &p->subject.files[i];
        if (!subject_has_model(&p->subject, f->model)) { continue; }
        p->model_hash = mix(mix(p->model_hash, f->header_hash), f->size);
    }
}
