/* SPDX-License-Identifier: MIT
 *
 * Files into events, events into requests. Events of several processors are in order within each, so all are sorted
 * before a request is made of what belongs together.
 */
#include "blocktrace/block_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocktrace/columns.h"
#include "blocktrace/events.h"
#include "blocktrace/line_format.h"
#include "io/requests.h"

enum { BUFFER_BYTES = 1 << 18, LINE_MOST = 1 << 14 };

const char * block_format_name(enum block_format format) {
    static const char * const names[BLOCK_FORMATS] = {
        [BLOCK_ANY] = "any", [BLOCK_BLKTRACE] = "blktrace", [BLOCK_BLKPARSE] = "blkparse",
        [BLOCK_BLK] = "blk", [BLOCK_EVENTS] = "events",     [BLOCK_BIOSNOOP] = "biosnoop",
    };
    return format < BLOCK_FORMATS ? names[format] : NULL;
}

/* ---- what readers add ---- */

static uint32_t find_disk(struct block_reader * r, uint64_t number, const char * name, size_t length) {
    const uint32_t count = r->disks.count;
    if (length >= sizeof((struct block_disk *) 0)->name) { length = sizeof((struct block_disk *) 0)->name - 1; }
    for (uint32_t i = 0; i < count; i++) {
        const struct block_disk * d = &LIST(struct block_disk, r->disks)[i];
        if (d->number == number && strlen(d->name) == length && memcmp(d->name, name, length) == 0) { return i; }
    }
    struct block_disk * d = count < BLOCK_DISKS_MOST ? list_add(&r->disks, sizeof *d) : NULL;
    if (!d) {
        r->memory = false;
        r->too_many |= count >= BLOCK_DISKS_MOST;
        return UINT32_MAX;
    }
    d->number = number;
    memcpy(d->name, name, length);
    return count;
}

uint32_t block_disk_numbered(struct block_reader * r, uint64_t number) {
    return find_disk(r, number, "", 0);
}

uint32_t block_disk_named(struct block_reader * r, const char * name, size_t length) {
    return find_disk(r, 0, name, length);
}

static void * add_to(struct block_reader * r, struct list * list, size_t size) {
    void * place = list->count < BLOCK_EVENTS_MOST ? list_add(list, size) : NULL;
    r->too_many |= list->count >= BLOCK_EVENTS_MOST;
    r->memory &= place != NULL;
    return place;
}

void block_add(struct block_reader * r, const struct block_event * event) {
    struct block_event * e = r->memory ? add_to(r, &r->events, sizeof *e) : NULL;
    if (!e) { return; }
    *e = *event;
    e->order = r->events.count - 1;
    if (e->kind == BLOCK_LOST) {
        r->trace->lost += e->bytes;
    } else {
        r->trace->events++;
    }
}

void block_add_request(struct block_reader * r, const struct tat_io_request * request) {
    struct tat_io_request * q = r->memory ? add_to(r, &r->requests, sizeof *q) : NULL;
    if (!q) { return; }
    *q = *request;
    if (q->duration_ns > q->end_ns) { q->duration_ns = q->end_ns; } /* begun before the trace's own clock */
    r->trace->events++;
}

void block_damaged(struct block_reader * r, uint64_t where) {
    if (!r->trace->damaged++) {
        r->trace->damaged_line = where;
        r->trace->damaged_file = r->path;
    }
}

/* ---- events into requests ---- */

static int by_time(const void * a, const void * b) {
    const struct block_event *x = a, *y = b;
    return x->ns != y->ns ? (x->ns < y->ns ? -1 : 1) : x->order < y->order ? -1 : x->order > y->order;
}

static int by_end(const void * a, const void * b) {
    const struct tat_io_request *x = a, *y = b;
    return x->end_ns != y->end_ns ? (x->end_ns < y->end_ns ? -1 : 1) : x->disk_offset < y->disk_offset ? -1 : 1;
}

static void take_request(const struct tat_io_request * request, void * user) {
    struct block_reader * r = user;
    struct tat_io_request * q = r->memory ? add_to(r, &r->requests, sizeof *q) : NULL;
    if (q) { *q = *request; }
}

/* Disks that pass on what they are given have no issues of their own, or no completions. */
struct has {
    bool issue, complete;
};

