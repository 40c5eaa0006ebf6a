/* SPDX-License-Identifier: MIT */
#include "gguf/quiet_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE_LEAST = 4096, PAGES_MAX = QUIET_READ_MAX / PAGE_LEAST + 1 };

/* Whole pages of a file. */
struct pages {
    uint64_t first; /* offset in the file */
    size_t size;    /* of a page */
    size_t count;
    unsigned char there[PAGES_MAX]; /* bit 0: in memory */
};

void quiet_begin(int fd) {
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

/* mincore has no side effect, but answers "all" to those who neither own the file nor may write it. */
static void ask_mincore(int fd, struct pages * p) {
    const size_t bytes = p->count * p->size;
    void * mapped = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, fd, (off_t) p->first);
    memset(p->there, 1, p->count);
    if (mapped == MAP_FAILED) { return; }
    if (mincore(mapped, bytes, p->there) != 0) { memset(p->there, 1, p->count); }
    munmap(mapped, bytes);
}

/* For those, a page that cannot be read at once is not in memory. Some kernels then begin to read that page, and only
 * that one. The C library's preadv2 is not used: older versions of musl lack it. */
static void ask_by_reading(int fd, struct pages * p) {
    for (size_t i = 0; i < p->count; i++) {
        char byte;
        const struct iovec one = { &byte, 1 };
        if (syscall(SYS_preadv2, fd, &one, 1L, (long) (p->first + i * p->size), 0L, (long) RWF_NOWAIT) >= 0) {
            continue;
        }
        if (errno != EAGAIN) { return; } /* the file system cannot tell */
        p->there[i] = 0;
    }
}

static bool all_there(const struct pages * p) {
    for (size_t i = 0; i < p->count; i++) {
        if (!(p->there[i] & 1)) { return false; }
    }
    return true;
}

/* Lets go of the pages that were not in memory before. Returns how many of the bytes [at, end) they hold. */
static uint64_t let_go(int fd, const struct pages * p, uint64_t at, uint64_t end) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->count; i++) {
        const uint64_t from = p->first + i * p->size;
        while (i < p->count && !(p->there[i] & 1)) { i++; }
        const uint64_t to = p->first + i * p->size;
        if (to == from) { continue; }
        posix_fadvise(fd, (off_t) from, (off_t) (to - from), POSIX_FADV_DONTNEED);
        if (from < end) { bytes += (to < end ? to : end) - (from > at ? from : at); }
    }
    return bytes;
}

ssize_t quiet_pread(int fd, void * to, size_t count, uint64_t at, bool owned, uint64_t * fetched) {
    const size_t size = (size_t) sysconf(_SC_PAGESIZE);
    struct pages p = { .first = at / size * size, .size = size };
    if (count > QUIET_READ_MAX) { count = QUIET_READ_MAX; }
    p.count = (size_t) ((at + count - p.first + size - 1) / size);
    ask_mincore(fd, &p);
    if (!owned && all_there(&p)) { ask_by_reading(fd, &p); }
    ssize_t got;
    do { got = pread(fd, to, count, (off_t) at); } while (got < 0 && errno == EINTR);
    const int error = errno;
    if (!all_there(&p)) { *fetched += let_go(fd, &p, at, at + (uint64_t) (got > 0 ? got : 0)); }
    errno = error;
    return got;
}
