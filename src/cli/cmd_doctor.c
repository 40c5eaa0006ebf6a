/* SPDX-License-Identifier: MIT
 *
 * tat doctor: can this program be traced, and is the system fit for it?
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/doctor_disk.h"
#include "cli/doctor_memory.h"
#include "cli/places.h"
#include "cli/run_folder.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "doctor/doctor.h"
#include "io/tracefs.h"
#include "io/tracepoints.h"
#include "pressure/memory_place.h"

enum { KEY_JSON = 256, KEY_MEMORY, KEY_DISK };

struct options {
    const char *target, *disk;
    bool json, memory;
};

static const struct argp_option options_table[] = {
    { "memory", KEY_MEMORY, NULL, 0, "Measure how fast this machine reads and computes, and keep it for tat report",
      0 },
    { "disk", KEY_DISK, "FILE", 0, "Measure how fast the disk under FILE, a model for example, is read, and keep it",
      0 },
    { "json", KEY_JSON, NULL, 0, "Print the findings as JSON", 0 },
    { 0 },
};

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_MEMORY: options->memory = true; return 0;
        case KEY_DISK: options->disk = argument; return 0;
        case ARGP_KEY_ARG:
            if (options->target) { argp_error(state, "name only one program or process"); }
            options->target = argument;
            return 0;
        case ARGP_KEY_SUCCESS:
            if ((options->memory || options->disk) && options->target) {
                argp_error(state, "--memory and --disk measure the machine, not a program");
            }
            if (options->memory && options->disk) {
                argp_error(state, "measure --memory and --disk one after the other");
            }
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* A number is a process, unless a program has that name. *pid is 0 for a program. */
static int examine(const char * target, pid_t * process, struct findings * findings, struct tat_error * error) {
    char path[PATH_MAX];
    char * end;
    const long pid = strtol(target, &end, 10);
    const int why = places_program(target, path);
    if (why == 0) { return doctor_program(path, findings, error); }
    if (*target >= '1' && *target <= '9' && !*end && pid <= INT_MAX) {
        *process = (pid_t) pid;
        return doctor_process(*process, findings, error);
    }
    if (why == EACCES && strchr(target, '/')) { return doctor_program(target, findings, error); } /* a library */
    return tat_fail(error, TAT_ERROR_INPUT, "%s: %s", target, why == ENOENT ? "no such program" : strerror(why));
}

static void check_agent(struct findings * findings) {
    char path[PATH_MAX];
    struct tat_error error;
    if (places_agent(false, path, &error) == 0) {
        finding_add(findings, "agent", VERDICT_GOOD, NULL, "%s", path);
    } else {
        finding_add(findings, "agent", VERDICT_BAD, NULL, "%s", error.message);
    }
}

static void check_manager(struct findings * findings) {
    char path[PATH_MAX];
    struct tat_error error;
    if (places_manager(path, &error) == 0) {
        finding_add(findings, "run: library", VERDICT_GOOD, NULL, "%s", path);
    } else {
        finding_add(findings, "run: library", VERDICT_WARNING, "needed for `tat run` alone", "%s", error.message);
    }
}

/* Nothing is made for it: tat record may still be refused. */
static void check_memory_groups(struct findings * findings) {
    struct memory_place place;
    struct tat_error error;
    if (memory_place_find("/proc", &place, &error) == 0) {
        finding_add(findings, "record --memory", VERDICT_GOOD, NULL, "can make a cgroup (version %u) in %s",
                    place.version, place.folder);
    } else {
        finding_add(
            findings, "record --memory", VERDICT_WARNING,
            "needed for `tat record --memory`; `tat run --memory` goes without, and only what it manages keeps to "
            "the limit",
            "%s", error.message);
    }
}

/* Nothing is switched on for it. */
static void check_trace_events(struct findings * findings) {
    struct tat_error error = { 0 };
    const int tracefs = tracefs_open(&error);
    struct tracepoints * events = tracefs >= 0 ? tracepoints_find(tracefs, &error) : NULL;
    const char * no_pages = events ? tracepoints_missing(events, TAT_IO_SOURCE_PAGES) : error.message;
    const char * no_requests = events ? tracepoints_missing(events, TAT_IO_SOURCE_REQUESTS) : error.message;
    if (!*no_pages && !*no_requests) {
        finding_add(findings, "trace events", VERDICT_GOOD, NULL, "of the page cache and of disks");
    } else {
        finding_add(findings, "trace events", VERDICT_WARNING,
                    geteuid() == 0
                        ? "for `tat record --io` alone, which takes samples in their place"
                        : "for `tat record --io`, which without them records page faults alone: sudo tat record "
                          "--io also records the page cache and the disk, and runs the program as you",
                    "%s", *no_pages ? no_pages : no_requests);
    }
    tracepoints_free(events);
    if (tracefs >= 0) { close(tracefs); }
}

static const char * const verdicts[] = { "good", "warning", "BAD" };

static int print_table(const struct findings * findings) {
    static const struct column columns[] = { { .name = "CHECK" },
                                             { .name = "VERDICT" },
                                             { .name = "FINDING AND ADVICE", .wrap = true } };
    struct table * t = table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding * f = &findings->at[i];
        char advice[512];
        table_row(t, (const char *[]){ f->check, verdicts[f->verdict], f->found });
        if (!f->advice) { continue; }
        snprintf(advice, sizeof advice, "-> %s", f->advice);
        table_row(t, (const char *[]){ NULL, NULL, advice });
    }
    return table_print(t, stdout);
}

