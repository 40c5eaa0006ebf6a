/* SPDX-License-Identifier: MIT */
#include "analysis/order/file_order.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/order/access_slices.h"
#include "analysis/order/file_order_walk.h"

/* ---- by name ---- */

/* The parts of a layer in the order in which graphs use them. A part that is not listed comes last. */
static const enum tat_component parts[] = {
    TAT_COMPONENT_ATTN_NORM,     TAT_COMPONENT_TIME_MIX,       TAT_COMPONENT_SSM_IN,      TAT_COMPONENT_SSM_CONV1D,
    TAT_COMPONENT_SSM_X,         TAT_COMPONENT_SSM_DT,         TAT_COMPONENT_SSM_A,       TAT_COMPONENT_SSM_D,
    TAT_COMPONENT_SSM_NORM,      TAT_COMPONENT_SSM_OTHER,      TAT_COMPONENT_SSM_OUT,     TAT_COMPONENT_SHORTCONV,
    TAT_COMPONENT_ATTN_QKV,      TAT_COMPONENT_ATTN_Q,         TAT_COMPONENT_ATTN_Q_NORM, TAT_COMPONENT_ROPE,
    TAT_COMPONENT_ATTN_KV,       TAT_COMPONENT_ATTN_KV_NORM,   TAT_COMPONENT_ATTN_V,      TAT_COMPONENT_ATTN_K,
    TAT_COMPONENT_ATTN_K_NORM,   TAT_COMPONENT_ATTN_OTHER,     TAT_COMPONENT_ATTN_SINKS,  TAT_COMPONENT_ATTN_GATE,
    TAT_COMPONENT_ATTN_OUTPUT,   TAT_COMPONENT_ATTN_POST_NORM, TAT_COMPONENT_FFN_NORM,    TAT_COMPONENT_CHANNEL_MIX,
    TAT_COMPONENT_ROUTER,        TAT_COMPONENT_EXPERT_GATE_UP, TAT_COMPONENT_EXPERT_GATE, TAT_COMPONENT_EXPERT_UP,
    TAT_COMPONENT_EXPERT_DOWN,   TAT_COMPONENT_SHARED_GATE,    TAT_COMPONENT_SHARED_UP,   TAT_COMPONENT_SHARED_DOWN,
    TAT_COMPONENT_SHARED_ROUTER, TAT_COMPONENT_FFN_GATE_UP,    TAT_COMPONENT_FFN_GATE,    TAT_COMPONENT_FFN_UP,
    TAT_COMPONENT_FFN_DOWN,      TAT_COMPONENT_FFN_POST_NORM,
};

static uint32_t part_of(enum tat_component component) {
    uint32_t i = 0;
    while (i < sizeof parts / sizeof parts[0] && parts[i] != component) { i++; }
    return i;
}

/* What stands in no layer: before the layers, or behind them. */
static bool is_behind(const struct tat_gguf_tensor * t, bool tied) {
    return t->component == TAT_COMPONENT_OUTPUT_NORM || t->component == TAT_COMPONENT_OUTPUT ||
           (t->component == TAT_COMPONENT_TOKEN_EMBD && tied);
}

enum { STAGE_FRONT, STAGE_ENCODER, STAGE_DECODER, STAGE_BEHIND };

/* Smaller keys are read first. */
static uint64_t key_by_name(const struct tat_gguf_tensor * t, bool tied) {
    const bool encoder = strncmp(t->name, "enc.", 4) == 0; /* numbers layers like the decoder does */
    const bool behind = is_behind(t, tied);
    uint64_t stage = t->layer != TAT_NO_LAYER ? STAGE_DECODER : behind ? STAGE_BEHIND : STAGE_FRONT;
    uint64_t part = t->layer != TAT_NO_LAYER ? part_of(t->component) : (uint64_t) t->component;
    if (encoder) { stage = STAGE_ENCODER; }
    if (t->component == TAT_COMPONENT_TOKEN_EMBD && tied) { part = TAT_COMPONENT_OUTPUT; }
    return stage << 32 | (uint64_t) t->layer << 16 | part;
}

/* ---- sorting ---- */

struct keyed {
    uint64_t key, offset;
    uint32_t file, tensor;
};

