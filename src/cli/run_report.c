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

#include "cli/terminal.h"
#include "cli/units.h"

/* ---- what a line says ---- */

/* The number behind " KEY="; 0: there is none. */
static uint64_t figure(const char * line, const char * key) {
    const size_t length = strlen(key);
    for (const char * at = line; (at = strchr(at, ' ')); at++) {
        if (strncmp(at + 1, key, length) == 0 && at[1 + length] == '=') {
            return strtoull(at + 1 + length + 1, NULL, 10);
        }
    }
    return 0;
}

/* Sums of figures that a program may have made up. */
static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* "44.9 MiB pinned, 108 MiB for 378 MiB of experts, 12.0 MiB left to the kernel" */
static void print_placement(const char * line, FILE * out) {
    const uint64_t pinned = figure(line, "pinned"), streamed = figure(line, "streamed"), ring = figure(line, "ring"),
                   cached = figure(line, "cached"), cache = figure(line, "cache"), left = figure(line, "left");
    char bytes[UNITS_SIZE], room[UNITS_SIZE];
    const char * comma = ": ";
    if (pinned) {
        fprintf(out, "%s%s pinned", comma, format_bytes(bytes, pinned));
        comma = ", ";
    }
    if (streamed) {
        fprintf(out, "%s%s streamed through %s", comma, format_bytes(bytes, streamed), format_bytes(room, ring));
        comma = ", ";
    }
    if (cached) {
        fprintf(out, "%s%s for %s of experts", comma, format_bytes(room, cache), format_bytes(bytes, cached));
        comma = ", ";
    }
    if (left) { fprintf(out, "%s%s left to the kernel", comma, format_bytes(bytes, left)); }
}

static void print_reader(const char * line, FILE * out) {
    const bool is_uring = strstr(line, " reader=uring"), is_threads = strstr(line, " reader=threads");
    if (!is_uring && !is_threads) { return; }
    fprintf(out, "; read by %s", is_uring ? "io_uring" : "threads");
    if (strstr(line, " direct=1")) { fputs(" past the page cache", out); }
    if (strstr(line, " direct=0")) { fputs(" through the page cache, as the file system has no O_DIRECT", out); }
}

/* Tokens a second come as thousandths. */
static const char * format_speed(char text[static UNITS_SIZE], uint64_t thousandths) {
    return format_rate(text, (double) thousandths / 1000);
}

static void print_begin(const char * line, const char * whose, FILE * out) {
    const uint64_t weights = plus(plus(figure(line, "pinned"), figure(line, "streamed")),
                                  plus(figure(line, "cached"), figure(line, "left"))),
                   limit = figure(line, "limit"), predicted = figure(line, "predicted");
    char bytes[UNITS_SIZE];
    fprintf(out, "%smanaging %s of weights", whose, format_bytes(bytes, weights));
    if (limit) { fprintf(out, " in %s of memory", format_bytes(bytes, limit)); }
    print_placement(line, out);
    print_reader(line, out);
    if (predicted) { fprintf(out, "; %s tokens/s predicted", format_speed(bytes, predicted)); }
    fputc('\n', out);
}

/* Clauses of a sentence: the first one begins it. Returns what stands before the next. */
static const char * print_speed(const char * line, const char * before, FILE * out) {
    const uint64_t tokens = figure(line, "tokens"), ns = figure(line, "ns"), predicted = figure(line, "predicted");
    char speed[UNITS_SIZE], wanted[UNITS_SIZE];
    if (!tokens || !ns) { return before; }
    format_rate(speed, (double) tokens * 1e9 / (double) ns);
    if (predicted) {
        fprintf(out, "%spredicted %s tokens/s, delivered %s", before, format_speed(wanted, predicted), speed);
    } else {
        fprintf(out, "%sdelivered %s tokens/s", before, speed);
    }
    return "; ";
}

static const char * print_bytes(const char * line, const char * before, FILE * out) {
    const uint64_t read = figure(line, "read"), tokens = figure(line, "tokens"), wanted = figure(line, "wanted");
    char bytes[UNITS_SIZE];
    if (read) {
        fprintf(out, "%sread %s", before, format_bytes(bytes, read));
        if (tokens) { fprintf(out, " (%s a token)", format_mean_bytes(bytes, (double) read / (double) tokens)); }
        before = ", ";
    }
    if (wanted) {
        fprintf(out, "%s%s of expert bytes were in memory", before,
                format_share(bytes, (double) figure(line, "held") / (double) wanted));
    }
    return read || wanted ? "; " : before;
}

/* What went wrong, or was proved not to have. */
static void print_checks(const char * line, const char * whose, FILE * out) {
    const uint64_t checked = figure(line, "checked"), wrong = figure(line, "wrong"), errors = figure(line, "errors");
    char count[UNITS_SIZE], other[UNITS_SIZE];
    if (wrong) {
        fprintf(out, "%sWRONG: %s of %s pieces differed from the file\n", whose, format_count(other, wrong),
                format_count(count, checked));
    } else if (checked) {
        fprintf(out, "%s%s piece%s compared with the file: no difference\n", whose, format_count(count, checked),
                checked == 1 ? "" : "s");
    }
    if (errors) {
        fprintf(out, "%s%s piece%s could not be read or mapped and %s left to the kernel\n", whose,
                format_count(count, errors), errors == 1 ? "" : "s", errors == 1 ? "was" : "were");
    }
}

static void print_end(const char * line, const char * whose, FILE * out) {
    const uint64_t ns = figure(line, "ns");
    char share[UNITS_SIZE];
    const char * before = print_bytes(line, print_speed(line, whose, out), out);
    if (ns && strstr(line, " wait_ns=")) {
        fprintf(out, "%swaited for the disk %s of the time", before,
                format_share(share, (double) figure(line, "wait_ns") / (double) ns));
        before = "; ";
    }
    if (figure(line, "handed_back")) {
        fprintf(out, "%sthe kernel took over before the end", before);
        before = "; ";
    }
    if (before != whose) { fputc('\n', out); }
    print_checks(line, whose, out);
}

bool run_report_print(const char * line, const char * whose, FILE * out) {
    if (strncmp(line, "begin ", 6) == 0) {
        print_begin(line, whose, out);
    } else if (strncmp(line, "end ", 4) == 0) {
        print_end(line, whose, out);
    } else if (strncmp(line, "note ", 5) == 0) {
        fputs(whose, out);
        print_safe(line + 5, out);
        fputc('\n', out);
    } else {
        return false;
    }
    return true;
}

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
    run_report_print(line, whose, out);
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
