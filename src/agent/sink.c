/* SPDX-License-Identifier: MIT */
#include "agent/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "format/block.h"

enum {
    CHUNK = 4 << 20, /* the file grows by this, at last by what is left of its limit */
    AHEAD = 8 << 20, /* and is kept this far ahead of the writers */
    KEPT = 64 << 10, /* of it, for the closing blocks; a multiple of any page */
    TICK_NS = 20 * 1000 * 1000,
    FREE = 64 << 20, /* of the file system, at most, is left to the host */
    SHARE = 64,      /* or that part of it, where it is a small one */
};
#define RESERVED_MOST  ((uint64_t) 1 << 36) /* address space, without memory behind it */
#define RESERVED_LEAST ((uint64_t) 1 << 24)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int fd;
    uint64_t device, inode; /* of the file */
    char * base;
    uint64_t reserved; /* bytes of address space at base */
    uint64_t limit;
    uint64_t next;
    uint64_t ready;
    int refusal; /* relaxed */
    bool open;   /* relaxed */
    pthread_t keeper;
    void (*tick)(void);
} sink = { .fd = -1 };

bool sink_is_open(void) {
    return __atomic_load_n(&sink.open, __ATOMIC_RELAXED);
}

enum tat_loss_reason sink_refusal(void) {
    return (enum tat_loss_reason) __atomic_load_n(&sink.refusal, __ATOMIC_RELAXED);
}

/* Takes `bytes` below `ready - kept`; UINT64_MAX where there is no room. */
static uint64_t reserve(uint64_t bytes, uint64_t kept) {
    const uint64_t ready = __atomic_load_n(&sink.ready, __ATOMIC_ACQUIRE);
    uint64_t at = __atomic_load_n(&sink.next, __ATOMIC_RELAXED);
    do {
        if (ready < kept || bytes > ready - kept || at > ready - kept - bytes) { return UINT64_MAX; }
    } while (!__atomic_compare_exchange_n(&sink.next, &at, at + bytes, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return at;
}

static bool write_block(enum tat_block_type type, const void * payload, size_t payload_bytes, uint64_t kept) {
    if (payload_bytes > TAT_BLOCK_MAX) { return false; }
    const uint64_t at = reserve(tat_block_bytes(payload_bytes), kept);
    if (at == UINT64_MAX) { return false; }
    tat_block_commit(sink.base + at, at, type, payload, (uint32_t) payload_bytes);
    return true;
}

bool sink_write(enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return sink_is_open() && write_block(type, payload, payload_bytes, KEPT);
}

bool sink_write_last(enum tat_block_type type, const void * payload, size_t payload_bytes) {
    return sink_is_open() && write_block(type, payload, payload_bytes, 0);
}

/* 0: the file has reached its limit. */
static uint64_t next_chunk(void) {
    const uint64_t most = sink.limit < sink.reserved ? sink.limit : sink.reserved;
    const uint64_t left = most > sink.ready ? (most - sink.ready) & ~(uint64_t) (KEPT - 1) : 0;
    if (sink.ready + left <= KEPT) { return 0; }
    return left < CHUNK ? left : CHUNK;
}

/* A program may close all files that it does not know of, and the next that it opens gets our number. */
static bool is_ours(void) {
    struct stat file;
    return fstat(sink.fd, &file) == 0 && file.st_dev == sink.device && file.st_ino == sink.inode;
}

/* The traced program may have to write to the same disk. */
static bool leaves_enough(uint64_t bytes) {
    struct statvfs disk;
    if (fstatvfs(sink.fd, &disk) != 0 || disk.f_blocks == 0) { return true; } /* some do not tell */
    const uint64_t share = (uint64_t) disk.f_blocks * disk.f_frsize / SHARE;
    return (uint64_t) disk.f_bavail * disk.f_frsize >= bytes + (share < FREE ? share : FREE);
}

static int write_zeros(uint64_t from, uint64_t to) {
    static const char zeros[KEPT];
    while (from < to) {
        const size_t bytes = to - from < sizeof zeros ? (size_t) (to - from) : sizeof zeros;
        const ssize_t written = pwrite(sink.fd, zeros, bytes, (off_t) from);
        if (written <= 0) { return written < 0 ? errno : ENOSPC; }
        from += (uint64_t) written;
    }
    return 0;
}

/* Disk blocks are taken before the pages are written, so that a full disk is an error here and not SIGBUS in the
 * host. */
static int take_blocks(uint64_t from, uint64_t bytes) {
    if (!is_ours()) { return EBADF; }
    if (!leaves_enough(bytes)) { return ENOSPC; }
    const int error = posix_fallocate(sink.fd, (off_t) from, (off_t) bytes);
    if (error != EPERM && error != EACCES && error != ENOSYS && error != EOPNOTSUPP) { return error; }
    /* A sandbox, or a file system that cannot. The header is there already. */
    return write_zeros(from ? from : TAT_HEADER_BYTES, from + bytes);
}

/* With every page present and writable. False: the file system cannot; whoever touched the pages would get SIGBUS. */
static bool populate(char * from, uint64_t bytes) {
    if (madvise(from, bytes, MADV_POPULATE_WRITE) == 0) { return true; }
    if (errno != EINVAL && errno != EPERM && errno != EACCES && errno != ENOSYS) { return false; }
    /* An older kernel, or a sandbox: nobody else has these pages yet, so touching them here is safe. The first of the
     * file has the header. */
    for (char * at = from; at < from + bytes; at += 4096) { *(volatile char *) at = *(volatile char *) at; }
    return true;
}

static bool extend(void) {
    const uint64_t from = sink.ready, bytes = next_chunk();
    if (bytes == 0) {
        __atomic_store_n(&sink.refusal, TAT_LOSS_MAX_SIZE, __ATOMIC_RELAXED);
        errno = EFBIG;
        return false;
    }
    errno = take_blocks(from, bytes);
    if (errno != 0 || mmap(sink.base + from, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, sink.fd,
                           (off_t) from) == MAP_FAILED) {
        return false;
    }
    madvise(sink.base + from, bytes, MADV_DONTFORK);
    if (!populate(sink.base + from, bytes)) { return false; }
    __atomic_store_n(&sink.ready, from + bytes, __ATOMIC_RELEASE);
    return true;
}

static void * keep(void * unused) {
    (void) unused;
    prctl(PR_SET_NAME, "tat-keeper");
    const struct timespec pause = { .tv_nsec = TICK_NS };
    for (bool open = true; open;) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        open = sink.open;
        while (open && sink.ready - __atomic_load_n(&sink.next, __ATOMIC_RELAXED) < AHEAD && extend()) {}
        pthread_mutex_unlock(&lock);
        if (open) { sink.tick(); }
    }
    return NULL;
}

/* With all signals blocked: the keeper takes none of the host's. */
static bool start_keeper(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&sink.keeper, &attributes, keep, NULL);
    pthread_attr_destroy(&attributes);
    errno = error;
    return error == 0;
}

