/* SPDX-License-Identifier: MIT */
#include "cli/brief_recording.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analysis/units.h"
#include "cli/descendants.h"
#include "cli/machine_memory.h"
#include "cli/model_arguments.h"
#include "cli/remove_run.h"
#include "cli/run_folder.h"
#include "cli/temporary.h"
#include "cli/terminal.h"
#include "format/file_names.h"
#include "format/follow.h"
#include "io/privilege.h"
#include "system/clock.h"

#define TALK "talk" /* what the recording says */

/* ---- where ---- */

/* Nobody holds the lock of one that was left behind. */
static void remove_if_left(const char * folder) {
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) { remove_tree(folder); }
    if (fd >= 0) { close(fd); }
}

static int make_folder(struct brief_recording * b, const char * keep, struct tat_error * error) {
    if (temporary_make("tat-brief.", '\0', remove_if_left, b->temporary, error) != 0) { return -1; }
    b->lock = open(b->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->lock >= 0) { flock(b->lock, LOCK_SH); }
    if (keep) { return run_create(*keep ? keep : NULL, b->folder, error); }
    snprintf(b->folder, sizeof b->folder, "%.*s/trace", PATH_MAX - 16, b->temporary);
    return 0;
}

void brief_recording_end(struct brief_recording * b) {
    if (*b->temporary) { remove_tree(b->temporary); }
    if (b->lock >= 0) { close(b->lock); }
    *b->temporary = '\0';
    b->lock = -1;
}

/* ---- the command ---- */

/* A model that does not fit would be read again and again by page faults, for every token. */
static bool fits(char ** command) {
    struct model_arguments models;
    struct stat file;
    uint64_t bytes = 0;
    model_arguments_find(command, &models);
    for (size_t i = 0; i < models.count; i++) {
        if (stat(models.files[i], &file) == 0) { bytes += (uint64_t) file.st_size; }
    }
    model_arguments_free(&models);
    return bytes <= machine_memory_free();
}

static char ** arguments_of(const struct brief_recording * b, char ** command, char option[static PATH_MAX + 16]) {
    size_t n = 0, at = 0;
    while (command[n]) { n++; }
    char ** arguments = calloc(n + 6, sizeof *arguments);
    if (!arguments) { return NULL; }
    const bool plain = fits(command);
    snprintf(option, PATH_MAX + 16, "%s%s", plain ? "--output=" : "--record=", b->folder);
    arguments[at++] = "tat";
    arguments[at++] = plain ? "record" : "run";
    arguments[at++] = option;
    arguments[at++] = "--";
    memcpy(arguments + at, command, n * sizeof *command);
    return arguments;
}

/* In a group of its own, which a terminal's signals do not reach. Ends with its parent. */
static _Noreturn void become(const struct brief_recording * b, char ** arguments, const sigset_t * mask, pid_t parent) {
    char talk[PATH_MAX + sizeof TALK];
    snprintf(talk, sizeof talk, "%s/" TALK, b->temporary);
    const int nothing = open("/dev/null", O_RDWR), words = open(talk, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (nothing >= 0 && words >= 0 && dup2(nothing, 0) == 0 && dup2(nothing, 1) == 1 && dup2(words, 2) == 2 &&
        privilege_drop() == 0 && getppid() == parent) {
        unsetenv("TAT_RUN_DIR");
        if (strncmp(b->folder, b->temporary, strlen(b->temporary)) == 0) { setenv("TAT_TEMPORARY", "1", 1); }
        execv("/proc/self/exe", arguments);
    }
    _exit(127);
}

static void kill_one(pid_t pid, void * state) {
    if (pid != *(const pid_t *) state) { kill(pid, SIGKILL); }
}

static bool has_ended(pid_t child, int ms, int * status) {
    const struct timespec pause = { 0, 20 * 1000000L };
    for (;; ms -= 20) {
        if (waitpid(child, status, WNOHANG) == child) { return true; }
        if (ms <= 0) { return false; }
        nanosleep(&pause, NULL);
    }
}

/* The command, then `tat record`, which has the trace to finish. */
static void stop(pid_t child) {
    enum { GENTLY = 5000, FINISHING = 20000 };
    int status;
    kill(-child, SIGTERM);
    if (has_ended(child, GENTLY, &status)) { return; }
    descendants_each(kill_one, &child);
    if (has_ended(child, FINISHING, &status)) { return; }
    kill(-child, SIGKILL);
    waitpid(child, &status, 0);
}

/* ---- watching it ---- */

static bool has_begun(const char * folder) {
    char file[PATH_MAX + sizeof "/" TRACE_FILE], magic[8] = "";
    snprintf(file, sizeof file, "%s/" TRACE_FILE, folder);
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return false; }
    const bool begun = pread(fd, magic, sizeof magic, 0) == (ssize_t) sizeof magic && magic[0];
    close(fd);
    return begun;
}

