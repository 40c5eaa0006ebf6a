/* SPDX-License-Identifier: MIT
 *
 * What to add to a block trace's times to have those of a run. Both saw the same reads: a fault ends just after the
 * read of its page is complete.
 */
#ifndef TAT_BLOCKTRACE_ALIGN_H
#define TAT_BLOCKTRACE_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time in which bytes of a model file were waited for or read. */
struct align_span {
    uint32_t file;
    uint64_t offset, bytes;
    int64_t begin_ns, end_ns;
};

/* By how much most pairs of a fault and a read of its page agree: *offset_ns. *votes: how many faults agree to within a
 * millisecond; *rivals: how many with the best other answer, which is more than a millisecond away. False: no page of a
 * fault was read, or memory is short. Both arrays are sorted. */
bool align_by_faults(struct align_span * faults, size_t n_faults, struct align_span * reads, size_t n_reads,
                     int64_t * offset_ns, uint64_t * votes, uint64_t * rivals);

/* How many faults overlap a read of their page, with this added to the reads' times. Both arrays are sorted. */
uint64_t align_overlaps(struct align_span * faults, size_t n_faults, struct align_span * reads, size_t n_reads,
                        int64_t offset_ns);

#endif
