/* SPDX-License-Identifier: MIT
 *
 * What resident.c, which other threads call, and resident_thread.c share.
 *
 * A piece goes ABSENT -> ASKED -> LOADING -> IN -> ABSENT. Whoever wants it makes ABSENT to ASKED; every other step is
 * the thread's alone. LOST is the end: the piece could not be read, or its mapping is gone.
 */
#ifndef TAT_MANAGE_RESIDENT_STATE_H
#define TAT_MANAGE_RESIDENT_STATE_H

#include <pthread.h>

#include "manage/map_count.h"
#include "manage/resident.h"

enum piece_state { PIECE_ABSENT, PIECE_ASKED, PIECE_LOADING, PIECE_IN, PIECE_LOST };
enum piece_ask { ASK_NOTHING, ASK_WANT, ASK_DROP };

/* Why a piece that is expected has memory, though nothing has asked for it. */
enum piece_guess { GUESS_NOT, GUESS_READ, GUESS_KEPT };

#define NO_PLACE UINT64_MAX
enum { NOT_YET = -1 };

struct held {
    struct resident_piece is;
    uint32_t state;  /* release and acquire: what it says of the piece's memory is true */
    uint8_t ask;     /* under the lock */
    bool is_leaving; /* relaxed: it was asked to go, and has not yet gone */
    bool is_spare;   /* relaxed: read while the disk was idle, and not wanted yet */
    /* The thread's own. */
    bool is_queued;           /* in `wanted` */
    bool is_queued_to_leave;  /* in `leaving` */
    bool in_ring;             /* its memory counts as the ring's */
    bool drop_after;          /* once it is read */
    bool is_unasked;          /* what is being read, nobody had asked for */
    bool is_hoped;            /* is among what was expected last */
    uint8_t guess;            /* enum piece_guess; other than GUESS_NOT, it is in `guesses`, and spare */
    uint64_t entry;           /* in the ring's queue, the one that counts; NO_PLACE: it has none */
    struct pool_place memory; /* these are of resident_in_place */
    bool shows_next;          /* where its last page is also the next piece's first, that one's memory */
    bool is_locked;           /* of resident_page_cache */
};

/* Pieces, first in, first out; each at most as often as there is room. */
struct piece_queue {
    uint32_t * piece;
    uint64_t * place; /* NULL: not kept */
    uint32_t capacity;
    uint64_t first, end;
};

struct taken {
    struct held * piece;
    enum piece_ask what;
};

/* A range that nothing may be done with any more. */
struct forgotten {
    const char * at;
    uint64_t bytes;
    bool is_pending;
};

struct resident {
    struct resident_file * files;
    uint32_t n_files;
    struct held * piece;
    uint32_t n_pieces;
    uint32_t page_bytes;
    bool check, on_demand, reads_ahead;
    const struct resident_mechanism * by;
    struct pool * pool; /* of resident_in_place */
    enum read_how how;  /* these are of resident_page_cache */
    bool locks;         /* what is pinned */
    uint64_t lockable;  /* bytes */
    uint32_t cache_pages, cache_used, locked_pages;
    struct reader * reader;
    pthread_t thread;
    uint64_t pool_bytes, pool_most;
    enum reader_kind reader_wanted, reader_used;
    unsigned depth;
    bool is_direct;
    int started; /* release and acquire: NOT_YET, 0, or the errno that says why it could not */

    pthread_mutex_t lock; /* what threads tell the thread; it is never held for long */
    struct piece_queue asked;
    const struct resident_order * order;
    uint64_t order_begin; /* the place of the order's first piece */
    uint32_t * expected;  /* what was expected last */
    uint32_t n_expected;
    bool expects; /* and the thread has not taken it yet */
    struct forgotten forgotten;
    bool stops, hands_back;
    uint8_t * classes; /* by piece: the new ones */
    uint64_t new_pool, new_ring, new_scratch;
    bool resizes;

    uint64_t passed;        /* sequentially consistent: all places below are done with */
    uint64_t ahead;         /* release and acquire: the thread has looked at all places below */
    uint64_t awaited;       /* sequentially consistent: the place that a thread waits for; NO_PLACE: none */
    uint32_t waiting;       /* sequentially consistent: threads that wait */
    uint32_t news;          /* a futex; grows with each change that a waiting thread may wait for */
    bool is_blocked;        /* sequentially consistent: the thread may lack room until something goes */
    uint32_t awaited_piece; /* relaxed: the piece that a thread came to wait for last */
    uint64_t tell_from;     /* sequentially consistent: the thread is to be told once all below this place has passed */
    bool is_broken;         /* release and acquire: it comes after `why` */
    const char * why;       /* it stopped; NULL: nobody knows yet, or it was asked to */

