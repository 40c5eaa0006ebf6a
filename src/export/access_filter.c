/* SPDX-License-Identifier: MIT */
#include "export/access_filter.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- parsing ---- */

static bool parse_number(const char ** text, uint64_t * number) {
    char * end;
    if (!isdigit((unsigned char) **text)) { return false; }
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

const char * access_range_parse(const char * text, struct access_range * range) {
    static const char not_one[] = "must be a number or a range: 5, 3:8, 3: or :8";
    struct access_range r = { 0, UINT64_MAX - 1 }; /* "0:" is not all: what has no number is not in it */
    if (strcmp(text, ":") == 0) { return not_one; }
    if (*text != ':' && !parse_number(&text, &r.first)) { return not_one; }
    if (*text == '\0') {
        r.last = r.first;
    } else if (*text++ != ':' || (*text && !parse_number(&text, &r.last)) || *text) {
        return not_one;
    }
    if (r.last < r.first) { return "the range ends before it begins"; }
    *range = r;
    return NULL;
}

unsigned access_phase_bit(const char * name) {
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
        if (strcmp(name, tat_phase_name((enum tat_phase) phase)) == 0) { return 1u << phase; }
    }
    return 0;
}

unsigned access_kind_bit(const char * name) {
    static const struct {
        const char * name;
        enum tat_tensor_kind kind;
    } kinds[] = {
        { "weights", TAT_TENSOR_WEIGHT },
        { "kv", TAT_TENSOR_STATE },
        { "activations", TAT_TENSOR_ACTIVATION },
        { "inputs", TAT_TENSOR_INPUT },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(name, kinds[i].name) == 0) { return 1u << kinds[i].kind; }
    }
    return 0;
}

/* ---- walk ---- */

static bool is_all(struct access_range r) {
    return r.first == 0 && r.last == UINT64_MAX;
}

static bool within(struct access_range r, uint64_t value) {
    return value >= r.first && value <= r.last;
}

struct walk {
    const struct access_filter * filter;
    tat_access_sink sink;
    void * user;
    bool * tensors; /* wanted, by number; NULL: all */
    bool * ops;
    bool any_layer;
    const struct tat_template * templates;
    uint32_t model;      /* whose graphs are wanted; 0: all */
    uint32_t file_model; /* whose weights alone are wanted; 0: all */
};

static bool wants_evaluation(const struct walk * w, const struct tat_evaluation * e, uint32_t number) {
    const struct access_filter * f = w->filter;
    if (!within(f->evaluation, number) || (f->phases && !(f->phases >> e->phase & 1))) { return false; }
    if (f->context && e->context != f->context) { return false; }
    if (w->model && w->templates[e->template_id].model != w->model) { return false; }
    if (is_all(f->token)) { return true; }
    return e->phase != TAT_PHASE_WARMUP && e->n_tokens > 0 && e->token_first <= f->token.last &&
           (uint64_t) e->token_first + e->n_tokens > f->token.first;
}

static bool wants(const struct walk * w, const struct tat_access * a) {
    if (w->tensors && !w->tensors[a->tensor]) { return false; }
    if (w->ops && !w->ops[a->op]) { return false; }
    return w->any_layer || (a->layer != TAT_NO_LAYER && within(w->filter->layer, a->layer));
}

static bool pass_on(const struct tat_access * records, size_t count, void * user) {
    const struct walk * w = user;
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        while (i + n < count && wants(w, &records[i + n])) { n++; }
        if (n && !w->sink(records + i, n, w->user)) { return false; }
        i += n ? n : 1;
    }
    return true;
}

static bool fits_glob(const struct access_names * globs, const char * name) {
    for (size_t i = 0; i < globs->count; i++) {
        if (fnmatch(globs->name[i], name, 0) == 0) { return true; }
    }
    return globs->count == 0;
}

static uint32_t model_of(const struct tat_trace * trace, const struct tat_tensor * t) {
    uint32_t count;
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    return t->file && t->file <= count ? files[t->file - 1].model : 0;
}

