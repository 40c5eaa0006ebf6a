/* SPDX-License-Identifier: MIT */
#include "format/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/trace.h"

enum {
    PATIENCE = 3,    /* looks at a block that is not whole before others, until it counts as damage */
    AHEAD = 1 << 18, /* bytes in which such later blocks are looked for */
};

struct follow {
    struct tat_trace * trace;
    struct timeline timeline;
    struct scan scan;
    uint64_t waiting;   /* where the last look ended */
    unsigned looks;     /* looks that ended there, with more blocks after it */
    uint32_t n_tensors; /* those that have been looked at for being one weight */
};

struct follow * follow_open(const char * path, struct tat_error * error) {
    struct follow * f = calloc(1, sizeof *f);
    if (f) { f->trace = calloc(1, sizeof *f->trace); }
    if (!f || !f->trace) {
        tat_fail_errno(error, "%s", path);
        free(f);
        return NULL;
    }
    pthread_mutex_init(&f->trace->lock, NULL);
    f->trace->fd = -1;
    f->trace->path = trace_file_path(path);
    if (!f->trace->path) {
        tat_fail_errno(error, "%s", path);
    } else if (trace_begin(f->trace, error) == 0) {
        f->scan = (struct scan){ .window = { .fd = f->trace->fd }, .at = TAT_HEADER_BYTES, .end = UINT64_MAX };
        return f;
    }
    follow_close(f);
    return NULL;
}

void follow_close(struct follow * f) {
    if (!f) { return; }
    window_free(&f->scan.window);
    tat_trace_close(f->trace);
    free(f->timeline.progress);
    free(f);
}

const struct tat_trace * follow_trace(const struct follow * f) {
    return f->trace;
}

/* A block begins here. Only its checksum tells whether it is whole. */
static bool is_begun(struct follow * f, uint64_t at) {
    uint32_t magic = 0;
    const uint8_t * bytes = window_get(&f->scan.window, at, sizeof magic);
    if (bytes) { memcpy(&magic, bytes, sizeof magic); }
    return magic == TAT_BLOCK_MAGIC;
}

/* Takes in the block at scan.at. Its bytes may have been read while they were written. */
static bool take(struct follow * f) {
    if (!is_begun(f, f->scan.at)) { return false; }
    if (scan_read(f->trace, &f->scan)) { return true; }
    window_forget(&f->scan.window);
    return scan_read(f->trace, &f->scan);
}

/* Where the next block after `at` might begin, or 0. A writer takes its place first and writes then, so later blocks
 * may be there before it. */
static uint64_t next_begun(struct follow * f, uint64_t at) {
    const uint64_t end = at + AHEAD;
    for (at += TAT_BLOCK_ALIGN; at < end; at += TAT_BLOCK_ALIGN) {
        if (is_begun(f, at)) { return at; }
        if (f->scan.window.count == 0) { break; } /* the file ends */
    }
    return 0;
}

/* A block that is not whole although others follow was left by a thread that has ended. */
static bool pass_over(struct follow * f) {
    const uint64_t next = next_begun(f, f->scan.at);
    if (f->waiting != f->scan.at || !next) { f->looks = 0; }
    f->waiting = f->scan.at;
    if (!next || ++f->looks < PATIENCE) { return false; }
    f->trace->summary.damaged_bytes += next - f->scan.at;
    f->scan.at = next;
    return true;
}

bool follow_has_more(struct follow * f) {
    struct stat status;
    if (fstat(f->trace->fd, &status) != 0 || (uint64_t) status.st_size != f->trace->size) { return true; }
    window_forget(&f->scan.window);
    return is_begun(f, f->scan.at) || next_begun(f, f->scan.at) || f->scan.window.error;
}

int follow_read(struct follow * f, bool * revised, struct tat_error * error) {
    struct tat_trace * trace = f->trace;
    struct stat status;
    if (fstat(trace->fd, &status) != 0) { return tat_fail_errno(error, "%s", trace->path); }
    if ((uint64_t) status.st_size < f->scan.at) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: the file became shorter than what was already read", trace->path);
    }
    trace->size = (uint64_t) status.st_size;
    window_forget(&f->scan.window); /* by now the file may have more */
    pthread_mutex_lock(&trace->lock);
    window_forget(&trace->window);
    pthread_mutex_unlock(&trace->lock);
    do {
        while (take(f)) {}
    } while (pass_over(f));
    errno = f->scan.window.error;
    if (errno) { return tat_fail_errno(error, "%s: byte %" PRIu64, trace->path, f->scan.at); }
    f->scan.end = UINT64_MAX;
    trace->summary.file_bytes = trace->size;
    const bool weights = trace->tensors.count == f->n_tensors || weights_build(trace);
    f->n_tensors = trace->tensors.count;
    if (weights && timeline_extend(trace, &f->timeline, revised) && models_build(trace)) {
        return tat_trace_trouble(trace, error);
    }
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
}
