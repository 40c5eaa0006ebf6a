/* SPDX-License-Identifier: MIT
 *
 * tat record: runs a command with the agent in it. What the agent is told, it is told by the environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/command.h"
#include "cli/places.h"
#include "cli/run_folder.h"
#include "cli/target.h"
#include "cli/units.h"
#include "doctor/doctor.h"
#include "export/access_filter.h"
#include "tat/run.h"

struct options {
    char ** command;
    const char * folder;
    uint64_t max_size; /* 0: none given */
    bool exact_time;
};

enum { KEY_PRIVATE = 256, KEY_MAX_SIZE, KEY_TOKENS, KEY_EXACT_TIME };

static const struct argp_option options_table[] = {
    { "output", 'o', "DIR", 0, "Write into this folder, which must be new or empty, in place of a new one in ./traces",
      0 },
    { "private", KEY_PRIVATE, NULL, 0,
      "Leave out token ids, prompts, the host's name, the environment and the paths of files", 0 },
    { "max-size", KEY_MAX_SIZE, "SIZE", 0, "End the trace before it is larger than this: 500MB, 2GiB", 0 },
    { "tokens", KEY_TOKENS, "A:B", 0,
      "Record in full only graphs with tokens A to B, counted from 0 in each context without warm-up; either may be "
      "left "
      "out. Of other graphs, only that they were computed",
      0 },
    { "exact-time", KEY_EXACT_TIME, NULL, 0,
      "Time a node until its slowest thread has finished, not thread 0 alone, and note what thread 0 waited. Costs a "
      "few nanoseconds at each barrier of each thread",
      0 },
    { 0 },
};

/* What the agent understands: a range with its colon, where one end may be missing. */
static bool is_token_range(const char * text) {
    struct access_range range;
    return strchr(text, ':') && !access_range_parse(text, &range);
}

enum { SMALLEST_TRACE = 128 << 10 }; /* the agent begins none without so much room */

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case 'o': options->folder = argument; return 0;
        case KEY_PRIVATE: setenv("TAT_PRIVATE", "1", 1); return 0;
        case KEY_MAX_SIZE:
            if (!parse_bytes(argument, &options->max_size)) { argp_error(state, "'%s' is no size", argument); }
            if (options->max_size < SMALLEST_TRACE) { argp_error(state, "--max-size: no trace is under 128KiB"); }
            return 0;
        case KEY_TOKENS:
            if (!is_token_range(argument)) { argp_error(state, "'%s' is no range of tokens: 10:19", argument); }
            setenv("TAT_TOKENS", argument, 1);
            return 0;
        case KEY_EXACT_TIME: options->exact_time = true; return 0;
        case ARGP_KEY_ARGS: options->command = state->argv + state->next; return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name the command to trace: tat record -- COMMAND"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- before the run ---- */

static void warn(const char * text, const char * about) {
    fprintf(stderr, "tat record: warning: %s %s\n", about, text);
}

static void check_space(const char * folder, uint64_t max_size) {
    enum { SOME = 256 << 20 };
    struct statvfs disk;
    char size[UNITS_SIZE], text[128];
    if (statvfs(folder, &disk) != 0) { return; }
    const uint64_t is_free = (uint64_t) disk.f_bavail * disk.f_frsize;
    if (is_free >= (max_size ? max_size : SOME)) { return; }
    snprintf(text, sizeof text, "has only %s free: the trace may end early", format_bytes(size, is_free));
    warn(text, folder);
}

/* What was there to be preloaded stays; an unset or empty LD_PRELOAD would leave a stray separator. */
static int preload(const char * agent) {
    const char * before = getenv("LD_PRELOAD");
    char * both;
    if (!before || !*before) { return setenv("LD_PRELOAD", agent, 1); }
    if (asprintf(&both, "%s:%s", agent, before) < 0) { return -1; }
    const int result = setenv("LD_PRELOAD", both, 1);
    free(both);
    return result;
}

static int set_environment(const char * agent, const char * folder, uint64_t max_size, struct tat_error * error) {
    char size[UNITS_SIZE];
    snprintf(size, sizeof size, "%llu", (unsigned long long) max_size);
    if (preload(agent) != 0 || setenv("TAT_RUN_DIR", folder, 1) != 0 ||
        (max_size && setenv("TAT_MAX_SIZE", size, 1) != 0)) {
        return tat_fail_errno(error, "environment");
    }
    return 0;
}

/* As shells do: 127 if there is no such program, 126 if it cannot be run. */
static int not_started(const char * name, int why) {
    fprintf(stderr, "tat record: %s: %s\n", name, why == ENOENT ? "no such program" : strerror(why));
    return why == ENOENT ? 127 : 126;
}

/* ---- after the run ---- */

struct finished {
    const struct tat_run_info * info;
    unsigned traces;
};

