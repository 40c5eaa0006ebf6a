/* SPDX-License-Identifier: MIT */
#include "cli/run_watch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run_folder.h"
#include "cli/target.h"
#include "cli/units.h"
#include "doctor/doctor.h"
#include "format/file_names.h"
#include "system/clock.h"

/* ---- looking ---- */

static struct seen * find(struct run_watch * watch, pid_t pid, const char * exe) {
    for (size_t i = 0; i < watch->n_seen; i++) {
        if (watch->seen[i].pid == pid && strcmp(watch->seen[i].exe, exe) == 0) { return &watch->seen[i]; }
    }
    if (!watch->seen && !(watch->seen = calloc(SEEN_MAX, sizeof *watch->seen))) { return NULL; }
    return watch->n_seen < SEEN_MAX ? &watch->seen[watch->n_seen++] : NULL;
}

static void sort_files(struct seen * s, const char * library) {
    for (size_t i = 0; i < s->mapped.n_files; i++) {
        const char * file = s->mapped.files[i];
        const char * name = strrchr(file, '/') + 1;
        const char * end = strstr(name, ".gguf");
        s->has_library |= strcmp(file, library) == 0;
        s->has_ggml |= strstr(name, ".so") && (strstr(name, "ggml") || strstr(name, "llama"));
        s->has_model |= end && !end[sizeof ".gguf" - 1];
    }
}

static void look_at(pid_t pid, void * state) {
    struct run_watch * watch = state;
    struct tat_error unread;
    char link[64], exe[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int) pid);
    const ssize_t length = readlink(link, exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    struct seen * s = find(watch, pid, exe);
    if (!s) { return; }
    s->pid = pid;
    s->user = descendant_user(pid);
    strcpy(s->exe, exe);
    descendant_name(pid, s->name);
    s->preload = descendant_environment(pid, "LD_PRELOAD", watch->library);
    process_free(&s->mapped);
    if (process_read(pid, &s->mapped, &unread) == 0) { sort_files(s, watch->library); }
}

static bool has_trace(const char * folder) {
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/" TRACE_FILE, folder) < PATH_MAX && access(path, F_OK) == 0;
}

bool run_watch_look(void * state) {
    struct run_watch * watch = state;
    if (has_trace(watch->folder)) { return false; }
    descendants_each(look_at, watch);
    return true;
}

void run_watch_free(struct run_watch * watch) {
    for (size_t i = 0; i < watch->n_seen; i++) { process_free(&watch->seen[i].mapped); }
    free(watch->seen);
}

/* ---- who still runs ---- */

/* Those that were told of the run may still make a trace. */
static void note_told(pid_t pid, void * state) {
    struct run_watch * watch = state;
    const enum environment told = descendant_environment(pid, watch->variable, watch->folder);
    if (told == ENVIRONMENT_EMPTY) { watch->bare = pid; }
    if (told == ENVIRONMENT_WITH) { watch->last = pid; }
}

/* A process that is just replacing itself has no environment for a moment; one that was started without has none for
 * good. */
static bool is_momentary(struct run_watch * watch, uint64_t now) {
    static const uint64_t moment = 500000000; /* ns */
    if (!watch->bare) { watch->bare_since = 0; }
    if (watch->bare && !watch->bare_since) { watch->bare_since = now; }
    return watch->bare && now - watch->bare_since < moment;
}

static pid_t find_told(struct run_watch * watch) {
    watch->last = watch->bare = 0;
    descendants_each(note_told, watch);
    return watch->last;
}

static bool is_recorded(const struct run_watch * watch) {
    return strcmp(watch->command, "record") == 0;
}

static void say_where(const struct run_watch * watch) {
    if (is_recorded(watch)) { fprintf(stderr, "; its trace will be in %s", watch->folder); }
}

bool run_watch_goes_on(void * state) {
    static const uint64_t soon = 1000000000; /* ns */
    struct run_watch * watch = state;
    const uint64_t now = clock_ns();
    if (!watch->ended) { watch->ended = now; }
    /* Twice: a process whose parent ends during the first look changes places, and can be passed over. */
    if (!find_told(watch) && !find_told(watch) && is_momentary(watch, now)) { watch->last = watch->bare; }
    if (watch->last) { descendant_name(watch->last, watch->last_name); }
    if (watch->last && now - watch->ended >= soon && !watch->has_said) {
        watch->has_said = true;
        fprintf(stderr, "tat %s: %s has ended, but %s (process %d), which it started, still runs", watch->command,
                last_part(watch->program), watch->last_name, (int) watch->last);
        say_where(watch);
        fprintf(stderr, ". Waiting for it to end; press Ctrl-C to leave it running\n");
    }
    return watch->last != 0;
}

