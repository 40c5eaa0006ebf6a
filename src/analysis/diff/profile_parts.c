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

/* ---------------------------------------------------------------------------------------------------------- choices */

bool profile_choices(struct profile * p) {
    struct choice_table table  = { 0 };
    const uint64_t      tokens = profile_total(p, SCOPE_ALL).tokens;
    uint64_t            done   = 0;
    uint32_t            layers = 0;
    for (uint32_t i = 0; i < p->subject.n_evaluations && !p->failed; i++) {
        const struct tat_evaluation * e = &p->subject.evaluations[i];
        if (!is_inference(e->phase)) { continue; }
        choice_table_add(&table, p->subject.trace, i, done >= tokens / 2);
        done += e->flags & TAT_EVALUATION_OUTSIDE ? 0 : e->n_tokens;
        p->failed |= table.failed;
    }
    for (uint32_t i = 0; !p->failed && i < table.n_layers; i++) { layers += table.layer[i].n_experts > 0; }
    p->choices = calloc((size_t) layers + 1, sizeof *p->choices);
    p->failed |= !p->choices;
    for (uint32_t i = 0; !p->failed && i < table.n_layers; i++) {
        if (!table.layer[i].n_experts) { continue; }
        p->choices[p->n_choices++] = table.layer[i];
        table.layer[i].half[0]     = NULL; /* the profile's now */
    }
    choice_table_free(&table);
    return !p->failed;
}

/* ------------------------------------------------------------------------------------------------------------ order */

static struct reading * reading_of(struct profile * p, uint32_t evaluation) {
    struct reading * last = p->n_readings ? &p->readings[p->n_readings - 1] : NULL;
    if (last && last->evaluation == evaluation) { return last; }
    if (p->n_readings == p->capacity_readings) {
        const uint32_t   capacity = p->capacity_readings ? p->capacity_readings * 2 : 256;
        struct reading * more     = reallocarray(p->readings, capacity, sizeof *more);
        if (!more) { return NULL; }
        p->readings          = more;
        p->capacity_readings = capacity;
    }
    p->readings[p->n_readings] = (struct reading){ evaluation, HASH_BEGIN, HASH_BEGIN };
    return &p->readings[p->n_readings++];
}

/* The record before, to tell where a tensor is read anew: experts of one operation are one read of their stack. */
struct ordering {
    struct profile * p;
    struct reading * reading;
    uint32_t         node, tensor;
};

static bool add_order(const struct tat_access * records, size_t count, void * user) {
    struct ordering * o = user;
    struct profile *  p = o->p;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a    = &records[i];
        const uint64_t            name = p->name_hash[a->tensor];
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
        o->node   = a->node;
        o->tensor = a->tensor;
    }
    return true;
}

static bool is_generation(const struct profile * p, uint32_t evaluation) {
    return evaluation < p->subject.n_evaluations && p->subject.evaluations[evaluation].phase == TAT_PHASE_GENERATE;
}

/* Prompts are left out: their order depends on how many rows go in at once. */
bool profile_order(struct profile * p) {
    struct ordering o = { .p = p };
    p->name_hash      = calloc((size_t) p->subject.n_tensors + 1, sizeof *p->name_hash);
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

/* --------------------------------------------------------------------------------------------------------- identity */

struct prompting {
    struct profile * p;
    const struct tat_template * template;
};

/* Rows of the token embedding are token ids. */
static bool add_ids(uint32_t capture, const int64_t * values, size_t count, void * user) {
    const struct prompting *   x = user;
    const struct tat_capture * c = &x->template->captures[capture];
    if (c->kind != TAT_CAPTURE_ROWS || count == 0) { return true; }
    const struct tat_entry * node = &x->template->entries[x->template->n_leaves + c->node];
    const uint32_t           from = node->src[0];
    if (from == TAT_NO_ENTRY || strcmp(node->op, "GET_ROWS") != 0 ||
        x->p->subject.tensors[x->template->entries[from].tensor].component != TAT_COMPONENT_TOKEN_EMBD) {
        return true;
    }
    x->p->has_ids = true;
    for (size_t i = 0; i < count; i++) { x->p->ids_hash = mix(x->p->ids_hash, (uint64_t) values[i]); }
    return true;
}

bool profile_identity(struct profile * p) {
    p->shape_hash = p->ids_hash = p->model_hash = HASH_BEGIN;
    for (uint32_t i = 0; i < p->subject.n_files; i++) {
        const struct tat_model_file * f = &p->subject.files[i];
        p->model_hash                   = mix(mix(p->model_hash, f->header_hash), f->size);
    }
    for (uint32_t i = 0; i < p->subject.n_evaluations; i++) {
        const struct tat_evaluation * e = &p->subject.evaluations[i];
        struct prompting              x = { p, &p->subject.templates[e->template_id] };
        if (e->phase != TAT_PHASE_PROMPT) { continue; }
        p->shape_hash = mix(p->shape_hash, e->n_tokens);
        if (tat_trace_each_capture(p->subject.trace, i, add_ids, &x, NULL) < 0) { return false; }
    }
    return true;
}
