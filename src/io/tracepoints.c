/* SPDX-License-Identifier: MIT */
#include "io/tracepoints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fields that any of them has. */
enum { DEVICE, INODE, INDEX, ORDER, SECTOR, SECTORS, LETTERS, FAILURE, FIELDS };

struct description {
    const char * folder;
    enum perf_kind kind;
    const char * names[FIELDS]; /* NULL: it has none */
};

#define PAGE_FIELDS                                                                                                    \
    { [DEVICE] = "s_dev", [INODE] = "i_ino", [INDEX] = "index", [ORDER] = "order" }
#define REQUEST_FIELDS                                                                                                 \
    { [DEVICE] = "dev", [SECTOR] = "sector", [SECTORS] = "nr_sector", [LETTERS] = "rwbs" }

static const struct description descriptions[TRACEPOINTS] = {
    { "filemap/mm_filemap_add_to_page_cache", PERF_PAGES_COME, PAGE_FIELDS },
    { "filemap/mm_filemap_delete_from_page_cache", PERF_PAGES_LEAVE, PAGE_FIELDS },
    { "block/block_rq_issue", PERF_REQUEST_ISSUED, REQUEST_FIELDS },
    { "block/block_rq_requeue", PERF_REQUEST_REQUEUED, REQUEST_FIELDS },
    { "block/block_rq_complete",
      PERF_REQUEST_COMPLETED,
      { [DEVICE] = "dev", [SECTOR] = "sector", [SECTORS] = "nr_sector", [LETTERS] = "rwbs", [FAILURE] = "error" } },
};

struct field {
    uint32_t offset, bytes; /* bytes 0: this kernel has no such field */
};

struct tracepoints {
    uint64_t id[TRACEPOINTS];
    struct field fields[TRACEPOINTS][FIELDS];
    struct tat_error no_pages, no_requests; /* why; with an empty message, there are */
};

/* ---- finding ---- */

/* What "field:TYPE NAME[...];\toffset:O;\tsize:S;" says of a name. */
static void read_field(const char * line, const struct description * d, struct field fields[FIELDS]) {
    const char * end = strchr(line, ';');
    unsigned offset, bytes;
    if (!end || sscanf(end, ";\toffset:%u;\tsize:%u;", &offset, &bytes) != 2) { return; }
    const char * bracket = memchr(line, '[', (size_t) (end - line));
    if (bracket && bracket[-1] != ' ') { end = bracket; } /* "char rwbs[10]", not "__data_loc char[] cmd" */
    for (int i = 0; i < FIELDS; i++) {
        const size_t length = d->names[i] ? strlen(d->names[i]) : 0;
        if (length && (size_t) (end - line) > length && memcmp(end - length, d->names[i], length) == 0 &&
            end[-(ptrdiff_t) length - 1] == ' ') {
            fields[i] = (struct field){ offset, bytes };
        }
    }
}

static bool is_complete(const struct description * d, const struct field fields[FIELDS]) {
    for (int i = 0; i < FIELDS; i++) {
        const uint32_t bytes = fields[i].bytes;
        if (!bytes && d->names[i] && i != ORDER && i != FAILURE) { return false; }
        if (i != LETTERS && bytes != 0 && bytes != 1 && bytes != 4 && bytes != 8) { return false; }
    }
    return true;
}

static int find(struct tracepoints * t, int which, int events, struct tat_error * error) {
    const struct description * d = &descriptions[which];
    char path[96], line[512];
    snprintf(path, sizeof path, "events/%s/format", d->folder);
    const int fd = openat(events, path, O_RDONLY | O_CLOEXEC);
    FILE * file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        if (fd >= 0) { close(fd); }
        if (errno == ENOENT) {
            return tat_fail(error, TAT_ERROR_SYSTEM, "this kernel has no trace event %s", d->folder);
        }
        return tat_fail_errno(error, "tracefs: %s", path);
    }
    while (fgets(line, sizeof line, file)) {
        unsigned long id;
        if (sscanf(line, "ID: %lu", &id) == 1) { t->id[which] = id; }
        if (strstr(line, "field:")) { read_field(line, d, t->fields[which]); }
    }
    fclose(file);
    if (t->id[which] && is_complete(d, t->fields[which])) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "the fields of this kernel's trace event %s are unknown", d->folder);
}

static bool is_of_pages(int which) {
    return descriptions[which].kind == PERF_PAGES_COME || descriptions[which].kind == PERF_PAGES_LEAVE;
}

struct tracepoints * tracepoints_find(int tracefs, struct tat_error * error) {
    struct tracepoints * t = calloc(1, sizeof *t);
    if (!t) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    for (int i = 0; i < TRACEPOINTS; i++) { find(t, i, tracefs, is_of_pages(i) ? &t->no_pages : &t->no_requests); }
    return t;
}

const char * tracepoints_missing(const struct tracepoints * t, enum tat_io_source source) {
    return source == TAT_IO_SOURCE_PAGES ? t->no_pages.message : t->no_requests.message;
}

void tracepoints_free(struct tracepoints * t) {
    free(t);
}

const char * tracepoint_folder(const struct tracepoints * t, int which) {
    return *(is_of_pages(which) ? t->no_pages : t->no_requests).message ? NULL : descriptions[which].folder;
}

/* ---- reading ---- */

/* 0 where there is none. */
static uint64_t number(const uint8_t * entry, uint32_t bytes, struct field f) {
    uint64_t value = 0;
    if (f.bytes == 0 || f.offset > bytes || f.bytes > bytes - f.offset) { return 0; }
    memcpy(&value, entry + f.offset, f.bytes); /* the lowest byte comes first, on all machines that tat knows */
    return value;
}

static bool read_request(const uint8_t * entry, uint32_t bytes, const struct field * f, struct perf_event * event) {
    const struct field letters = f[LETTERS];
    event->request.disk = disk_of_kernel((uint32_t) number(entry, bytes, f[DEVICE]));
    event->request.offset = number(entry, bytes, f[SECTOR]) * 512;
    event->request.bytes = number(entry, bytes, f[SECTORS]) * 512;
    event->request.ns = event->ns;
    if (letters.offset > bytes || letters.bytes > bytes - letters.offset) { return false; }
    if (!request_flags((const char *) entry + letters.offset, letters.bytes, &event->request.flags)) { return false; }
    if (number(entry, bytes, f[FAILURE])) { event->request.flags |= TAT_IO_FAILED; }
    return true;
}

static bool read_pages(const uint8_t * entry, uint32_t bytes, const struct field * f, struct perf_event * event) {
    const uint64_t order = number(entry, bytes, f[ORDER]);
    event->pages.device = disk_of_kernel((uint32_t) number(entry, bytes, f[DEVICE]));
    event->pages.inode = number(entry, bytes, f[INODE]);
    event->pages.first = number(entry, bytes, f[INDEX]);
    event->pages.count = 1ull << (order < 32 ? order : 0);
    return event->pages.inode != 0; /* else memory of no file */
}

bool tracepoint_read(const struct tracepoints * t, const uint8_t * entry, uint32_t bytes, struct perf_event * event) {
    static const struct field type = { 0, 2 }, thread = { 4, 4 };
    const uint64_t id = number(entry, bytes, type);
    int which = 0;
    while (which < TRACEPOINTS && t->id[which] != id) { which++; }
    if (which == TRACEPOINTS) { return false; }
    event->kind = descriptions[which].kind;
    event->tid = (uint32_t) number(entry, bytes, thread);
    return is_of_pages(which) ? read_pages(entry, bytes, t->fields[which], event)
                              : read_request(entry, bytes, t->fields[which], event);
}
