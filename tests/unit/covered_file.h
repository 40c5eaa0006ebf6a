/* SPDX-License-Identifier: MIT
 *
 * A file that is mapped and covered in pieces.
 */
#ifndef TAT_TESTS_COVERED_FILE_H
#define TAT_TESTS_COVERED_FILE_H

#include "manage/cover.h"
#include "paged_file.h"

enum { PIECE = 13, PIECES = 24, PAGES = PIECE * PIECES, ROOM = 12 * PIECE };

extern struct mapped_file file;
extern struct pool * pool;
extern struct pool_place held[PIECES];

/* Before and after each test. At the end, all of the file is there again. */
int begin(void ** state);
int end(void ** state);

char * at_piece(unsigned piece);

/* What belongs at the piece, into its place; and bytes that belong nowhere, so that a page that is still seen is wrong.
 */
void fill(unsigned piece);
void spoil(unsigned piece);

bool put(unsigned piece); /* false: there is no room */
void drop(unsigned piece);
bool is_covered(unsigned piece);

#endif
