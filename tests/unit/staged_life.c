/* SPDX-License-Identifier: MIT */
#include "staged_life.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
uint32_t life_seed;

/* ---- a system that refuses ---- */

unsigned refusals, exchanges;
uint32_t system_seed;
static unsigned must_succeed; /* the next ones */

void system_begin(uint32_t seed) {
    system_seed = seed;
    refusals = must_succeed = 0;
}

void * __real_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to);
void * __wrap_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to);
void * __wrap_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset);

static bool is_refused(void) {
    if (must_succeed) {
        must_succeed--;
        return false;
    }
    return dice(&system_seed, THOUSAND) < refusals;
}

/* A kernel without memory may have unmapped what was there. It is not as unlucky twice in a row. */
void * __wrap_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to) {
    exchanges += (flags & MREMAP_FIXED) != 0;
    if (!is_refused()) { return __real_mremap(from, bytes, new_bytes, flags, to); }
    if (dice(&system_seed, 2) && flags & MREMAP_FIXED) {
        syscall(SYS_munmap, to, new_bytes);
        must_succeed = 1;
    }
    errno = ENOMEM;
    return MAP_FAILED;
}

void * __wrap_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (flags & MAP_FIXED && is_refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap64(at, bytes, protection, flags, fd, offset);
}

/* ---- what is looked at ---- */

void check(bool good, const char * what) {
    if (good) { return; }
    print_error("%s; WALK_SEED=%" PRIu32 "\n", what, life_seed);
    fail();
}

bool page_is_right(const struct life * l, uint32_t page) {
    static char foreign[PAGE];
    const unsigned f = page >= FIRST_PAGES;
    const char * at = l->file[f].mapped.at + (size_t) (page - f * FIRST_PAGES) * PAGE;
    const size_t from = (size_t) page * PAGE, there = BYTES - from < PAGE ? BYTES - from : PAGE;
    memset(foreign, FOREIGN, sizeof foreign);
    if (l->is_gone[f]) { return memcmp(at, foreign, PAGE) == 0; }
    for (size_t i = there; i < PAGE; i++) {
        if (at[i]) { return false; }
    }
    return paged_is_right(at, from, there);
}

bool all_is_right(const struct life * l) {
    for (uint32_t page = 0; page < PAGES; page++) {
        if (!page_is_right(l, page)) { return false; }
    }
    return true;
}

/* ---- what the thread knows; it is held ---- */

static void check_piece(const struct held * h, uint8_t before) {
    const bool has_memory = h->memory.n_runs > 0;
    uint32_t pages = 0;
    for (unsigned i = 0; i < h->memory.n_runs; i++) { pages += h->memory.run[i].count; }
    check(!has_memory || pages == h->is.pages, "a piece has memory of another size");
    check(before != PIECE_LOST || h->state == PIECE_LOST, "a piece was lost, and is not");
    switch ((enum piece_state) h->state) {
        case PIECE_ABSENT:
        case PIECE_ASKED: check(!has_memory && !h->in_ring, "a piece that is absent has memory"); break;
        case PIECE_LOADING:
        case PIECE_IN: check(has_memory, "a piece without memory"); break;
        case PIECE_LOST: break;
        default: check(false, "a piece in no state");
    }
}

/* What streams is dropped in the order of its places, so it must have one. */
static void check_ring(const struct life * l) {
    const struct resident * r = l->resident;
    bool has_place[PIECES_MOST] = { false };
    for (uint64_t i = r->ring.first; i < r->ring.end; i++) {
        const uint32_t piece = r->ring.piece[i % r->ring.capacity];
        has_place[piece] |= r->piece[piece].entry == i;
    }
    for (uint32_t i = 0; i < l->n_pieces; i++) {
        const struct held * h = &r->piece[i]; /* one that was lost while it was read goes by itself */
        check(!h->in_ring || h->state == PIECE_LOST || has_place[i], "a piece in the ring has no place there");
    }
}

void check_thread(struct life * l) {
    const struct resident * r = l->resident;
    uint64_t in_ring = 0, taken = 0, loading = 0;
    for (uint32_t i = 0; i < l->n_pieces; i++) {
        const struct held * h = &r->piece[i];
        check_piece(h, l->is_gone[h->is.file] ? PIECE_LOST : l->before[i]);
        l->before[i] = (uint8_t) h->state;
        in_ring += h->in_ring ? h->is.pages : 0;
        taken += h->memory.n_runs ? h->is.pages : 0;
        loading += h->state == PIECE_LOADING;
    }
    check_ring(l);
    check(in_ring == r->ring_used, "the ring is of another size than what is in it");
    check(taken + pool_pages_free(r->pool) == pool_pages(r->pool), "memory was lost, or given twice");
    check(loading <= r->in_flight, "a piece is loaded by no read");
    check(r->wanted.end - r->wanted.first <= l->n_pieces && r->ring.end - r->ring.first <= r->ring.capacity &&
              r->asked.end - r->asked.first <= l->n_pieces,
          "a queue is too long");
    check(r->totals.wrong == 0 && stage_overlaps() == 0, "memory was used twice");
}

/* ---- beginning and end ---- */

void life_map(struct life * l) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd >= 0, "open");
    for (unsigned f = 0; f < FILES; f++) {
        const uint64_t pages = f ? PAGES - FIRST_PAGES : FIRST_PAGES, from = f ? FIRST_PAGES : 0;
        char * at = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, (off_t) (from * PAGE));
        check(at != MAP_FAILED, "mmap");
        l->file[f] = (struct resident_file){ .mapped = { .at = at,
                                                         .bytes = pages * PAGE,
                                                         .offset = from * PAGE,
                                                         .fd = -1,
                                                         .protection = PROT_READ,
                                                         .is_shared = true },
                                             .path = path,
                                             .size = BYTES };
    }
    close(fd);
}

void life_unmap(const struct life * l) {
    for (unsigned f = 0; f < FILES; f++) { munmap(l->file[f].mapped.at, l->file[f].mapped.bytes); }
}

int life_make_file(void ** state) {
    (void) state;
    static char content[BYTES + 8];
    const char * folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tat_walk.XXXXXX", folder && strlen(folder) < 40 ? folder : "/var/tmp");
    const int fd = mkstemp(path);
    paged_fill(content, 0, BYTES);
    const bool good = fd >= 0 && write(fd, content, BYTES) == BYTES && fsync(fd) == 0;
    close(fd);
    return good ? 0 : -1;
}

int life_remove_file(void ** state) {
    (void) state;
    return unlink(path);
}
