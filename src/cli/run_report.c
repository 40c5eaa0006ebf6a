/* SPDX-License-Identifier: MIT */
#include "cli/run_report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/managed_run.h"
#include "cli/json_file.h"
#include "cli/run_line.h"
#include "cli/run_words.h"
#include "cli/temporary.h"

/* ---- the pipe ---- */

#define PIPE "report"

/* Nobody reads the pipe of one that was left behind. */
static void remove_if_left(const char * folder) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/" PIPE, folder) >= PATH_MAX) { return; }
    const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    const bool is_left = fd < 0 && (errno == ENXIO || errno == ENOENT);
    if (fd >= 0) { close(fd); }
    if (!is_left) { return; }
    unlink(path);
    rmdir(folder);
}

int run_report_open(struct run_report * r, struct tat_error * error) {
    *r = (struct run_report){ .pipe = -1, .stop = -1 };
    /* TAT_MANAGE has no way to write a semicolon */
    if (temporary_make("tat-run.", ';', remove_if_left, r->folder, error) != 0) { return -1; }
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
static void say(const json_t * line, const char * whose) {
    char * text = NULL;
    size_t size;
    FILE * out = open_memstream(&text, &size);
    if (!out) { return; }
    run_words_print(line, whose, out);
    if (fclose(out) == 0 && size) { fputs(text, stderr); }
    free(text);
}

/* ---- keeping ---- */

enum { SO_FAR_MOST = 512, SAID_MOST = 2048 }; /* lines, of a program that may write anything */

static bool is(const json_t * line, const char * kind) {
    return run_line_has(line, "kind", kind);
}

/* A run of a day says one each second: every second one is dropped. */
static void thin_out(struct run_report * r) {
    unsigned n = 0;
    for (size_t i = json_array_size(r->said); i-- > 0;) {
        if (is(json_array_get(r->said, i), "so_far") && n++ % 2) { json_array_remove(r->said, i); }
    }
    r->n_so_far = (n + 1) / 2;
}

static void keep_line(struct run_report * r, json_t * line) {
    if (!r->said) { r->said = json_array(); }
    if (is(line, "so_far") && ++r->n_so_far > SO_FAR_MOST) { thin_out(r); }
    if (json_array_size(r->said) < (is(line, "end") ? 2 * SAID_MOST : SAID_MOST)) { json_array_append(r->said, line); }
}

static int write_file(const char * folder, const char * name, const json_t * json, struct tat_error * error) {
    struct file_replace file;
    return file_replace_begin(&file, folder, name, error) == 0 ? json_file_end(&file, json, 1, error) : -1;
}

int run_report_keep(const struct run_report * r, const char * folder, const json_t * plan, struct tat_error * error) {
    json_t * all = json_pack("{s:s, s:i, s:O}", "format", "tat-managed", "version", 1, "lines", r->said);
    int status = write_file(folder, MANAGED_FILE, all, error);
    json_decref(all);
    if (status == 0 && plan) { status = write_file(folder, MANAGED_PLAN_FILE, plan, error); }
    return status;
}

void run_report_free(struct run_report * r) {
    json_decref(r->said);
    json_decref(r->so_far);
    r->said = r->so_far = NULL;
}

/* ---- lines ---- */

/* The library knows of no prediction but its options'. */
static void add_prediction(struct run_report * r, json_t * line) {
    if (!json_object_get(line, "predicted") || managed_figure(line, "predicted")) { return; }
    if (is(line, "begin") && r->predict) { r->predicted = r->predict(line, r->predict_state); }
    if (r->predicted) { json_object_set_new(line, "predicted", json_integer((json_int_t) r->predicted)); }
}

static void add_figure(json_t * line, const char * key, uint64_t from, uint64_t to) {
    if (to > from) { json_object_set_new(line, key, json_integer((json_int_t) (to - from))); }
}

/* What all programs did since the first line; the library says what its own did. */
static void add_load(struct run_report * r, json_t * line) {
    const bool begins = is(line, "begin");
    if (!begins && !is(line, "so_far") && !is(line, "end")) { return; }
    const struct machine_load now = machine_load_now(&r->disk), *then = &r->load;
    if (begins) {
        r->load = now;
        return;
    }
    add_figure(line, "machine_ns", then->at_ns, now.at_ns);
    add_figure(line, "machine_busy_ns", then->busy_ns, now.busy_ns);
    add_figure(line, "machine_stolen_ns", then->stolen_ns, now.stolen_ns);
    add_figure(line, "machine_disk_bytes", then->disk_bytes, now.disk_bytes);
    add_figure(line, "processors", 0, now.processors);
}

static void take_line(struct run_report * r, int pid, json_t * line) {
    char whose[64] = "tat run: ";
    if (!r->pid) { r->pid = pid; }
    if (pid == r->pid) {
        add_prediction(r, line);
        add_load(r, line);
    } else {
        snprintf(whose, sizeof whose, "tat run: process %d: ", pid);
    }
    keep_line(r, line);
    if (is(line, "so_far")) {
        if (pid != r->pid) { return; }
        json_decref(r->so_far);
        r->so_far = json_incref(line);
        return;
    }
    const unsigned before = atomic_fetch_add(&r->lines, 1);
    if (is(line, "begin")) {
        atomic_store(&r->has_begun, true);
        r->open++;
    }
    if (is(line, "end") && r->open) { r->open--; }
    if (before < LINES_MOST) { say(line, whose); }
    if (before == LINES_MOST) { fprintf(stderr, "tat run: there are more such lines, which are not shown\n"); }
}

/* "PID LINE" */
static void hear_line(struct run_report * r, const char * heard) {
    int pid, length = 0;
    if (sscanf(heard, "%d %n", &pid, &length) < 1 || length == 0) { return; }
    json_t * line = run_line_read(pid, heard + length);
    if (line) { take_line(r, pid, line); }
    json_decref(line);
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
