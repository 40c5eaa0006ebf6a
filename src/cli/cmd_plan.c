/* SPDX-License-Identifier: MIT
 *
 * tat plan: what of a model should be in memory when it does not fit, and what that would gain.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/brief_recording.h"
#include "cli/caller.h"
#include "cli/command.h"
#include "cli/json_file.h"
#include "cli/pager.h"
#include "cli/places.h"
#include "cli/plan_kept.h"
#include "cli/plan_machine.h"
#include "cli/report_text.h"
#include "cli/run_open.h"
#include "cli/units.h"

enum { KEY_JSON = 256, KEY_MEMORY, KEY_DISK, KEY_MODEL, KEY_PATTERN, KEY_KEEP };

struct options {
    const char *trace, *model, *output, *pattern;
    char ** command;   /* to be recorded; NULL: there is a trace */
    const char * keep; /* folder for what is recorded; "": a new one; NULL: it is not kept */
    struct planning_request request;
    bool json;
};

static const struct argp_option table[] = {
    { "memory", KEY_MEMORY, "SIZE", 0, "Memory for the program and its model, such as 4G. Required", 0 },
    { "disk", KEY_DISK, "auto|RATE", 0,
      "How fast the disk reads: 2G/s; auto: as `tat doctor --disk` measured the disk that the model is on. Default: "
      "auto",
      0 },
    { "model", KEY_MODEL, "FILE|MODEL", 0,
      "The model's file, if it is no longer where the trace says; or, if several models computed, the one to plan for: "
      "its number, all or part of its file's name, or a part such as draft. If there is no trace, some tokens of "
      "`llama-completion -m FILE -c 512` are recorded first",
      0 },
    { "keep", KEY_KEEP, "DIR", OPTION_ARG_OPTIONAL,
      "Keep the trace that is recorded for the plan, in a new folder in ./traces or in DIR", 0 },
    { "output", 'o', "FILE", 0, "Write the plan here. Default: plan.json in the trace's folder analysis", 0 },
    { "access-pattern", KEY_PATTERN, "FILE", 0,
      "Also write, as JSON, which slices each generated token read, in order, and how many tokens had the same order",
      0 },
    { "json", KEY_JSON, NULL, 0, "Print the plan as JSON", 0 },
    { 0 },
};

