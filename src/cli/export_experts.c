/* SPDX-License-Identifier: MIT */
#include "cli/export_experts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_open.h"
#include "cli/units.h"
#include "export/expert_plan.h"
#include "export/file_replace.h"

/* ---- options ---- */

static void add_trace(struct export_experts * e, const char * argument, struct argp_state * state) {
    if (e->n_traces == EXPERT_RUNS_MAX) { argp_error(state, "name at most %d traces", EXPERT_RUNS_MAX); }
    e->traces[e->n_traces++] = argument;
}

static void choose(struct export_experts * e, int what, struct argp_state * state) {
    if (e->what) { argp_error(state, "choose one of --expert-counts, --expert-mask and --override-tensor"); }
    e->what = what;
}

error_t export_experts_parse(struct export_experts * e, int key, char * argument, struct argp_state * state) {
    uint64_t number;
    char * end;
    switch (key) {
        case KEY_EXPERT_COUNTS: choose(e, EXPERTS_COUNTS, state); return 0;
        case KEY_EXPERT_MASK: choose(e, EXPERTS_MASK, state); return 0;
        case KEY_OVERRIDE: choose(e, EXPERTS_RULES, state); return 0;
        case KEY_MEMORY:
            if (!parse_bytes(argument, &e->memory)) {
                argp_error(state, "--memory '%s' is not a size such as 8G", argument);
            }
            return 0;
        case KEY_PER_LAYER:
            number = strtoul(argument, &end, 10);
            if (*argument < '0' || *argument > '9' || *end || number == 0 || number > UINT32_MAX) {
                argp_error(state, "--per-layer '%s': must be a whole number of 1 or more", argument);
            }
            e->per_layer = (uint32_t) number;
            return 0;
        case ARGP_KEY_ARG: add_trace(e, argument, state); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static unsigned phase_bit(const char * name) {
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (strcmp(tat_phase_name((enum tat_phase) p), name) == 0) { return 1u << p; }
    }
    return 0;
}

/* False: other filters were given. */
static bool take_filters(struct export_experts * e, const struct access_options * access) {
    e->model = access->model;
    for (size_t i = 0; i < access->n_conditions; i++) {
        const char * name = access->conditions[i].name;
        if (strcmp(name, "phases") == 0) {
            e->phases |= phase_bit(access->conditions[i].value);
        } else if (strcmp(name, "model") != 0) {
            return false;
        }
    }
    return true;
}

void export_experts_complete(struct export_experts * e, const struct access_options * access, const char * format,
                             struct argp_state * state) {
    const bool rules = e->what == EXPERTS_RULES;
    if (access->request.limit || !take_filters(e, access)) {
        argp_error(state, "counts of experts take no filters but --phases and --model");
    }
    e->json = format && strcmp(format, "jsonl") == 0;
    if (format && (rules || (!e->json && strcmp(format, "csv") != 0))) {
        argp_error(state, rules ? "--override-tensor has one format" : "--format '%s': must be csv or jsonl", format);
    }
    if (e->what == EXPERTS_MASK && !e->memory == !e->per_layer) {
        argp_error(state, "--expert-mask needs either --memory or --per-layer");
    }
    if (rules && !e->memory) { argp_error(state, "--override-tensor needs --memory"); }
    if ((rules && e->per_layer) || (e->what == EXPERTS_COUNTS && (e->memory || e->per_layer))) {
        argp_error(state, "--memory and --per-layer go with --expert-mask, --memory also with --override-tensor");
    }
}

/* ---- what is written ---- */

static int add_run(const struct export_experts * request, const char * trace_name, struct expert_counts * counts,
                   struct tat_error * error) {
    char path[PATH_MAX];
    struct tat_trace * trace = run_open(trace_name, path, error);
    if (!trace) { return -1; }
    const int status = expert_counts_add(counts, trace, request->model, path, error);
    tat_trace_close(trace);
    return status;
}

static int count(const struct export_experts * request, struct expert_counts * counts, struct tat_error * error) {
    int status = 0;
    *counts = (struct expert_counts){ .phases = request->phases };
    for (int i = 0; i < request->n_traces && status == 0; i++) {
        status = add_run(request, request->traces[i], counts, error);
    }
    if (request->n_traces == 0) { status = add_run(request, NULL, counts, error); }
    if (status == 0 && counts->counters == 0) {
        return tat_fail(error, TAT_ERROR_NO, "no layer chose among experts, or it was not recorded");
    }
    return status;
}

static void say_plan(const struct export_experts * request, const struct expert_plan * plan) {
    char bytes[2][UNITS_SIZE], choices[UNITS_SIZE], share[UNITS_SIZE];
    format_bytes(bytes[0], plan->kept_bytes);
    format_bytes(bytes[1], plan->all_bytes);
    format_count(choices, plan->choices);
    format_share(share, plan->choices ? (double) plan->kept_choices / (double) plan->choices : 0);
    if (request->what == EXPERTS_MASK) {
        fprintf(stderr, "tat export: keeps %" PRIu64 " of %" PRIu64 " experts, %s of %s: %s of the %s choices of %s\n",
                plan->kept, plan->all, bytes[0], bytes[1], share, choices,
                request->n_traces > 1 ? "these runs" : "this run");
    } else {
        fprintf(
            stderr,
            "tat export: leaves the experts of %" PRIu64 " of %" PRIu64
            " layers to the CPU. The others take %s of %s. llama.cpp can only place all experts of a layer together\n",
            plan->all - plan->kept, plan->all, bytes[0], bytes[1]);
    }
}

static int write(const struct export_experts * request, const struct expert_counts * counts, FILE * out,
                 const char * name, struct tat_error * error) {
    struct expert_plan plan;
    int status;
    switch (request->what) {
        case EXPERTS_MASK:
            status =
                expert_mask_write(counts, request->memory, request->per_layer, request->json, out, name, &plan, error);
            break;
        case EXPERTS_RULES: status = expert_rules_write(counts, request->memory, out, name, &plan, error); break;
        default: return expert_counts_write(counts, request->json, out, name, error);
    }
    if (status == 0) { say_plan(request, &plan); }
    return status;
}

int export_experts(const struct export_experts * request, const char * path, struct tat_error * error) {
    struct expert_counts counts;
    struct file_replace file;
    int status = count(request, &counts, error);
    if (status == 0 && !path) {
        status = write(request, &counts, stdout, "standard output", error);
    } else if (status == 0 && (status = file_replace_open(&file, path, error)) == 0) {
        status = write(request, &counts, file.file, path, error);
        if (file_replace_end(&file, status == 0, error) != 0) { status = -1; }
    }
    expert_counts_free(&counts);
    return status;
}
