/* SPDX-License-Identifier: MIT
 *
 * Where blocks go: a shared mapping of the trace file that grows ahead of the writers.
 *
 * The keeper, a background thread, alone makes system calls for it once it is open. Who owns what, and in which memory
 * order, is in ARCHITECTURE.md.
 */
#ifndef TAT_AGENT_SINK_H
#define TAT_AGENT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/format.h"

/* Creates the file and starts the keeper. `header` is sealed here. `limit`: bytes the file may take. `tick`:
 * called by the keeper every few milliseconds, outside of any lock. False: no trace can be written; *why says so (a
 * string constant; errno is kept). */
bool sink_open(const char * path, struct tat_file_header * header, uint64_t limit, void (*tick)(void),
               const char ** why);

/* Any thread, no lock, no system call. False: no room was ready, nothing was written and nothing counted. */
bool sink_write(enum tat_block_type type, const void * payload, size_t payload_bytes);

/* The same, with the room that is kept for the closing blocks. */
bool sink_write_last(enum tat_block_type type, const void * payload, size_t payload_bytes);

/* Why sink_write said no. */
enum tat_loss_reason sink_refusal(void);

bool sink_is_open(void);

/* Writes nothing itself: stops the writers, cuts the file to what was written. `last` is called just before, to add the
 * closing blocks, for which room is kept. Idempotent. */
void sink_close(void (*last)(void));

/* In the child of a fork: forgets the parent's file, which stays the parent's. */
void sink_after_fork(void);

#endif
