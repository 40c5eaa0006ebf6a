/* SPDX-License-Identifier: MIT */
#include "agent/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/keeper.h"
#include "format/block.h"

enum {
    CHUNK = 4 << 20, /* the file grows by this; at the end, by what is left of its limit */
    AHEAD = 8 << 20, /* and is kept this far ahead of the writers */
    STEP = 64 << 10, /* at the least; a multiple of any page size */
    KEPT = 4 << 10,  /* kept for the closing blocks, which are a few hundred bytes */
    FREE = 64 << 20, /* of the disk is left to the host, */
    SHARE = 64,      /* or one part in so many of a smaller disk */
};
#define RESERVED_MOST  ((uint64_t) 1 << 36) /* address space without memory */
#define RESERVED_LEAST ((uint64_t) 1 << 24)

struct sink trace_sink = SINK_INITIALIZER;

bool sink_is_open(const struct sink * sink) {
    return __atomic_load_n(&sink->open, __ATOMIC_RELAXED);
}

enum tat_loss_reason sink_refusal(const struct sink * sink) {
    return (enum tat_loss_reason) __atomic_load_n(&sink->refusal, __ATOMIC_RELAXED);
}

/* Reserves `bytes` below `ready - kept`. UINT64_MAX: there is no room. */
static uint64_t reserve(struct sink * sink, uint64_t bytes, uint64_t kept) {
    const uint64_t ready = __atomic_load_n(&sink->ready, __ATOMIC_ACQUIRE);
    uint64_t at = __atomic_load_n(&sink->next, __ATOMIC_RELAXED);
    do {
        if (ready < kept || bytes > ready - kept || at > ready - kept - bytes) { return UINT64_MAX; }
    } while (!__atomic_compare_exchange_n(&sink->next, &at, at + bytes, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return at;
}

static bool write_block(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes,
                        uint64_t kept) {
    if (payload_bytes > TAT_BLOCK_MAX) { return false; }
    const uint64_t at = reserve(sink, tat_block_bytes(payload_bytes), kept);
    if (at == UINT64_MAX) { return false; }
    tat_block_commit(sink->base + at, at, type, payload, (uint32_t) payload_bytes);
    return true;
}

bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return sink_is_open(sink) && write_block(sink, type, payload, payload_bytes, KEPT);
}

bool sink_write_last(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return sink_is_open(sink) && write_block(sink, type, payload, payload_bytes, 0);
}

/* 0: the file has reached its limit. */
static uint64_t next_chunk(const struct sink * sink) {
    const uint64_t most = sink->limit < sink->reserved ? sink->limit : sink->reserved;
    const uint64_t left = most > sink->ready ? (most - sink->ready) & ~(uint64_t) (STEP - 1) : 0;
    if (sink->ready + left <= STEP) { return 0; }
    return left < CHUNK ? left : CHUNK;
}

/* A program may close all descriptors that it does not know; the next file that it opens then gets our number. */
static bool is_ours(const struct sink * sink) {
    struct stat file;
    return fstat(sink->fd, &file) == 0 && file.st_dev == sink->device && file.st_ino == sink->inode;
}

/* The traced program may need to write to the same disk. */
static bool leaves_enough(const struct sink * sink, uint64_t bytes) {
    struct statvfs disk;
    if (fstatvfs(sink->fd, &disk) != 0 || disk.f_blocks == 0) { return true; } /* some file systems do not say */
    const uint64_t share = (uint64_t) disk.f_blocks * disk.f_frsize / SHARE;
    return (uint64_t) disk.f_bavail * disk.f_frsize >= bytes + (share < FREE ? share : FREE);
}

static int write_zeros(const struct sink * sink, uint64_t from, uint64_t to) {
    static const char zeros[STEP];
    while (from < to) {
        const size_t bytes = to - from < sizeof zeros ? (size_t) (to - from) : sizeof zeros;
        const ssize_t written = pwrite(sink->fd, zeros, bytes, (off_t) from);
        if (written <= 0) { return written < 0 ? errno : ENOSPC; }
        from += (uint64_t) written;
    }
    return 0;
}

/* Disk blocks are taken before pages are written: then a full disk is an error here, not SIGBUS in the host. */
static int take_blocks(const struct sink * sink, uint64_t from, uint64_t bytes) {
    if (!is_ours(sink)) { return EBADF; }
    if (!leaves_enough(sink, bytes)) { return ENOSPC; }
    const int error = posix_fallocate(sink->fd, (off_t) from, (off_t) bytes);
    if (error != EPERM && error != EACCES && error != ENOSYS && error != EOPNOTSUPP) { return error; }
    /* A sandbox forbids it, or the file system cannot do it. The header is there already. */
    return write_zeros(sink, from ? from : TAT_HEADER_BYTES, from + bytes);
}

/* Makes every page present and writable. False: the file system cannot, and touching the pages would raise SIGBUS. */
static bool populate(char * from, uint64_t bytes) {
    if (madvise(from, bytes, MADV_POPULATE_WRITE) == 0) { return true; }
    if (errno != EINVAL && errno != EPERM && errno != EACCES && errno != ENOSYS) { return false; }
    /* On an older kernel, or in a sandbox. Nobody else has these pages yet, so touching them is safe. The first page of
     * the file holds the header, so each byte is written back as it was. */
    for (char * at = from; at < from + bytes; at += 4096) { *(volatile char *) at = *(volatile char *) at; }
    return true;
}

static bool extend(struct sink * sink) {
    const uint64_t from = sink->ready, bytes = next_chunk(sink);
    if (bytes == 0) {
        __atomic_store_n(&sink->refusal, TAT_LOSS_MAX_SIZE, __ATOMIC_RELAXED);
        errno = EFBIG;
        return false;
    }
    errno = take_blocks(sink, from, bytes);
    if (errno != 0 || mmap(sink->base + from, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, sink->fd,
                           (off_t) from) == MAP_FAILED) {
        return false;
    }
    madvise(sink->base + from, bytes, MADV_DONTFORK);
    if (!populate(sink->base + from, bytes)) { return false; }
    /* From here on, a page that leaves memory comes back alone: nothing is read ahead. */
    madvise(sink->base + from, bytes, MADV_RANDOM);
    __atomic_store_n(&sink->ready, from + bytes, __ATOMIC_RELEASE);
    return true;
}

/* The keeper's chore: maps and populates what the writers need next. */
static bool keep_ahead(void * object) {
    struct sink * sink = object;
    pthread_mutex_lock(&sink->lock);
    const bool open = sink->open;
    while (open && sink->ready - __atomic_load_n(&sink->next, __ATOMIC_RELAXED) < AHEAD && extend(sink)) {}
    void (*tick)(void) = sink->tick; /* the sink may be closed and opened anew meanwhile */
    pthread_mutex_unlock(&sink->lock);
    if (open && tick) { tick(); }
    return open;
}

/* If the process has a limit of address space, most of it stays the host's. */
static uint64_t address_space(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) { return RESERVED_MOST; }
    const uint64_t share = limit.rlim_cur / 8 & ~(uint64_t) (CHUNK - 1);
    return share < RESERVED_MOST ? share : RESERVED_MOST;
}

