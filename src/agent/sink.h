/* SPDX-License-Identifier: MIT
 *
 * Where blocks go: a file to which each thread writes its own by pwritev(2), at a place that it reserved. A file that
 * somebody cuts, a full disk and a failing one are errors here, which a mapping would make signals in the host. Each
 * file that is written while the program runs is a sink of its own. All share one frame (format/block.h) and one
 * keeper. ARCHITECTURE.md says who owns what, and in which memory order.
 */
#ifndef TAT_AGENT_SINK_H
#define TAT_AGENT_SINK_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tat/format.h"

/* The fields are for sink.c alone. */
struct sink {
    pthread_mutex_t lock; /* taken by opening, keeper and closing */
    int fd;
    pid_t pid;              /* whose file it is */
    uint64_t device, inode; /* identify the file */
    uint64_t limit;
    uint64_t next;    /* where the next block goes */
    uint64_t granted; /* how far blocks may go */
    uint64_t written; /* where the last block ends that was written whole */
    int refusal;
    bool open;
    bool cut;
    void (*tick)(void);
    struct tat_file_header header;
    char path[PATH_MAX];
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

/* Any thread; takes no lock, makes system calls, keeps errno. No signal comes of it. Once it returns, the block
 * survives the end of the process. False: nothing was written or counted. */
bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* The same, but may use the room kept for the closing blocks. */
bool sink_write_last(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* Why sink_write returned false. */
enum tat_loss_reason sink_refusal(const struct sink * sink);

bool sink_is_open(const struct sink * sink);

/* Whether the file was found shorter than what had been written to it. */
bool sink_was_cut(const struct sink * sink);

/* Calls `last`, which writes the closing blocks into the room kept for them; then stops the writers. Idempotent. */
void sink_close(struct sink * sink, void (*last)(void));

/* Called in the child of a fork. Forgets the file, which stays the parent's. */
void sink_after_fork(struct sink * sink);

#endif
