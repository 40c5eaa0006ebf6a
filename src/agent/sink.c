/* SPDX-License-Identifier: MIT */
#include "agent/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/calm.h"
#include "agent/keeper.h"
#include "format/block.h"

enum {
    GRANT = 1 << 20,  /* the file grows by this between two looks at the disk */
    LEAST = 64 << 10, /* a file that may not have this is not begun */
    KEPT = 4 << 10,   /* kept for the closing blocks, which are a few hundred bytes */
    FREE = 64 << 20,  /* of the disk is left to the host, */
    SHARE = 64,       /* or one part in so many of a smaller disk */
    NUMBER = 1000,    /* the descriptor's, or the next one that is free */
};

struct sink trace_sink = SINK_INITIALIZER;

bool sink_is_open(const struct sink * sink) {
    return __atomic_load_n(&sink->open, __ATOMIC_ACQUIRE);
}

enum tat_loss_reason sink_refusal(const struct sink * sink) {
    return (enum tat_loss_reason) __atomic_load_n(&sink->refusal, __ATOMIC_RELAXED);
}

bool sink_was_cut(const struct sink * sink) {
    return __atomic_load_n(&sink->cut, __ATOMIC_RELAXED);
}

/* Errors of the system are of no interest to the host, nor to a reader: there was no room. */
static bool refuse(struct sink * sink, int error) {
    const enum tat_loss_reason reason = error == EFBIG ? TAT_LOSS_MAX_SIZE : TAT_LOSS_NO_SPACE;
    __atomic_store_n(&sink->refusal, (int) reason, __ATOMIC_RELAXED);
    errno = error;
    return false;
}

static void raise_to(uint64_t * most, uint64_t value) {
    uint64_t now = __atomic_load_n(most, __ATOMIC_RELAXED);
    while (now < value && !__atomic_compare_exchange_n(most, &now, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

/* ---- the descriptor ---- */

/* A host that was started with its output closed must not write that output into the trace. And a program that closes
 * descriptors which it does not know gets the lowest numbers again for its next files: at a high one the trace is out
 * of the way. */
static int move_up(int fd) {
    int higher = (int) syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, NUMBER); /* musl has no fcntl64 */
    if (higher < 0 && fd > STDERR_FILENO) { return fd; }
    if (higher < 0) { higher = (int) syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); }
    const int error = errno;
    close(fd);
    errno = error;
    return higher;
}

static bool is_ours(const struct sink * sink, int fd, struct stat * file) {
    return fstat(fd, file) == 0 && file->st_dev == sink->device && file->st_ino == sink->inode;
}

/* The program closed the trace. Its number is another file's by now, or will be, so it is left alone. */
static int open_again(struct sink * sink, int before) {
    struct stat file;
    if (!*sink->path) { return -1; }
    int fd = open(sink->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) { fd = move_up(fd); }
    if (fd < 0) { return -1; }
    if (!is_ours(sink, fd, &file)) {
        before = -1;
    } else if (__atomic_compare_exchange_n(&sink->fd, &before, fd, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        return fd;
    }
    close(fd);
    return before; /* another thread's, which was quicker */
}

/* Someone cut the file. What was written is lost, which the reader sees; without the header it would read nothing. */
static void note_cut(struct sink * sink, int fd, uint64_t size) {
    __atomic_store_n(&sink->cut, true, __ATOMIC_RELAXED);
    if (size < sizeof sink->header) { tat_header_write(fd, &sink->header); }
}

/* The descriptor, if this process may write to it now. -1, with errno: it may not. Asked before each call that changes
 * the file: a program may close what it does not know, or fork without telling anyone. */
static int ours(struct sink * sink) {
    struct stat file;
    errno = EBADF;
    if (getpid() != sink->pid) { return -1; }
    const uint64_t written = __atomic_load_n(&sink->written, __ATOMIC_RELAXED);
    int fd = __atomic_load_n(&sink->fd, __ATOMIC_RELAXED);
    if (!is_ours(sink, fd, &file)) {
        fd = open_again(sink, fd);
        if (fd < 0 || !is_ours(sink, fd, &file)) { return -1; }
    }
    if ((uint64_t) file.st_size < written) { note_cut(sink, fd, (uint64_t) file.st_size); }
    return fd;
}

/* ---- room ---- */

/* The traced program may need to write to the same disk. */
static bool leaves_enough(int fd, uint64_t bytes) {
    struct statvfs disk;
    if (fstatvfs(fd, &disk) != 0 || disk.f_blocks == 0) { return true; } /* some file systems do not say */
    const uint64_t share = (uint64_t) disk.f_blocks * disk.f_frsize / SHARE;
    return (uint64_t) disk.f_bavail * disk.f_frsize >= bytes + (share < FREE ? share : FREE);
}

/* Disk blocks are taken beforehand: the host may fill the disk, and the closing blocks shall have their place. Where a
 * sandbox forbids it, or the file system cannot do it, they are taken by writing. 0 or an errno. */
static int take_blocks(int fd, uint64_t from, uint64_t bytes) {
    if (!leaves_enough(fd, bytes)) { return ENOSPC; }
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t) from, (off_t) bytes) == 0) { return 0; }
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO ? errno : 0;
}

