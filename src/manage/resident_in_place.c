/* SPDX-License-Identifier: MIT
 *
 * Pieces in memory of the library's own (pool), which covers the model's mapping (cover).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/clock.h"
#include "manage/advice.h"
#include "manage/resident_state.h"

/* ---- files ---- */

static int begin_file(struct resident * r, struct mapped_file * file) {
    (void) r;
    file->advice = advice_at(file->at);
    return cover_begin(file) ? 0 : errno;
}

static void after_fork(const struct mapped_file * file) {
    cover_remove_all(file);
    madvise(file->at, file->bytes, file->advice);
}

static bool remove_all(const struct resident * r, const struct mapped_file * file) {
    (void) r;
    return cover_remove_all(file);
}

/* ---- memory ---- */

static int begin(struct resident * r) {
    r->pool = pool_new_growing(r->pool_bytes, r->pool_most);
    if (!r->pool && errno == ENOMEM) { r->pool = pool_new(r->pool_bytes); } /* address space is limited, too */
    if (!r->pool) { return errno; }
    r->pool_most = (uint64_t) pool_pages_most(r->pool) * r->page_bytes;
    map_count_begin(&r->maps);
    return 0;
}

/* What covers a model stays. */
static void end(struct resident * r) {
    pool_free(r->pool);
}

static struct resident_room room(const struct resident * r) {
    return (struct resident_room){ pool_pages(r->pool), pool_pages_free(r->pool), pool_pages_unused(r->pool), 0 };
}

static void grow(struct resident * r, uint32_t pages) {
    pool_grow(r->pool, pages);
}

static void shrink(struct resident * r, uint32_t pages) {
    pool_shrink(r->pool, pages);
}

static bool take(struct resident * r, struct held * h) {
    return pool_take(r->pool, h->is.pages, &h->memory);
}

static bool may_put(struct resident * r, struct held * h) {
    if (map_count_add(&r->maps, h->memory.n_runs + 1)) { return true; } /* the file's mapping goes on behind it */
    pool_give(r->pool, &h->memory);
    return false;
}

static void aim(const struct resident * r, const struct held * h, struct read_job * job) {
    job->n_parts = h->memory.n_runs;
    for (unsigned i = 0; i < job->n_parts; i++) {
        const struct pool_run * run = &h->memory.run[i];
        job->part[i] = (struct iovec){ pool_at(r->pool, run->page), (size_t) run->count * r->page_bytes };
    }
}

static void give(struct resident * r, struct held * h) {
    pool_give(r->pool, &h->memory);
}

/* ---- reading ---- */

/* What was read through the page cache would take the memory twice. */
static void forget_pages(const struct resident * r, const struct held * h) {
    posix_fadvise(r->files[h->is.file].direct, (off_t) resident_offset(r, h), (off_t) resident_bytes(r, h),
                  POSIX_FADV_DONTNEED);
}

/* What the file holds there now; it may have changed since it was read. */
static bool is_like_file(const struct resident * r, const struct held * h, uint64_t bytes) {
    const struct resident_file * f = &r->files[h->is.file];
    if (pread(f->mapped.fd, r->compare, bytes, (off_t) resident_offset(r, h)) != (ssize_t) bytes) { return false; }
    const char * at = r->compare;
    uint64_t left = bytes;
    for (unsigned i = 0; i < h->memory.n_runs && left; i++) {
        const uint64_t run = (uint64_t) h->memory.run[i].count * r->page_bytes, n = run < left ? run : left;
        if (memcmp(at, pool_at(r->pool, h->memory.run[i].page), n) != 0) { return false; }
        at += n;
        left -= n;
    }
    return true;
}

static bool is_whole(struct resident * r, const struct held * h, const struct read_done * done) {
    const uint64_t from = resident_offset(r, h), size = r->files[h->is.file].size;
    uint64_t wanted = resident_bytes(r, h);
    resident_add(&r->totals.read_bytes, done->bytes);
    if (!r->is_direct) { forget_pages(r, h); }
    if (from + wanted > size) { wanted = size > from ? size - from : 0; }
    if (done->error || done->bytes < wanted) { return false; }
    if (!r->check) { return true; }
    const bool good = is_like_file(r, h, wanted);
    resident_add(&r->totals.checked, 1);
    if (!good) { resident_add(&r->totals.wrong, 1); }
    return good;
}

/* ---- the mapping ---- */

/* A page that a neighbour in memory has too is right already. To cover it anew would cost more than all else: what is
 * present there is unmapped on all processors. So each piece that comes and goes between two others takes one call. */

static char * page_at(const struct resident * r, const struct held * h, uint32_t page) {
    return resident_address(r, h) + (size_t) page * r->page_bytes;
}

static bool put(struct resident * r, struct held * h) {
    const bool before = resident_neighbour(r, h, -1), after = resident_neighbour(r, h, 1);
    const uint32_t from = before, to = h->is.pages - after;
    h->shows_next = after;
    return from >= to || cover_put(resident_mapping(r, h), page_at(r, h, from), to - from, r->pool, &h->memory, from);
}

/* Whether the page shows the neighbour's memory from now on. If not, it goes with the others. */
static bool give_border(struct resident * r, const struct held * h, uint32_t page, const struct held * to,
                        uint32_t skip) {
    return cover_put(resident_mapping(r, h), page_at(r, h, page), 1, r->pool, &to->memory, skip);
}

/* A neighbour in memory keeps its border page. */
static bool remove_pieces(struct resident * r, struct held * first, uint32_t count) {
    struct held *last = first + count - 1, *before = resident_neighbour(r, first, -1),
                *after = resident_neighbour(r, last, 1);
    uint32_t from = 0, to = last->is.page + last->is.pages - first->is.page;
    if (before) {
        from = !before->shows_next || give_border(r, first, 0, before, before->is.pages - 1);
        before->shows_next = false;
    }
    if (after && to > from) { to -= last->shows_next || give_border(r, last, last->is.pages - 1, after, 0); }
    return from >= to || cover_remove(resident_mapping(r, first), page_at(r, first, from), to - from);
}

const struct resident_mechanism resident_in_place = {
    .begin_file = begin_file,
    .end_file = cover_end,
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
};
