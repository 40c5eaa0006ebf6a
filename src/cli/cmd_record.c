/* SPDX-License-Identifier: MIT
 *
 * tat record: runs a command with the agent in it. What the agent is told, it is told by the environment.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/caller.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/launch.h"
#include "cli/places.h"
#include "cli/record_io.h"
#include "cli/recording.h"
#include "cli/run_pressure.h"
#include "cli/run_watch.h"
#include "cli/target.h"
#include "cli/units.h"
#include "format/number_set.h"
#include "pressure/memory_group.h"

struct options {
    char ** command;
    const char * folder;
    uint64_t max_size; /* 0: none given */
    bool exact_time;
    bool io;
    bool as_root;
    struct run_pressure pressure;
    void (*too_large)(int); /* what SIGXFSZ did before */
};

enum { KEY_PRIVATE = 256, KEY_MAX_SIZE, KEY_TOKENS, KEY_EXACT_TIME, KEY_IO, KEY_MEMORY, KEY_COLD, KEY_AS_ROOT };

static const struct argp_option options_table[] = {
    { "output", 'o', "DIR", 0,
      "Write into DIR, which must be new or empty, instead of a new folder in ./traces. `tat list` shows it there, and "
      "it counts as the newest trace, unless it is private",
      0 },
    { "private", KEY_PRIVATE, NULL, 0,
      "Leave out token ids, prompts, the host name and the environment; in paths, ~ stands for the home folder", 0 },
    { "max-size", KEY_MAX_SIZE, "SIZE", 0,
      "Stop recording before the trace is larger than SIZE: 500MB, 2GiB. With --io, the file of page faults may take "
      "as "
      "much again",
      0 },
    { "tokens", KEY_TOKENS, "A:B", 0,
      "Record in full only graphs that compute tokens A to B; other graphs are only counted. Token numbers start at 0 "
      "in each context, without warm-up. A or B can be omitted",
      0 },
    { "exact-time", KEY_EXACT_TIME, NULL, 0,
      "Time each node until its slowest thread has finished, not only thread 0, and record how long thread 0 waited. "
      "Costs a few nanoseconds per barrier and thread",
      0 },
    { "io", KEY_IO, NULL, 0,
      "Record page faults too, and how long threads waited in them; as root, or under sudo, also what came into the "
      "page "
      "cache and left it and what the disk read. `tat doctor` says what works here; what does not is said, and sampled "
      "where it can be",
      0 },
    { "memory", KEY_MEMORY, "SIZE", 0,
      "Limit the program, and what it starts, to SIZE of memory, such as 2GB: page cache included, swap off. Says "
      "beforehand what must fit, and implies --cold. Needs cgroups that you may make: run tat with sudo, or with "
      "`systemd-run --user --scope`",
      0 },
    { "cold", KEY_COLD, "FILE", OPTION_ARG_OPTIONAL,
      "Before the program begins, evict the GGUF files that the command names from the page cache, so that they are "
      "read from disk; with =FILE, that file too. --memory implies it: pages that are in memory already would not "
      "count",
      0 },
    { "as-root", KEY_AS_ROOT, NULL, 0,
      "Under sudo, run the program as root too. Without this it runs as the user who called sudo", 0 },
    { 0 },
};

/* What the agent understands: a range with its colon, where one end may be missing. */
static bool is_token_range(const char * text) {
    struct number_range range;
    return strchr(text, ':') && number_range_read(text, number_read, &range) && range.first <= range.last;
}

enum { SMALLEST_TRACE = 128 << 10 }; /* the agent begins none without so much room */

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case 'o': options->folder = argument; return 0;
        case KEY_PRIVATE: setenv("TAT_PRIVATE", "1", 1); return 0;
        case KEY_MAX_SIZE:
            if (!parse_bytes(argument, &options->max_size)) {
                argp_error(state, "'%s' is not a size such as 500MB", argument);
            }
            if (options->max_size < SMALLEST_TRACE) { argp_error(state, "--max-size: a trace needs at least 128KiB"); }
            return 0;
        case KEY_TOKENS:
            if (!is_token_range(argument)) {
                argp_error(state, "'%s' is not a range of tokens such as 10:19", argument);
            }
            setenv("TAT_TOKENS", argument, 1);
            return 0;
        case KEY_EXACT_TIME: options->exact_time = true; return 0;
        case KEY_IO: options->io = true; return 0;
        case KEY_MEMORY:
            if (!parse_bytes(argument, &options->pressure.limit)) {
                argp_error(state, "'%s' is not a size such as 2GB", argument);
            }
            if (options->pressure.limit < MEMORY_GROUP_LEAST) {
                argp_error(state, "--memory %s: that is %" PRIu64 " bytes; at least 1MiB, as in 200MB", argument,
                           options->pressure.limit);
            }
            return 0;
        case KEY_COLD: run_pressure_add_cold(&options->pressure, argument); return 0;
        case KEY_AS_ROOT: options->as_root = true; return 0;
        case ARGP_KEY_ARGS: options->command = state->argv + state->next; return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name the command to trace: tat record -- COMMAND"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the run ---- */