/* Where the process may have only so much of it, most stays the host's. */
static uint64_t address_space(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) { return RESERVED_MOST; }
    const uint64_t share = limit.rlim_cur / 8 & ~(uint64_t) (CHUNK - 1);
    return share < RESERVED_MOST ? share : RESERVED_MOST;
}

/* More would be a signal that ends the host. */
static uint64_t file_size(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) { return wanted; }
    return limit.rlim_cur < wanted ? limit.rlim_cur : wanted;
}

/* A host that was started with its output closed must not write it into the trace. */
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

static const char * open_file(const char * path, struct tat_file_header * header, uint64_t limit) {
    sink.fd = create(path);
    struct stat file;
    if (sink.fd < 0 || fstat(sink.fd, &file) != 0) { return "cannot create the trace file"; }
    sink.device = file.st_dev;
    sink.inode = file.st_ino;
    for (sink.reserved = address_space(); sink.reserved >= RESERVED_LEAST; sink.reserved /= 4) {
        void * space = mmap(NULL, sink.reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (space != MAP_FAILED) {
            sink.base = space;
            break;
        }
    }
    if (!sink.base) { return "cannot reserve address space for the trace file"; }
    madvise(sink.base, sink.reserved, MADV_DONTFORK);
    sink.limit = file_size(limit);
    sink.next = TAT_HEADER_BYTES;
    sink.ready = 0;
    sink.refusal = TAT_LOSS_NO_SPACE;
    /* First of all, so that a file with anything in it is a trace, whenever the process is killed. */
    tat_header_seal(header);
    if (next_chunk() == 0) { return "too little room within the limits for files"; }
    if (pwrite(sink.fd, header, sizeof *header, 0) != (ssize_t) sizeof *header || !extend()) {
        return "cannot reserve disk space for the trace file";
    }
    if (!start_keeper()) { return "cannot start the background thread"; }
    __atomic_store_n(&sink.open, true, __ATOMIC_RELAXED); /* the keeper looks when it gets the lock */
    return NULL;
}

static void abandon(void) {
    const int number = errno;
    __atomic_store_n(&sink.open, false, __ATOMIC_RELAXED);
    if (sink.base) { munmap(sink.base, sink.reserved); }
    if (sink.fd >= 0) { close(sink.fd); }
    sink.base = NULL;
    sink.fd = -1;
    errno = number;
}

bool sink_open(const char * path, struct tat_file_header * header, uint64_t limit, void (*tick)(void),
               const char ** why) {
    sigset_t all, before;
    sigfillset(&all);
    /* A handler of the host's interrupts no system call here, and finds the lock free should it exit. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&lock);
    sink.tick = tick;
    *why = open_file(path, header, limit);
    if (*why && sink.fd >= 0) { unlink(path); }
    if (*why) { abandon(); }
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return *why == NULL;
}

void sink_close(void (*last)(void)) {
    pthread_mutex_lock(&lock);
    if (sink.open) {
        last();
        __atomic_store_n(&sink.open, false, __ATOMIC_RELAXED);
        /* A writer that got its range before still finds its mapping, which is never unmapped, and its part of the
         * file; from here on none gets one, as what lies behind the end is about to go. */
        const uint64_t end = __atomic_exchange_n(&sink.next, UINT64_MAX, __ATOMIC_ACQ_REL);
        if (is_ours()) {
            if (ftruncate(sink.fd, (off_t) end) != 0) { /* the reader stops at the zeros */
            }
            close(sink.fd);
        }
        sink.fd = -1;
    }
    pthread_mutex_unlock(&lock);
}

void sink_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    if (sink.fd >= 0 && is_ours()) { close(sink.fd); }
    memset(&sink, 0, sizeof sink);
    sink.fd = -1;
}
