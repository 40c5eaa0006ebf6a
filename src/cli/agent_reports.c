/* SPDX-License-Identifier: MIT */
#include "cli/agent_reports.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/report.h"
#include "cli/run_open.h"
#include "cli/terminal.h"

static bool name_pipe(char path[static PATH_MAX], const char * folder) {
    return snprintf(path, PATH_MAX, "%s/" REPORT_NAME, folder) < PATH_MAX;
}

int agent_reports_open(const char * folder) {
    char path[PATH_MAX];
    if (!name_pipe(path, folder) || mkfifo(path, 0600) != 0) { return -1; }
    const int pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (pipe < 0) { unlink(path); }
    return pipe;
}

/* "PID ERRNO WHAT", or "PID 0 FOLDER" of a `tat record'; from a program that may write anything. */
static bool print_report(const char * line, const char * command, const char * folder) {
    int pid, error, length = 0;
    if (sscanf(line, "%d %d %n", &pid, &error, &length) < 2 || length == 0) { return false; }
    fprintf(stderr, "tat %s: process %d %s", command, pid, error ? "is not recorded: " : "recorded into ");
    print_safe(line + length, stderr);
    if (error) {
        fprintf(stderr, ": %s (%s)\n", strerror(error), folder);
    } else {
        fputs(": it is a `tat record' within this one\n", stderr);
    }
    return true;
}

unsigned agent_reports_print(int pipe, const char * command, const char * folder) {
    enum { MOST = 8, SIZE = 16384 };
    char text[SIZE];
    const ssize_t size = pipe >= 0 ? read(pipe, text, sizeof text - 1) : -1;
    unsigned reports = 0;
    text[size > 0 ? size : 0] = '\0';
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (reports < MOST) {
            reports += print_report(line, command, folder);
        } else if (*line) {
            reports++;
        }
    }
    if (reports > MOST) {
        fprintf(stderr, "tat %s: %u more process%s not recorded\n", command, reports - MOST,
                reports - MOST == 1 ? " is" : "es are");
    }
    return reports;
}

void agent_reports_tell(const char * outer, const char * folder) {
    char path[PATH_MAX], text[PIPE_BUF];
    struct stat file;
    const int length = snprintf(text, sizeof text, "%d 0 %s\n", (int) getpid(), folder);
    const int pipe = name_pipe(path, outer) ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (pipe >= 0 && length < (int) sizeof text && fstat(pipe, &file) == 0 && S_ISFIFO(file.st_mode) &&
        write(pipe, text, (size_t) length) < 0) { /* then it gives another reason */
    }
    if (pipe >= 0) { close(pipe); }
}

void agent_reports_close(int pipe, const char * folder) {
    char path[PATH_MAX];
    if (pipe < 0) { return; }
    if (name_pipe(path, folder)) { unlink(path); }
    close(pipe);
}

void agent_reports_forget(const char * folder) {
    char path[PATH_MAX];
    struct stat status;
    if (name_pipe(path, folder) && lstat(path, &status) == 0 && S_ISFIFO(status.st_mode) && !run_is_locked(folder)) {
        unlink(path);
    }
}
