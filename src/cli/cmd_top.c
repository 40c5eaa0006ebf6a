/* SPDX-License-Identifier: MIT
 *
 * tat top: a recording while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/live.h"
#include "cli/command.h"
#include "cli/run_folder.h"
#include "cli/run_open.h"
#include "cli/screen.h"
#include "cli/top_text.h"
#include "format/file_names.h"
#include "format/follow.h"
#include "system/clock.h"

enum { KEY_JSON = 256, KEY_ONCE, KEY_INTERVAL, INTERVAL_LEAST = 100, INTERVAL_MOST = 3600000 };

struct options {
    const char * trace;
    int interval; /* milliseconds */
    bool json, once;
};

static const struct argp_option table[] = {
    { "interval", KEY_INTERVAL, "SECONDS", 0, "Time between updates, 0.1 or more. Default: 1", 0 },
    { "once", KEY_ONCE, NULL, 0, "Print one snapshot as text. Default without a terminal", 0 },
    { "json", KEY_JSON, NULL, 0, "Print one snapshot as JSON", 0 },
    { 0 },
};

static int parse_interval(const char * text, struct argp_state * state) {
    char * end;
    const double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds * 1000 >= INTERVAL_LEAST && seconds * 1000 <= INTERVAL_MOST)) {
        argp_error(state, "'%s' is not a number of seconds from 0.1 to 3600", text);
    }
    return (int) (seconds * 1000);
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_ONCE: options->once = true; return 0;
        case KEY_INTERVAL: options->interval = parse_interval(argument, state); return 0;
        case ARGP_KEY_ARG:
            if (options->trace) { argp_error(state, "name only one trace"); }
            options->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the trace ---- */

struct top {
    char path[PATH_MAX];
    struct follow * follow; /* NULL: the trace has not begun */
    struct live * live;
    bool running;
};

/* The header of a trace is written before anything else of it. */
static bool has_begun(const char * path) {
    char file[PATH_MAX + sizeof "/" TRACE_FILE];
    char magic[8] = "";
    const bool folder = snprintf(file, sizeof file, "%s/" TRACE_FILE, path) > 0 && access(file, F_OK) == 0;
    const int fd = open(folder ? file : path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return false; }
    const bool begun = pread(fd, magic, sizeof magic, 0) == (ssize_t) sizeof magic && magic[0];
    close(fd);
    return begun;
}

/* A run whose program has computed nothing yet; `tat record` waits for it. */
static bool may_begin(const char * path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && run_is_locked(path);
}

static int open_trace(struct top * top, struct tat_error * error) {
    bool revised;
    if (!has_begun(top->path)) {
        return may_begin(top->path) ? 0 : tat_fail(error, TAT_ERROR_NO, "%s: no graph was computed", top->path);
    }
    top->follow = follow_open(top->path, error);
    return top->follow ? follow_read(top->follow, &revised, error) : -1;
}

/* Takes in what came since, but for the first time, when all of it is new. */
static int look(struct top * top, struct tat_error * error) {
    bool revised = false;
    if (!top->follow) {
        top->running = true;
        if (open_trace(top, error) != 0) { return -1; }
    } else if (follow_read(top->follow, &revised, error) != 0) {
        return -1;
    }
    if (!top->follow) { return 0; }
    top->running = run_is_alive(follow_trace(top->follow));
    if (!top->running && follow_read(top->follow, &revised, error) != 0) { return -1; } /* what came in between */
    return live_update(top->live, follow_trace(top->follow), revised)
               ? 0
               : tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", top->path);
}

static bool is_running(const struct run * run, char path[static PATH_MAX]) {
    struct tat_error error;
    bool revised;
    memcpy(path, run->path, sizeof run->path);
    if (run_is_locked(path)) { return true; }
    struct follow * follow = run->has_trace ? follow_open(path, &error) : NULL;
    const bool running = follow && run_is_alive(follow_trace(follow)) && follow_read(follow, &revised, &error) == 0 &&
                         run_is_alive(follow_trace(follow));
    follow_close(follow);
    return running;
}

/* The newest run that goes on. */
static int find_running(char path[static PATH_MAX], struct tat_error * error) {
    struct run * runs;
    size_t count, i = 0;
    if (run_list(NULL, &runs, &count, error) != 0) { return -1; }
    while (i < count && !is_running(&runs[i], path)) { i++; }
    free(runs);
    if (i < count) { return 0; }
    return tat_fail(error, TAT_ERROR_NO,
                    "no recording is running in %s: start one with `tat record -- COMMAND`, or name a trace",
                    run_parent());
}

/* ---- the frame ---- */

