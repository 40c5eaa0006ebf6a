/* SPDX-License-Identifier: MIT
 *
 * A file, its mapping, pieces of it that come and go, and made-up programs that need them.
 */
#ifndef TAT_TESTS_RESIDENT_WORLD_H
#define TAT_TESTS_RESIDENT_WORLD_H

#include <pthread.h>

#include "dice.h"
#include "manage/resident.h"
#include "paged_file.h"

enum { PAGES = 512, PIECES_MOST = 128, READERS = 2 };

extern char path[256]; /* of the file */

struct world {
    char * at; /* the mapping */
    struct resident * resident;
    struct resident_piece piece[PIECES_MOST];
    uint32_t n_pieces;
    uint32_t order[PIECES_MOST]; /* of all pieces, as they lie in the file */
    struct resident_file file;
    bool stop;
    uint64_t wrong, looked;
    pthread_t reader[READERS];
    uint32_t seed;
};

void make_file(void);

/* Before and after all tests. */
int begin_all(void ** state);
int end_all(void ** state);

void map_file(struct world * world);

/* Neighbours share a page now and then, as experts' slices do. */
void cut(struct world * world, uint8_t (*class_of)(struct world * world, uint32_t piece));

/* So many bytes of memory, and of it for what streams; each piece is compared with the file. */
struct resident_options options_of(const struct world * world, uint64_t pool, uint64_t ring);
void begin_with(struct world * world, const struct resident_options * options);
void begin(struct world * world, uint64_t pool, uint64_t ring, enum reader_kind reader);

/* The file is there again. */
void end(struct world * world);

bool page_is_right(const struct world * world, uint64_t page);
bool all_is_right(const struct world * world);

/* Threads that look at pages, until they are stopped: all were right. */
void start_readers(struct world * world);
void stop_readers(struct world * world);

uint64_t pages_of(const struct world * world, uint8_t class);
uint8_t every_third_pinned(struct world * world, uint32_t piece);

/* A graph that needs the pieces in that order; of all pieces. */
struct resident_order in_order(const struct world * world);
void take_turn(struct world * world, const struct resident_order * order);

void expect(struct resident * resident, const uint32_t * pieces, uint32_t count);
void want_or_drop(struct world * world); /* some of them, or expects them */

/* Four kinds of graphs that need anything, begin and end anywhere. */
struct wild {
    uint32_t memory[4][PIECES_MOST];
    uint32_t * orders[4];
    struct resident_order kinds[4];
};
void prepare(struct world * world, struct wild * wild, uint32_t seed);
void go_wild(struct world * world, struct wild * wild, unsigned rounds);

#endif