    /* The thread's own. */
    struct taken * taken; /* from `asked` */
    uint32_t n_taken;
    struct piece_queue wanted, leaving, ring;
    struct map_count maps; /* of resident_in_place */
    uint32_t * hoped;      /* what was expected, and how much of it has been looked at */
    uint32_t n_hoped, next_hoped;
    uint32_t * guesses; /* pieces that are guesses */
    uint32_t n_guesses;
    const struct resident_order * now;
    uint64_t now_begin;
    uint64_t passed_seen, awaited_seen; /* before it looked what to stream */
    bool lacks_room;                    /* in this turn of its loop */
    uint64_t drops_seen;                /* drops so far when it looked what is wanted */
    uint64_t pool_pages;                /* that it may have: more than that are given back */
    uint64_t ring_pages, ring_used, scratch_pages;
    uint32_t fill_next, spare_end; /* the piece to look at next; no spare one is behind that one */
    uint32_t in_flight, n_unasked; /* reads under way, and of them those that nobody had asked for */
    uint32_t together;             /* how often all reads under way ended at once lately, of TOGETHER */
    bool in_batches;               /* so often that nothing is added to what is being read */
    uint64_t busy_since;
    unsigned failures;
    uint64_t looked_ns; /* at the files, whether somebody writes to them */
    void * compare;     /* room for a piece, if they are checked */

    uint64_t disk_bytes_before;
    struct resident_totals totals; /* relaxed; the thread adds */
};

/* In pages. */
struct resident_room {
    uint32_t pages, pages_free;
    uint32_t pages_unused; /* that take no memory yet */
    uint32_t pages_cached; /* page cache that is not locked: the kernel may take it back */
};

/* How the bytes of a piece come to its addresses, and go again. The thread calls; after_fork, the child does. */
struct resident_mechanism {
    /* Makes the file's mapping ready; 0, or an errno. `end_file` leaves it as the program made it, once all pieces are
     * gone; not if the mapping is about to go, or is as it was. */
    int (*begin_file)(struct resident * resident, struct mapped_file * file);
    void (*end_file)(struct mapped_file * file);
    void (*after_fork)(const struct mapped_file * file);
    /* All pieces at once. */
    bool (*remove_all)(const struct resident * resident, const struct mapped_file * file);

    /* Memory for `pool_bytes` of pieces; 0, or an errno. `end` comes after a `begin` that failed too, or none. */
    int (*begin)(struct resident * resident);
    void (*end)(struct resident * resident);
    struct resident_room (*room)(const struct resident * resident);
    void (*grow)(struct resident * resident, uint32_t pages);
    void (*shrink)(struct resident * resident, uint32_t pages); /* as far as they are free */

    /* Memory for the piece. False: there is not enough. */
    bool (*take)(struct resident * resident, struct held * piece);
    /* Whether a piece that has its memory may be put. False: then it has none any more. */
    bool (*may_put)(struct resident * resident, struct held * piece);
    /* Where it is to be read to, and how. */
    void (*aim)(const struct resident * resident, const struct held * piece, struct read_job * job);
    void (*give)(struct resident * resident, struct held * piece);
    /* Whether a read brought all of the piece. Called once for each read. */
    bool (*is_whole)(struct resident * resident, const struct held * piece, const struct read_done * done);
    /* The piece to its addresses. False, and another piece may follow: a part may be there. */
    bool (*put)(struct resident * resident, struct held * piece);
    /* The file again, where so many pieces are that follow each other without a gap. */
    bool (*remove)(struct resident * resident, struct held * first, uint32_t count);

    bool reads_in_mapping; /* reads under way use the mapping of the file */
};

extern const struct resident_mechanism resident_in_place, resident_page_cache;

const struct mapped_file * resident_mapping(const struct resident * resident, const struct held * piece);
char * resident_address(const struct resident * resident, const struct held * piece);
uint64_t resident_offset(const struct resident * resident, const struct held * piece); /* in the file */
uint64_t resident_bytes(const struct resident * resident, const struct held * piece);

/* The neighbour before (-1) or behind (1) the piece that shares the border page with it, if it is in memory. */
struct held * resident_neighbour(const struct resident * resident, const struct held * piece, int step);

void resident_add(uint64_t * total, uint64_t by);

void * resident_thread(void * resident);

extern _Thread_local bool resident_own_thread;

/* Opens and makes what the thread works with, in the thread. 0, or an errno. resident_close undoes it. */
int resident_open(struct resident * resident);
void resident_close(struct resident * resident);

/* Whether the files are as they were when they were opened. */
bool resident_files_are_same(const struct resident * resident);

/* Tells all that wait. */
void resident_news(struct resident * resident);

#endif