static int by_key(const void * a, const void * b) {
    const struct keyed *x = a, *y = b;
    if (x->key != y->key) { return x->key < y->key ? -1 : 1; }
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    if (x->offset != y->offset) { return x->offset < y->offset ? -1 : 1; }
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/* Of tensors with equal keys, the first in the file comes first. */
static void sort(struct file_order * o, struct keyed * keyed, const struct tat_gguf_tensor * tensors, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        keyed[i].offset = tensors[i].file_offset;
        keyed[i].file = tensors[i].file;
        keyed[i].tensor = i;
    }
    if (n) { qsort(keyed, n, sizeof *keyed, by_key); }
    for (uint32_t i = 0; i < n; i++) { o->tensor[i] = keyed[i].tensor; }
}

bool file_order_by_name(struct file_order * o, const struct tat_gguf * gguf) {
    uint32_t n;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &n);
    struct keyed * keyed = malloc((n + (size_t) 1) * sizeof *keyed);
    *o = (struct file_order){ .tensor = malloc((n + (size_t) 1) * sizeof *o->tensor), .n_read = n };
    const bool good = keyed && o->tensor;
    if (good) {
        bool tied = true;
        for (uint32_t i = 0; i < n; i++) { tied &= tensors[i].component != TAT_COMPONENT_OUTPUT; }
        for (uint32_t i = 0; i < n; i++) { keyed[i].key = key_by_name(&tensors[i], tied); }
        sort(o, keyed, tensors, n);
    }
    free(keyed);
    return good;
}

void file_order_free(struct file_order * o) {
    free(o->tensor);
    *o = (struct file_order){ 0 };
}

/* ---- by trace ---- */

/* A tensor in the first evaluation that reads it. A step is one operand of one operation. */
struct first_reads {
    uint64_t at;    /* when the heaviest step came, from 1; 0: it was not read so far */
    uint64_t bytes; /* of that step */
    uint64_t step_at, step_bytes;
    uint32_t evaluation, place; /* of the latest step; see place_of */
};

struct order_walk {
    struct file_walk walk;
    struct first_reads * first;
    uint64_t steps;
};

static bool feed(const struct tat_access * a, size_t count, void * user) {
    struct order_walk * w = user;
    for (size_t i = 0; i < count; i++, a++) {
        const uint32_t t = file_walk_tensor(&w->walk, a);
        if (t == UINT32_MAX) { continue; }
        struct first_reads * f = &w->first[t];
        const uint32_t place = place_of(a->node, a->operand);
        if (f->at && f->evaluation != a->evaluation) { continue; }
        if (!f->at || f->place != place) {
            f->evaluation = a->evaluation;
            f->place = place;
            f->step_bytes = 0;
            f->step_at = ++w->steps;
        }
        f->step_bytes += a->bytes;
        if (f->step_bytes > f->bytes) {
            f->bytes = f->step_bytes;
            f->at = f->step_at;
        }
    }
    return true;
}

static int walk_reads(struct order_walk * w, struct file_order * o, const struct tat_gguf * gguf, uint32_t n,
                      const struct tat_trace * trace, struct tat_error * error) {
    if (file_walk_begin(&w->walk, gguf, trace, error)) { return -1; }
    o->tokens = w->walk.n_wanted;
    o->generated = w->walk.generated;
    if (subject_expand(&w->walk.subject, feed, w, error) < 0) { return -1; }
    for (uint32_t i = 0; i < n; i++) { o->n_read += w->first[i].at != 0; }
    if (o->n_read) { return 0; }
    return tat_fail(error, TAT_ERROR_NO, "%s: no evaluation that was recorded whole reads this model's tensors",
                    tat_trace_path(trace));
}

int file_order_by_trace(struct file_order * o, const struct tat_gguf * gguf, const struct tat_trace * trace,
                        struct tat_error * error) {
    uint32_t n;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &n);
    struct order_walk w = { .first = calloc(n + (size_t) 1, sizeof *w.first) };
    struct keyed * keyed = malloc((n + (size_t) 1) * sizeof *keyed);
    *o = (struct file_order){ .tensor = malloc((n + (size_t) 1) * sizeof *o->tensor) };
    int status = 0;
    if (!w.first || !keyed || !o->tensor) {
        status = tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the order of tensors");
    } else {
        status = walk_reads(&w, o, gguf, n, trace, error);
        file_walk_end(&w.walk);
    }
    if (status == 0) {
        for (uint32_t i = 0; i < n; i++) { keyed[i].key = w.first[i].at ? w.first[i].at : UINT64_MAX; }
        sort(o, keyed, tensors, n);
    }
    free(w.first);
    free(keyed);
    if (status) { file_order_free(o); }
    return status;
}
