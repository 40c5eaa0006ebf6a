/* SPDX-License-Identifier: MIT
 *
 * How fast the disk under a file is read: as programs read models (page faults, read), and as it can be read at best
 * (many requests at once, past the page cache). Nothing is written.
 */
#ifndef TAT_DOCTOR_DISK_H
#define TAT_DOCTOR_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

enum disk_how {
    DISK_MAPPED,        /* page faults, of one thread; the kernel reads ahead as it does by default */
    DISK_MAPPED_RANDOM, /* the same with MADV_RANDOM, so a fault reads one page */
    DISK_READ,          /* pread, of one thread; the kernel reads ahead only if the blocks follow one another */
    DISK_DIRECT,        /* O_DIRECT through io_uring; as one request ends, another begins */
    DISK_BURST,      /* likewise, but all begin together when the disk is idle, and no other until the last has ended */
    DISK_BURST_BUSY, /* the same, while all processors compute */
};

/* Past the page cache. */
static inline bool disk_is_direct(enum disk_how how) {
    return how == DISK_DIRECT || how == DISK_BURST || how == DISK_BURST_BUSY;
}

/* Of DISK_DIRECT, each in order and at random. */
enum { DISK_BLOCKS = 6, DISK_DEPTHS = 3 };
extern const uint32_t disk_blocks[DISK_BLOCKS];
extern const unsigned disk_depths[DISK_DEPTHS];

/* Of DISK_BURST and DISK_BURST_BUSY, at random. */
enum { DISK_BURST_BLOCKS = 4, DISK_BURST_DEPTHS = 6 };
extern const uint32_t disk_burst_blocks[DISK_BURST_BLOCKS];
extern const unsigned disk_burst_depths[DISK_BURST_DEPTHS];

enum { DISK_ROUNDS = 3, DISK_RATES_MAX = 96 };

struct disk_rate {
    enum disk_how how;
    bool random;    /* blocks in random order; or else one after the other */
    uint32_t block; /* bytes a request wants */
    unsigned depth; /* requests at once */
    /* Bytes wanted, by seconds: the median, the least and the most of the rounds. 0: not measured. */
    double per_second, low, high;
    double p50_ns, p99_ns; /* of one request, over all rounds */
};

struct disk_rates {
    char device[64];   /* the whole disk, as in /sys/block; empty: the file is on none */
    char model[128];   /* what the device calls itself; empty: it does not */
    char system[32];   /* the file system's type, in the kernel's words, or a number */
    uint64_t bytes;    /* of the file */
    uint64_t ahead;    /* bytes that the kernel may read ahead on this device; 0: not known */
    double resident;   /* share of the file that could not be dropped from memory, as others use it */
    char direct[160];  /* why nothing was read past the page cache; empty: it was */
    char through[160]; /* why nothing was read through the page cache; empty: it was */
    double together;   /* share of reads that were told of only with one that began later; below 0: not measured */
    uint64_t into;     /* bytes of a page of the memory that was read into past the page cache */
    struct disk_rate rate[DISK_RATES_MAX];
    size_t n_rates;
};

/* Reads a regular file again and again: each rate in DISK_ROUNDS rounds of `round_ns`, the rates in turn, so that what
 * else the disk does meets all of them. Drops the file's pages from the page cache. 0; or -1 with *error: there is no
 * such file, it is not regular, it cannot be read, or it is smaller than DISK_FILE_LEAST. */
int disk_measure(struct disk_rates * rates, const char * path, uint64_t round_ns, struct tat_error * error);

enum { DISK_FILE_LEAST = 8 << 20 };

#endif
