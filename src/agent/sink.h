/* SPDX-License-Identifier: MIT
 *
 * Where blocks go: a shared mapping of a file that grows ahead of its writers. Each file that is written while the
 * program runs is a sink of its own; all have one frame (format/block.h) and one keeper, which makes the system calls
 * once a sink is open. Who owns what, and in which memory order, is in ARCHITECTURE.md.
 */
#ifndef TAT_AGENT_SINK_H
#define TAT_AGENT_SINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/format.h"

/* The fields are sink.c's alone. */
struct sink {
    pthread_mutex_t lock; /* opening, the keeper, closing */
    int fd;
    uint64_t device, inode; /* of the file */
    char * base;
    uint64_t reserved; /* bytes of address space at base */
    uint64_t limit;
    uint64_t next;
    uint64_t ready;
    int refusal; /* relaxed */
    bool open;   /* relaxed */
    void (*tick)(void);
};
#define SINK_INITIALIZER                                                                                               \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 }

/* Of tensor_access.bin. */
extern struct sink trace_sink;

/* Creates the file and has it kept. `header`, which says what kind of file it is, is sealed here. `limit`: bytes that
 * the file may take. `tick`: called by the keeper every few milliseconds while the sink is open, outside of any lock;
 * NULL: not called. False: no file can be written; *why says so (a string constant; errno is kept). */
bool sink_open(struct sink * sink, const char * path, struct tat_file_header * header, uint64_t limit,
               void (*tick)(void), const char ** why);

/* Any thread, no lock, no system call. False: no room was ready; nothing was written and nothing counted. */
bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* The same, with the room that is kept for the closing blocks. */
bool sink_write_last(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* Why sink_write said no. */
enum tat_loss_reason sink_refusal(const struct sink * sink);

bool sink_is_open(const struct sink * sink);

/* Writes nothing itself: stops the writers, cuts the file to what was written. `last` is called just before, to add the
 * closing blocks, for which room is kept. Idempotent. */
void sink_close(struct sink * sink, void (*last)(void));

/* In the child of a fork: forgets the parent's file, which stays the parent's. */
void sink_after_fork(struct sink * sink);

#endif
