/* SPDX-License-Identifier: MIT */
#include "cli/access_options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "cli/run_open.h"

void access_options_begin(struct access_options * options) {
    *options = (struct access_options){ .request = { .filter = ACCESS_FILTER_ALL } };
}

static void set_range(struct access_range * range, const char * option, const char * text, struct argp_state * state) {
    const char * wrong = access_range_parse(text, range);
    if (wrong) { argp_error(state, "--%s '%s': %s", option, text, wrong); }
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

static void add_name(struct access_names * names, const char * option, const char * text, struct argp_state * state) {
    if (!*text) { argp_error(state, "--%s: the name is empty", option); }
    if (names->count == ACCESS_NAMES_MAX) {
        argp_error(state, "--%s: given more than %d times", option, ACCESS_NAMES_MAX);
    }
    names->name[names->count++] = text;
}

static void add_bit(unsigned * bits, unsigned bit, const char * option, const char * text, const char * known,
                    struct argp_state * state) {
    if (!bit) { argp_error(state, "--%s '%s': must be one of %s", option, text, known); }
    *bits |= bit;
}

static error_t parse_filter(struct access_options * o, int key, char * argument, struct argp_state * state) {
    struct access_filter * f = &o->request.filter;
    switch (key) {
        case KEY_TOKENS: set_range(&f->token, "tokens", argument, state); break;
        case KEY_LAYERS: set_range(&f->layer, "layers", argument, state); break;
        case KEY_EVALUATIONS: set_range(&f->evaluation, "evaluations", argument, state); break;
        case KEY_TENSOR: add_name(&f->tensors, "tensor", argument, state); break;
        case KEY_OP: add_name(&f->ops, "op", argument, state); break;
        case KEY_PHASE: add_bit(&f->phases, access_phase_bit(argument), "phase", argument, PHASE_NAMES, state); break;
        case KEY_ONLY:
            add_bit(&f->kinds, access_kind_bit(argument), "only", argument, "weights, kv, activations, inputs", state);
            break;
        case KEY_MODEL: f->model = argument; break;
        case KEY_CONTEXT: f->context = (uint32_t) number_of("--context", argument, UINT32_MAX, state); break;
        default: return ARGP_ERR_UNKNOWN;
    }
    o->filtered = true;
    o->selects |= key != KEY_MODEL;
    return 0;
}

error_t access_options_parse(struct access_options * o, int key, char * argument, struct argp_state * state) {
    switch (key) {
        case 'n': o->request.limit = number_of("-n", argument, UINT64_MAX, state); return 0;
        case KEY_HEADS: o->request.heads = true; return 0;
        case ARGP_KEY_ARG:
            if (o->trace) { argp_error(state, "name only one trace"); }
            o->trace = argument;
            return 0;
        default: return parse_filter(o, key, argument, state);
    }
}

struct tat_trace * access_options_open(const struct access_options * options, struct tat_error * error) {
    char path[PATH_MAX];
    return run_open(options->trace, path, error);
}