static void tell(struct requests * requests, const struct block_event * e, const struct has * has) {
    const struct request_event event = {
        .ns = e->ns, .disk = e->disk, .offset = e->offset, .bytes = e->bytes, .pid = e->pid, .flags = e->flags
    };
    switch (e->kind) {
        case BLOCK_ISSUE: requests_issue(requests, &event); break;
        case BLOCK_REQUEUE: requests_requeue(requests, &event); break;
        case BLOCK_COMPLETE: requests_complete(requests, &event); break;
        case BLOCK_QUEUE:
            if (!has->issue) { requests_issue(requests, &event); }
            break;
        case BLOCK_DONE:
            if (!has->complete) { requests_complete(requests, &event); }
            break;
        default: requests_forget(requests); break;
    }
}

static void make_requests(struct block_reader * r) {
    struct block_event * events = r->events.data;
    struct requests requests = REQUESTS(take_request, r);
    struct has * has = calloc(r->disks.count + 1, sizeof *has);
    if (!has) {
        r->memory = false;
        return;
    }
    if (r->events.count) { qsort(events, r->events.count, sizeof *events, by_time); }
    for (uint32_t i = 0; i < r->events.count; i++) {
        if (events[i].kind == BLOCK_LOST) { continue; }
        has[events[i].disk].issue |= events[i].kind == BLOCK_ISSUE;
        has[events[i].disk].complete |= events[i].kind == BLOCK_COMPLETE;
    }
    for (uint32_t i = 0; i < r->events.count; i++) {
        tell(&requests, &events[i], &has[events[i].kind == BLOCK_LOST ? 0 : events[i].disk]);
    }
    requests_end(&requests);
    r->memory &= !requests.lost;
    r->trace->unbegun = requests.unbegun;
    r->trace->unfinished = requests.unfinished;
    r->trace->requeued = requests.requeued;
    r->trace->reissued = requests.reissued;
    r->trace->parts = requests.parts;
    free(has);
}

static void give(struct block_reader * r) {
    struct block_trace * t = r->trace;
    t->requests = r->requests.data;
    t->n_requests = r->requests.count;
    t->disks = r->disks.data;
    t->n_disks = r->disks.count;
    if (!r->memory) { return; }
    if (t->n_requests) { qsort(t->requests, t->n_requests, sizeof *t->requests, by_end); }
    for (size_t i = 0; i < t->n_requests; i++) {
        struct block_disk * d = &t->disks[t->requests[i].disk];
        d->requests++;
        if (!(t->requests[i].flags & (TAT_IO_WRITE | TAT_IO_FAILED))) { d->read_bytes += t->requests[i].bytes; }
    }
    t->monotonic = t->seen[BLOCK_BLKTRACE];
    for (int f = 0; f < BLOCK_FORMATS; f++) { t->monotonic &= f == BLOCK_BLKTRACE || !t->seen[f]; }
}

/* ---- files ---- */

/* What cannot be read as it is, and what to do with it. */
static const char * other_kind(const uint8_t * bytes, size_t count) {
    static const struct {
        const char *magic, *advice;
    } kinds[] = {
        { "\x1f\x8b", "it is compressed: pass on what gzip -dc prints, with --blktrace -" },
        { "\x28\xb5\x2f\xfd", "it is compressed: pass on what zstd -dc prints, with --blktrace -" },
        { "\xfd"
          "7zXZ",
          "it is compressed: pass on what xz -dc prints, with --blktrace -" },
        { "PERFILE2", "it is perf's own file: pass on what perf script -i FILE prints" },
        { "\x17\x08\x44tracing", "it is trace-cmd's own file: pass on what trace-cmd report FILE prints" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t length = strlen(kinds[i].magic);
        if (count >= length && memcmp(bytes, kinds[i].magic, length) == 0) { return kinds[i].advice; }
    }
    return NULL;
}

struct file {
    int fd;
    uint8_t * buffer;
    size_t count;
    uint64_t at; /* of the buffer's first byte */
    bool ended;
};

/* Fills the buffer up. -1 with errno. */
static int fill(struct file * f) {
    while (!f->ended && f->count < BUFFER_BYTES) {
        const ssize_t n = read(f->fd, f->buffer + f->count, BUFFER_BYTES - f->count);
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) { return -1; }
        f->ended = n == 0;
        f->count += (size_t) n;
    }
    return 0;
}

static void shift(struct file * f, size_t done) {
    memmove(f->buffer, f->buffer + done, f->count - done);
    f->count -= done;
    f->at += done;
}

