/* SPDX-License-Identifier: MIT
 *
 * The records that pass a filter. What the filter says of operands is decided once for each plan, so records that
 * cannot pass are not made. What only an evaluation tells (times, experts, rows) is decided by record.
 */
#include "format/filter_walk.h"

static const struct tat_tensor * tensor_of(const struct walk * w, uint32_t number) {
    return &LIST(struct tat_tensor, w->filter->trace->tensors)[number];
}

/* ---- evaluations ---- */

static bool has_number(const struct tat_filter * f, enum filter_key key, uint64_t number) {
    return !f->has[key] || number_set_meets(&f->sets[key], (struct number_range){ number, number });
}

bool filter_wants_evaluation(const struct tat_filter * f, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, f->trace->evaluations)[number];
    if (!has_number(f, FILTER_EVALUATIONS, number) || !has_number(f, FILTER_CONTEXTS, e->context)) { return false; }
    if (f->has[FILTER_PHASES] && !(f->phases >> e->phase & 1)) { return false; }
    if (f->model && LIST(struct tat_template, f->trace->templates)[e->template_id].model != f->model) { return false; }
    if (f->has[FILTER_AT_TIME] && e->end_ns >= e->begin_ns &&
        !number_set_meets(&f->sets[FILTER_AT_TIME], (struct number_range){ e->begin_ns, e->end_ns })) {
        return false;
    }
    if (!f->has[FILTER_TOKENS]) { return true; }
    const uint64_t first = e->token_first;
    return e->phase != TAT_PHASE_WARMUP && e->n_tokens > 0 &&
           number_set_meets(&f->sets[FILTER_TOKENS], (struct number_range){ first, first + e->n_tokens - 1 });
}

/* ---- tensors ---- */

static bool has_component(const struct tat_filter * f, const struct tat_tensor * t) {
    const bool of_model = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE;
    return !f->has[FILTER_COMPONENTS] || f->components >> (of_model ? t->component : TAT_COMPONENT_COUNT) & 1;
}

/* Records of other tensors have offsets in the tensor, not in a file. */
static bool is_in_file(const struct tat_tensor * t) {
    return t->file && (t->memory == TAT_MEMORY_FILE || t->memory == TAT_MEMORY_COPY);
}

static bool wants_tensor(const struct tat_filter * f, uint32_t number) {
    const struct tat_tensor * t = &LIST(struct tat_tensor, f->trace->tensors)[number];
    const bool has_file = t->file && t->file <= f->trace->files.count;
    const uint32_t model = has_file ? LIST(struct tat_model_file, f->trace->files)[t->file - 1].model : 0;
    if (f->has[FILTER_TENSORS] && !(f->tensors && f->tensors[number])) { return false; }
    if (f->has[FILTER_FILES] && !(has_file && f->files && f->files[t->file - 1])) { return false; }
    if (f->has[FILTER_KINDS] && !(f->kinds >> t->kind & 1)) { return false; }
    if (f->has[FILTER_AT] && !is_in_file(t)) { return false; }
    return has_component(f, t) && (!f->file_model || model == f->file_model);
}

static bool choose_tensors(struct walk * w) {
    const struct tat_filter * f = w->filter;
    const uint32_t count = f->trace->tensors.count;
    if (!f->has[FILTER_TENSORS] && !f->has[FILTER_FILES] && !f->has[FILTER_KINDS] && !f->has[FILTER_COMPONENTS] &&
        !f->has[FILTER_AT] && !f->file_model) {
        return true;
    }
    w->tensors = calloc((size_t) count + 1, sizeof *w->tensors);
    for (uint32_t i = 0; w->tensors && i < count; i++) { w->tensors[i] = wants_tensor(f, i); }
    return w->tensors != NULL;
}