/* In the trace's time. */
static uint64_t now_ns(const struct tat_trace * trace) {
    const uint64_t now = clock_ns();
    const uint64_t start = tat_trace_header(trace)->start_monotonic_ns;
    return now > start ? now - start : 0;
}

/* How to go on when it has ended. */
static void say_next(const struct top * top, FILE * out) {
    fprintf(out, "%s\nNext: tat report %s\n",
            tat_trace_summary(follow_trace(top->follow))->ended ? ""
                                                                : "The program did not close its trace. Everything "
                                                                  "recorded before that is there.",
            top->path);
}

static json_t * make_frame(const struct top * top, struct tat_error * error) {
    const struct tat_trace * trace = follow_trace(top->follow);
    json_t * frame = live_result(top->live, trace, now_ns(trace), top->running);
    if (!frame) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    return frame;
}

static int print_once(const struct top * top, bool json, struct tat_error * error) {
    if (!top->follow) { return tat_fail(error, TAT_ERROR_NO, "%s: no graph has been computed yet", top->path); }
    json_t * frame = make_frame(top, error);
    if (!frame) { return -1; }
    errno = ENOMEM;
    int status = json ? json_dumpf(frame, stdout, JSON_INDENT(2)) : top_text(frame, 80, stdout);
    if (status == 0 && json) { putchar('\n'); }
    if (status == 0 && !json && !top->running) { say_next(top, stdout); }
    if (status == 0) { status = fflush(stdout); }
    json_decref(frame);
    return status == 0 ? 0 : tat_fail_errno(error, "cannot write to standard output");
}

/* ---- the loop ---- */

static int draw_screen(const struct top * top, const struct options * options, struct tat_error * error) {
    char foot[128];
    char * text = NULL;
    json_t * frame = top->follow ? make_frame(top, error) : NULL;
    if (top->follow && !frame) { return -1; }
    if (frame) {
        text = top_text_that_fits(frame, screen_columns(), screen_rows() - 1); /* the foot has the last */
    } else if (asprintf(&text, "Recording\nWaiting for the first graph in %s\n", top->path) < 0) {
        text = NULL;
    }
    json_decref(frame);
    if (!text) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    snprintf(foot, sizeof foot, "Press q to leave; the run goes on. Updated every %g s", options->interval / 1000.0);
    const int status = screen_draw(text, foot) == 0 ? 0 : tat_fail_errno(error, "the terminal");
    free(text);
    return status;
}

static int watch(struct top * top, const struct options * options, struct tat_error * error) {
    if (screen_open(error) != 0) { return -1; }
    int status = 0;
    enum screen_event event = SCREEN_TIME;
    while (status == 0 && event != SCREEN_QUIT && (top->running || !top->follow)) {
        status = draw_screen(top, options, error);
        if (status == 0) { event = screen_wait(options->interval); }
        if (status == 0 && event == SCREEN_TIME) { status = look(top, error); }
    }
    screen_close();
    if (status == 0 && event != SCREEN_QUIT) { status = print_once(top, false, error); }
    return status;
}

static bool has_screen(void) {
    const char * terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static int run(int argc, char ** argv) {
    struct options options = { .interval = 1000 };
    struct tat_error error = { 0 };
    struct top top = { .running = true };
    command_parse(&cmd_top, parse, argc, argv, 0, &options);
    const bool screen = !options.json && !options.once && has_screen();
    int status = options.trace ? run_resolve(options.trace, top.path, &error) : find_running(top.path, &error);
    top.live = live_new();
    if (status == 0 && !top.live) { status = tat_fail(&error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (status == 0) { status = look(&top, &error); }
    if (status == 0) {
        status = screen && top.running ? watch(&top, &options, &error) : print_once(&top, options.json, &error);
    }
    if (status != 0) { status = command_fail(&cmd_top, &error); }
    follow_close(top.follow);
    live_free(top.live);
    return status;
}

const struct command cmd_top = {
    .name = "top",
    .summary = "watch a recording while it runs",
    .arguments = "[TRACE]",
    .description =
        "Shows the newest run that is being recorded, or TRACE: tokens per second now (over the last two seconds) and "
        "since the start, bytes touched, losses, the hottest weights and the use of experts. q or Ctrl-C closes the "
        "view, and the run goes on; when the run ends, the view closes. tat top only reads the trace, and each update "
        "reads only what is new. The exit status is 1 if no recording is running.",
    .examples = "  tat top                     in a second terminal, beside `tat record`\n"
                "  tat top --interval 0.5      update twice a second\n"
                "  tat top --json              one snapshot, for a program",
    .options = table,
    .run = run,
};
