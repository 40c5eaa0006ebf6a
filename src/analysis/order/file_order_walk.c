/* SPDX-License-Identifier: MIT */
#include "analysis/order/file_order_walk.h"

#include <stdlib.h>

#include "analysis/order/gaps.h"
#include "analysis/order/token_reads.h"

static void find_tensors(struct file_walk * w, const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    for (uint32_t i = 0; i < w->subject.n_tensors; i++) {
        const struct tat_tensor * t = &w->subject.tensors[i];
        const struct tat_gguf_tensor * found = t->name && is_in_file(t) ? tat_gguf_find(gguf, t->name) : NULL;
        const bool same = found && found->file_offset == t->file_offset && found->bytes == t->bytes;
        w->tensor[i] = same ? (uint32_t) (found - tensors) : UINT32_MAX;
    }
}

static void find_evaluations(struct file_walk * w) {
    const struct subject * s = &w->subject;
    for (int generated = 1; generated >= 0 && w->n_wanted == 0; generated--) {
        w->generated = generated;
        for (uint32_t i = 0; i < s->n_evaluations; i++) {
            const struct tat_evaluation * e = &s->evaluations[i];
            w->wanted[i] = reads_are_whole(e) && (generated ? e->phase == TAT_PHASE_GENERATE : is_inference(e->phase));
            w->n_wanted += w->wanted[i];
        }
    }
}

int file_walk_begin(struct file_walk * w, const struct tat_gguf * gguf, const struct tat_trace * trace,
                    struct tat_error * error) {
    *w = (struct file_walk){ 0 };
    const bool begun = subject_begin(&w->subject, trace, NULL);
    w->tensor = calloc((size_t) w->subject.n_tensors + 1, sizeof *w->tensor);
    w->wanted = calloc((size_t) w->subject.n_evaluations + 1, sizeof *w->wanted);
    if (!begun || !w->tensor || !w->wanted) { return tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the trace"); }
    find_tensors(w, gguf);
    find_evaluations(w);
    return 0;
}

void file_walk_end(struct file_walk * w) {
    subject_free(&w->subject);
    free(w->tensor);
    free(w->wanted);
}
