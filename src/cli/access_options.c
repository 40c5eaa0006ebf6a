/* SPDX-License-Identifier: MIT */
#include "cli/access_options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_open.h"

void access_options_begin(struct access_options * options) {
    *options = (struct access_options){ 0 };
}

static uint64_t number_of(const char * option, const char * text, uint64_t most, struct argp_state * state) {
    char * end;
    errno = 0;
    const uint64_t number = strtoull(text, &end, 10);
    if (!isdigit((unsigned char) *text) || *end || errno || number == 0 || number > most) {
        argp_error(state, "%s '%s': must be a whole number of 1 or more", option, text);
    }
    return number;
}

/* The filter behind an option, or NULL. */
static const char * filter_of(int key) {
    static const char * const names[] = {
        [KEY_TOKENS - KEY_TOKENS] = "tokens",
        [KEY_PHASES - KEY_TOKENS] = "phases",
        [KEY_EVALUATIONS - KEY_TOKENS] = "evaluations",
        [KEY_CONTEXTS - KEY_TOKENS] = "contexts",
        [KEY_MODEL - KEY_TOKENS] = "model",
        [KEY_LAYERS - KEY_TOKENS] = "layers",
        [KEY_TENSORS - KEY_TOKENS] = "tensors",
        [KEY_COMPONENTS - KEY_TOKENS] = "components",
        [KEY_KINDS - KEY_TOKENS] = "kinds",
        [KEY_ONLY - KEY_TOKENS] = "kinds",
        [KEY_OPS - KEY_TOKENS] = "ops",
        [KEY_EXPERTS - KEY_TOKENS] = "experts",
        [KEY_HEADS - KEY_TOKENS] = "heads",
        [KEY_FILES - KEY_TOKENS] = "files",
        [KEY_AT - KEY_TOKENS] = "at",
        [KEY_AT_TIME - KEY_TOKENS] = "at-time",
    };
    return key >= KEY_TOKENS && (size_t) (key - KEY_TOKENS) < sizeof names / sizeof names[0] ? names[key - KEY_TOKENS]
                                                                                             : NULL;
}

static void add(struct access_options * o, int key, const char * value, struct argp_state * state) {
    struct tat_error error;
    const char * name = filter_of(key);
    if (!value) { value = "all"; } /* only --heads may stand without */
    if (tat_filter_check(name, value, &error) != 0) {
        const char * what = strchr(error.message, ' '); /* behind the name as the library has it */
        argp_error(state, "--%s%s", name, what ? what : "");
    }
    if (o->n_conditions == CONDITIONS_MAX) { argp_error(state, "more than %d filters", CONDITIONS_MAX); }
    o->conditions[o->n_conditions++] = (struct condition){ name, value };
    o->selects |= key != KEY_MODEL;
    o->heads |= key == KEY_HEADS;
    if (key == KEY_MODEL) { o->model = value; }
}

error_t access_options_parse(struct access_options * o, int key, char * argument, struct argp_state * state) {
    if (filter_of(key)) {
        add(o, key, argument, state);
        return 0;
    }
    switch (key) {
        case 'n': o->request.limit = number_of("-n", argument, UINT64_MAX, state); return 0;
        case ARGP_KEY_ARG:
            if (o->trace) { argp_error(state, "name only one trace"); }
            o->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

struct tat_trace * access_options_open(struct access_options * o, struct tat_error * error) {
    char path[PATH_MAX];
    struct tat_trace * trace = run_open(o->trace, path, error);
    struct tat_filter * filter = trace ? tat_filter_new(trace, error) : NULL;
    bool good = filter != NULL;
    for (size_t i = 0; i < o->n_conditions && good; i++) {
        good = tat_filter_add(filter, o->conditions[i].name, o->conditions[i].value, error) == 0;
    }
    o->request.filter = filter;
    if (good) { return trace; }
    access_options_close(o, trace);
    return NULL;
}

void access_options_close(struct access_options * o, struct tat_trace * trace) {
    tat_filter_free((struct tat_filter *) o->request.filter);
    o->request.filter = NULL;
    tat_trace_close(trace);
}
