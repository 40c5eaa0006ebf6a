/* SPDX-License-Identifier: MIT */
#include "analysis/profile_parts.h"

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

enum { CHOICES_MAX = 1 << 22 }; /* counters of all layers; far more than any model has */

struct choosing {
    struct profile * p;
    const struct tat_template * template;
    struct choices * layer; /* by layer */
    uint64_t         counters;
    int              half;
};

/* Experts that a node can choose from: MUL_MAT_ID has a stack of matrices, ADD_ID of rows. */
static uint64_t stack_of(const struct tat_template * t, const struct tat_entry * node) {
    const bool     biases = strcmp(node->op, "ADD_ID") == 0;
    const uint32_t stack  = node->src[biases ? 1 : 0];
    return stack == TAT_NO_ENTRY ? 0 : t->entries[stack].ne[biases ? 1 : 2];
}

/* Whether the layer has room for `n` experts; made with its first choice. */
static bool has_room(struct choosing * x, struct choices * layer, uint64_t n) {
    if (layer->n_experts) { return true; }
    if (n == 0 || n > TAT_NO_EXPERT || x->counters + 2 * n > CHOICES_MAX) { return false; }
    uint64_t * counts = calloc(2 * n, sizeof *counts);
    x->p->failed |= !counts;
    if (!counts) { return false; }
    x->counters += 2 * n;
    layer->half[0]   = counts;
    layer->half[1]   = counts + n;
    layer->n_experts = (uint32_t) n;
    return true;
}

static bool add_choices(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct choosing *          x = user;
    const struct tat_capture * c = &x->template->captures[capture];
    if (c->kind != TAT_CAPTURE_EXPERTS) { return true; }
    const struct tat_entry * node  = &x->template->entries[x->template->n_leaves + c->node];
    const uint16_t           of    = node->layer != TAT_NO_LAYER ? node->layer : x->template->entries[c->entry].layer;
    struct choices *         layer = &x->layer[of];
    if (!has_room(x, layer, stack_of(x->template, node))) { return !x->p->failed; }
    layer->layer = of;
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0 || (uint64_t) values[i] >= layer->n_experts) { continue; }
        layer->half[x->half][values[i]]++;
        layer->selections++;
    }
    return true;
}

bool profile_choices(struct profile * p) {
    struct choosing x      = { .p = p, .layer = calloc(TAT_NO_LAYER + 1, sizeof *x.layer) };
    const uint64_t  tokens = profile_total(p, SCOPE_ALL).tokens;
    uint64_t        done   = 0;
    uint32_t        layers = 0;
    p->failed |= !x.layer;
    for (uint32_t i = 0; i < p->subject.n_evaluations && !p->failed; i++) {
        const struct tat_evaluation * e = &p->subject.evaluations[i];
        if (!is_inference(e->phase)) { continue; }
        x.template = &p->subject.templates[e->template_id];
        x.half     = done >= tokens / 2;
        done += e->flags & TAT_EVALUATION_OUTSIDE ? 0 : e->n_tokens;
        p->failed |= tat_trace_each_capture(p->subject.trace, i, add_choices, &x, NULL) < 0;
    }
    for (uint32_t i = 0; x.layer && i <= TAT_NO_LAYER; i++) { layers += x.layer[i].n_experts > 0; }
    p->choices = calloc((size_t) layers + 1, sizeof *p->choices);
    for (uint32_t i = 0; x.layer && i <= TAT_NO_LAYER; i++) {
        if (x.layer[i].n_experts && p->choices) {
            p->choices[p->n_choices++] = x.layer[i];
        } else {
            free(x.layer[i].half[0]);
        }
    }
    free(x.layer);
    return !p->failed && p->choices;
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
