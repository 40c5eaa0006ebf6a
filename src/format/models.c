/* SPDX-License-Identifier: MIT
 *
 * Models and what belongs to them: whose weights a graph computes with, and what a model is to another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/trace.h"

enum { MODELS_MAX = 1024 }; /* more than any honest trace has; files of further models belong to none */

static struct tat_model * model_at(const struct tat_trace * trace, uint32_t index) {
    return &LIST(struct tat_model, trace->models)[index];
}

static bool runs_graphs(enum tat_part part) {
    return part != TAT_PART_ADAPTER && part != TAT_PART_CONTROL_VECTOR;
}

/* The index of the model with this number, or the number of models. */
static uint32_t index_of(const struct tat_trace * trace, uint32_t number) {
    uint32_t i = 0;
    while (i < trace->models.count && model_at(trace, i)->number != number) { i++; }
    return i;
}

static const char * file_name(const char * path) {
    const char * slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The files of a model are noted one after the other. */
static bool add_models(struct tat_trace * trace) {
    for (uint32_t i = 0; i < trace->files.count; i++) {
        const struct tat_model_file * f = &LIST(struct tat_model_file, trace->files)[i];
        struct tat_model * m = trace->models.count ? model_at(trace, trace->models.count - 1) : NULL;
        if (!m || m->number != f->model) {
            if (trace->models.count == MODELS_MAX) { return true; }
            m = list_add(&trace->models, sizeof *m);
            if (!m) { return false; }
            *m = (struct tat_model){ .path = f->path,
                                     .name = file_name(f->path),
                                     .architecture = f->architecture,
                                     .number = f->model,
                                     .part = f->holds == TAT_PART_UNKNOWN ? TAT_PART_MODEL : f->holds,
                                     .is_chosen = true };
        }
        m->n_files++;
        m->bytes += f->size;
    }
    return true;
}

/* The index of each tensor's model; the number of models if it is in none. */
static uint32_t * models_of_tensors(const struct tat_trace * trace) {
    uint32_t * models = malloc(((size_t) trace->tensors.count + trace->files.count + 1) * sizeof *models);
    uint32_t * by_file = models ? models + trace->tensors.count : NULL;
    const struct tat_model_file * files = LIST(struct tat_model_file, trace->files);
    for (uint32_t i = 0, model = 0; models && i < trace->files.count; i++) {
        model += i && files[i].model != files[i - 1].model && model < trace->models.count;
        by_file[i] = model;
    }
    for (uint32_t i = 0; models && i < trace->tensors.count; i++) {
        const struct tat_tensor * t = &LIST(struct tat_tensor, trace->tensors)[i];
        const bool in_file = t->kind == TAT_TENSOR_WEIGHT && t->file > 0 && t->file <= trace->files.count;
        models[i] = in_file ? by_file[t->file - 1] : trace->models.count;
    }
    return models;
}

/* A graph whose weights are in no readable file belongs to the model whose file cannot be read, if there is exactly
 * one. */
static uint32_t foreign(const struct tat_trace * trace, const struct tat_template * t) {
    uint32_t found = trace->models.count, count = 0;
    bool has_weights = false;
    for (uint32_t m = 0; m < trace->models.count; m++) {
        if (model_at(trace, m)->part != TAT_PART_FOREIGN) { continue; }
        found = m;
        count++;
    }
    for (uint32_t i = 0; count == 1 && i < t->n_leaves && !has_weights; i++) {
        const struct tat_tensor * tensor = &LIST(struct tat_tensor, trace->tensors)[t->entries[i].tensor];
        has_weights = tensor->kind == TAT_TENSOR_WEIGHT && tensor->file == 0;
    }
    return has_weights ? found : trace->models.count;
}

/* The model whose weights a graph names most; the model that an adapter or control vector is used with. */
static void set_model(struct tat_trace * trace, struct tat_template * t, const uint32_t * models, uint32_t * named) {
    const uint32_t n_models = trace->models.count;
    uint32_t most = n_models;
    memset(named, 0, (n_models + 1) * sizeof *named);
    for (uint32_t i = 0; i < t->n_leaves + t->n_nodes; i++) { named[models[t->entries[i].tensor]]++; }
    for (uint32_t m = 0; m < n_models; m++) {
        if (!runs_graphs(model_at(trace, m)->part) || !named[m]) { continue; }
        if (most == n_models || named[m] > named[most]) { most = m; }
    }
    if (most == n_models) { most = foreign(trace, t); }
    if (most == n_models) { return; }
    t->model = model_at(trace, most)->number;
    for (uint32_t m = 0; m < n_models; m++) {
        struct tat_model * part = model_at(trace, m);
        if (!runs_graphs(part->part) && named[m] && !part->of) { part->of = t->model; }
    }
}

/* A graph without weights, such as one that shifts the KV cache, belongs to the model of its context. */
static bool set_by_context(struct tat_trace * trace) {
    struct tat_template * templates = LIST(struct tat_template, trace->templates);
    const uint64_t most = trace->size / TAT_BLOCK_ALIGN;
    uint32_t contexts = 0;
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        const uint32_t context = templates[i].context;
        if (context <= most && context >= contexts) { contexts = context + 1; }
    }
    uint32_t * model = calloc((size_t) contexts + 1, sizeof *model);
    if (!model) { return false; }
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        const struct tat_template * t = &templates[i];
        if (t->context < contexts && t->model && !model[t->context]) { model[t->context] = t->model; }
    }
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        struct tat_template * t = &templates[i];
        if (t->known && !t->model && t->context < contexts) { t->model = model[t->context]; }
    }
    free(model);
    return true;
}