static void count_tokens(struct brief_recording * b, struct follow ** follow) {
    struct tat_error ignored;
    bool revised;
    uint32_t n;
    if (!*follow && has_begun(b->folder)) { *follow = follow_open(b->folder, &ignored); }
    if (!*follow || follow_read(*follow, &revised, &ignored) != 0) { return; }
    const struct tat_evaluation * e = tat_trace_evaluations(follow_trace(*follow), &n);
    b->tokens = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].phase == TAT_PHASE_GENERATE) { b->tokens += e[i].n_tokens; }
    }
}

/* Returns the signal that is to end tat, or 0. */
static int watch(struct brief_recording * b, pid_t child, const sigset_t * awaited) {
    const struct timespec pause = { 0, 50 * 1000000L };
    const double began = 1e-9 * (double) clock_ns();
    struct follow * follow = NULL;
    int status, number = 0;
    bool ended = false;
    while (!(ended = waitpid(child, &status, WNOHANG) == child) && b->tokens <= BRIEF_TOKENS &&
           1e-9 * (double) clock_ns() - began < BRIEF_SECONDS_MOST) {
        number = sigtimedwait(awaited, NULL, &pause);
        if (number > 0 && number != SIGCHLD) { break; }
        number = 0;
        count_tokens(b, &follow);
    }
    if (!ended) { stop(child); }
    if (number <= 0) { count_tokens(b, &follow); }
    follow_close(follow);
    b->seconds = 1e-9 * (double) clock_ns() - began;
    return number > 0 ? number : 0;
}

/* ---- what went wrong ---- */

/* The last line that tat said. */
static void last_words(const struct brief_recording * b, char words[static 512]) {
    char talk[PATH_MAX + sizeof TALK], line[512];
    snprintf(talk, sizeof talk, "%s/" TALK, b->temporary);
    FILE * file = fopen(talk, "re");
    *words = '\0';
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "tat", 3) == 0) { snprintf(words, 512, "%s", line); }
    }
    if (file) { fclose(file); }
    for (char * c = words; *c; c++) {
        if ((unsigned char) *c < 0x20 || *c == 0x7f) { *c = '?'; }
    }
}

static int fail_without_tokens(const struct brief_recording * b, const char * name, struct tat_error * error) {
    char words[512];
    last_words(b, words);
    return tat_fail(error, TAT_ERROR_INPUT,
                    "%s generated %s while it was recorded; it reads no input then, so its prompt must be on the "
                    "command line%s%s",
                    name, b->tokens ? "too few tokens" : "no token", *words ? ": " : "", words);
}

/* ---- all ---- */

static int record(struct brief_recording * b, char ** command, struct tat_error * error) {
    static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD };
    char option[PATH_MAX + 16];
    sigset_t awaited, before;
    char ** arguments = arguments_of(b, command, option);
    if (!arguments) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    sigemptyset(&awaited);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) { sigaddset(&awaited, ending[i]); }
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &awaited, &before);
    fflush(NULL);
    const pid_t parent = getpid(), child = fork();
    if (child == 0) { become(b, arguments, &before, parent); }
    free(arguments);
    const int number = child > 0 ? watch(b, child, &awaited) : 0;
    if (number) {
        brief_recording_end(b);
        signal(number, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        raise(number);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) { return tat_fail_errno(error, "cannot start another process"); }
    return b->tokens >= BRIEF_TOKENS_LEAST ? 0 : fail_without_tokens(b, last_part(command[0]), error);
}

int brief_recording_make(struct brief_recording * b, const char * who, char ** command, const char * keep,
                         struct tat_error * error) {
    *b = (struct brief_recording){ .lock = -1 };
    fprintf(stderr, "tat %s: recording about %d generated tokens first, without output: ", who, BRIEF_TOKENS);
    for (char ** word = command; *word; word++) {
        const char * quote = strchr(*word, ' ') ? "\"" : "";
        fprintf(stderr, "%s%s", word != command ? " " : "", quote);
        print_safe(*word, stderr);
        fputs(quote, stderr);
    }
    fputc('\n', stderr);
    const int status = make_folder(b, keep, error) == 0 ? record(b, command, error) : -1;
    if (status == 0) {
        char time[UNITS_SIZE];
        fprintf(stderr, "tat %s: recorded %llu generated tokens in %s\n", who, (unsigned long long) b->tokens,
                format_duration(time, (uint64_t) (1e9 * b->seconds)));
    } else {
        brief_recording_end(b);
    }
    return status;
}