/* JSON is UTF-8 and the name of a file need not be: other bytes are escaped as ASCII. */
static json_t * text(const char * bytes) {
    json_t * string = bytes ? json_string(bytes) : json_null();
    char * ascii = string ? NULL : strdup(bytes);
    if (string || !ascii) { return string; }
    for (char * at = ascii; *at; at++) { *at = (unsigned char) *at < 0x80 ? *at : '?'; }
    string = json_string(ascii);
    free(ascii);
    return string;
}

static int print_json(const struct findings * findings, const char * target) {
    json_t * array = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding * f = &findings->at[i];
        const char * verdict = f->verdict == VERDICT_BAD ? "bad" : verdicts[f->verdict];
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:s?}", "check", f->check, "verdict", verdict, "found",
                                               text(f->found), "advice", f->advice));
    }
    json_t * root =
        json_pack("{s:o, s:b, s:o}", "target", text(target), "can_be_traced", !finding_bad(findings), "checks", array);
    const int failed = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
    if (root) { putchar('\n'); }
    json_decref(root);
    return failed;
}

/* The tracer is in a process from its beginning or never. */
static const char * answer_of(const struct findings * findings, bool target, bool process) {
    const struct finding * tracer = finding_of(findings, "tracer");
    const bool bad = finding_bad(findings);
    if (!target) { return bad ? "is not ready for tracing." : "is ready for tracing."; }
    if (bad) { return "cannot be traced."; }
    if (!process) { return "can be traced, as far as tat can tell."; }
    return tracer && tracer->verdict == VERDICT_GOOD
               ? "has the tracer loaded."
               : "is not being traced. Started anew under `tat record`, it can be, as far as tat can tell.";
}

/* "process 12 (llama-server)" */
static void print_process(pid_t pid) {
    char path[64], name[64] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int) pid);
    FILE * file = fopen(path, "re");
    if (file && !fgets(name, sizeof name, file)) { *name = '\0'; }
    if (file) { fclose(file); }
    name[strcspn(name, "\n")] = '\0';
    printf("Process %d", (int) pid);
    if (*name) {
        printf(" (");
        print_safe(name, stdout);
        putchar(')');
    }
}

static void print_answer(const struct findings * findings, const char * target, pid_t process) {
    printf("\n%s", style(stdout, finding_bad(findings) ? STYLE_BAD : STYLE_GOOD));
    if (process) {
        print_process(process);
    } else {
        print_safe(target ? target : "This system", stdout);
    }
    printf(" %s%s\n", answer_of(findings, target, process), style(stdout, STYLE_PLAIN));
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct findings findings = { 0 };
    pid_t process = 0;
    struct tat_error error;
    command_parse(&cmd_doctor, parse, argc, argv, 0, &options);
    if (options.memory) {
        return doctor_memory(options.json, &error) == 0 ? TAT_OK : command_fail(&cmd_doctor, &error);
    }
    if (options.disk) {
        return doctor_disk(options.disk, options.json, &error) == 0 ? TAT_OK : command_fail(&cmd_doctor, &error);
    }
    if (options.target && examine(options.target, &process, &findings, &error) != 0) {
        return command_fail(&cmd_doctor, &error);
    }
    check_agent(&findings);
    doctor_system(run_parent(), &findings);
    check_trace_events(&findings);
    check_memory_groups(&findings);
    check_manager(&findings);
    doctor_managing(&findings);
    if ((options.json ? print_json(&findings, options.target) : print_table(&findings)) != 0) {
        tat_fail(&error, TAT_ERROR_SYSTEM, "out of memory");
        return command_fail(&cmd_doctor, &error);
    }
    if (!options.json) { print_answer(&findings, options.target, process); }
    return finding_bad(&findings) ? TAT_ERROR_NO : TAT_OK;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "check whether a program can be traced on this system",
    .arguments = "[PROGRAM | PID]",
    .description =
        "Examines a program or a running process, without starting or changing it. Can the tracer be loaded? Does the "
        "program have ggml, and can the tracer see its calls of ggml_graph_compute? Do other backends compute parts of "
        "the graphs, which are then not recorded? Then examines the system: disk space, memory limits, access to page "
        "faults and disk reads, and what `tat run` needs to manage a model's memory. --memory measures instead how "
        "fast this machine reads from memory and from its last cache, and how fast it multiplies and adds, by number "
        "of threads; tat report compares runs with that. It takes some seconds, and is exact only on an idle machine. "
        "--disk measures how fast the disk under a file is read: by page faults, by read, and past the page cache with "
        "many requests at once. It takes ten seconds, and drops the file's pages from memory. The exit status is 0 if "
        "the program can be traced and 1 if not.",
    .examples = "  tat doctor llama-completion\n"
                "  tat doctor $(pidof llama-server)\n"
                "  tat doctor --memory            measure this machine, for tat report\n"
                "  tat doctor --disk model.gguf   measure the disk that the model is on",
    .options = options_table,
    .run = run,
};
