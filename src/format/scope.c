/* SPDX-License-Identifier: MIT
 *
 * The part of a trace that belongs to some tokens or layers.
 */
#include <inttypes.h>
#include <string.h>

#include "format/trace.h"

/* ---- tokens ---- */

/* Whether a thread's last evaluation with tokens was kept. What another backend computed splits a ubatch: the graphs
 * behind the first one have no tokens of their own. */
struct kept {
    uint32_t thread;
    bool kept;
};
enum { THREADS = 1024 }; /* by number; more only share places */

static bool has_tokens(const struct tat_evaluation * e, const struct tat_scope * scope) {
    return e->phase != TAT_PHASE_WARMUP && (uint64_t) e->token_first < scope->token_end &&
           (uint64_t) e->token_first + e->n_tokens > scope->token_first;
}

/* Returns how many evaluations with tokens were kept, or -1: no memory. */
static int64_t keep_evaluations(struct tat_trace * view, const struct tat_scope * scope) {
    struct kept last[THREADS] = { 0 };
    int64_t n = 0;
    for (uint32_t i = 0; i < view->of->evaluations.count; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, view->of->evaluations)[i];
        struct kept * k = &last[e->thread % THREADS];
        if (e->n_tokens) { *k = (struct kept){ e->thread, has_tokens(e, scope) }; }
        const bool kept = scope->token_end == 0 || (k->kept && k->thread == e->thread);
        if (kept && !view_add_evaluation(view, i)) { return -1; }
        n += kept && e->n_tokens;
    }
    return n;
}

static uint64_t tokens_of(const struct tat_trace * trace) {
    uint64_t end = 0;
    for (uint32_t i = 0; i < trace->evaluations.count; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        const uint64_t own = e->phase == TAT_PHASE_WARMUP ? 0 : (uint64_t) e->token_first + e->n_tokens;
        if (own > end) { end = own; }
    }
    return end;
}

static int no_tokens(const struct tat_trace * trace, const struct tat_scope * scope, struct tat_error * error) {
    const uint64_t n = tokens_of(trace);
    if (n == 0) { return tat_fail(error, TAT_ERROR_NO, "%s: no token was evaluated", trace->path); }
    return tat_fail(error, TAT_ERROR_NO, "%s: token %" PRIu32 " was not evaluated; there are tokens 0 to %" PRIu64,
                    trace->path, scope->token_first, n - 1);
}

/* ---- layers ---- */

/* Marks the tensors that nodes of these layers touch, and those that are in them. Returns the end of all layers. */
static uint32_t mark_tensors(const struct tat_trace * view, bool * used, bool * any) {
    const struct tat_tensor * tensors = view->tensors.data;
    uint32_t end = 0;
    for (uint32_t i = 0; i < view->tensors.count; i++) { used[i] = view->layers[tensors[i].layer]; }
    for (uint32_t i = 0; i < view->templates.count; i++) {
        const struct tat_template * t = &LIST(struct tat_template, view->templates)[i];
        for (uint32_t n = t->n_leaves; n < t->n_leaves + t->n_nodes; n++) {
            const struct tat_entry * node = &t->entries[n];
            const bool ours = view->layers[node->layer];
            if (node->layer != TAT_NO_LAYER && node->layer >= end) { end = node->layer + 1u; }
            *any |= ours;
            used[node->tensor] |= ours;
            for (int s = 0; s < TAT_MAX_SRC && ours; s++) {
                if (node->src[s] != TAT_NO_ENTRY) { used[t->entries[node->src[s]].tensor] = true; }
            }
        }
    }
    return end;
}

/* 0, or -1 with *error. */
static int keep_layers(struct tat_trace * view, const struct tat_scope * scope, struct tat_error * error) {
    bool *used = calloc((size_t) view->tensors.count + 1, sizeof *used), any = false;
    bool * layers = calloc(TAT_NO_LAYER + 1, sizeof *layers);
    if (!used || !layers) {
        free(layers);
        free(used);
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", view->path);
    }
    for (uint32_t i = scope->layer_first; i < scope->layer_end && i < TAT_NO_LAYER; i++) {
        layers[i] = tat_trace_has_layer(view, (uint16_t) i);
    }
    free(view->layers);
    view->layers = layers;
    const uint32_t end = mark_tensors(view, used, &any);
    if (any) { view_keep_tensors(view, used); }
    free(used);
    if (any) { return 0; }
    if (!end) { return tat_fail(error, TAT_ERROR_NO, "%s: no operation names a layer", view->path); }
    return tat_fail(error, TAT_ERROR_NO, "%s: there is no layer %" PRIu32 "; there are layers 0 to %" PRIu32,
                    view->path, scope->layer_first, end - 1);
}

struct tat_trace * tat_trace_of_scope(const struct tat_trace * trace, const struct tat_scope * scope,
                                      struct tat_error * error) {
    struct tat_trace * view = view_of(trace);
    const int64_t n = view ? keep_evaluations(view, scope) : -1;
    int status = 0;
    if (n < 0) { status = tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    if (n == 0 && scope->token_end) { status = no_tokens(trace, scope, error); }
    if (status == 0 && scope->layer_end) { status = keep_layers(view, scope, error); }
    if (status == 0 && !weights_build(view)) {
        status = tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
    }
    if (status == 0) { return view; }
    tat_trace_close(view);
    return NULL;
}

bool tat_trace_has_layer(const struct tat_trace * trace, uint16_t layer) {
    return !trace->layers || trace->layers[layer];
}
