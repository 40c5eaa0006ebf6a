/* SPDX-License-Identifier: MIT
 *
 * tat run: runs a command with the library in it that manages the memory of its model. What the library is asked to do,
 * it reads in TAT_MANAGE (manage/options.h); what it does, it reports (cli/run_report.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "analysis/disk_kept.h"
#include "analysis/managed_run.h"
#include "cli/brief_recording.h"
#include "cli/caller.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/launch.h"
#include "cli/machine_memory.h"
#include "cli/model_arguments.h"
#include "cli/places.h"
#include "cli/plan_kept.h"
#include "cli/plan_machine.h"
#include "cli/recording.h"
#include "cli/run_line.h"
#include "cli/run_plan.h"
#include "cli/run_pressure.h"
#include "cli/run_report.h"
#include "cli/run_watch.h"
#include "cli/run_words.h"
#include "cli/target.h"
#include "cli/units.h"
#include "plan/reading.h"
#include "pressure/memory_group.h"

enum { STRATEGIES_SIZE = 64 };

struct options {
    char ** command;
    char strategies[STRATEGIES_SIZE]; /* as TAT_MANAGE has them; empty: all */
    const char *reader, *foresee;
    uint64_t disk; /* bytes a second; 0: what was measured */
    bool check, records;
    const char * folder; /* of the trace; NULL: a new one among the traces */
    const char * plan_path;
    bool is_auto; /* --plan auto; then the plan may be missing all the same */
    struct run_plan plan;
    json_t * alike; /* a plan that was kept for this model, whatever its memory; NULL: none */
    struct run_pressure pressure;
    void (*too_large)(int); /* what SIGXFSZ did before */
};

enum { KEY_PLAN = 255, KEY_MEMORY, KEY_STRATEGY, KEY_DISK, KEY_RECORD, KEY_CHECK, KEY_COLD, KEY_READER, KEY_FORESEE };

static const struct argp_option options_table[] = {
    { "memory", KEY_MEMORY, "SIZE", 0,
      "Keep the program, and what it starts, below SIZE of memory, such as 4GB: page cache included, swap off. The "
      "kernel enforces this if tat may make a cgroup; otherwise only what tat manages keeps to it. Default: the limit "
      "of the program's cgroup or container, or the machine's memory",
      0 },
    { "plan", KEY_PLAN, "auto|FILE", 0,
      "Follow a plan of `tat plan`: its memory, unless --memory names another, and the tokens/s that it predicts. If "
      "it found nothing to gain, nothing is managed. With auto, tat takes the last plan for this model, memory and "
      "context; if there is none, it first runs the command without input and output, records some tokens, and makes "
      "one",
      0 },
    { "strategy", KEY_STRATEGY, "LIST", 0,
      "Do only what LIST names, such as pin,stream, to compare strategies. The rest of the model is read page by page, "
      "slower than without tat. Words: pin, stream, cache, demand; or, in the page cache, lock, populate, willneed, "
      "pread (described in doc/run.md). Default: pin,stream,cache",
      0 },
    { "disk", KEY_DISK, "auto|RATE", 0,
      "How fast the disk reads: 2G/s; auto: as `tat doctor --disk` measured the disk that the model is on. Default: "
      "auto",
      0 },
    { "record", KEY_RECORD, "DIR", OPTION_ARG_OPTIONAL,
      "Record every tensor access too, as `tat record` does, into a new folder in ./traces or into DIR", 0 },
    { "check", KEY_CHECK, NULL, 0,
      "Compare each piece of the model with the file after it is read. Every piece is then read twice", 0 },
    { "cold", KEY_COLD, "FILE", OPTION_ARG_OPTIONAL,
      "Before the program begins, evict the GGUF files that the command names from the page cache; with =FILE, that "
      "file too",
      0 },
    { "reader", KEY_READER, "uring|threads", 0,
      "Read by io_uring, or by threads. Default: io_uring where the system allows it", 0 },
    { "foresee", KEY_FORESEE, "router|previous|markov|none", 0,
      "Guess which experts the next layer will choose, and read them while the disk is idle: router (apply the next "
      "layer's router to this layer's input), previous (its choice for the token before), markov (what followed this "
      "layer's choice so far) or none. Default: router",
      0 },
    { 0 },
};

enum { MAY_PIN = 1 << 0, MAY_STREAM = 1 << 1, MAY_CACHE = 1 << 2, LOCK = 1 << 3, AHEAD = 1 << 4 | 1 << 5 | 1 << 6 };