/* An offset says nothing if it is not clear in which file. */
static int check_file(const struct tat_filter * f, struct tat_error * error) {
    const struct tat_model_file * files = f->trace->files.data;
    const uint32_t model = f->model ? f->model : f->file_model;
    const struct tat_model_file * first = NULL;
    if (!f->has[FILTER_AT] || f->has[FILTER_FILES]) { return 0; }
    for (uint32_t i = 0; i < f->trace->files.count; i++) {
        if (model && files[i].model != model) { continue; }
        if (first && strcmp(first->path, files[i].path) != 0) {
            return filter_list_files(f->trace, TAT_ERROR_USAGE,
                                     "at: the trace has several model files; name one with files", error);
        }
        first = &files[i];
    }
    return 0;
}

/* ---- records ---- */

/* Whether a record touches one of these bytes. What is strided may step over all of them. */
static bool touches(const struct walk * w, const struct tat_access * a) {
    const struct number_set * at = &w->filter->sets[FILTER_AT];
    if (a->bytes == 0) { return false; }
    if (a->flags & TAT_ACCESS_APPROXIMATE) { /* anywhere in the tensor from there on */
        const struct tat_tensor * t = tensor_of(w, a->tensor);
        const uint64_t end = t->file_offset + t->bytes;
        return number_set_meets(at, (struct number_range){ a->offset, end > a->offset ? end - 1 : a->offset });
    }
    if (!a->layout) { return number_set_meets(at, (struct number_range){ a->offset, a->offset + a->bytes - 1 }); }
    const struct tat_layout l = tat_trace_layout(w->filter->trace, a->layout);
    const struct number_range * r = at->ranges.data;
    for (uint32_t i = 0; i < at->ranges.count; i++) {
        /* The first run that does not end before the range. */
        const uint64_t end = a->offset + l.run_bytes;
        uint64_t run = r[i].first < end || l.stride == 0 ? 0 : (r[i].first - end) / l.stride + 1;
        if (run < a->rows && a->offset + run * l.stride <= r[i].last) { return true; }
    }
    return false;
}

static bool wants_head(const struct tat_filter * f, const struct tat_access * a) {
    if (!f->has[FILTER_HEADS]) { return true; }
    const uint64_t count = a->head_count ? a->head_count : 1;
    return a->head_first != TAT_NO_HEAD &&
           number_set_meets(&f->sets[FILTER_HEADS], (struct number_range){ a->head_first, a->head_first + count - 1 });
}

/* From the beginning of the node up to the next one's. */
static bool wants_time(const struct tat_filter * f, const struct tat_access * a) {
    if (!f->has[FILTER_AT_TIME]) { return true; }
    const uint64_t last = a->start_ns + (a->duration_ns ? a->duration_ns - 1 : 0);
    return !(a->flags & TAT_ACCESS_UNTIMED) &&
           number_set_meets(&f->sets[FILTER_AT_TIME], (struct number_range){ a->start_ns, last });
}

bool filter_wants_place(const struct walk * w, const struct tat_access * a) {
    const struct tat_filter * f = w->filter;
    return (a->expert == TAT_NO_EXPERT ? !f->has[FILTER_EXPERTS] : has_number(f, FILTER_EXPERTS, a->expert)) &&
           (w->heads || !f->has[FILTER_AT] || touches(w, a));
}

/* What no plan tells. Where a record is only counts of its parts, if it has any. */
static bool wants(const struct walk * w, const struct tat_access * a) {
    return filter_wants_place(w, a) && wants_time(w->filter, a);
}

static bool pass_part(const struct tat_access * a, struct tat_layout layout, void * user) {
    struct walk * w = user;
    struct tat_access part = *a;
    if (part.flags & TAT_ACCESS_STRIDED && !part.layout) {
        part.layout = layout_number(w->x.trace, layout.run_bytes, layout.stride);
        if (!part.layout) { part.flags ^= TAT_ACCESS_STRIDED | TAT_ACCESS_APPROXIMATE; }
    }
    if (!wants_head(w->filter, &part) || (w->filter->has[FILTER_AT] && !touches(w, &part))) { return true; }
    return w->sink(&part, 1, w->user);
}

