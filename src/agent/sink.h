/* SPDX-License-Identifier: MIT
 *
 * Where blocks go: a shared mapping of a file that grows ahead of its writers. Each file that is written while the
 * program runs is a sink of its own. All share one frame (format/block.h) and one keeper, which makes the system calls
 * once a sink is open. ARCHITECTURE.md says who owns what, and in which memory order.
 */
#ifndef TAT_AGENT_SINK_H
#define TAT_AGENT_SINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/format.h"

/* The fields are for sink.c alone. */
struct sink {
    pthread_mutex_t lock; /* taken by opening, keeper and closing */
    int fd;
    uint64_t device, inode; /* identify the file */
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

/* The sink of tensor_access.bin. */
extern struct sink trace_sink;

/* Creates the file and hands it to the keeper. `header` says what kind of file it is; it is sealed here. `limit`: the
 * most bytes that the file may take. `tick`: the keeper calls it about every 20 ms while the sink is open, holding no
 * lock; may be NULL. False: no file can be written; *why (a string constant) and errno say why. */
bool sink_open(struct sink * sink, const char * path, struct tat_file_header * header, uint64_t limit,
               void (*tick)(void), const char ** why);

/* Any thread, no lock, no system call. False: no room was ready; nothing was written or counted. */
bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* The same, but may use the room kept for the closing blocks. */
bool sink_write_last(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* Why sink_write returned false. */
enum tat_loss_reason sink_refusal(const struct sink * sink);

bool sink_is_open(const struct sink * sink);

/* Calls `last`, which writes the closing blocks into the room kept for them; then stops the writers and cuts the file
 * to what was written. Idempotent. */
void sink_close(struct sink * sink, void (*last)(void));

/* Called in the child of a fork. Forgets the file, which stays the parent's. */
void sink_after_fork(struct sink * sink);

#endif
