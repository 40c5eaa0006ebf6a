/* SPDX-License-Identifier: MIT */
#include "export/expert_counts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/experts/sequence.h"
#include "format/expert_stack.h"

enum { COUNTERS_MAX = 1 << 22 /* experts of all layers; far more than any model has */ };

void expert_counts_free(struct expert_counts * c) {
    for (size_t i = 0; i < c->layers.count; i++) { free(counted_layers(c)[i].count); }
    for (size_t i = 0; i < c->stacks.count; i++) { free(LIST(struct counted_stack, c->stacks)[i].name); }
    free(c->layers.data);
    free(c->stacks.data);
    *c = (struct expert_counts){ 0 };
}

static int out_of_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

/* ---- choices ---- */

struct run {
    struct expert_counts * counts;
    const struct subject * subject;
    const char * name;
    struct tat_error * error;
    int status;
};

/* NULL: memory. */
static struct counted_layer * layer_at(struct expert_counts * c, uint32_t number) {
    while (c->layers.count <= number) {
        struct counted_layer * more = list_add(&c->layers, sizeof *more);
        if (!more) { return NULL; }
        *more = (struct counted_layer){ 0 };
    }
    return &counted_layers(c)[number];
}

static int begin_layer(struct run * run, struct counted_layer * l, const struct routed * routed,
                       const struct routed_layer * found) {
    const struct tat_evaluation * e = &run->subject->evaluations[routed->evaluation];
    if (found->n_experts > COUNTERS_MAX - run->counts->counters) {
        return tat_fail(run->error, TAT_ERROR_INPUT, "%s: it has more experts than the %d that can be counted",
                        run->name, COUNTERS_MAX);
    }
    l->count = calloc((size_t) found->n_experts + 1, sizeof *l->count);
    if (!l->count) { return out_of_memory(run->error); }
    run->counts->counters += found->n_experts;
    l->n_experts = found->n_experts;
    l->n_used = found->n_used;
    l->expert_bytes = routing_slice_bytes(&run->subject->templates[e->template_id], found);
    return 0;
}

static int add_layer(struct run * run, const struct routed * routed, const struct routed_layer * found) {
    struct counted_layer * l = layer_at(run->counts, found->layer);
    if (!l) { return out_of_memory(run->error); }
    if (!l->count && begin_layer(run, l, routed, found) != 0) { return -1; }
    if (l->n_experts != found->n_experts) {
        return tat_fail(run->error, TAT_ERROR_INPUT,
                        "%s: layer %u has %" PRIu32 " experts, but %" PRIu32
                        " before: only runs of one model can be added up",
                        run->name, found->layer, found->n_experts, l->n_experts);
    }
    l->tokens += found->n_rows;
    for (size_t i = 0; i < (size_t) found->n_rows * found->n_used; i++) {
        if (found->ids[i] >= l->n_experts) { continue; }
        l->count[found->ids[i]]++;
        l->choices++;
    }
    return 0;
}

static void add(const struct routed * routed, void * user) {
    struct run * run = user;
    const unsigned phases = run->counts->phases;
    if (phases && !(phases >> routed->phase & 1)) { return; }
    for (uint32_t i = 0; i < routed->n_layers && run->status == 0; i++) {
        run->status = add_layer(run, routed, &routed->layers[i]);
    }
}

/* ---- stacks ---- */

static bool is_known(const struct expert_counts * c, const char * name) {
    bool known = false;
    for (size_t i = 0; i < c->stacks.count && !known; i++) {
        known = strcmp(LIST(struct counted_stack, c->stacks)[i].name, name) == 0;
    }
    return known;
}

/* False: memory. */
static bool add_stack(struct expert_counts * c, const struct tat_tensor * t) {
    if (t->kind != TAT_TENSOR_WEIGHT || t->layer == TAT_NO_LAYER || is_known(c, t->name)) { return true; }
    struct counted_stack * stack = list_add(&c->stacks, sizeof *stack);
    if (!stack) { return false; }
    *stack = (struct counted_stack){ strdup(t->name), t->layer };
    return stack->name != NULL;
}

static bool find_stacks(struct expert_counts * c, const struct subject * subject) {
    bool * seen = calloc((size_t) subject->n_tensors + 1, sizeof *seen);
    bool good = seen != NULL;
    for (uint32_t i = 0; good && i < subject->n_templates; i++) {
        const struct tat_template * t = &subject->templates[i];
        for (uint32_t n = 0; good && n < t->n_nodes; n++) {
            const struct expert_stack stack = expert_stack_of(t, &t->entries[t->n_leaves + n]);
            if (!stack.e || seen[stack.e->tensor]) { continue; }
            seen[stack.e->tensor] = true;
            good = counts_once(subject, stack.e->tensor) ? add_stack(c, &subject->tensors[stack.e->tensor]) : true;
        }
    }
    free(seen);
    return good;
}

/* ---- runs ---- */

static int add_subject(struct expert_counts * c, const struct subject * subject, const char * name,
                       struct tat_error * error) {
    struct run run = { c, subject, name, error, 0 };
    if (!routed_each(subject, add, &run, NULL)) { return out_of_memory(error); }
    if (run.status == 0 && c->runs++ == 0 && !find_stacks(c, subject)) { return out_of_memory(error); }
    return run.status;
}

int expert_counts_add(struct expert_counts * c, const struct tat_trace * trace, const char * model, const char * name,
                      struct tat_error * error) {
    struct subject subject = { 0 };
    struct tat_trace * part = NULL;
    const uint32_t number = model ? tat_trace_find_model(trace, model, error) : tat_trace_main_model(trace);
    if (model && !number) { return -1; }
    if (number && !(part = tat_trace_of_model(trace, number, error))) { return -1; }
    int status = subject_begin(&subject, part ? part : trace, NULL) ? add_subject(c, &subject, name, error)
                                                                    : out_of_memory(error);
    if (status == 0) { status = tat_trace_trouble(trace, error); }
    subject_free(&subject);
    tat_trace_close(part);
    return status;
}
