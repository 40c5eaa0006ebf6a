/* SPDX-License-Identifier: MIT
 *
 * tat record: runs a command with the agent in it. What the agent is told, it is told by the environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/agent_reports.h"
#include "cli/caller.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/places.h"
#include "cli/record_io.h"
#include "cli/run_folder.h"
#include "cli/run_open.h"
#include "cli/run_pressure.h"
#include "cli/run_watch.h"
#include "cli/target.h"
#include "cli/units.h"
#include "format/file_names.h"
#include "format/number_set.h"
#include "io/privilege.h"
#include "pressure/memory_group.h"
#include "tat/run.h"

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
            if (options->pressure.limit < MEMORY_GROUP_LEAST) { argp_error(state, "--memory: at least 1MiB"); }
            return 0;
        case KEY_COLD: run_pressure_add_cold(&options->pressure, argument); return 0;
        case KEY_AS_ROOT: options->as_root = true; return 0;
        case ARGP_KEY_ARGS: options->command = state->argv + state->next; return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name the command to trace: tat record -- COMMAND"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- before the run ---- */

/* A trace in a folder of the user's choice, unless nobody is to know of it. */
static bool is_remembered(const struct options * options) {
    const char * is_private = getenv("TAT_PRIVATE");
    return options->folder && (!is_private || !*is_private || strcmp(is_private, "0") == 0);
}

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
        return tat_fail_errno(error, "cannot set the environment");
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
    int wait_status;
    bool left; /* some of its processes still run */
    bool is_remembered;
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

/* Two digits: it is an estimate, and of slow runs too small to tell. */
static const char * format_overhead(char text[static UNITS_SIZE], double share) {
    if (share > 0 && share < 1e-4) {
        snprintf(text, UNITS_SIZE, "below 0.01 %%");
    } else {
        snprintf(text, UNITS_SIZE, "about %.2g %%", 100 * share);
    }
    return text;
}

static void say_totals(const char * folder, const struct tat_run_totals * t) {
    char graphs[UNITS_SIZE], accesses[UNITS_SIZE], bytes[UNITS_SIZE], time[UNITS_SIZE], lost[UNITS_SIZE],
        size[UNITS_SIZE], overhead[UNITS_SIZE];
    fputs("tat: ", stderr);
    say_tokens(t->tokens);
    fprintf(stderr, "; %s graphs in %s, %s accesses to %s, %s lost, overhead %s; %s in %s",
            format_count(graphs, t->evaluations), format_duration(time, t->graph_ns),
            format_count(accesses, t->accesses), format_bytes(bytes, t->bytes), format_count(lost, t->lost),
            format_overhead(overhead, t->overhead), format_bytes(size, t->file_bytes), folder);
    if (t->checks_failed) {
        fprintf(stderr, "; %u check%s FAILED, see `tat verify`", t->checks_failed, t->checks_failed == 1 ? "" : "s");
    }
    fputc('\n', stderr);
    if (*t->caveats) { fprintf(stderr, "tat: %s\n", t->caveats); }
    if (*t->failure) { fprintf(stderr, "tat: %s\n", t->failure); }
}

static bool is_still_written(const char * folder) {
    struct tat_error error;
    struct tat_trace * trace = tat_trace_open(folder, &error);
    const bool is_alive = trace && run_is_alive(trace);
    tat_trace_close(trace);
    return is_alive;
}

/* Without a trace, page faults tell nothing. What is not ours stays, and the folder with it. */
static void remove_folder(const char * folder) {
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/" IO_EVENTS_FILE, folder);
    unlink(file);
    rmdir(folder);
}

/* Writes what stands beside a trace, and says in a line what it comes to. */
static void finish_run(const char * folder, void * state) {
    struct finished * finished = state;
    struct tat_run_totals totals;
    struct tat_error error;
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/" TRACE_FILE, folder);
    if (access(file, F_OK) != 0) {
        if (!finished->left) { remove_folder(folder); }
        return;
    }
    finished->traces++;
    if (finished->is_remembered) { run_remember(folder); } /* those of further processes too */
    if (finished->left && is_still_written(folder)) { return; }
    if (tat_run_seal(folder, finished->info, &totals, &error) != 0) {
        command_fail(&cmd_record, &error);
        return;
    }
    say_totals(folder, &totals);
    if (totals.evaluations == 0 && WIFSIGNALED(finished->wait_status)) {
        fprintf(stderr, "tat record: the program was killed by signal %d (%s) in its first graph, which is lost\n",
                WTERMSIG(finished->wait_status), strsignal(WTERMSIG(finished->wait_status)));
    }
}

/* ---- the run ---- */

struct recording {
    struct run_watch seen;
    const char * folder;
    char ** command;
    bool wants_io;
    uint64_t max_size; /* 0: none given */
    struct io_recorder * io;
    struct run_pressure * pressure;
    void (*too_large)(int); /* what SIGXFSZ did before */
};