/* Beyond the limit a signal would end the host. */
static uint64_t file_size(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) { return wanted; }
    return limit.rlim_cur < wanted ? limit.rlim_cur : wanted;
}

/* A host that was started with its output closed must not write that output into the trace. */
static int create(const char * path) {
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fd > STDERR_FILENO) { return fd; }
    const int higher = (int) syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); /* musl has no fcntl64 */
    const int error = errno;
    if (higher < 0) { unlink(path); }
    close(fd);
    errno = error;
    return higher;
}

static const char * open_file(struct sink * sink, const char * path, struct tat_file_header * header, uint64_t limit) {
    sink->fd = create(path);
    struct stat file;
    if (sink->fd < 0 || fstat(sink->fd, &file) != 0) { return "cannot create the trace file"; }
    sink->device = file.st_dev;
    sink->inode = file.st_ino;
    for (sink->reserved = address_space(); sink->reserved >= RESERVED_LEAST; sink->reserved /= 4) {
        void * space = mmap(NULL, sink->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (space != MAP_FAILED) {
            sink->base = space;
            break;
        }
    }
    if (!sink->base) { return "cannot reserve address space for the trace file"; }
    madvise(sink->base, sink->reserved, MADV_DONTFORK);
    sink->limit = file_size(limit);
    sink->next = TAT_HEADER_BYTES;
    sink->ready = 0;
    sink->refusal = TAT_LOSS_NO_SPACE;
    /* The header is written first, so that a file that is not empty is a trace, whenever the process is killed. */
    tat_header_seal(header);
    if (next_chunk(sink) == 0) {
        errno = EFBIG;
        return "the limits on file sizes leave too little room";
    }
    if (pwrite(sink->fd, header, sizeof *header, 0) != (ssize_t) sizeof *header || !extend(sink)) {
        return "cannot reserve disk space for the trace file";
    }
    if (!keeper_add(keep_ahead, sink)) { return "cannot start the background thread"; }
    __atomic_store_n(&sink->open, true, __ATOMIC_RELAXED); /* the keeper sees it once it gets the lock */
    return NULL;
}

static void abandon(struct sink * sink) {
    const int number = errno;
    __atomic_store_n(&sink->open, false, __ATOMIC_RELAXED);
    if (sink->base) { munmap(sink->base, sink->reserved); }
    if (sink->fd >= 0) { close(sink->fd); }
    sink->base = NULL;
    sink->fd = -1;
    errno = number;
}

bool sink_open(struct sink * sink, const char * path, struct tat_file_header * header, uint64_t limit,
               void (*tick)(void), const char ** why) {
    sigset_t all, before;
    sigfillset(&all);
    /* No handler of the host's interrupts a system call here, or exits while the lock is held. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&sink->lock);
    sink->tick = tick;
    *why = open_file(sink, path, header, limit);
    if (*why && sink->fd >= 0) { unlink(path); }
    if (*why) { abandon(sink); }
    pthread_mutex_unlock(&sink->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return *why == NULL;
}

void sink_close(struct sink * sink, void (*last)(void)) {
    pthread_mutex_lock(&sink->lock);
    if (sink->open) {
        last();
        __atomic_store_n(&sink->open, false, __ATOMIC_RELAXED);
        /* A writer that already has its range still finds the mapping, which is never unmapped, and its part of the
         * file. From here on no writer gets a range, since the rest of the file is about to be cut off. */
        const uint64_t end = __atomic_exchange_n(&sink->next, UINT64_MAX, __ATOMIC_ACQ_REL);
        if (is_ours(sink)) {
            if (ftruncate(sink->fd, (off_t) end) != 0) { /* the reader stops at the zeros */
            }
            close(sink->fd);
        }
        sink->fd = -1;
    }
    pthread_mutex_unlock(&sink->lock);
}

void sink_after_fork(struct sink * sink) {
    if (sink->fd >= 0 && is_ours(sink)) { close(sink->fd); }
    *sink = (struct sink) SINK_INITIALIZER;
}