static const char * const strategy_names[] = { "pin",      "stream",   "cache", "lock",
                                               "populate", "willneed", "pread", "demand" };
enum { STRATEGIES = sizeof strategy_names / sizeof *strategy_names };

static void check_strategies(unsigned given, const char * list, struct argp_state * state) {
    const unsigned ahead = given & AHEAD;
    if (ahead & (ahead - 1)) {
        argp_error(state, "--strategy '%s': one of populate, willneed and pread at a time", list);
    }
    if ((given & LOCK) && !ahead && (given & (MAY_STREAM | MAY_CACHE))) {
        argp_error(state, "--strategy '%s': lock is for what is pinned; name populate, willneed or pread for the rest",
                   list);
    }
}

/* "pin,stream" as "pin+stream". */
static void parse_strategies(char text[static STRATEGIES_SIZE], const char * list, struct argp_state * state) {
    unsigned given = 0;
    for (const char * at = list;; at++) {
        const size_t length = strcspn(at, ",+");
        unsigned found = 0;
        for (unsigned i = 0; i < STRATEGIES; i++) {
            if (length == strlen(strategy_names[i]) && memcmp(at, strategy_names[i], length) == 0) { found = 1U << i; }
        }
        if (!found) {
            argp_error(state,
                       "--strategy '%s': name some of pin, stream, cache, lock, populate, willneed, pread and demand",
                       list);
        }
        given |= found;
        at += length;
        if (!*at) { break; }
    }
    check_strategies(given, list, state);
    *text = '\0';
    for (unsigned i = 0; i < STRATEGIES; i++) {
        if (!(given & 1U << i)) { continue; }
        if (*text) { strcat(text, "+"); }
        strcat(text, strategy_names[i]);
    }
}

static bool is_method(const char * text) {
    static const char * const methods[] = { "router", "previous", "markov", "none" };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(text, methods[i]) == 0) { return true; }
    }
    return false;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_MEMORY:
            if (!parse_bytes(argument, &options->pressure.limit)) {
                argp_error(state, "'%s' is not a size such as 4GB", argument);
            }
            if (options->pressure.limit < MEMORY_GROUP_LEAST) {
                argp_error(state, "--memory %s: that is %" PRIu64 " bytes; at least 1MiB, as in 200MB", argument,
                           options->pressure.limit);
            }
            return 0;
        case KEY_PLAN:
            options->is_auto = strcmp(argument, "auto") == 0;
            options->plan_path = options->is_auto ? NULL : argument;
            return 0;
        case KEY_STRATEGY: parse_strategies(options->strategies, argument, state); return 0;
        case KEY_DISK:
            if (strcmp(argument, "auto") != 0 && !parse_rate(argument, &options->disk)) {
                argp_error(state, "'%s' is neither `auto` nor a rate such as 2G/s", argument);
            }
            return 0;
        case KEY_RECORD:
            options->records = true;
            options->folder = argument;
            return 0;
        case KEY_CHECK: options->check = true; return 0;
        case KEY_COLD: run_pressure_add_cold(&options->pressure, argument); return 0;
        case KEY_READER:
            if (strcmp(argument, "uring") != 0 && strcmp(argument, "threads") != 0) {
                argp_error(state, "--reader '%s': must be uring or threads", argument);
            }
            options->reader = argument;
            return 0;
        case KEY_FORESEE:
            if (!is_method(argument)) {
                argp_error(state, "--foresee '%s': must be router, previous, markov or none", argument);
            }
            options->foresee = argument;
            return 0;
        case ARGP_KEY_ARGS: options->command = state->argv + state->next; return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name the command to run: tat run -- COMMAND"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what the library is told ---- */

/* Where the first model is that the command names. 0: it names none that is there. */
static dev_t model_device(char ** command) {
    struct model_arguments models;
    struct stat file;
    model_arguments_find(command, &models);
    const bool is_there = models.count && stat(models.files[0], &file) == 0;
    model_arguments_free(&models);
    return is_there ? file.st_dev : 0;
}

/* What `tat doctor --disk` kept of the disk that the command's model is on: of reads as large as an expert, at random.
 * 0: nothing. */
static uint64_t disk_measured(char ** command) {
    enum { EXPERT = 512 << 10 };
    const dev_t device = model_device(command);
    char name[DISK_NAME_SIZE];
    json_t * kept = device ? disk_kept(disk_name(device, name)) : NULL;
    const double rate = disk_kept_rate(kept, "direct", "random", EXPERT, READING_AT_ONCE);
    json_decref(kept);
    return rate > 0 && rate < 1e15 ? (uint64_t) rate : 0;
}