static bool set_models(struct tat_trace * trace) {
    uint32_t * models = models_of_tensors(trace);
    uint32_t * named = calloc((size_t) trace->models.count + 1, sizeof *named);
    const bool memory = models && named;
    for (uint32_t i = 0; memory && i < trace->templates.count; i++) {
        struct tat_template * t = &LIST(struct tat_template, trace->templates)[i];
        if (t->known) { set_model(trace, t, models, named); }
    }
    free(models);
    free(named);
    return memory && set_by_context(trace);
}

/* A draft guesses token by token. Then the model that it guesses for checks all of them at once. */
static void find_drafts(struct tat_trace * trace, const uint32_t * models) {
    const uint32_t none = trace->models.count;
    uint32_t before = none, context = 0; /* the last model that computed a single token, and where */
    for (uint32_t i = 0; i < trace->evaluations.count; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        const uint32_t at = models[e->template_id];
        if (at == none) { continue; }
        struct tat_model * m = model_at(trace, at);
        const bool checks = e->phase == TAT_PHASE_VERIFY && e->n_outputs == e->n_tokens && before < none;
        m->n_evaluations++;
        if (e->phase == TAT_PHASE_WARMUP || !e->n_tokens) { continue; }
        if (checks && before == at && context != e->context) { trace->drafts_itself = m->number; }
        if (checks && before != at && m->part == TAT_PART_MODEL && model_at(trace, before)->part == TAT_PART_MODEL) {
            model_at(trace, before)->part = TAT_PART_DRAFT;
            model_at(trace, before)->of = m->number;
        }
        before = e->n_tokens == 1 ? at : none;
        context = e->context;
    }
}

bool models_build(struct tat_trace * trace) {
    trace->models.count = trace->drafts_itself = 0;
    if (!add_models(trace)) { return false; }
    if (!trace->models.count) { return true; }
    uint32_t * models = set_models(trace) ? malloc(((size_t) trace->templates.count + 1) * sizeof *models) : NULL;
    if (!models) { return false; }
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        const uint32_t number = LIST(struct tat_template, trace->templates)[i].model;
        models[i] = number ? index_of(trace, number) : trace->models.count;
    }
    find_drafts(trace, models);
    free(models);
    return true;
}

uint32_t tat_trace_main_model(const struct tat_trace * trace) {
    const struct tat_model * most = NULL;
    uint32_t models = 0;
    for (uint32_t i = 0; i < trace->models.count; i++) {
        const struct tat_model * m = model_at(trace, i);
        if (!runs_graphs(m->part) || !m->n_evaluations || !m->is_chosen) { continue; }
        models++;
        const bool first = m->part == TAT_PART_MODEL && (!most || most->part != TAT_PART_MODEL);
        const bool second = most && most->part == TAT_PART_MODEL && m->part != TAT_PART_MODEL;
        if (!most || first || (!second && m->n_evaluations > most->n_evaluations)) { most = m; }
    }
    return models > 1 ? most->number : 0;
}

/* ---- by name ---- */

