/* SPDX-License-Identifier: MIT */
#include "cli/run_report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/run_words.h"

/* ---- the pipe ---- */

#define FOLDER "tat-run."
#define PIPE   "report"

/* A killed `tat run` leaves its folder behind: then nobody reads the pipe. One that is just beginning is young. */
static void remove_if_left(const char * folder) {
    enum { YOUNG = 60 };
    struct stat status;
    char path[PATH_MAX];
    if (lstat(folder, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
        status.st_mtime > time(NULL) - YOUNG || snprintf(path, sizeof path, "%s/" PIPE, folder) >= PATH_MAX) {
        return;
    }
    const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    const bool is_left = fd < 0 && (errno == ENXIO || errno == ENOENT);
    if (fd >= 0) { close(fd); }
    if (!is_left) { return; }
    unlink(path);
    rmdir(folder);
}

static void sweep(const char * parent) {
    DIR * entries = opendir(parent);
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, FOLDER, sizeof FOLDER - 1) == 0 &&
            snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) < PATH_MAX) {
            remove_if_left(path);
        }
    }
    if (entries) { closedir(entries); }
}

int run_report_open(struct run_report * r, struct tat_error * error) {
    const char * parent = getenv("TMPDIR");
    *r = (struct run_report){ .pipe = -1, .stop = -1 };
    /* TAT_MANAGE has no way to write a semicolon */
    if (!parent || *parent != '/' || strchr(parent, ';') || strlen(parent) > PATH_MAX - 64) { parent = "/tmp"; }
    sweep(parent);
    snprintf(r->folder, sizeof r->folder, "%s/" FOLDER "XXXXXX", parent);
    if (!mkdtemp(r->folder)) {
        tat_fail_errno(error, "%s: cannot make a folder there", parent);
        *r->folder = '\0';
        return -1;
    }
    snprintf(r->path, sizeof r->path, "%.*s/" PIPE, (int) (PATH_MAX - sizeof PIPE - 1), r->folder);
    /* Opened for writing too: else the pipe would be at its end whenever no program has it open. */
    if (mkfifo(r->path, 0600) == 0 && (r->pipe = open(r->path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) >= 0 &&
        (r->stop = eventfd(0, EFD_CLOEXEC)) >= 0) {
        return 0;
    }
    tat_fail_errno(error, "%s", r->path);
    run_report_close(r);
    return -1;
}

/* ---- hearing ---- */

enum { LINES_MOST = 100 }; /* that are printed, of a program that may write anything */

/* In one write, so that what the program prints does not get between. */
static void say(const char * line, const char * whose) {
    char * text = NULL;
    size_t size;
    FILE * out = open_memstream(&text, &size);
    if (!out) { return; }
    run_words_print(line, whose, out);
    if (fclose(out) == 0 && size) { fputs(text, stderr); }
    free(text);
}

/* "PID LINE" */
static void hear_line(struct run_report * r, const char * line) {
    int pid, length = 0;
    char whose[64] = "tat run: ";
    if (sscanf(line, "%d %n", &pid, &length) < 1 || length == 0) { return; }
    if (!r->pid) { r->pid = pid; }
    if (pid != r->pid) { snprintf(whose, sizeof whose, "tat run: process %d: ", pid); }
    if (strncmp(line + length, "so_far ", 7) == 0) {
        if (pid == r->pid) { snprintf(r->so_far, sizeof r->so_far, "end %s", line + length + 7); }
        return;
    }
    const unsigned before = atomic_fetch_add(&r->lines, 1);
    if (strncmp(line + length, "begin ", 6) == 0) {
        atomic_store(&r->has_begun, true);
        r->open++;
    }
    if (strncmp(line + length, "end ", 4) == 0 && r->open) { r->open--; }
    if (before < LINES_MOST) { say(line + length, whose); }
    if (before == LINES_MOST) { fprintf(stderr, "tat run: there are more such lines, which are not shown\n"); }
}

struct heard {
    char text[2 * PIPE_BUF + 1];
    size_t length;
};

/* Takes what is in the pipe, or as much as a pipe holds: somebody may write without end. A line that does not end
 * within what a pipe takes at once is nobody's of ours. */
static void hear(struct run_report * r, struct heard * h) {
    ssize_t n;
    for (int i = 0; i < 16 && (n = read(r->pipe, h->text + h->length, sizeof h->text - 1 - h->length)) > 0; i++) {
        h->length += (size_t) n;
        h->text[h->length] = '\0';
        char * begin = h->text;
        for (char * end; (end = memchr(begin, '\n', (size_t) (h->text + h->length - begin))); begin = end + 1) {
            *end = '\0';
            hear_line(r, begin);
        }
        h->length -= (size_t) (begin - h->text);
        memmove(h->text, begin, h->length);
        if (h->length == sizeof h->text - 1) { h->length = 0; }
    }
}

static void * listen_to(void * state) {
    struct run_report * r = state;
    struct heard heard = { .length = 0 };
    struct pollfd fds[] = { { .fd = r->pipe, .events = POLLIN }, { .fd = r->stop, .events = POLLIN } };
    while (!fds[1].revents) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) { break; }
        hear(r, &heard);
    }
    return NULL;
}

void run_report_listen(struct run_report * r) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r->is_heard = r->pipe >= 0 && pthread_create(&r->thread, NULL, listen_to, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void run_report_close(struct run_report * r) {
    const uint64_t one = 1;
    if (r->is_heard && write(r->stop, &one, sizeof one) == sizeof one) { pthread_join(r->thread, NULL); }
    if (r->pipe >= 0) { close(r->pipe); }
    if (r->stop >= 0) { close(r->stop); }
    if (*r->path) { unlink(r->path); }
    if (*r->folder) { rmdir(r->folder); }
    *r->path = *r->folder = '\0';
    r->pipe = r->stop = -1;
}
