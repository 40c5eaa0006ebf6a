/* SPDX-License-Identifier: MIT
 *
 * A trace of which only a part shows. The part has lists of its own for what it leaves out, and shares the rest.
 */
#include <string.h>

#include "format/trace.h"

static bool copy(struct list * to, const struct list * from, size_t size) {
    void * elements = from->count ? list_extend(to, size, from->count) : NULL;
    if (elements) { memcpy(elements, from->data, from->count * size); }
    return elements || !from->count;
}

static bool copy_flags(bool ** to, const bool * from) {
    enum { LAYERS = TAT_NO_LAYER + 1 };
    *to = from ? malloc(LAYERS) : NULL;
    if (*to) { memcpy(*to, from, LAYERS); }
    return *to || !from;
}

struct tat_trace * view_of(const struct tat_trace * trace) {
    struct tat_trace * view = malloc(sizeof *view);
    if (!view) { return NULL; }
    *view = *trace;
    view->of = trace;
    view->window = (struct window){ 0 };
    view->layout_of = NULL;
    view->plans = NULL;
    view->n_plans = 0;
    view->pieces = 0;
    view->layouts = view->evaluations = view->bodies = view->numbers = (struct list){ 0 };
    view->tensors = view->templates = view->models = (struct list){ 0 };
    view->layers = NULL;
    pthread_mutex_init(&view->lock, NULL);
    const bool copied = copy(&view->tensors, &trace->tensors, sizeof(struct tat_tensor)) &&
                        copy(&view->templates, &trace->templates, sizeof(struct tat_template)) &&
                        copy(&view->models, &trace->models, sizeof(struct tat_model)) &&
                        copy_flags(&view->layers, trace->layers);
    if (copied && list_add(&view->layouts, sizeof(struct tat_layout))) { return view; }
    tat_trace_close(view);
    return NULL;
}

bool view_add_evaluation(struct tat_trace * view, uint32_t number) {
    struct tat_evaluation * evaluation = list_add(&view->evaluations, sizeof *evaluation);
    struct body * body = evaluation ? list_add(&view->bodies, sizeof *body) : NULL;
    uint32_t * in_whole = body ? list_add(&view->numbers, sizeof *in_whole) : NULL;
    if (!in_whole) { return false; }
    *in_whole = tat_trace_number_in_whole(view->of, number);
    *evaluation = LIST(struct tat_evaluation, view->of->evaluations)[number];
    *body = LIST(struct body, view->of->bodies)[number];
    return true;
}

void view_keep_tensors(struct tat_trace * view, const bool * used) {
    for (uint32_t i = 0; i < view->tensors.count; i++) {
        struct tat_tensor * t = &LIST(struct tat_tensor, view->tensors)[i];
        if (used[i]) { continue; }
        *t = (struct tat_tensor){ .name = "", .type_name = "", .buffer_name = "", .layer = TAT_NO_LAYER };
    }
}

uint32_t tat_trace_number_in_whole(const struct tat_trace * trace, uint32_t evaluation) {
    return trace->of && evaluation < trace->numbers.count ? LIST(uint32_t, trace->numbers)[evaluation] : evaluation;
}
