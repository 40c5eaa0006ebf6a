/* SPDX-License-Identifier: MIT
 *
 * The names of filters, and what their values mean in a trace.
 */
#include "format/filter.h"

#include <ctype.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define RANGE "must be a number or a range: 5, 3:8, 3: or :8"

/* What takes a value, after it was checked. 0, or -1 with *error. */
typedef int (*taker)(struct tat_filter * f, const char * value, struct tat_error * error);

static int take_phase(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_model(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_tensor(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_component(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_kind(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_op(struct tat_filter * f, const char * value, struct tat_error * error);
static int take_file(struct tat_filter * f, const char * value, struct tat_error * error);

static const struct key {
    const char *name, *value;
    number_reader read; /* of a range; NULL: it is a name */
    const char * range; /* what a value has to be */
    taker take;
} keys[FILTER_KEYS] = {
    [FILTER_TOKENS] = { "tokens", "RANGE", number_read, RANGE, NULL },
    [FILTER_PHASES] = { "phases", "warmup|prompt|generate|verify|mixed|other|unknown", NULL, NULL, take_phase },
    [FILTER_EVALUATIONS] = { "evaluations", "RANGE", number_read, RANGE, NULL },
    [FILTER_CONTEXTS] = { "contexts", "RANGE", number_read, RANGE, NULL },
    [FILTER_MODEL] = { "model", "MODEL", NULL, NULL, take_model },
    [FILTER_LAYERS] = { "layers", "RANGE", number_read, RANGE, NULL },
    [FILTER_TENSORS] = { "tensors", "GLOB", NULL, NULL, take_tensor },
    [FILTER_COMPONENTS] = { "components", "NAME", NULL, NULL, take_component },
    [FILTER_KINDS] = { "kinds", "weights|kv|activations|inputs", NULL, NULL, take_kind },
    [FILTER_OPS] = { "ops", "NAME", NULL, NULL, take_op },
    [FILTER_EXPERTS] = { "experts", "RANGE", number_read, RANGE, NULL },
    [FILTER_HEADS] = { "heads", "RANGE", number_read, RANGE " (or all)", NULL },
    [FILTER_FILES] = { "files", "FILE", NULL, NULL, take_file },
    [FILTER_AT] = { "at", "OFFSET[:OFFSET]", number_read_offset,
                    "must be a byte of the file or a range: 4096, 0x1000:0x1fff, 4096: or :4096", NULL },
    [FILTER_AT_TIME] = { "at_time", "TIME[:TIME]", number_read_time,
                         "must be a time or a range: 1.5s, 20ms:30ms, 2s: or :1000 (nanoseconds)", NULL },
};

const char * tat_filter_name(unsigned index) {
    return index < FILTER_KEYS ? keys[index].name : NULL;
}

const char * tat_filter_value(unsigned index) {
    return index < FILTER_KEYS ? keys[index].value : NULL;
}

static bool is_name(const char * a, const char * b) {
    while (*a && (*a == *b || (*a == '-' && *b == '_'))) { a++, b++; }
    return *a == *b;
}

/* FILTER_KEYS: there is none, with *error. */
static enum filter_key key_of(const char * name, struct tat_error * error) {
    char list[256] = "";
    size_t used = 0;
    for (int key = 0; key < FILTER_KEYS; key++) {
        if (is_name(name, keys[key].name)) { return (enum filter_key) key; }
        used += (size_t) snprintf(list + used, sizeof list - used, "%s%s", key ? ", " : "", keys[key].name);
    }
    tat_fail(error, TAT_ERROR_USAGE, "there is no filter '%s'; there are %s", name, list);
    return FILTER_KEYS;
}

/* ---- names that are always the same ---- */

typedef const char * (*namer)(unsigned number);

static const char * phase_name(unsigned number) {
    return number < TAT_PHASE_COUNT ? tat_phase_name((enum tat_phase) number) : NULL;
}

static const char * component_name(unsigned number) {
    return number < TAT_COMPONENT_COUNT    ? tat_component_name((enum tat_component) number)
           : number == TAT_COMPONENT_COUNT ? "activations"
                                           : NULL;
}

static const char * kind_name(unsigned number) {
    static const char * const names[] = { "weight", "state", "activation", "input" }; /* as the numbers do, from 1 */
    return number < sizeof names / sizeof names[0] ? names[number] : NULL;
}

static const namer namers[FILTER_KEYS] = {
    [FILTER_PHASES] = phase_name,
    [FILTER_COMPONENTS] = component_name,
    [FILTER_KINDS] = kind_name,
};

/* The number of a name. -1: there is none, with *error. */
static int number_of(enum filter_key key, const char * value, struct tat_error * error) {
    char list[900] = "";
    size_t used = 0;
    const char * name;
    for (unsigned i = 0; (name = namers[key](i)); i++) {
        if (strcmp(name, value) == 0) { return (int) i; }
        used +=
            (size_t) snprintf(list + used, used < sizeof list ? sizeof list - used : 0, "%s%s", i ? ", " : "", name);
        if (used >= sizeof list) { used = sizeof list - 1; }
    }
    return tat_fail(error, TAT_ERROR_USAGE, "%s '%s': must be one of %s", keys[key].name, value, list);
}

/* Kinds as people say them too. */
static const char * plain_kind(const char * value) {
    static const char * const words[][2] = {
        { "weights", "weight" }, { "kv", "state" }, { "activations", "activation" }, { "inputs", "input" }
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i][0], value) == 0) { return words[i][1]; }
    }
    return value;
}

static int check(enum filter_key key, const char * value, struct number_range * range, struct tat_error * error) {
    const struct key * k = &keys[key];
    if (key == FILTER_HEADS && strcmp(value, "all") == 0) { return 0; }
    if (namers[key]) { return number_of(key, key == FILTER_KINDS ? plain_kind(value) : value, error) < 0 ? -1 : 0; }
    if (!k->read) { return *value ? 0 : tat_fail(error, TAT_ERROR_USAGE, "%s '': the name is empty", k->name); }
    if (!number_range_read(value, k->read, range)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s '%s': %s", k->name, value, k->range);
    }
    if (range->last < range->first) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s '%s': the range ends before it begins", k->name, value);
    }
    return 0;
}

int tat_filter_check(const char * name, const char * value, struct tat_error * error) {
    struct number_range range;
    const enum filter_key key = key_of(name, error);
    return key == FILTER_KEYS ? -1 : check(key, value, &range, error);
}

/* ---- filters ---- */

struct tat_filter * tat_filter_new(const struct tat_trace * trace, struct tat_error * error) {
    struct tat_filter * f = calloc(1, sizeof *f);
    if (!f) {
        tat_fail_errno(error, "%s", trace->path);
        return NULL;
    }
    f->trace = trace;
    return f;
}

void tat_filter_free(struct tat_filter * f) {
    if (!f) { return; }
    for (int key = 0; key < FILTER_KEYS; key++) { number_set_free(&f->sets[key]); }
    free(f->tensors);
    free(f->ops);
    free(f->files);
    free(f);
}

int tat_filter_add(struct tat_filter * f, const char * name, const char * value, struct tat_error * error) {
    struct number_range range = { 0, 0 };
    const enum filter_key key = key_of(name, error);
    if (key == FILTER_KEYS || (value && check(key, value, &range, error) != 0)) { return -1; }
    f->split |= key == FILTER_HEADS;
    if (key == FILTER_HEADS && value && strcmp(value, "all") == 0) { return 0; }
    if (value && keys[key].take && keys[key].take(f, value, error) != 0) { return -1; }
    if (value && !keys[key].take && !number_set_add(&f->sets[key], range)) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    f->has[key] = true;
    return 0;
}

/* ---- names ---- */

static int take_phase(struct tat_filter * f, const char * value, struct tat_error * error) {
    f->phases |= 1u << number_of(FILTER_PHASES, value, error);
    return 0;
}

static int take_component(struct tat_filter * f, const char * value, struct tat_error * error) {
    f->components |= UINT64_C(1) << number_of(FILTER_COMPONENTS, value, error);
    return 0;
}

static int take_kind(struct tat_filter * f, const char * value, struct tat_error * error) {
    f->kinds |= 2u << number_of(FILTER_KINDS, plain_kind(value), error);
    return 0;
}

/* What computes has graphs; of what is only used with it there are weights. */
static int take_model(struct tat_filter * f, const char * value, struct tat_error * error) {
    uint32_t count;
    const struct tat_model * models = tat_trace_models(f->trace, &count);
    const uint32_t number = tat_trace_find_model(f->trace, value, error);
    f->model = f->file_model = 0;
    for (uint32_t i = 0; number && i < count; i++) {
        if (models[i].number == number) { *(models[i].n_evaluations ? &f->model : &f->file_model) = number; }
    }
    return number ? 0 : -1;
}

/* Flags by number, made when first needed. NULL: no memory, with *error. */
static bool * flags(bool ** all, size_t count, struct tat_error * error) {
    if (!*all && !(*all = calloc(count + 1, sizeof **all))) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    return *all;
}

static int take_tensor(struct tat_filter * f, const char * value, struct tat_error * error) {
    uint32_t count;
    const struct tat_tensor * tensors = tat_trace_tensors(f->trace, &count);
    bool found = false, *wanted = flags(&f->tensors, count, error);
    if (!wanted) { return -1; }
    for (uint32_t i = 0; i < count; i++) {
        if (fnmatch(value, tensors[i].name, 0) == 0) { wanted[i] = found = true; }
    }
    if (found) { return 0; }
    return tat_fail(error, TAT_ERROR_NO,
                    "no tensor of the trace matches '%s'; tensor_names.txt beside the trace lists them", value);
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

static int take_op(struct tat_filter * f, const char * value, struct tat_error * error) {
    const uint16_t count = tat_trace_n_ops(f->trace);
    bool found = false, *wanted = flags(&f->ops, count, error);
    if (!wanted) { return -1; }
    for (uint16_t i = 0; i < count; i++) {
        if (strcasecmp(value, tat_trace_op_name(f->trace, i)) == 0) { wanted[i] = found = true; }
    }
    return found ? 0 : no_such_op(f->trace, value, error);
}

/* ---- files ---- */

static const char * file_name(const struct tat_model_file * file) {
    const char * slash = strrchr(file->path, '/');
    return slash ? slash + 1 : file->path;
}

int filter_list_files(const struct tat_trace * trace, enum tat_error_kind kind, const char * what,
                      struct tat_error * error) {
    char list[600] = "";
    size_t used = 0;
    uint32_t count;
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    for (uint32_t i = 0; i < count && used < sizeof list; i++) {
        used += (size_t) snprintf(list + used, sizeof list - used, "%s %" PRIu32 " is %s", i ? "," : "; number", i + 1,
                                  file_name(&files[i]));
    }
    return tat_fail(error, kind, "%s%s", what, list);
}

/* By number, by name, or by a piece of the name that no other file has. */
static int take_file(struct tat_filter * f, const char * value, struct tat_error * error) {
    uint32_t count, named = 0, found = 0, last = 0;
    const struct tat_model_file * files = tat_trace_model_files(f->trace, &count);
    bool * wanted = flags(&f->files, count, error);
    const char * end = value;
    uint64_t number;
    if (!wanted) { return -1; }
    const bool is_number = number_read(&end, &number) && !*end;
    for (uint32_t i = 0; i < count && !is_number; i++) {
        const bool whole = strcmp(file_name(&files[i]), value) == 0;
        if (whole) { wanted[i] = true; }
        named += whole;
        if (!whole && strstr(file_name(&files[i]), value)) { last = i, found++; }
    }
    if (is_number && number >= 1 && number <= count) {
        wanted[number - 1] = true;
    } else if (!named && found == 1) {
        wanted[last] = true;
    } else if (!named) {
        char what[200];
        snprintf(what, sizeof what, "%s of the trace is called '%s'", found ? "more than one file" : "no model file",
                 value);
        return filter_list_files(f->trace, TAT_ERROR_NO, what, error);
    }
    return 0;
}