static int no_such_model(const struct tat_trace * trace, const char * called, bool several, struct tat_error * error) {
    char list[400] = "";
    size_t used = 0;
    const uint32_t same = index_of(trace, trace->drafts_itself);
    if (trace->drafts_itself && same < trace->models.count && strcmp(called, tat_part_name(TAT_PART_DRAFT)) == 0 &&
        !several) {
        return tat_fail(error, TAT_ERROR_NO,
                        "the draft is the same file as the model that it drafts for, %s: they are one model, number "
                        "%" PRIu32 ", whose contexts tell them apart",
                        model_at(trace, same)->name, trace->drafts_itself);
    }
    for (uint32_t i = 0; i < trace->models.count && used < sizeof list; i++) {
        const struct tat_model * m = model_at(trace, i);
        used += (size_t) snprintf(list + used, sizeof list - used, "%s %" PRIu32 " is %s (%s)", i ? "," : "; number",
                                  m->number, m->name, tat_part_name(m->part));
    }
    return tat_fail(error, TAT_ERROR_NO, "%s of the trace is called '%s'%s",
                    several ? "more than one model" : "no model", called, list);
}

uint32_t tat_trace_find_model(const struct tat_trace * trace, const char * called, struct tat_error * error) {
    const struct tat_model *found = NULL, *named = NULL;
    uint32_t n_found = 0, n_named = 0;
    char * end;
    const unsigned long number = strtoul(called, &end, 10);
    const bool is_number = *called && !*end; /* never a piece of a name */
    for (uint32_t i = 0; i < trace->models.count; i++) {
        const struct tat_model * m = model_at(trace, i);
        if (is_number && m->number == number) { return m->number; }
        if (strcmp(called, m->name) == 0) {
            named = m;
            n_named++;
        } else if (strcmp(called, tat_part_name(m->part)) == 0 || (*called && !is_number && strstr(m->name, called))) {
            found = m;
            n_found++;
        }
    }
    if (n_named == 1) { return named->number; }
    if (n_named == 0 && n_found == 1) { return found->number; }
    no_such_model(trace, called, n_named + n_found > 1, error);
    return 0;
}

/* ---- what is of one model ---- */

/* A tensor that none of the model's graphs touches becomes like one that was lost. */
static bool keep_tensors(struct tat_trace * view) {
    bool * used = calloc((size_t) view->tensors.count + 1, sizeof *used);
    if (!used) { return false; }
    for (uint32_t i = 0; i < view->templates.count; i++) {
        const struct tat_template * t = &LIST(struct tat_template, view->templates)[i];
        for (uint32_t e = 0; e < t->n_leaves + t->n_nodes; e++) { used[t->entries[e].tensor] = true; }
    }
    view_keep_tensors(view, used);
    free(used);
    return true;
}

static bool keep(struct tat_trace * view, const struct tat_trace * trace, uint32_t number) {
    for (uint32_t i = 0; i < view->models.count; i++) {
        struct tat_model * m = model_at(view, i);
        m->is_chosen = m->number == number || (!runs_graphs(m->part) && m->of == number);
    }
    for (uint32_t i = 0; i < trace->evaluations.count; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        const bool is_ours = LIST(struct tat_template, trace->templates)[e->template_id].model == number;
        if (is_ours && !view_add_evaluation(view, i)) { return false; }
    }
    for (uint32_t i = 0; i < view->templates.count; i++) {
        struct tat_template * t = &LIST(struct tat_template, view->templates)[i];
        if (t->model != number) { *t = (struct tat_template){ 0 }; }
    }
    return keep_tensors(view) && weights_build(view);
}

struct tat_trace * tat_trace_of_model(const struct tat_trace * trace, uint32_t number, struct tat_error * error) {
    const uint32_t at = index_of(trace, number);
    if (at == trace->models.count) {
        tat_fail(error, TAT_ERROR_NO, "%s: no model has the number %" PRIu32, trace->path, number);
        return NULL;
    }
    if (!runs_graphs(model_at(trace, at)->part)) {
        tat_fail(error, TAT_ERROR_NO, "%s (%s) has no graphs of its own: its weights are used in the graphs of a model",
                 model_at(trace, at)->name, tat_part_name(model_at(trace, at)->part));
        return NULL;
    }
    struct tat_trace * view = view_of(trace);
    if (view && keep(view, trace, number)) { return view; }
    tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
    tat_trace_close(view);
    return NULL;
}