/* Reads the lines that are whole. A line that is too long is no event's: its pieces count as other lines. */
static size_t read_lines(struct block_reader * r, const struct file * f) {
    const char * bytes = (const char *) f->buffer;
    size_t at = 0;
    while (at < f->count && r->memory) {
        const char * newline = memchr(bytes + at, '\n', f->count - at);
        if (!newline && !f->ended && f->count - at < LINE_MOST) { break; }
        size_t length = newline ? (size_t) (newline - bytes) - at : f->count - at;
        if (length > LINE_MOST) {
            r->trace->other_lines++;
        } else {
            r->line++;
            block_read_line(r, bytes + at, length);
        }
        at += length + (newline != NULL);
    }
    return at;
}

static int read_all(struct block_reader * r, struct file * f, struct tat_error * error) {
    if (fill(f) != 0) { return tat_fail_errno(error, "%s", r->path); }
    const char * advice = other_kind(f->buffer, f->count);
    if (advice) { return tat_fail(error, TAT_ERROR_INPUT, "%s: %s", r->path, advice); }
    const bool binary = block_is_binary(f->buffer, f->count);
    const enum block_format wanted = r->options->format;
    if (wanted != BLOCK_ANY && binary != (wanted == BLOCK_BLKTRACE) && f->count) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: %s, and --blktrace-format says %s", r->path,
                        binary ? "a binary file of blktrace" : "not a binary file of blktrace",
                        r->options->line_format ? r->options->line_format : block_format_name(wanted));
    }
    while (f->count && r->memory) {
        shift(f, binary ? block_read_binary(r, f->buffer, f->count, f->at, f->ended) : read_lines(r, f));
        if (f->ended) { break; }
        if (fill(f) != 0) { return tat_fail_errno(error, "%s", r->path); }
    }
    return 0;
}

static int read_file(struct block_reader * r, uint8_t * buffer, struct tat_error * error) {
    struct file f = { .buffer = buffer };
    struct stat status;
    const bool standard = strcmp(r->path, "-") == 0;
    f.fd = standard ? STDIN_FILENO : open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (f.fd < 0) { return tat_fail_errno(error, "%s", r->path); }
    r->line = 0;
    const bool folder = fstat(f.fd, &status) == 0 && S_ISDIR(status.st_mode);
    const int failed =
        folder ? tat_fail(error, TAT_ERROR_INPUT, "%s: a folder, not a block trace", r->path) : read_all(r, &f, error);
    if (!standard) { close(f.fd); }
    return failed;
}

static int check(const struct block_reader * r, struct tat_error * error) {
    if (r->too_many) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: more than %d events or %d disks: cut the trace in pieces", r->path,
                        BLOCK_EVENTS_MOST, BLOCK_DISKS_MOST);
    }
    if (!r->memory) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", r->path); }
    if (r->trace->events) { return 0; }
    if (columns_lack_place(r)) {
        return tat_fail(
            error, TAT_ERROR_INPUT,
            "%s: its lines have no SECTOR or no BYTES, as those of bpftrace's biosnoop.bt: nothing tells what "
            "was read. bcc's biosnoop has them, or trace block:block_rq_issue and block:block_rq_complete",
            r->path);
    }
    if (r->trace->damaged) {
        return tat_fail(error, TAT_ERROR_INPUT,
                        "%s, %s %llu: damaged, as all that look like a request's events. What perf script prints needs "
                        "-F time,event,trace at least",
                        r->trace->damaged_file, r->trace->seen[BLOCK_BLKTRACE] ? "byte" : "line",
                        (unsigned long long) r->trace->damaged_line);
    }
    return tat_fail(
        error, TAT_ERROR_INPUT,
        "%s: no event of a request to a disk, in any format that tat knows (blktrace, blkparse, the kernel's "
        "blk tracer and trace events, perf script, biosnoop)",
        r->path);
}

int block_trace_read(struct block_trace * trace, const char * const * paths, size_t n_paths,
                     const struct block_options * options, struct tat_error * error) {
    struct block_reader r = { .trace = trace, .options = options, .memory = true };
    *trace = (struct block_trace){ 0 };
    if (options->line_format && line_format_check(options->line_format, error) != 0) { return -1; }
    uint8_t * buffer = malloc(BUFFER_BYTES);
    int failed = buffer ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (size_t i = 0; i < n_paths && !failed && r.memory; i++) {
        r.path = paths[i];
        failed = read_file(&r, buffer, error);
    }
    free(buffer);
    if (!failed && r.memory) { make_requests(&r); }
    give(&r);
    if (!failed) { failed = check(&r, error); }
    columns_free(&r);
    free(r.events.data);
    return failed;
}

void block_trace_free(struct block_trace * trace) {
    free(trace->requests);
    free(trace->disks);
    *trace = (struct block_trace){ 0 };
}