static uint64_t parse_size(const char * text, struct argp_state * state) {
    uint64_t bytes = 0;
    if (!parse_bytes(text, &bytes)) { argp_error(state, "'%s' is not a size such as 4G", text); }
    return bytes;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    uint64_t rate;
    switch (key) {
        case KEY_JSON: o->json = true; return 0;
        case KEY_MEMORY: o->request.memory_bytes = parse_size(argument, state); return 0;
        case KEY_DISK:
            rate = 0;
            if (strcmp(argument, "auto") != 0 && !parse_rate(argument, &rate)) {
                argp_error(state, "--disk '%s': must be auto or a rate such as 2G/s", argument);
            }
            o->request.disk_rate = (double) rate;
            return 0;
        case KEY_MODEL: o->model = argument; return 0;
        case 'o': o->output = argument; return 0;
        case KEY_PATTERN: o->pattern = argument; return 0;
        case KEY_KEEP: o->keep = argument ? argument : ""; return 0;
        case ARGP_KEY_ARG:
            if (state->quoted && state->next > state->quoted) { /* behind "--" */
                o->command = state->argv + state->next - 1;
                state->next = state->argc;
                return 0;
            }
            if (o->trace) { argp_error(state, "name only one trace"); }
            o->trace = argument;
            return 0;
        case ARGP_KEY_END:
            if (!o->request.memory_bytes) { argp_error(state, "say how much memory there is: --memory 4G"); }
            if (o->trace && o->command) { argp_error(state, "name either a trace or a command to record"); }
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- writing ---- */

enum { INDENT = 1 };

static int write_named(const char * path, const json_t * json, struct tat_error * error) {
    struct file_replace file;
    return file_replace_open(&file, path, error) == 0 ? json_file_end(&file, json, INDENT, error) : -1;
}

/* Beside the trace. A trace that is a file without a folder has no such place. */
static int write_beside(const char * run, const json_t * plan, char path[static PATH_MAX], struct tat_error * error) {
    struct file_replace file;
    char folder[PATH_MAX];
    struct stat status;
    if (stat(run, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s is not a folder: say where the plan goes, -o FILE", run);
    }
    if (snprintf(folder, sizeof folder, "%s/analysis", run) >= (int) sizeof folder ||
        snprintf(path, PATH_MAX, "%s/plan.json", folder) >= PATH_MAX) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s: too long a path", run);
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return tat_fail_errno(error, "%s: cannot make this folder; -o FILE writes the plan elsewhere", folder);
    }
    if (file_replace_begin(&file, folder, "plan.json", error) != 0) { return -1; }
    return json_file_end(&file, plan, INDENT, error);
}

static int print(const struct options * o, const json_t * plan, const char * path, struct tat_error * error) {
    pager_open();
    errno = ENOMEM;
    int status = o->json ? report_json(plan, stdout) : report_text(plan, true, stdout);
    if (status == 0 && !o->json && *path) { printf("The plan: %s\n", path); }
    if (status == 0 && !o->json && !*path) {
        printf("The trace is not kept (--keep keeps it), nor where each piece goes (-o FILE writes that).\n");
    }
    if (status == 0 && !o->json && o->pattern) { printf("The access pattern: %s\n", o->pattern); }
    if (status == 0) { status = fflush(stdout); }
    return status == 0 ? 0 : tat_fail_errno(error, "cannot write the plan");
}

/* ---- all ---- */

static bool is_file(const char * path) {
    struct stat status;
    return path && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* The model: a file, or one of the trace's. */
static int choose_model(const struct tat_trace * trace, struct options * o, struct tat_error * error) {
    if (!o->model || is_file(o->model)) { return 0; }
    if (strchr(o->model, '/')) { return tat_fail_errno(error, "%s", o->model); }
    o->request.model = tat_trace_find_model(trace, o->model, error);
    if (o->request.model) { return 0; }
    const size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, "; nor is there a file '%s'", o->model);
    return -1;
}

/* Whether there is anything to do, or the trace does not tell. */
static int answer_of(const json_t * plan) {
    const char * gate = json_string_value(json_object_get(json_object_get(plan, "values"), "gate"));
    if (gate && strcmp(gate, "unclear") == 0) { return TAT_ERROR_INPUT; }
    return gate && strcmp(gate, "open") == 0 ? TAT_OK : TAT_ERROR_NO;
}

static int write_pattern(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    json_t * pattern = planning_access_pattern(trace, &o->request, error);
    const int status = pattern ? write_named(o->pattern, pattern, error) : -1;
    json_decref(pattern);
    return status;
}

/* ---- recording ---- */

/* The command for a file alone, as long as one is looked for. NULL: there is a trace, or no such program. */
static char ** command_for(const char * model) {
    static char tokens[16];
    static const char * const programs[] = { "llama-completion", "llama-cli" };
    static char * command[] = { NULL,
                                "-m",
                                NULL,
                                "-c",
                                "512",
                                "-n",
                                tokens,
                                "--temp",
                                "0",
                                "--ignore-eos",
                                "-no-cnv",
                                "-p",
                                "The history of the world in short: first, there was",
                                NULL };
    char path[PATH_MAX];
    snprintf(tokens, sizeof tokens, "%d", BRIEF_TOKENS + 2);
    command[2] = (char *) model;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        command[0] = (char *) programs[i];
        if (places_program(programs[i], path) == 0) { return command; }
    }
    return NULL;
}

/* Makes a trace if none is named, and a command or a model's file is. 0, or -1 with *error. */
static int record(struct options * o, struct brief_recording * recorded, struct tat_error * error) {
    const bool is_of_file = !o->command && !o->trace && is_file(o->model);
    if (is_of_file) { o->command = command_for(o->model); }
    if (is_of_file && !o->command) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "llama-completion is not on PATH to record %s with: name the command, tat plan --memory 4G -- "
                        "COMMAND, or a trace",
                        o->model);
    }
    if (!o->command) {
        return o->keep ? tat_fail(error, TAT_ERROR_USAGE, "--keep: no trace is recorded, as no command is named") : 0;
    }
    if (getenv("TAT_RUN_DIR")) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "a command cannot be recorded within `tat record`, or while TAT_RUN_DIR is set");
    }
    if (caller_become(error) != 0 || brief_recording_make(recorded, "plan", o->command, o->keep, error) != 0) {
        return -1;
    }
    o->trace = recorded->folder;
    return 0;
}

