/* SPDX-License-Identifier: MIT */
#include "format/follow.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/trace.h"

enum {
    PATIENCE = 3,    /* looks at a block that is not committed while later ones are, before it counts as damage */
    AHEAD = 1 << 18, /* bytes in which such later ones are looked for */
};
#define RESERVED_MOST  ((uint64_t) 1 << 36) /* as much as the agent writes; address space only */
#define RESERVED_LEAST ((uint64_t) 1 << 26)

struct follow {
    struct tat_trace * trace;
    struct timeline timeline;
    struct scan scan;
    uint64_t reserved; /* address space of the mapping, which may go beyond the file's end */
    uint64_t waiting;  /* where the last look ended */
    unsigned looks;    /* that ended there, with more behind it */
    int fd;
    uint64_t fetched_at; /* where in the file the bytes come from that were looked at last */
    size_t n_fetched;
    uint8_t fetched[AHEAD];
};

/* The file grows into a mapping that was made larger than it. */
static int map_ahead(struct follow * f, struct tat_error * error) {
    struct tat_trace * trace = f->trace;
    struct stat status;
    if (fstat(f->fd, &status) != 0) { return tat_fail_errno(error, "%s", trace->path); }
    if (!S_ISREG(status.st_mode) || status.st_size < TAT_HEADER_BYTES) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: no trace, or none yet", trace->path);
    }
    trace->size = (uint64_t) status.st_size;
    for (f->reserved = RESERVED_MOST; f->reserved >= RESERVED_LEAST; f->reserved /= 2) {
        if (f->reserved < trace->size) { break; }
        void * map = mmap(NULL, f->reserved, PROT_READ, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
        if (map != MAP_FAILED) {
            trace->map = map;
            return 0;
        }
    }
    return tat_fail_errno(error, "%s: cannot map %" PRIu64 " bytes", trace->path, trace->size);
}

struct follow * follow_open(const char * path, struct tat_error * error) {
    struct follow * f = calloc(1, sizeof *f);
    if (f) { f->trace = calloc(1, sizeof *f->trace); }
    if (!f || !f->trace) {
        tat_fail_errno(error, "%s", path);
        free(f);
        return NULL;
    }
    pthread_mutex_init(&f->trace->lock, NULL);
    f->fd = -1;
    f->trace->path = trace_file_path(path);
    if (f->trace->path) { f->fd = open(f->trace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); }
    if (f->fd < 0) {
        tat_fail_errno(error, "%s", f->trace->path ? f->trace->path : path);
    } else if (map_ahead(f, error) == 0 && trace_begin(f->trace, error) == 0) {
        f->scan.at = TAT_HEADER_BYTES;
        return f;
    }
    follow_close(f);
    return NULL;
}

void follow_close(struct follow * f) {
    if (!f) { return; }
    if (f->trace->map) { munmap((void *) f->trace->map, f->reserved); }
    f->trace->map = NULL;
    tat_trace_close(f->trace);
    if (f->fd >= 0) { close(f->fd); }
    free(f->timeline.progress);
    free(f);
}

const struct tat_trace * follow_trace(const struct follow * f) {
    return f->trace;
}

/* What is not committed may be cut off at any moment, when the writer closes the file, and must not be touched through
 * the mapping. */
static bool fetch(struct follow * f, uint64_t at) {
    if (at >= f->fetched_at && at + sizeof(uint32_t) <= f->fetched_at + f->n_fetched) { return true; }
    const ssize_t n = pread(f->fd, f->fetched, AHEAD, (off_t) at);
    f->fetched_at = at;
    f->n_fetched = n > 0 ? (size_t) n : 0;
    return f->n_fetched >= sizeof(uint32_t);
}

/* A block's magic is stored last, with release: once it is seen, a load of it through the mapping acquires the rest. */
static bool is_committed(struct follow * f, uint64_t at) {
    uint32_t magic = 0;
    if (fetch(f, at)) { memcpy(&magic, f->fetched + (at - f->fetched_at), sizeof magic); }
    if (magic != TAT_BLOCK_MAGIC || at + sizeof magic > f->trace->size) { return false; }
    return __atomic_load_n((const uint32_t *) (f->trace->map + at), __ATOMIC_ACQUIRE) == TAT_BLOCK_MAGIC;
}

/* Where the next block after `at` might begin, or 0. A writer takes its place first and commits last, so blocks behind
 * may be there before it. */
static uint64_t next_committed(struct follow * f, uint64_t at) {
    const uint64_t end = at + AHEAD;
    for (at += TAT_BLOCK_ALIGN; at < end && fetch(f, at); at += TAT_BLOCK_ALIGN) {
        if (is_committed(f, at)) { return at; }
    }
    return 0;
}

/* What stays uncommitted in front of others was left by a thread that is no more. */
static bool pass_over(struct follow * f) {
    const uint64_t next = next_committed(f, f->scan.at);
    if (f->waiting != f->scan.at || !next) { f->looks = 0; }
    f->waiting = f->scan.at;
    if (!next || ++f->looks < PATIENCE) { return false; }
    f->trace->summary.damaged_bytes += next - f->scan.at;
    f->scan.at = next;
    return true;
}

int follow_read(struct follow * f, bool * revised, struct tat_error * error) {
    struct tat_trace * trace = f->trace;
    struct stat status;
    if (fstat(f->fd, &status) != 0) { return tat_fail_errno(error, "%s", trace->path); }
    if ((uint64_t) status.st_size < f->scan.at) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: became shorter than what was read of it", trace->path);
    }
    trace->size = (uint64_t) status.st_size < f->reserved ? (uint64_t) status.st_size : f->reserved;
    f->n_fetched = 0; /* it may be more by now */
    do {
        while (is_committed(f, f->scan.at) && scan_read(trace, &f->scan)) {}
    } while (pass_over(f));
    trace->summary.file_bytes = trace->size;
    if (timeline_extend(trace, &f->timeline, revised)) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
}