/* What a plan expects holds for as much memory as it was made for, and all strategies. One that tat made itself says
 * more once the library has found how much memory there is for the model (expected_of). */
static uint64_t predicted(const struct options * o) {
    enum { ALIKE = 50 };
    const uint64_t limit = o->pressure.limit, memory = o->plan.memory;
    const uint64_t apart = limit > memory ? limit - memory : memory - limit;
    return o->plan.file && !o->is_auto && apart <= memory / ALIKE && !*o->strategies ? (uint64_t) (o->plan.rate * 1000)
                                                                                     : 0;
}

static int tell_library(const struct options * o, const struct run_report * report, struct tat_error * error) {
    char *text, plan[64] = "";
    const uint64_t disk = o->disk ? o->disk : disk_measured(o->command);
    const char * strategies = *o->strategies ? o->strategies : "pin+stream+cache";
    if (o->plan.file) { snprintf(plan, sizeof plan, "predicted=%" PRIu64 ";gain=%d;", predicted(o), o->plan.has_gain); }
    if (asprintf(&text, "memory=%" PRIu64 ";strategy=%s;disk=%" PRIu64 ";reader=%s;check=%d;%s%s%s%sreport=%s",
                 o->pressure.limit, strategies, disk, o->reader ? o->reader : "any", o->check,
                 o->foresee ? "foresee=" : "", o->foresee ? o->foresee : "", o->foresee ? ";" : "", plan,
                 report->path) < 0) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    const bool is_told =
        setenv("TAT_MANAGE", text, 1) == 0 && (o->records ? unsetenv("TAT_RECORD") : setenv("TAT_RECORD", "0", 1)) == 0;
    free(text);
    return is_told ? 0 : tat_fail_errno(error, "cannot set the environment");
}

/* ---- the run ---- */

struct run {
    struct run_watch seen;
    struct run_report report;
    struct recording trace; /* with --record */
    struct options * options;
};

static bool look(void * state) {
    struct run * r = state;
    return !atomic_load(&r->report.has_begun) && run_watch_look(&r->seen);
}

static bool goes_on(void * state) {
    return run_watch_goes_on(&((struct run *) state)->seen);
}

static bool starts(pid_t pid, void * state) {
    struct run * r = state;
    struct tat_error error;
    if (run_pressure_enter(&r->options->pressure, pid, &error) != 0) {
        command_fail(&cmd_run, &error);
        return false;
    }
    run_report_listen(&r->report); /* a thread: not before the fork */
    return true;
}

/* Tokens a second, times 1000: by the memory that there is for the model, which the library has found by now. Only of
 * reads as a plan knows them. 0: nobody knows. */
static uint64_t expected_of(const json_t * begin, void * state) {
    const struct options * o = state;
    if (!run_line_has(begin, "reader", "uring") || !managed_figure(begin, "direct")) { return 0; }
    const double rate = plan_kept_rate(o->alike, managed_figure(begin, "pool"));
    return rate > 0 && rate < 1e9 ? (uint64_t) (rate * 1000) : 0;
}

static int prepare(void * state) {
    return launch_prepare(((struct run *) state)->options->too_large);
}

/* The program ended in a way that runs no destructor: a signal, or _exit as llama.cpp calls it at Ctrl-C. */
static void say_cut_short(const struct run * r, int wait_status) {
    const char * known =
        r->report.so_far ? "what came of it until a moment before its end" : "what came of it is not known";
    if (WIFSIGNALED(wait_status)) {
        fprintf(stderr, "tat run: %s: the program was killed by signal %d (%s)%s\n", known, WTERMSIG(wait_status),
                strsignal(WTERMSIG(wait_status)), run_watch_signal_cause(WTERMSIG(wait_status)));
    } else {
        fprintf(stderr, "tat run: %s: the program ended at once, with status %d\n", known, WEXITSTATUS(wait_status));
    }
    if (r->report.so_far) { run_words_print(r->report.so_far, "tat run: ", stderr); }
}

static void say_what_is_missing(const struct run * r, const char * obstacle, int wait_status, bool left) {
    if (left) {
        run_watch_say_left(&r->seen);
    } else if (atomic_load(&r->report.lines) == 0 && obstacle) {
        fprintf(stderr, "tat run: not managed: see the warning above\n");
    } else if (atomic_load(&r->report.lines) == 0) {
        run_watch_say_why(&r->seen, wait_status);
    } else if (r->report.open) {
        say_cut_short(r, wait_status);
    }
}

