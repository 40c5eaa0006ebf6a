/* SPDX-License-Identifier: MIT
 *
 * What the machine did while a run was recorded: how much of it the run had, how much others had. Times of a run on a
 * busy machine are those of the others too.
 */
#ifndef TAT_ANALYSIS_MACHINE_H
#define TAT_ANALYSIS_MACHINE_H

#include "analysis/analysis.h"

/* From the first graph to the end of the program, or what is known of it. Processors: how many were used on average. */
struct machine {
    bool process, processors; /* whether each of the two groups below is known */

    double seconds, own; /* processors that the process used */
    uint64_t minor_faults, major_faults, waited, preempted, disk_bytes;

    uint32_t count;            /* of processors */
    double others, stolen;     /* processors that other programs used; that a hypervisor gave to other machines */
    double throttled;          /* share of the time in which the control group's quota was used up */
    uint64_t khz[2], most_khz; /* of thread 0's processor, at the beginning and the end; 0: not known */

    uint32_t threads; /* that computed */
    double graphs;    /* share of the time in which graphs were computed */
};

struct machine machine_of(const struct subject * subject);

/* Of the time in which threads should have computed, the share in which they did not run; 0 to 1. */
double machine_missing(const struct machine * m);

/* What others took of that, programs, other machines or a quota: no more than what they used beyond idle processors. */
double machine_lost(const struct machine * m);

/* From 5 % on. */
bool machine_was_busy(const struct machine * m);

/* Lines, values and, where it was busy, a warning. */
void machine_say(const struct machine * m, struct result * r);

/* What is known, for metadata; NULL: nothing, or memory. The caller's. */
json_t * machine_json(const struct tat_trace * trace);

#endif
