/* SPDX-License-Identifier: MIT
 *
 * What streams: it is read in the order of the graph, as far ahead as its ring of memory has room, and dropped once it
 * has been passed. Every function here is for the thread that manages alone.
 */
#ifndef TAT_MANAGE_RESIDENT_STREAM_H
#define TAT_MANAGE_RESIDENT_STREAM_H

#include "manage/resident_state.h"

/* Begins to read what comes next in the order, pinned pieces too. Returns whether any read began. */
bool stream_next(struct resident * resident);

/* Drops passed pieces until the ring is as small as it should be. */
void stream_shrink(struct resident * resident);

/* So many reads ended at once, of those that were under way. */
void stream_note_ended(struct resident * resident, unsigned ended, unsigned of);

#endif