static bool pass(const struct walk * w, const struct tat_access * records, size_t count) {
    if (!w->heads) { return w->sink(records, count, w->user); }
    return tat_access_heads_split(w->heads, records, count, pass_part, (void *) w);
}

static bool pass_all(const struct tat_access * records, size_t count, void * user) {
    return pass(user, records, count);
}

static bool pass_wanted(const struct tat_access * records, size_t count, void * user) {
    const struct walk * w = user;
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        while (i + n < count && wants(w, &records[i + n])) { n++; }
        if (n && !pass(w, records + i, n)) { return false; }
        i += n ? n : 1;
    }
    return true;
}

/* ---- plans ---- */

/* Whether any byte of a tensor, which is in a file, is asked for: rows and experts are within their tensor. */
static bool tensor_meets(const struct walk * w, uint32_t number) {
    const struct tat_tensor * t = tensor_of(w, number);
    const uint64_t last = t->file_offset + (t->bytes ? t->bytes - 1 : 0);
    if (last < t->file_offset) { return true; }
    return number_set_meets(&w->filter->sets[FILTER_AT], (struct number_range){ t->file_offset, last });
}

/* Whether a record of a plan may pass, whatever an evaluation adds. `vary`: NULL if it is the same in all of them. */
static bool may_pass(const struct walk * w, const struct tat_access * a, const struct vary * vary) {
    const struct tat_filter * f = w->filter;
    if ((w->tensors && !w->tensors[a->tensor]) || (f->has[FILTER_OPS] && !(f->ops && f->ops[a->op]))) { return false; }
    if (f->has[FILTER_LAYERS] && (a->layer == TAT_NO_LAYER || !has_number(f, FILTER_LAYERS, a->layer))) {
        return false;
    }
    if (f->has[FILTER_EXPERTS] && !(vary && (vary->use == USE_EXPERTS || vary->use == USE_BIASES))) { return false; }
    if (vary) { return !f->has[FILTER_AT] || tensor_meets(w, a->tensor); }
    return w->heads || !f->has[FILTER_AT] || touches(w, a);
}

static bool picks_add(struct list * ranges, uint32_t first, uint32_t end) {
    struct picked * last = ranges->count ? &LIST(struct picked, *ranges)[ranges->count - 1] : NULL;
    if (last && last->end == first) {
        last->end = end;
        return true;
    }
    struct picked * range = list_add(ranges, sizeof *range);
    if (range) { *range = (struct picked){ first, end }; }
    return range != NULL;
}

struct pick * filter_pick(struct walk * w, const struct tat_evaluation * e, const struct plan * plan) {
    struct pick ** kept = &w->picks[(size_t) e->template_id * TAT_RULE_COUNT + e->rule];
    if (*kept) { return *kept; }
    struct list ranges = { 0 };
    struct pick * pick = malloc(sizeof *pick);
    bool good = pick != NULL, any_varies = false;
    for (uint32_t i = 0, v = 0; good && i < plan->n_records;) {
        const struct vary * vary = v < plan->n_varies && plan->varies[v].record == i ? &plan->varies[v++] : NULL;
        const uint32_t n = vary ? vary->n_records : 1;
        if (may_pass(w, &plan->records[i], vary)) {
            good = picks_add(&ranges, i, i + n);
            any_varies |= vary != NULL;
        }
        i += n;
    }
    if (!good) {
        free(ranges.data);
        free(pick);
        return NULL;
    }
    *pick = (struct pick){ ranges.data, ranges.count, any_varies };
    return *kept = pick;
}

bool filter_walk_evaluation(struct walk * w, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, w->filter->trace->evaluations)[number];
    if (evaluation_is_bare(e)) { return true; }
    const struct plan * plan = plan_of(w->x.trace, e->template_id, e->rule);
    const struct pick * pick = plan ? filter_pick(w, e, plan) : NULL;
    if (!pick) { return false; }
    return pick->count == 0 || expansion_put(&w->x, number, plan, pick);
}

