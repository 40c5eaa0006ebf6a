/* SPDX-License-Identifier: MIT
 *
 * In place of the reader: one whose reads end when a test lets them, in any order, and as the dice have it. Link with
 * STAGED_READER's --wrap options. Of a file with paged_fill's content, which need not be read for it.
 *
 * The thread that manages memory comes to reader_wait between any two of its rounds. There the stage holds it, so that
 * a test does one thing between two rounds, and looks at everything without a race.
 */
#ifndef TAT_TESTS_STAGED_READER_H
#define TAT_TESTS_STAGED_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "dice.h"

/* Before there is a thread. `faults`: of a thousand reads, so many fail or are short. */
void stage_begin(uint32_t seed, uint64_t file_bytes, unsigned faults);

/* Runs until stage_hold: for calls that wait for the thread. */
void stage_run(void);
/* Returns once the thread is held, or ended. */
void stage_hold(void);
/* So many rounds of a thread that is held. */
void stage_step(unsigned rounds);

/* Called once, by the thread, when it next asks how many reads it may start: in the middle of a round. */
void stage_meanwhile(void (*call)(void));

/* The disk tells of no read before all that it has are done. */
void stage_tell_together(void);

/* Reads that were added while others were under way; and those that were not, in batches. */
struct stage_reads {
    unsigned added, batches;
};
struct stage_reads stage_reads(void);

/* Reads whose memory was another read's, too. */
unsigned stage_overlaps(void);

#endif