static bool look(void * state) {
    return run_watch_look(&((struct recording *) state)->seen);
}

static bool goes_on(void * state) {
    return run_watch_goes_on(&((struct recording *) state)->seen);
}

static bool starts(pid_t pid, void * state) {
    struct recording * r = state;
    struct tat_error error;
    if (run_pressure_enter(r->pressure, pid, &error) != 0) {
        command_fail(&cmd_record, &error);
        return false;
    }
    if (r->wants_io) { r->io = record_io_start(pid, r->folder, r->max_size, r->command); }
    return true;
}

static int prepare(void * state) {
    const struct recording * r = state;
    signal(SIGXFSZ, r->too_large);
    return privilege_drop();
}

static int record(struct options * options, const char * program, const char * agent, const char * folder) {
    const char * obstacle = target_obstacle(program);
    if (obstacle) { warn(obstacle, program); }
    check_space(folder, options->max_size);
    struct recording recording = { .seen = { .folder = folder, .agent = agent, .program = program },
                                   .folder = folder,
                                   .command = options->command,
                                   .wants_io = options->io,
                                   .max_size = options->max_size,
                                   .pressure = &options->pressure,
                                   .too_large = options->too_large };
    struct run_watch * seen = &recording.seen;
    const struct child_watch watch = { look, goes_on, starts, prepare, &recording };
    const int reports = agent_reports_open(folder);
    struct finished finished = { .is_remembered = is_remembered(options) };
    struct timespec began;
    clock_gettime(CLOCK_REALTIME_COARSE, &began);
    const int why = child_run(program, options->command, &watch, &finished.wait_status, &finished.left);
    record_io_stop(recording.io);
    run_pressure_end(&options->pressure);
    const unsigned failures = agent_reports_print(reports, folder);
    agent_reports_close(reports, folder);
    if (why) {
        remove_folder(folder);
        if (why == ECANCELED) { return TAT_ERROR_SYSTEM; }
        return not_started(options->command[0], why);
    }
    int argc = 0;
    while (options->command[argc]) { argc++; }
    const struct tat_run_info info = { argc,
                                       options->command,
                                       child_status(finished.wait_status),
                                       .memory = &options->pressure.memory,
                                       .cold = options->pressure.cold,
                                       .n_cold = options->pressure.n_cold };
    finished.info = &info;
    const bool is_gone = access(folder, F_OK) != 0;
    run_each_process(folder, &began, finish_run, &finished);
    if (finished.left) {
        run_watch_say_left(seen);
    } else if (finished.traces == 0 && obstacle) {
        fprintf(stderr, "tat record: no trace: see the warning above\n");
    } else if (finished.traces == 0 && is_gone) {
        fprintf(stderr, "tat record: no trace: %s was deleted or renamed meanwhile\n", folder);
    } else if (finished.traces == 0 && failures == 0) {
        run_watch_say_why(seen, finished.wait_status);
    }
    run_watch_free(seen);
    child_end_alike(finished.wait_status);
}

static int run(int argc, char ** argv) {
    /* A limit on the size of files is for the program's; of ours, it is an error like a full disk. */
    struct options options = { .too_large = signal(SIGXFSZ, SIG_IGN) };
    struct tat_error error;
    char program[PATH_MAX], agent[PATH_MAX], folder[PATH_MAX];
    command_parse(&cmd_record, parse, argc, argv, ARGP_IN_ORDER, &options);
    if (!options.as_root && caller_become(&error) != 0) { return command_fail(&cmd_record, &error); }
    const int why = places_program(options.command[0], program);
    if (why) { return not_started(options.command[0], why); }
    if (places_agent(options.exact_time, agent, &error) != 0 || run_create(options.folder, folder, &error) != 0) {
        return command_fail(&cmd_record, &error);
    }
    if (getenv("TAT_RUN_DIR")) { agent_reports_tell(getenv("TAT_RUN_DIR"), folder); }
    const int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* `tat rm` leaves it alone meanwhile */
    if (lock >= 0) { flock(lock, LOCK_SH); }
    if (is_remembered(&options)) { run_remember(folder); }
    const bool ready = set_environment(agent, folder, options.max_size, &error) == 0 &&
                       run_pressure_begin(&options.pressure, options.command, &error) == 0;
    if (!ready) { remove_folder(folder); }
    const int status = ready ? record(&options, program, agent, folder) : command_fail(&cmd_record, &error);
    if (lock >= 0) { close(lock); }
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
    .examples = "  tat record -- llama-completion -m model.gguf -p \"Hello\" -n 100\n"
                "  sudo tat record --io --memory 2GB -- llama-completion -m model.gguf -c 512 -n 16\n"
                "  tat record --private -o /data/run1 -- python3 chat.py",
    .options = options_table,
    .run = run,
};