/* ---- walk ---- */

bool filter_walk_begin(struct walk * w, struct tat_error * error) {
    const struct tat_filter * f = w->filter;
    const bool dynamic = f->has[FILTER_EXPERTS] || f->has[FILTER_AT] || f->has[FILTER_AT_TIME];
    if (check_file(f, error) != 0) { return false; }
    w->picks = calloc((size_t) f->trace->templates.count * TAT_RULE_COUNT + 1, sizeof(struct pick *));
    bool good = expansion_begin(&w->x, f->trace, dynamic ? pass_wanted : pass_all, w);
    good = good && w->picks && choose_tensors(w);
    if (!good) { tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", f->trace->path); }
    if (good && f->split && !(w->heads = tat_access_heads_new(f->trace, error))) { good = false; }
    return good;
}

void filter_walk_end(struct walk * w) {
    const size_t n = (size_t) w->filter->trace->templates.count * TAT_RULE_COUNT;
    for (size_t i = 0; w->picks && i < n; i++) {
        if (w->picks[i]) { free(w->picks[i]->ranges); }
        free(w->picks[i]);
    }
    free(w->picks);
    free(w->tensors);
    tat_access_heads_free(w->heads);
    expansion_end(&w->x);
}

int tat_filter_expand(const struct tat_filter * filter, uint32_t first, uint32_t last, tat_access_sink sink,
                      void * user, struct tat_error * error) {
    struct walk w = { .filter = filter, .sink = sink, .user = user };
    if (!filter_walk_begin(&w, error)) {
        filter_walk_end(&w);
        return -1;
    }
    bool good = true;
    if (last > filter->trace->evaluations.count) { last = filter->trace->evaluations.count; }
    for (uint32_t i = first; i < last && good && !w.x.stopped; i++) {
        if (filter_wants_evaluation(filter, i)) { good = filter_walk_evaluation(&w, i); }
    }
    if (good) { expansion_flush(&w.x); }
    const int status = good ? w.x.stopped : expansion_fail(&w.x, error);
    filter_walk_end(&w);
    return status;
}

/* ---- what is no access ---- */

static bool needs_evaluation(const struct tat_filter * f) {
    return f->has[FILTER_TOKENS] || f->has[FILTER_PHASES] || f->has[FILTER_EVALUATIONS] || f->has[FILTER_CONTEXTS] ||
           f->model;
}

static bool chooses(const struct walk * w, const struct tat_access * a) {
    const struct tat_filter * f = w->filter;
    if (a->evaluation < f->trace->evaluations.count ? !filter_wants_evaluation(f, a->evaluation)
                                                    : needs_evaluation(f)) {
        return false;
    }
    if (w->tensors && !(a->tensor < f->trace->tensors.count && w->tensors[a->tensor])) { return false; }
    if (f->has[FILTER_OPS] && !(a->op < f->trace->ops.count && f->ops && f->ops[a->op])) { return false; }
    if (f->has[FILTER_LAYERS] && (a->layer == TAT_NO_LAYER || !has_number(f, FILTER_LAYERS, a->layer))) {
        return false;
    }
    return wants(w, a);
}

int tat_filter_choose(const struct tat_filter * filter, const struct tat_access * records, size_t count, bool * chosen,
                      struct tat_error * error) {
    struct walk w = { .filter = filter };
    if (filter->split) { return tat_fail(error, TAT_ERROR_USAGE, "heads: only access records have heads"); }
    if (check_file(filter, error) != 0) { return -1; }
    if (!choose_tensors(&w)) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", filter->trace->path); }
    for (size_t i = 0; i < count; i++) { chosen[i] = chooses(&w, &records[i]); }
    free(w.tensors);
    return 0;
}
