/* SPDX-License-Identifier: MIT */
#include "manage/read_ahead.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "manage/advice.h"

/* One call reads no more than the larger of the disk's read-ahead and its largest request, and drops the rest without a
 * word. 128 KiB is the kernel's default read-ahead. */
static int advise_willneed(char * at, size_t bytes) {
    enum { ONE_CALL = 128 << 10 };
    for (size_t done = 0; done < bytes; done += ONE_CALL) {
        const size_t n = bytes - done < ONE_CALL ? bytes - done : ONE_CALL;
        if (madvise(at + done, n, MADV_WILLNEED) != 0) { return errno; }
    }
    return 0;
}

/* Populating alone reads page by page or, with read-ahead, what lies around each page too. */
static int populate(char * at, size_t bytes) {
    int result = advise_willneed(at, bytes);
    if (result != 0) { return result; }
    do { result = madvise(at, bytes, MADV_POPULATE_READ); } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

/* The bytes go to one place again and again: only the page cache's copy is wanted. */
static int read_through(const struct read_job * job) {
    enum { SCRATCH = 64 << 10, PARTS = 16 };
    char scratch[SCRATCH];
    struct iovec part[PARTS];
    for (int i = 0; i < PARTS; i++) { part[i] = (struct iovec){ scratch, SCRATCH }; }
    for (uint64_t done = 0; done < job->bytes;) {
        const uint64_t left = job->bytes - done;
        const int parts = left < (uint64_t) PARTS * SCRATCH ? (int) ((left + SCRATCH - 1) / SCRATCH) : PARTS;
        const ssize_t n = preadv(job->fd, part, parts, (off_t) (job->offset + done));
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) { return errno; }
        if (n == 0) { break; } /* the file ends there */
        done += (uint64_t) n;
    }
    return 0;
}

int read_ahead(const struct read_job * job) {
    char * at = job->part[0].iov_base;
    switch (job->how) {
        case READ_INTO: return EINVAL;
        case READ_WILLNEED: return advise_willneed(at, job->bytes);
        case READ_POPULATE: return populate(at, job->bytes);
        case READ_THROUGH: return read_through(job);
    }
    return EINVAL;
}