void run_watch_say_left(const struct run_watch * watch) {
    fprintf(stderr, "tat %s: %s (process %d) was left running", watch->command, watch->last_name, (int) watch->last);
    say_where(watch);
    fputc('\n', stderr);
}

/* ---- why there is no trace ---- */

enum { REASON = 2048 };

static bool explain_without_library(const struct run_watch * watch, const struct seen * s, char * text) {
    const char * obstacle = *s->exe ? target_obstacle(s->exe) : NULL;
    if (s->preload == ENVIRONMENT_UNSEEN) {
        snprintf(text, REASON,
                 "%s (process %d) ran as user %u, whose processes tat cannot see from here: run `tat %s` as that user",
                 s->name, (int) s->pid, (unsigned) s->user, watch->command);
    } else if (s->preload == ENVIRONMENT_WITH) {
        if (!obstacle) { return false; }
        snprintf(text, REASON, "%.1024s %s", s->exe, obstacle);
    } else {
        snprintf(
            text, REASON,
            "%s (process %d) ran without the %s: something cleared or changed its environment (env -i, sudo, a "
            "service manager), so that LD_PRELOAD was lost: put `tat %s --` directly before the program, after what "
            "changes the environment",
            s->name, (int) s->pid, is_recorded(watch) ? "tracer" : "library that manages memory", watch->command);
    }
    return true;
}

static bool explain_with_library(const struct run_watch * watch, const struct seen * s, char * text) {
    char reason[REASON - 256];
    if (s->user != geteuid() && s->user != (uid_t) -1) {
        snprintf(text, REASON, "%s (process %d) ran as user %u, who cannot write into %s: run `tat %s` as that user",
                 s->name, (int) s->pid, (unsigned) s->user, watch->folder, watch->command);
        return true;
    }
    if (!*s->exe || !doctor_mapped(s->exe, &s->mapped, reason, sizeof reason)) { return false; }
    snprintf(text, REASON, "%s (process %d): %s", s->name, (int) s->pid, reason);
    return true;
}

/* The process that is the likeliest to have computed: it has mapped a model, or ggml. */
static const struct seen * likeliest(const struct run_watch * watch) {
    const struct seen * best = NULL;
    int most = 0;
    for (size_t i = 0; i < watch->n_seen; i++) {
        const struct seen * s = &watch->seen[i];
        const int score = s->has_model * 4 + s->has_ggml * 2 + (s->preload == ENVIRONMENT_UNSEEN);
        if (score > most) {
            most = score;
            best = s;
        }
    }
    return best;
}

const char * run_watch_signal_cause(int number) {
    return number == SIGSYS ? ": a seccomp filter forbids a system call that it made, or that tat made in it" : "";
}

static void explain_end(const struct run_watch * watch, const char * name, int wait_status, char * text) {
    if (WIFSIGNALED(wait_status)) {
        snprintf(text, REASON, "%s was killed by signal %d (%s) before it computed a graph that tat could see%s", name,
                 WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)),
                 run_watch_signal_cause(WTERMSIG(wait_status)));
    } else if (WEXITSTATUS(wait_status) != 0) {
        snprintf(text, REASON, "%s ended with status %d before it computed a graph that tat could see", name,
                 WEXITSTATUS(wait_status));
    } else {
        snprintf(text, REASON, "%s computed no graph that tat could see%s", name,
                 watch->n_seen ? ", and its processes had neither ggml nor a model mapped"
                               : ". If it should have, run it again, and meanwhile `tat doctor PID`: that tells why");
    }
}

void run_watch_say_why(const struct run_watch * watch, int wait_status) {
    const struct seen * s = likeliest(watch);
    char text[REASON], reason[REASON];
    if (s && (s->has_library ? explain_with_library(watch, s, text) : explain_without_library(watch, s, text))) {
    } else if (doctor_reason(watch->program, reason, sizeof reason)) {
        snprintf(text, sizeof text, "%s", reason);
    } else if (s && (s->has_ggml || s->has_model)) {
        snprintf(text, sizeof text, "%s (process %d) had %s, but ended before its first graph", s->name, (int) s->pid,
                 s->has_model ? "a model mapped" : "ggml loaded");
    } else {
        explain_end(watch, last_part(watch->program), wait_status, text);
    }
    fprintf(stderr, "tat %s: %s: %s\n", watch->command, is_recorded(watch) ? "no trace" : "not managed", text);
}