/* Beside the trace; of a private one without the paths that are in a plan. */
static void keep_reports(const struct run * r) {
    const char * is_private = getenv("TAT_PRIVATE");
    struct tat_error error;
    json_t * plan = json_copy(r->options->plan.file);
    if (!r->trace.traces || !atomic_load(&r->report.has_begun)) {
        json_decref(plan);
        return;
    }
    if (plan && is_private && *is_private && strcmp(is_private, "0") != 0) {
        json_object_del(plan, "model_files");
        json_object_del(plan, "made_for");
    }
    if (run_report_keep(&r->report, r->trace.folder, plan, &error) != 0) {
        fprintf(stderr, "tat run: warning: what came of managing is not beside the trace: %s\n", error.message);
    }
    json_decref(plan);
}

static void finish_trace(struct run * r, int wait_status, bool left) {
    struct recording * trace = &r->trace;
    struct tat_run_info info = run_pressure_info(&r->options->pressure, r->options->command, wait_status);
    info.managed = atomic_load(&r->report.has_begun);
    recording_finish(trace, &info, wait_status, left);
    keep_reports(r);
    if (!left && trace->traces == 0 && trace->failures == 0 && atomic_load(&r->report.lines)) {
        fprintf(stderr, "tat run: no trace: the program computed no graph that tat could see\n");
    }
}

static int manage(struct run * r, const char * program, const char * library) {
    struct options * o = r->options;
    const char * obstacle = target_obstacle(program);
    if (obstacle) { fprintf(stderr, "tat run: warning: %s %s\n", program, obstacle); }
    r->seen = (struct run_watch){
        .command = "run", .folder = r->report.folder, .variable = "TAT_MANAGE", .library = library, .program = program
    };
    const struct child_watch watch = { look, goes_on, starts, prepare, r };
    int wait_status;
    bool left;
    const int why = child_run(program, o->command, &watch, &wait_status, &left);
    run_report_close(&r->report);
    run_pressure_end(&o->pressure);
    if (o->records) { recording_say_reports(&r->trace); }
    if (why) {
        if (o->records) { recording_cancel(&r->trace); }
        return why == ECANCELED ? TAT_ERROR_SYSTEM : launch_not_started("run", o->command[0], why);
    }
    say_what_is_missing(r, obstacle, wait_status, left);
    if (o->records) { finish_trace(r, wait_status, left); }
    run_watch_free(&r->seen);
    child_end_alike(wait_status);
}

/* ---- the plan ---- */

/* Of a limit that is not known, the machine's memory. */
static uint64_t memory_of(const struct options * o) {
    return o->pressure.limit ? o->pressure.limit : machine_memory();
}

/* From some tokens of the command. NULL: there is none, which was said; the manager has rules of its own. */
static json_t * make_plan(struct options * o, const json_t * key) {
    struct brief_recording recorded;
    struct tat_error error;
    const struct planning_request request = { .memory_bytes = memory_of(o), .disk_rate = (double) o->disk };
    json_t * plan = NULL;
    if (brief_recording_make(&recorded, "run", o->command, NULL, &error) == 0) {
        plan = plan_machine_plan(recorded.folder, request, &error);
        brief_recording_end(&recorded);
    }
    if (!plan) { fprintf(stderr, "tat run: no plan: %s\n", error.message); }
    if (plan && plan_kept_put(key, plan, &error) != 0) {
        fprintf(stderr, "tat run: the plan is not kept: %s\n", error.message);
    }
    return plan;
}

/* Only that it gains nothing counts: whether the model fits, the manager sees better than a plan can foresee. */
static void take_auto_plan(struct options * o) {
    json_t * key = plan_kept_key(o->command, memory_of(o), o->disk);
    json_t * plan = plan_kept_find(key);
    const bool is_kept = plan && run_plan_take(plan, &o->plan);
    if (!is_kept) { plan = make_plan(o, key); }
    json_decref(key);
    if (!plan || (!is_kept && !run_plan_take(plan, &o->plan))) { return; }
    const char * gate = json_string_value(json_object_get(json_object_get(o->plan.file, "values"), "gate"));
    fprintf(stderr, "tat run: by the plan%s: %s\n", is_kept ? " that was made before" : "", o->plan.headline);
    if (strcmp(gate, "no_gain") != 0) { o->plan.has_gain = true; }
}