/* What computes has graphs; of what is only used with it there are weights. */
static int choose_model(struct walk * w, const struct tat_trace * trace, struct tat_error * error) {
    uint32_t count;
    const struct tat_model * models = tat_trace_models(trace, &count);
    const uint32_t number = w->filter->model ? tat_trace_find_model(trace, w->filter->model, error) : 0;
    w->templates = tat_trace_templates(trace, &(uint32_t){ 0 });
    for (uint32_t i = 0; number && i < count; i++) {
        if (models[i].number == number) { *(models[i].n_evaluations ? &w->model : &w->file_model) = number; }
    }
    return w->filter->model && !number ? -1 : 0;
}

static int choose_tensors(struct walk * w, const struct tat_trace * trace, struct tat_error * error) {
    const struct access_filter * f = w->filter;
    uint32_t count, chosen = 0;
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &count);
    if (f->tensors.count == 0 && f->kinds == 0 && !w->file_model) { return 0; }
    w->tensors = calloc((size_t) count + 1, sizeof *w->tensors);
    if (!w->tensors) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    for (uint32_t i = 0; i < count; i++) {
        const bool fits_kind = f->kinds == 0 || f->kinds >> tensors[i].kind & 1;
        w->tensors[i] = fits_kind && fits_glob(&f->tensors, tensors[i].name) &&
                        (!w->file_model || model_of(trace, &tensors[i]) == w->file_model);
        chosen += w->tensors[i];
    }
    if (chosen) { return 0; }
    return tat_fail(error, TAT_ERROR_NO,
                    "no tensor of the trace matches the filter; tensor_names.txt beside the trace lists them");
}

static bool is_printable(const char * name) {
    while (isgraph((unsigned char) *name)) { name++; }
    return *name == '\0';
}

/* The names that there are, for who wrote another. */
static int no_such_op(const struct tat_trace * trace, const char * name, struct tat_error * error) {
    char list[300] = "";
    size_t used = 0;
    for (uint16_t i = 0; i < tat_trace_n_ops(trace) && used < sizeof list; i++) {
        const char * op = tat_trace_op_name(trace, i);
        if (strcmp(op, "NONE") == 0 || !is_printable(op)) { continue; }
        used += (size_t) snprintf(list + used, sizeof list - used, " %s", op);
    }
    return tat_fail(error, TAT_ERROR_NO, "no operation of the trace is called '%s'; there are%s", name, list);
}

static int choose_ops(struct walk * w, const struct tat_trace * trace, struct tat_error * error) {
    const struct access_names * names = &w->filter->ops;
    const uint16_t count = tat_trace_n_ops(trace);
    if (names->count == 0) { return 0; }
    w->ops = calloc((size_t) count + 1, sizeof *w->ops);
    if (!w->ops) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    for (size_t n = 0; n < names->count; n++) {
        bool found = false;
        for (uint16_t i = 0; i < count; i++) {
            if (strcasecmp(names->name[n], tat_trace_op_name(trace, i)) != 0) { continue; }
            w->ops[i] = found = true;
        }
        if (!found) { return no_such_op(trace, names->name[n], error); }
    }
    return 0;
}

int access_filter_each(const struct access_filter * filter, const struct tat_trace * trace, tat_access_sink sink,
                       void * user, struct tat_error * error) {
    uint32_t count;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    struct walk w = { .filter = filter, .sink = sink, .user = user, .any_layer = is_all(filter->layer) };
    int status = choose_model(&w, trace, error);
    if (status == 0) { status = choose_tensors(&w, trace, error); }
    if (status == 0) { status = choose_ops(&w, trace, error); }
    for (uint32_t first = 0, last; first < count && status == 0; first = last) {
        while (first < count && !wants_evaluation(&w, &e[first], first)) { first++; }
        for (last = first; last < count && wants_evaluation(&w, &e[last], last);) { last++; }
        if (first < last) { status = tat_trace_expand(trace, first, last, pass_on, &w, error); }
    }
    free(w.tensors);
    free(w.ops);
    return status;
}
