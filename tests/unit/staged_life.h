/* SPDX-License-Identifier: MIT
 *
 * Pieces of two mappings of one file, whose reads a staged reader ends, in a system that refuses mappings now and then.
 * While the thread that manages memory is held, what it knows must agree with itself.
 */
#ifndef TAT_TESTS_STAGED_LIFE_H
#define TAT_TESTS_STAGED_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "manage/resident_state.h"
#include "paged_file.h"
#include "staged_reader.h"

enum {
    PAGES = 160,
    BYTES = PAGES * PAGE - 1000, /* the last page is not whole */
    FILES = 2,
    FIRST_PAGES = 96, /* of the first mapping */
    PIECES_MOST = 80,
    ORDER_MOST = 120,
    KINDS = 3,
    THOUSAND = 1000,
    FOREIGN = 0x55,
};

/* ---- a system that refuses ---- */

extern unsigned refusals; /* of a thousand mappings */
extern uint32_t system_seed;
extern unsigned exchanges; /* calls that put something else where pieces are */

void system_begin(uint32_t seed); /* it refuses nothing yet */

void * __real_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset);

/* ---- a life ---- */

extern uint32_t life_seed; /* a failure prints it */

struct life {
    struct resident * resident;
    struct resident_file file[FILES];
    bool is_gone[FILES]; /* other memory is there */
    struct resident_piece piece[PIECES_MOST];
    uint32_t n_pieces;
    uint32_t places[KINDS][ORDER_MOST];
    struct resident_order kind[KINDS], *now;
    uint64_t begin, next; /* places of the graph at hand */
    uint8_t before[PIECES_MOST];
};

/* Before and after all tests. */
int life_make_file(void ** state);
int life_remove_file(void ** state);

void life_map(struct life * life);
void life_unmap(const struct life * life);

void check(bool good, const char * what);
bool page_is_right(const struct life * life, uint32_t page);
bool all_is_right(const struct life * life);
void check_thread(struct life * life); /* it is held */

#endif
