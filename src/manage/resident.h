/* SPDX-License-Identifier: MIT
 *
 * Which pieces of the model are in memory. One thread owns pool, reader and mappings: it reads pieces, covers the
 * model's mapping with them, and drops them. Threads that compute graphs say what they need and wait for it; whatever
 * they do, and whenever, each address holds the file's bytes. While the disk is idle and there is room, pinned and
 * cached pieces are read before anybody wants them; of those, what was cached goes first when room is needed.
 *
 * It knows nothing of ggml: tests drive it with made-up graphs.
 */
#ifndef TAT_MANAGE_RESIDENT_H
#define TAT_MANAGE_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "manage/cover.h"
#include "manage/reader.h"
#include "plan/placement.h"

struct resident;

/* The thread opens it, in a table of descriptors of its own. */
struct resident_file {
    struct mapped_file mapped; /* without a descriptor */
    const char * path;         /* not needed once there is a struct resident; still that of the mapped file */
    uint64_t size;
    /* The thread's own. */
    int direct;         /* to read by, past the page cache if that can be */
    struct stat opened; /* what it was then */
};

/* Pieces of one file are in the order of its pages; a page is in two of them at most, which are neighbours. */
struct resident_piece {
    uint32_t file; /* index */
    uint32_t page; /* of the file's mapping */
    uint32_t pages;
    uint8_t class; /* enum placement_class; of those that are left, nothing is done */
};

struct resident_options {
    const struct resident_file * files;
    uint32_t n_files;
    const struct resident_piece * pieces; /* copied, as are the files */
    uint32_t n_pieces;
    uint64_t pool, ring; /* bytes: of all memory for pieces, and of it for what is streamed */
    uint64_t pool_most;  /* bytes to which that may grow; 0: it may not */
    uint64_t scratch;    /* bytes of the pool that stay free for what is wanted: nothing is read into them unasked */
    enum reader_kind reader;
    unsigned depth;      /* reads at once */
    enum read_how ahead; /* READ_INTO: in place; otherwise the pieces are kept in the page cache, by threads */
    bool locks;          /* what is pinned, in the page cache, as far as the process may */
    bool on_demand;      /* read no place of the order before it is waited for */
    bool check;          /* compare each piece with the file */
    bool reads_ahead;    /* the kernel may, in what is left to it, as the program advised it */
};

/* The order in which a graph needs pinned and streamed pieces; a piece may come more than once. It must live as long as
 * the resident pieces. */
struct resident_order {
    const uint32_t * piece;
    uint32_t count;
};

struct resident_totals {
    uint64_t reads, read_bytes; /* of pieces in the page cache: what all of the process has read from disks */
    uint64_t disk_ns;           /* in which a read was under way */
    uint64_t loads, drops, map_ns;
    uint64_t errors;   /* pieces that could not be read or mapped, and were left to the file */
    uint64_t given_up; /* waits that ended without the piece, as there was no room for it */
    uint64_t checked, wrong;
    /* Bytes of pieces that were only expected: read ahead, and of these wanted, some while they were still being read,
     * or dropped unused; and of those that were to be dropped, and were wanted first. */
    uint64_t ahead_read, ahead_used, ahead_wasted, spared;
    uint64_t pool, pool_free; /* bytes that the pool may take now, and of them those that nothing is in */
    uint64_t pool_unused;     /* of the pool, what takes no memory yet */
    uint64_t pool_cached;     /* of the pool, what is page cache and not locked: the kernel may take it back */
    uint64_t locked;          /* bytes, at most at once */
};

/* Starts the thread. NULL: errno says why. */
struct resident * resident_new(const struct resident_options * options);

/* The file is everywhere again; then ends the thread and frees. NULL is allowed. No other thread may be in a call. */
void resident_free(struct resident * resident);

/* A graph begins, which needs pieces in this order; the next one is taken to be like it. Returns the number of its
 * first place in the order: places are counted on from graph to graph. One graph at a time. */
uint64_t resident_begin(struct resident * resident, const struct resident_order * order);

/* All places below this one are done with. Any time; costs a store, and a system call if the thread waits for it. */
void resident_passed(struct resident * resident, uint64_t place);

struct pieces_asked {
    const uint32_t * piece;
    uint32_t count;
};

/* Pieces that may go, and such that a router chose, to be read now; of one that is in both, only the second holds. What
 * goes makes room for what is wanted, but what has room is read first.
 *
 * `expected`: pieces that may be wanted next, the likeliest first, in place of those that were expected before. They
 * are read while nothing else is to be read, into memory that nothing else needs, and dropped once something does or
 * they are expected no longer; dropping them otherwise waits for that, too. NULL: what was expected still is. Any
 * thread. */
void resident_exchange(struct resident * resident, const struct pieces_asked * dropped,
                       const struct pieces_asked * wanted, const struct pieces_asked * expected);
void resident_want(struct resident * resident, const uint32_t * pieces, uint32_t count);
void resident_drop(struct resident * resident, const uint32_t * pieces, uint32_t count);

/* There is more memory, or less: so many bytes for all, and of them for what is streamed and as scratch, and new
 * classes of all pieces, which are copied. What was cached stays so, or is left. Memory is given back as soon as pieces
 * that go have been passed. Any thread. */
void resident_resize(struct resident * resident, uint64_t pool, uint64_t ring, uint64_t scratch,
                     const uint8_t * classes);

/* Bytes to which the pool can grow: fewer than were asked for where address space is short. */
uint64_t resident_pool_most(const struct resident * resident);

/* Waits until the pool takes no more than so many bytes, or it is clear that it will not soon. Any thread. */
void resident_await_pool(struct resident * resident, uint64_t bytes);

/* The file everywhere, for good. Any thread; does not wait. */
void resident_hand_back(struct resident * resident);

/* Waits until the piece is in memory, or it is clear that it will not be soon. `place`: its own in the order, or
 * UINT64_MAX for one that was wanted. Returns the nanoseconds that it waited. Any thread. */
uint64_t resident_wait(struct resident * resident, uint32_t piece, uint64_t place);

/* Whether the files are read past the page cache, and by what. */
bool resident_is_direct(const struct resident * resident);
enum reader_kind resident_reader(const struct resident * resident);

/* Bytes that may be locked; UINT64_MAX: no limit. Of pieces in the page cache. */
uint64_t resident_lockable(const struct resident * resident);

bool resident_is_in(const struct resident * resident, uint32_t piece);

/* The program unmaps what may be a model's mapping. When this returns, nothing is done there any more, now or later.
 * False: it is none of ours. Any thread but the one that manages. */
bool resident_forget(struct resident * resident, const void * at, uint64_t bytes);

/* So far. Any thread. */
struct resident_totals resident_totals(const struct resident * resident);

/* Whether the calling thread is the one that manages: what it maps and unmaps is not the program's doing. */
bool resident_is_this_thread(void);

/* Words for why all was handed back; NULL: nobody knows yet, or it was to be. */
const char * resident_why_broken(const struct resident * resident);

/* True once all was handed back to the file, because it was to be, or so many reads failed. */
bool resident_is_broken(const struct resident * resident);

/* In the child of a fork, before anything else runs: the file everywhere again. The object may not be used any more.
 * Allocates nothing. */
void resident_after_fork(struct resident * resident);

#endif
