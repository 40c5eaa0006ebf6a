/* SPDX-License-Identifier: MIT */
#include "format/file_walk.h"

#include "format/expand_state.h"

enum { NEAR = 8 }; /* evaluations that are read ahead rather than apart */

struct file_walk {
    const struct tat_trace * trace;
    uint32_t next; /* behind the last evaluation that was read */
    struct pick ** picks; /* by template and rule, made when first needed */
    struct expansion x;
};

struct file_walk * file_walk_new(const struct tat_trace * trace, tat_access_sink sink, void * user) {
    struct file_walk * w = calloc(1, sizeof *w);
    if (!w) { return NULL; }
    w->trace = trace;
    w->picks = calloc((size_t) trace->templates.count * TAT_RULE_COUNT + 1, sizeof(struct pick *));
    if (expansion_begin(&w->x, trace, sink, user) && w->picks) { return w; }
    file_walk_free(w);
    return NULL;
}

static void pick_free(struct pick * pick) {
    if (pick) { free(pick->ranges); }
    free(pick);
}

void file_walk_free(struct file_walk * w) {
    if (!w) { return; }
    const size_t n = (size_t) w->trace->templates.count * TAT_RULE_COUNT;
    for (size_t i = 0; w->picks && i < n; i++) { pick_free(w->picks[i]); }
    free(w->picks);
    expansion_end(&w->x);
    free(w);
}

static const struct tat_evaluation * evaluation_of(const struct file_walk * w, uint32_t number) {
    return &LIST(struct tat_evaluation, w->trace->evaluations)[number];
}

static bool is_in_file(const struct file_walk * w, const struct tat_access * a) {
    return LIST(struct tat_tensor, w->trace->tensors)[a->tensor].file;
}

static bool add_range(struct list * ranges, uint32_t first, uint32_t end) {
    struct picked * last = ranges->count ? &LIST(struct picked, *ranges)[ranges->count - 1] : NULL;
    if (last && last->end == first) {
        last->end = end;
        return true;
    }
    last = list_add(ranges, sizeof *last);
    if (last) { *last = (struct picked){ first, end }; }
    return last;
}

/* NULL: no memory. */
static struct pick * new_pick(const struct file_walk * w, const struct plan * plan) {
    struct list ranges = { 0 };
    struct pick * pick = calloc(1, sizeof *pick);
    bool good = pick;
    for (uint32_t i = 0, v = 0; good && i < plan->n_records;) {
        const struct vary * vary = v < plan->n_varies && plan->varies[v].record == i ? &plan->varies[v++] : NULL;
        const uint32_t end = i + (vary ? vary->n_records : 1);
        if (is_in_file(w, &plan->records[i])) {
            good = add_range(&ranges, i, end);
            pick->varies |= vary != NULL;
        }
        i = end;
    }
    if (!good) {
        free(ranges.data);
        free(pick);
        return NULL;
    }
    pick->ranges = ranges.data;
    pick->count = ranges.count;
    return pick;
}

/* NULL: no memory. */
static const struct pick * pick_of(struct file_walk * w, const struct tat_evaluation * e, const struct plan * plan) {
    struct pick ** pick = &w->picks[(size_t) e->template_id * TAT_RULE_COUNT + e->rule];
    if (!*pick) { *pick = new_pick(w, plan); }
    return *pick;
}

bool file_walk_is_whole(struct file_walk * w, uint32_t number) {
    const struct tat_evaluation * e = evaluation_of(w, number);
    const struct plan * plan = evaluation_is_bare(e) ? NULL : plan_of(w->x.trace, e->template_id, e->rule);
    return plan && e->n_stamps >= plan->n_callbacks;
}

/* What lies between evaluations that are far apart is not read. */
static void turn_to(struct file_walk * w, uint32_t number) {
    if (number > w->next + NEAR) { window_forget(&w->x.bodies.window); }
    w->next = number + 1;
}

int file_walk_all(struct file_walk * w, uint32_t number, struct tat_error * error) {
    const struct tat_evaluation * e = evaluation_of(w, number);
    if (evaluation_is_bare(e)) { return 0; }
    const struct plan * plan = plan_of(w->x.trace, e->template_id, e->rule);
    const struct pick * pick = plan ? pick_of(w, e, plan) : NULL;
    turn_to(w, number);
    if (!pick || (pick->count && !expansion_put(&w->x, number, plan, pick))) { return expansion_fail(&w->x, error); }
    expansion_flush(&w->x);
    w->x.stopped = false;
    return 0;
}

int file_walk_common(struct file_walk * w, uint32_t number, struct tat_error * error) {
    const struct tat_evaluation * e = evaluation_of(w, number);
    const struct plan * plan = plan_of(w->x.trace, e->template_id, e->rule);
    if (!plan) { return expansion_fail(&w->x, error); }
    for (uint32_t i = 0, v = 0; i < plan->n_records; i++) {
        while (v < plan->n_varies && plan->varies[v].record + plan->varies[v].n_records <= i) { v++; }
        const bool varies = v < plan->n_varies && plan->varies[v].record <= i;
        if (!varies && is_in_file(w, &plan->records[i])) { expansion_next(&w->x, &plan->records[i])->start_ns = 0; }
    }
    expansion_flush(&w->x);
    w->x.stopped = false;
    return 0;
}

int file_walk_varying(struct file_walk * w, uint32_t number, struct tat_error * error) {
    const struct tat_evaluation * e = evaluation_of(w, number);
    const struct tat_template * t = &LIST(struct tat_template, w->trace->templates)[e->template_id];
    const struct plan * plan = plan_of(w->x.trace, e->template_id, e->rule);
    const struct pick * pick = plan ? pick_of(w, e, plan) : NULL;
    if (pick && !pick->varies) { return 0; }
    turn_to(w, number);
    bool good = pick && expansion_at(&w->x, number) && expansion_ids(&w->x, number);
    for (uint32_t i = 0; good && i < plan->n_varies; i++) {
        const struct vary * v = &plan->varies[i];
        if (!is_in_file(w, &plan->records[v->record])) { continue; }
        for (uint32_t r = 0; good && r < v->n_records; r++) {
            struct tat_access like = plan->records[v->record + r];
            like.start_ns = like.duration_ns = 0;
            good = expansion_varying(&w->x, t, v, &like);
        }
    }
    if (!good) { return expansion_fail(&w->x, error); }
    expansion_flush(&w->x);
    w->x.stopped = false;
    return 0;
}