/* "2 warm-up, 5 prompt, 99 generated tokens" */
static void say_tokens(const uint64_t tokens[TAT_PHASE_COUNT]) {
    static const char * const names[] = { "warm-up", "prompt", "generated", "mixed", "other", "verified", "unclear" };
    static_assert(sizeof names / sizeof names[0] == TAT_PHASE_COUNT, "each has a name");
    const char * comma = "";
    char count[UNITS_SIZE];
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
        if (!tokens[phase]) { continue; }
        fprintf(stderr, "%s%s %s", comma, format_count(count, tokens[phase]), names[phase]);
        comma = ", ";
    }
    fputs(*comma ? " tokens" : "no tokens", stderr);
}

static void say_totals(const char * folder, const struct tat_run_totals * t) {
    char graphs[UNITS_SIZE], accesses[UNITS_SIZE], bytes[UNITS_SIZE], time[UNITS_SIZE], lost[UNITS_SIZE],
        size[UNITS_SIZE];
    fputs("tat: ", stderr);
    say_tokens(t->tokens);
    fprintf(stderr, "; %s graphs in %s, %s accesses to %s, %s lost, overhead about %.2g %%; %s in %s",
            format_count(graphs, t->evaluations), format_duration(time, t->graph_ns),
            format_count(accesses, t->accesses), format_bytes(bytes, t->bytes), format_count(lost, t->lost),
            100 * t->overhead, format_bytes(size, t->file_bytes), folder);
    if (t->checks_failed) { fprintf(stderr, "; %u checks FAILED, see `tat verify'", t->checks_failed); }
    fputc('\n', stderr);
}

/* Writes what stands beside a trace, and says in a line what it comes to. */
static void finish_run(const char * folder, void * state) {
    struct finished * finished = state;
    struct tat_run_totals totals;
    struct tat_error error;
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/" RUN_TRACE_FILE, folder);
    if (access(file, F_OK) != 0) {
        rmdir(folder); /* ours, and empty: else it stays */
        return;
    }
    finished->traces++;
    if (tat_run_seal(folder, finished->info, &totals, &error) == 0) {
        say_totals(folder, &totals);
    } else {
        command_fail(&cmd_record, &error);
    }
}

static void explain_no_trace(const char * program, bool was_warned, int status) {
    char reason[1024];
    if (was_warned) {
        fprintf(stderr, "tat record: no trace, as the warning said\n");
    } else if (doctor_reason(program, reason, sizeof reason)) {
        fprintf(stderr, "tat record: no trace: %s\n", reason);
    } else if (status != 0) {
        fprintf(stderr, "tat record: no trace: %s ended with status %d before it computed a graph that could be seen\n",
                program, status);
    } else {
        fprintf(
            stderr,
            "tat record: no trace: %s computed no graph that could be seen. If it should have: its ggml, or that of a "
            "program it started, is linked statically or with -Bsymbolic; `tat doctor PID' tells while it runs\n",
            program);
    }
}

/* ---- the run ---- */

static int record(const struct options * options, const char * program, const char * folder) {
    const char * obstacle = target_obstacle(program);
    if (obstacle) { warn(obstacle, program); }
    check_space(folder, options->max_size);
    int wait_status;
    const int why = child_run(program, options->command, &wait_status);
    if (why) {
        rmdir(folder);
        return not_started(options->command[0], why);
    }
    int argc = 0;
    while (options->command[argc]) { argc++; }
    const struct tat_run_info info = { argc, options->command, child_status(wait_status) };
    struct finished finished = { .info = &info };
    run_each_process(folder, finish_run, &finished);
    if (finished.traces == 0) { explain_no_trace(program, obstacle != NULL, info.exit_status); }
    child_end_alike(wait_status);
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct tat_error error;
    char program[PATH_MAX], agent[PATH_MAX], folder[PATH_MAX];
    command_parse(&cmd_record, parse, argc, argv, ARGP_IN_ORDER, &options);
    const int why = places_program(options.command[0], program);
    if (why) { return not_started(options.command[0], why); }
    if (places_agent(options.exact_time, agent, &error) != 0 || run_create(options.folder, folder, &error) != 0) {
        return command_fail(&cmd_record, &error);
    }
    const int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* `tat rm` leaves it alone meanwhile */
    if (lock >= 0) { flock(lock, LOCK_SH); }
    const int status = set_environment(agent, folder, options.max_size, &error) == 0
                           ? record(&options, program, folder)
                           : command_fail(&cmd_record, &error);
    if (lock >= 0) { close(lock); }
    return status;
}

const struct command cmd_record = {
    .name = "record",
    .summary = "run a command and trace it",
    .arguments = "-- COMMAND [ARGUMENT...]",
    .description =
        "Runs a command with its input, output and signals untouched, and records every tensor access of the llama.cpp "
        "in it, whichever process it is in. The program needs no change, only shared libraries. The exit status is "
        "the command's; if a signal ended it, tat ends by the same one. As in shells, 127 means that there is no such "
        "program and 126 that it cannot be run.",
    .examples = "  tat record -- llama-completion -m model.gguf -p \"Hello\" -n 100\n"
                "  tat record --private -o /data/run1 -- python3 chat.py",
    .options = options_table,
    .run = run,
};
