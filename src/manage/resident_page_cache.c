/* SPDX-License-Identifier: MIT
 *
 * Pieces in the page cache, where the kernel reads them when it is advised to, or for somebody who reads the file. The
 * mapping stays the program's: what changes is what the kernel keeps in memory of it, and what may be evicted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "manage/advice.h"
#include "manage/resident_state.h"

/* Past what may stand in libc's place: under AddressSanitizer, mlock does nothing. */
static int lock(const void * from, size_t length) {
    return (int) syscall(SYS_mlock, from, length);
}

static int unlock(const void * from, size_t length) {
    return (int) syscall(SYS_munlock, from, length);
}

/* ---- files ---- */

static void end_file(struct mapped_file * file) {
    madvise(file->at, file->bytes, file->advice);
}

/* What is in the page cache already is in no order that helps. */
static int begin_file(struct resident * r, struct mapped_file * file) {
    file->advice = advice_at(file->at);
    if (madvise(file->at, file->bytes, MADV_DONTNEED) != 0) { return ENOTSUP; } /* the program has locked it */
    posix_fadvise(file->fd, (off_t) file->offset, (off_t) file->bytes, POSIX_FADV_DONTNEED);
    /* What is read is named to the byte; read-ahead beside it would take the memory of what is kept. */
    madvise(file->at, file->bytes, MADV_RANDOM);
    if (r->how != READ_POPULATE || madvise(file->at, r->page_bytes, MADV_POPULATE_READ) == 0) { return 0; }
    end_file(file);
    return ENOSYS; /* before Linux 5.14 */
}

/* A child inherits the advice, but no locks. */
static void after_fork(const struct mapped_file * file) {
    madvise(file->at, file->bytes, file->advice);
}

static bool remove_all(const struct resident * r, const struct mapped_file * file) {
    return !r->locked_pages || unlock(file->at, file->bytes) == 0;
}

/* ---- memory ---- */

/* Behind the key at the beginning of a line of /proc/self/status. */
static uint64_t status_of(const char * key, int base) {
    FILE * status = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t value = 0;
    while (status && fgets(line, sizeof line, status)) {
        if (strncmp(line, key, strlen(key)) == 0) { value = strtoull(line + strlen(key), NULL, base); }
    }
    if (status) { fclose(status); }
    return value;
}

/* An eighth of the limit is left to the program, which may lock a little too. */
static uint64_t lockable(void) {
    enum { IPC_LOCK = 14, LEFT = 8 };
    struct rlimit limit;
    if (status_of("CapEff:", 16) >> IPC_LOCK & 1 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    const uint64_t locked = status_of("VmLck:", 10) << 10, most = limit.rlim_cur - limit.rlim_cur / LEFT;
    return most > locked ? most - locked : 0;
}

static int begin(struct resident * r) {
    r->cache_pages = r->pool_pages;
    r->pool_most = UINT64_MAX;
    r->lockable = r->locks ? lockable() : 0;
    return 0;
}

static void end(struct resident * r) {
    (void) r;
}

static struct resident_room room(const struct resident * r) {
    const uint32_t unused = r->cache_pages - r->cache_used;
    const uint32_t cached = r->cache_used > r->locked_pages ? r->cache_used - r->locked_pages : 0;
    return (struct resident_room){ r->cache_pages, unused, unused, cached };
}

static void grow(struct resident * r, uint32_t pages) {
    r->cache_pages += pages;
}

static void shrink(struct resident * r, uint32_t pages) {
    const uint32_t unused = r->cache_pages - r->cache_used;
    r->cache_pages -= pages < unused ? pages : unused;
}

static bool take(struct resident * r, struct held * h) {
    if (h->is.pages > r->cache_pages - r->cache_used) { return false; }
    r->cache_used += h->is.pages;
    return true;
}

static bool may_put(struct resident * r, struct held * h) {
    (void) r;
    (void) h;
    return true;
}

static void aim(const struct resident * r, const struct held * h, struct read_job * job) {
    job->how = r->how;
    job->part[0] = (struct iovec){ resident_address(r, h), resident_bytes(r, h) };
    job->n_parts = 1;
}

/* ---- pages ---- */

struct span {
    char * at;
    uint64_t bytes, offset;
    uint32_t pages;
};

/* Pages of pieces that follow each other without a gap; without the border pages of neighbours that are in memory or,
 * if `locked`, are locked. */
static struct span span_of(const struct resident * r, const struct held * first, uint32_t count, bool locked) {
    const struct held * last = first + count - 1;
    const struct held *before = resident_neighbour(r, first, -1), *after = resident_neighbour(r, last, 1);
    const uint32_t all = last->is.page + last->is.pages - first->is.page;
    const uint32_t from = before && (before->is_locked || !locked), to = after && (after->is_locked || !locked);
    const uint32_t pages = all > from + to ? all - from - to : 0;
    return (struct span){ .at = resident_address(r, first) + (size_t) from * r->page_bytes,
                          .bytes = (uint64_t) pages * r->page_bytes,
                          .offset = resident_offset(r, first) + (uint64_t) from * r->page_bytes,
                          .pages = pages };
}

static void evict(const struct resident * r, const struct held * first, uint32_t count) {
    const struct span s = span_of(r, first, count, false);
    if (!s.bytes) { return; }
    madvise(s.at, s.bytes, MADV_DONTNEED); /* the kernel evicts no page that is mapped */
    posix_fadvise(r->files[first->is.file].mapped.fd, (off_t) s.offset, (off_t) s.bytes, POSIX_FADV_DONTNEED);
}

static bool is_whole(struct resident * r, const struct held * h, const struct read_done * done) {
    if (h->drop_after && !done->error) { evict(r, h, 1); }
    return !done->error;
}

/* Locked as far as the limit allows: it may be 0. */
static bool put(struct resident * r, struct held * h) {
    if (!r->locks || h->is.class != PLACE_PIN) { return true; }
    const struct span more = span_of(r, h, 1, true);
    if (((uint64_t) r->locked_pages + more.pages) * r->page_bytes > r->lockable) { return true; }
    if (lock(more.at, more.bytes) != 0) { return true; }
    h->is_locked = true;
    r->locked_pages += more.pages;
    const uint64_t locked = (uint64_t) r->locked_pages * r->page_bytes;
    if (locked > r->totals.locked) { __atomic_store_n(&r->totals.locked, locked, __ATOMIC_RELAXED); }
    return true;
}

/* All of them or, if they cannot be unlocked, none. */
static bool remove_pieces(struct resident * r, struct held * first, uint32_t count) {
    bool some_locked = false;
    for (const struct held * h = first; h < first + count; h++) { some_locked |= h->is_locked; }
    const struct span s = span_of(r, first, count, true);
    if (some_locked && s.bytes && unlock(s.at, s.bytes) != 0) { return false; }
    evict(r, first, count);
    return true;
}

/* It is no longer locked. */
static void give(struct resident * r, struct held * h) {
    if (h->is_locked) { r->locked_pages -= span_of(r, h, 1, true).pages; }
    h->is_locked = false;
    r->cache_used -= h->is.pages;
}

const struct resident_mechanism resident_page_cache = {
    .begin_file = begin_file,
    .end_file = end_file,
    .after_fork = after_fork,
    .remove_all = remove_all,
    .begin = begin,
    .end = end,
    .room = room,
    .grow = grow,
    .shrink = shrink,
    .take = take,
    .may_put = may_put,
    .aim = aim,
    .give = give,
    .is_whole = is_whole,
    .put = put,
    .remove = remove_pieces,
    .reads_in_mapping = true,
};