struct run {
    struct run_watch seen;
    struct recording trace;
    struct io_recorder * io;
    struct options * options;
};

static bool look(void * state) {
    return run_watch_look(&((struct run *) state)->seen);
}

static bool goes_on(void * state) {
    return run_watch_goes_on(&((struct run *) state)->seen);
}

static bool starts(pid_t pid, void * state) {
    struct run * r = state;
    const struct options * o = r->options;
    struct tat_error error;
    if (run_pressure_enter(&o->pressure, pid, &error) != 0) {
        command_fail(&cmd_record, &error);
        return false;
    }
    if (o->io) { r->io = record_io_start(pid, r->trace.folder, o->max_size, o->command); }
    return true;
}

static int prepare(void * state) {
    return launch_prepare(((struct run *) state)->options->too_large);
}

static void say_what_is_missing(const struct run * r, const char * obstacle, int wait_status) {
    const struct recording * trace = &r->trace;
    if (trace->left) {
        run_watch_say_left(&r->seen);
    } else if (trace->traces == 0 && obstacle) {
        fprintf(stderr, "tat record: no trace: see the warning above\n");
    } else if (trace->traces == 0 && trace->is_gone) {
        fprintf(stderr, "tat record: no trace: %s was deleted or renamed meanwhile\n", trace->folder);
    } else if (trace->traces == 0 && trace->failures == 0) {
        run_watch_say_why(&r->seen, wait_status);
    }
}

static int record(struct run * r, const char * program, const char * agent) {
    struct options * o = r->options;
    const char * obstacle = target_obstacle(program);
    if (obstacle) { fprintf(stderr, "tat record: warning: %s %s\n", program, obstacle); }
    r->seen = (struct run_watch){
        .command = "record", .folder = r->trace.folder, .variable = "TAT_RUN_DIR", .library = agent, .program = program
    };
    const struct child_watch watch = { look, goes_on, starts, prepare, r };
    int wait_status;
    bool left;
    const int why = child_run(program, o->command, &watch, &wait_status, &left);
    record_io_stop(r->io);
    run_pressure_end(&o->pressure);
    recording_say_reports(&r->trace);
    if (why) {
        recording_cancel(&r->trace);
        return why == ECANCELED ? TAT_ERROR_SYSTEM : launch_not_started("record", o->command[0], why);
    }
    const struct tat_run_info info = run_pressure_info(&o->pressure, o->command, wait_status);
    recording_finish(&r->trace, &info, wait_status, left);
    say_what_is_missing(r, obstacle, wait_status);
    run_watch_free(&r->seen);
    child_end_alike(wait_status);
}

static int run(int argc, char ** argv) {
    /* A limit on the size of files is for the program's; of ours, it is an error like a full disk. */
    struct options options = { .too_large = signal(SIGXFSZ, SIG_IGN), .pressure = { .command = "record" } };
    struct run r = { .options = &options };
    struct tat_error error;
    char program[PATH_MAX], agent[PATH_MAX];
    command_parse(&cmd_record, parse, argc, argv, ARGP_IN_ORDER, &options);
    if (!options.as_root && caller_become(&error) != 0) { return command_fail(&cmd_record, &error); }
    const int why = places_program(options.command[0], program);
    if (why) { return launch_not_started("record", options.command[0], why); }
    if (places_agent(options.exact_time, agent, &error) != 0 ||
        recording_begin(&r.trace, "record", options.folder, options.max_size, &error) != 0) {
        return command_fail(&cmd_record, &error);
    }
    int status;
    if (launch_preload(agent) != 0) {
        tat_fail_errno(&error, "cannot set the environment");
        status = command_fail(&cmd_record, &error);
        recording_cancel(&r.trace);
    } else if (run_pressure_begin(&options.pressure, options.command, &error) != 0) {
        status = command_fail(&cmd_record, &error);
        recording_cancel(&r.trace);
    } else {
        status = record(&r, program, agent);
    }
    recording_end(&r.trace);
    run_pressure_free(&options.pressure);
    return status;
}

const struct command cmd_record = {
    .name = "record",
    .summary = "run a command and trace it",
    .arguments = "-- COMMAND [ARGUMENT...]",
    .description =
        "Runs a command and records every tensor access of the llama.cpp in it, in whichever process that runs. The "
        "command's input, output and signals are untouched. The program needs no change, but llama.cpp must be in "
        "shared libraries. If there is no trace at the end, tat says why. If the command leaves processes running in "
        "the background, tat waits for them; Ctrl-C ends the wait, and they go on running and recording. The exit "
        "status is the command's; if a signal kills the command, the same signal ends tat. As in a shell, 127 means "
        "that there is no such program, and 126 that it cannot be run.",
    .examples = "  tat record -- llama-completion -m model.gguf -no-cnv -p \"Hello\" -n 100\n"
                "  sudo tat record --io --memory 2GB -- llama-cli -m model.gguf -c 512\n"
                "  tat record --private -o /data/run1 -- python3 chat.py",
    .options = options_table,
    .run = run,
};