/* ---- the plan ---- */

/* `tat run` says by it what to expect. If it cannot be kept, that is no failure of this command. */
static void keep_plan(const struct options * o, const json_t * plan) {
    struct tat_error ignored;
    if (!o->command) { return; }
    json_t * key = plan_kept_key(o->command, o->request.memory_bytes, (uint64_t) o->request.disk_rate);
    plan_kept_put(key, plan, &ignored);
    json_decref(key);
}

static int write_plan(const struct options * o, const char * folder, const json_t * plan, char path[static PATH_MAX],
                      struct tat_error * error) {
    *path = '\0';
    if (o->output) {
        snprintf(path, PATH_MAX, "%s", o->output);
        return write_named(o->output, plan, error);
    }
    return o->command && !o->keep ? 0 : write_beside(folder, plan, path, error);
}

static int plan_trace(struct options * o, int * answer, struct tat_error * error) {
    struct plan_machine machine = { 0 };
    char folder[PATH_MAX], path[PATH_MAX] = "";
    struct tat_trace * trace = run_open(o->trace, folder, error);
    if (!trace) { return -1; }
    int status = choose_model(trace, o, error);
    if (status == 0) {
        status = plan_machine_find(&machine, trace, is_file(o->model) ? o->model : NULL, &o->request, error);
    }
    json_t * plan = status == 0 ? planning_make(trace, &o->request, error) : NULL;
    status = plan ? write_plan(o, folder, plan, path, error) : -1;
    if (status == 0) { keep_plan(o, plan); }
    if (status == 0 && o->pattern) { status = write_pattern(o, trace, error); }
    if (status == 0) { status = print(o, plan, path, error); }
    if (status == 0) { *answer = answer_of(plan); }
    json_decref(plan);
    plan_machine_free(&machine);
    tat_trace_close(trace);
    return status;
}

static int run(int argc, char ** argv) {
    struct options o = { 0 };
    struct brief_recording recorded = { .lock = -1 };
    struct tat_error error;
    int answer = TAT_OK;
    command_parse(&cmd_plan, parse, argc, argv, ARGP_IN_ORDER, &o);
    int status = record(&o, &recorded, &error);
    if (status == 0) { status = plan_trace(&o, &answer, &error); }
    brief_recording_end(&recorded);
    return status != 0 ? command_fail(&cmd_plan, &error) : answer;
}

const struct command cmd_plan = {
    .name = "plan",
    .summary = "say what of a model to keep in memory, and what that gains",
    .arguments = "[TRACE | -- COMMAND [ARGUMENT...]]",
    .description =
        "For a model that does not fit in memory: says which parts to pin, to stream ahead of their use, to cache or "
        "to leave to the kernel, and how many tokens/s to expect of that, beside the bounds of each strategy and plain "
        "mmap. A recorded run tells which weights its tokens needed, in which order, which experts were chosen, and "
        "how long computing took. If you name a command instead of a trace, some of its tokens are recorded first, "
        "without input and output. Nothing is changed. The exit status is 1 if there is nothing to gain or nothing can "
        "be done: the model fits, the gain is under 5 %, or its weights are not in a mapping of its file. It is 3 if "
        "the trace does not tell, because the run waited for its disk.",
    .examples = "  tat plan --memory 4G                 for the newest trace\n"
                "  tat plan --memory 4G --disk 2G/s     for a disk that was not measured\n"
                "  tat plan --memory 4G -o plan.json --access-pattern access_pattern.json\n"
                "  tat plan --memory 4G --json RUN      for a program\n"
                "  tat plan --memory 4G -- llama-completion -m big.gguf -c 512 -p Hello -n 100\n"
                "  tat plan --memory 4G --model big.gguf",
    .options = table,
    .run = run,
};