/* Lets blocks go up to `end` at least. The keeper does it ahead of the writers; a writer that is ahead of the keeper
 * does it itself. False, with errno: the file is at its limit, or the disk is full. */
static bool grant(struct sink * sink, const struct calm * calm, uint64_t end) {
    uint64_t granted = __atomic_load_n(&sink->granted, __ATOMIC_RELAXED);
    while (granted < end) {
        if (end > sink->limit) { return refuse(sink, EFBIG); }
        const uint64_t to = sink->limit - end < GRANT ? sink->limit : end + GRANT;
        const int fd = ours(sink), error = fd < 0 ? errno : take_blocks(fd, granted, to - granted);
        calm_take_signal(calm, error);
        if (error != 0) { return refuse(sink, error); }
        if (__atomic_compare_exchange_n(&sink->granted, &granted, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            break;
        }
    }
    return true;
}

/* Reserves `bytes` that leave `kept` of what is granted. UINT64_MAX: there is no room. */
static uint64_t reserve(struct sink * sink, const struct calm * calm, uint64_t bytes, uint64_t kept) {
    uint64_t at = __atomic_load_n(&sink->next, __ATOMIC_RELAXED);
    do {
        if (at == UINT64_MAX || !grant(sink, calm, at + bytes + kept)) { return UINT64_MAX; }
    } while (!__atomic_compare_exchange_n(&sink->next, &at, at + bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return at;
}

/* ---- writing ---- */

static bool put(struct sink * sink, const struct calm * calm, uint64_t at, enum tat_block_type type,
                const void * payload, size_t payload_bytes) {
    const int fd = ours(sink);
    const int error = fd < 0 ? errno : tat_block_write(fd, at, type, payload, (uint32_t) payload_bytes);
    uint64_t end = at + tat_block_bytes(payload_bytes);
    if (error == 0) {
        raise_to(&sink->written, end);
        return true;
    }
    calm_take_signal(calm, error);
    /* The next block takes this one's place, unless another is behind it already: then a hole is left. */
    __atomic_compare_exchange_n(&sink->next, &end, at, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return refuse(sink, error);
}

static bool write_block(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes,
                        uint64_t kept) {
    if (!sink_is_open(sink) || payload_bytes > TAT_BLOCK_MAX) { return false; }
    struct calm calm;
    calm_begin(&calm);
    const uint64_t at = reserve(sink, &calm, tat_block_bytes(payload_bytes), kept);
    const bool written = at != UINT64_MAX && put(sink, &calm, at, type, payload, payload_bytes);
    calm_end(&calm);
    return written;
}

bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return write_block(sink, type, payload, payload_bytes, KEPT);
}

bool sink_write_last(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return write_block(sink, type, payload, payload_bytes, 0);
}

/* The keeper's chore: room for what the writers need next. Its thread takes no signals. */
static bool keep(void * object) {
    struct sink * sink = object;
    struct calm calm;
    pthread_mutex_lock(&sink->lock);
    calm_begin(&calm);
    const bool open = sink->open;
    const uint64_t next = __atomic_load_n(&sink->next, __ATOMIC_RELAXED);
    if (open && next + GRANT / 2 <= sink->limit) { grant(sink, &calm, next + GRANT / 2); }
    calm_end(&calm);
    void (*tick)(void) = sink->tick; /* the sink may be closed and opened anew meanwhile */
    pthread_mutex_unlock(&sink->lock);
    if (open && tick) { tick(); }
    return open;
}

/* ---- opening and closing ---- */

/* Beyond the limit a signal would end the host. */
static uint64_t file_size(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) { return wanted; }
    return limit.rlim_cur < wanted ? limit.rlim_cur : wanted;
}

static bool create(struct sink * sink, const char * path) {
    struct stat file;
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    sink->fd = fd < 0 ? fd : move_up(fd);
    if (fd < 0) { return false; }
    if (sink->fd < 0 || fstat(sink->fd, &file) != 0) {
        const int error = errno;
        unlink(path);
        errno = error;
        return false;
    }
    sink->device = file.st_dev;
    sink->inode = file.st_ino;
    sink->pid = getpid();
    if (!realpath(path, sink->path)) { sink->path[0] = '\0'; }
    return true;
}

static const char * begin(struct sink * sink, struct tat_file_header * header, uint64_t limit,
                          const struct calm * calm) {
    sink->limit = file_size(limit);
    sink->next = sink->written = TAT_HEADER_BYTES;
    sink->granted = 0;
    sink->cut = false;
    sink->refusal = TAT_LOSS_NO_SPACE;
    if (sink->limit < LEAST) {
        errno = EFBIG;
        return "the limits on file sizes leave too little room";
    }
    /* The header is written first, so that a file that is not empty is a trace, whenever the process is killed. */
    tat_header_seal(header);
    sink->header = *header;
    errno = tat_header_write(sink->fd, header);
    if (errno || !grant(sink, calm, TAT_HEADER_BYTES + KEPT)) { return "cannot reserve disk space for the trace file"; }
    if (!keeper_add(keep, sink)) { return "cannot start the background thread"; }
    __atomic_store_n(&sink->open, true, __ATOMIC_RELEASE); /* with all that it needs */
    return NULL;
}

bool sink_open(struct sink * sink, const char * path, struct tat_file_header * header, uint64_t limit,
               void (*tick)(void), const char ** why) {
    struct calm calm; /* nor does a handler exit while the lock is held */
    calm_begin(&calm);
    pthread_mutex_lock(&sink->lock);
    sink->tick = tick;
    *why = create(sink, path) ? begin(sink, header, limit, &calm) : "cannot create the trace file";
    if (*why) { calm.error = errno; }
    if (*why && sink->fd >= 0) {
        unlink(path);
        close(sink->fd);
        sink->fd = -1;
    }
    pthread_mutex_unlock(&sink->lock);
    calm_end(&calm);
    return *why == NULL;
}

void sink_close(struct sink * sink, void (*last)(void)) {
    pthread_mutex_lock(&sink->lock);
    if (sink->open) {
        struct calm calm;
        last();
        calm_begin(&calm);
        __atomic_store_n(&sink->open, false, __ATOMIC_RELAXED);
        __atomic_store_n(&sink->next, UINT64_MAX, __ATOMIC_RELAXED);
        const int fd = ours(sink);
        if (fd >= 0 && ftruncate(fd, (off_t) sink->written) != 0) { /* then the disk has blocks that were not needed */
        }
        /* A writer that was stopped may be about to use the descriptor, so its number stays taken. */
        calm_end(&calm);
    }
    pthread_mutex_unlock(&sink->lock);
}

void sink_after_fork(struct sink * sink) {
    struct stat file;
    if (sink->fd >= 0 && is_ours(sink, sink->fd, &file)) { close(sink->fd); }
    *sink = (struct sink) SINK_INITIALIZER;
}
