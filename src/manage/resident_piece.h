/* SPDX-License-Identifier: MIT
 *
 * What becomes of a single piece, in the thread that manages: it is read, put to its addresses, and dropped. Every
 * function here is for that thread alone.
 */
#ifndef TAT_MANAGE_RESIDENT_PIECE_H
#define TAT_MANAGE_RESIDENT_PIECE_H

#include "manage/resident_state.h"

enum { FAILURES_MOST = 3 }; /* pieces that could not be read or put; then all is handed back */

uint32_t piece_state_of(const struct held * piece);
void piece_set_state(struct held * piece, enum piece_state state);

/* How the kernel reads at a fault in the piece; of all. */
void piece_advise(const struct resident * resident, const struct held * piece);
void pieces_advise(const struct resident * resident);

/* Whether its memory counts as the ring's; whether it goes first when memory is needed. */
void piece_set_in_ring(struct resident * resident, struct held * piece, bool in_ring);
void piece_set_spare(struct held * piece, bool is_spare);

/* Notes the piece's newest place in the order, so that it goes once that has been passed. */
void piece_enter_ring(struct resident * resident, struct held * piece, uint64_t place);

/* It is only expected; and is no guess any more, as it is wanted, or goes. */
void piece_make_guess(struct resident * resident, struct held * piece, enum piece_guess guess);
void piece_end_guess(struct resident * resident, struct held * piece, bool is_wanted);

/* What is to go and is expected goes only once it is not, or the memory is needed. False: it is not expected. */
bool piece_keep_expected(struct resident * resident, struct held * piece);

/* Takes memory, for which spare pieces and guesses go, and begins to read. False: there is not enough. */
bool piece_start(struct resident * resident, struct held * piece);

/* Begins to read a piece that has its memory, and that nobody has asked for; and counts it as one of those no more, as
 * it is asked for or there. The reader must have room. */
void piece_begin_unasked(struct resident * resident, struct held * piece);
void piece_end_unasked(struct resident * resident, struct held * piece);

/* A read is over. */
void piece_read_ended(struct resident * resident, const struct read_done * done);

/* Then: puts the piece to its addresses, or fails. */
void piece_finish(struct resident * resident, const struct read_done * done);

/* So many pieces that are in memory and follow each other without a gap. False: the file could not be put back, and
 * they stay. */
bool pieces_drop(struct resident * resident, struct held * first, uint32_t count);
bool piece_drop(struct resident * resident, struct held * piece);

/* Of a piece that is in memory: it may go, and does once there is time or its memory is needed; or it is wanted again.
 */
void piece_leave(struct resident * resident, struct held * piece);
void piece_stay(struct resident * resident, struct held * piece);
void piece_set_leaving(struct held * piece, bool is_leaving);

/* One that is to go, the first; one that was read unasked, and that read last; one that is only expected, the least
 * likely; any of these, in this order. False: there is none. */
bool piece_drop_leaving(struct resident * resident);
bool piece_drop_spare(struct resident * resident);
bool piece_drop_guess(struct resident * resident);
bool piece_drop_unneeded(struct resident * resident);

void piece_give_memory(struct resident * resident, struct held * piece);

#endif
