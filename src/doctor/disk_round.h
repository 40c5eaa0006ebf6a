/* SPDX-License-Identifier: MIT
 *
 * One round of reading, for disk.c.
 */
#ifndef TAT_DOCTOR_DISK_ROUND_H
#define TAT_DOCTOR_DISK_ROUND_H

#include "doctor/disk.h"

enum { LATENCIES_MAX = 1 << 14, DISK_BLOCK_MAX = 4 << 20, DISK_DEPTH_MAX = 32 };

/* Where the blocks of a rate are, from round to round: a round goes on where the one before ended. */
struct disk_places {
    uint64_t size; /* of the file */
    uint64_t next;
    uint64_t key; /* of the random order, which has each block once */
};

/* What was read, and how long each request took: as many as there is room for, which are the first ones. */
struct disk_round {
    uint64_t bytes, ns;
    uint32_t * latency_ns;
    size_t n_latencies;
};

uint64_t disk_place(struct disk_places * places, const struct disk_rate * rate);
void disk_latency(struct disk_round * round, uint64_t ns);

/* Past the page cache. `fd` is open with O_DIRECT, `buffers` holds `depth` blocks and is aligned to pages. Ends with
 * the last request, or burst, that began within `ns`. 0, or an errno. */
int disk_round_direct(struct disk_round * round, int fd, const struct disk_rate * rate, struct disk_places * places,
                      uint8_t * buffers, uint64_t ns);

/* The share of reads that end with another one that began when they were half done; below 0: none could be joined.
 * `buffers` holds two blocks of DISK_TOGETHER_BLOCK. 0, or an errno. */
enum { DISK_TOGETHER_BLOCK = 1 << 20 };
int disk_tells_together(int fd, struct disk_places * places, uint8_t * buffers, double * share);

#endif