/* What a run without a plan, or with one for another budget, can be expected to deliver. */
static void find_alike(struct options * o) {
    if (*o->strategies || o->reader) { return; }
    json_t * key = o->plan.file ? NULL : plan_kept_key(o->command, memory_of(o), o->disk);
    o->alike = o->plan.file ? json_incref(o->plan.file) : plan_kept_find_alike(key);
    json_decref(key);
}

/* A plan's memory counts where no other was asked for. */
static int take_plan(struct options * o, struct tat_error * error) {
    if (o->is_auto) { take_auto_plan(o); }
    if (!o->plan_path) {
        find_alike(o);
        return 0;
    }
    if (run_plan_read(o->plan_path, &o->plan, error) != 0) { return -1; }
    if (!o->pressure.limit) { o->pressure.limit = o->plan.memory; }
    if (o->pressure.limit < MEMORY_GROUP_LEAST) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s is for less than 1MiB of memory", o->plan_path);
    }
    if (!o->plan.has_gain) { fprintf(stderr, "tat run: by the plan: %s\n", o->plan.headline); }
    return 0;
}

/* All that is there before the command. */
static int begin(struct run * r, const char * library, struct tat_error * error) {
    struct options * o = r->options;
    if (o->records && recording_begin(&r->trace, "run", o->folder, 0, error) != 0) { return -1; }
    const int opened = run_report_open(&r->report, error);
    r->report.disk = whole_disk_of(model_device(o->command));
    r->report.predict = expected_of;
    r->report.predict_state = o;
    if (opened != 0) { fprintf(stderr, "tat run: warning: nothing can be reported of the run: %s\n", error->message); }
    if (launch_preload(library) != 0) {
        tat_fail_errno(error, "cannot set the environment");
    } else if (run_pressure_begin(&o->pressure, o->command, error) == 0) {
        if (tell_library(o, &r->report, error) == 0) { return 0; }
        run_pressure_end(&o->pressure);
    }
    run_report_close(&r->report);
    if (o->records) { recording_cancel(&r->trace); }
    return -1;
}

static int run(int argc, char ** argv) {
    /* A limit on the size of files is for the program's; of ours, it is an error like a full disk. */
    struct options options = { .too_large = signal(SIGXFSZ, SIG_IGN),
                               .pressure = { .command = "run", .is_managed = true } };
    struct run r = { .options = &options };
    struct tat_error error;
    char program[PATH_MAX], library[PATH_MAX];
    command_parse(&cmd_run, parse, argc, argv, ARGP_IN_ORDER, &options);
    if (getenv("TAT_RUN_DIR")) {
        tat_fail(&error, TAT_ERROR_USAGE,
                 "this is within `tat record`, or TAT_RUN_DIR is set: `tat run --record` alone does both");
        return command_fail(&cmd_run, &error);
    }
    if (caller_become(&error) != 0) { return command_fail(&cmd_run, &error); }
    const int why = places_program(options.command[0], program);
    if (why) { return launch_not_started("run", options.command[0], why); }
    if (places_manager(library, &error) != 0 || take_plan(&options, &error) != 0 || begin(&r, library, &error) != 0) {
        return command_fail(&cmd_run, &error);
    }
    const int status = manage(&r, program, library);
    if (options.records) { recording_end(&r.trace); }
    run_report_free(&r.report);
    run_plan_free(&options.plan);
    json_decref(options.alike);
    run_pressure_free(&options.pressure);
    return status;
}

const struct command cmd_run = {
    .name = "run",
    .summary = "run a command with less memory than its model takes",
    .arguments = "-- COMMAND [ARGUMENT...]",
    .description =
        "Runs a command whose model does not fit in memory, and manages which parts of the model are there. What every "
        "token needs is kept, or read ahead of its use past the page cache. Experts are cached, and read as soon as "
        "the router has chosen them. The command needs no change, and computes and prints the same; its input, output "
        "and signals are untouched. llama.cpp must be in shared libraries and map its model, as it does by default. "
        "tat says at the beginning what it manages, and at the end what came of it. If nothing can be gained, it "
        "changes nothing and says why. The exit status is the command's; if a signal kills the command, the same "
        "signal ends tat. As in a shell, 127 means that there is no such program, and 126 that it cannot be run.",
    .examples = "  tat run --memory 4GB -- llama-completion -m big.gguf -c 512 -p Hello -n 100\n"
                "  tat run --plan auto --memory 4GB -- llama-cli -m big.gguf\n"
                "  tat run -- llama-server -m big.gguf     in a container, within its limit\n"
                "  tat run --memory 4GB --strategy pin --record -- llama-cli -m big.gguf",
    .options = options_table,
    .run = run,
};
