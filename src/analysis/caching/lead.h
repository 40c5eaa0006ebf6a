/* SPDX-License-Identifier: MIT
 *
 * Lead time: how long computing waits for reads from a disk that begin before they are needed.
 */
#ifndef TAT_ANALYSIS_CACHING_LEAD_H
#define TAT_ANALYSIS_CACHING_LEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `at` and `from` are on the clock of computing alone: from when on the disk may read it, and when it is needed. */
struct lead_read {
    uint64_t from, at; /* ns; from <= at; `at` never falls from one read to the next */
    uint64_t bytes;
    double ns; /* that the disk takes */
};

/* A disk that reads one after the other, always what is needed next of what it may read (the earliest deadline first),
 * and leaves a read for one that is needed sooner. No order of reads ends sooner: test_lead.c tries them all. Sets
 * stall[i] to the wait for read i, and *ahead to the most bytes that were read or being read before they were needed.
 * False: memory. */
bool lead_find_stalls(const struct lead_read * reads, uint32_t n, double * stall, uint64_t * ahead);

#endif
