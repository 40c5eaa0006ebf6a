/* SPDX-License-Identifier: MIT
 *
 * Hot and cold: what hot.c counts and report.c tells.
 */
#ifndef TAT_ANALYSIS_HOT_HOT_H
#define TAT_ANALYSIS_HOT_HOT_H

#include "analysis/again.h"
#include "analysis/parts.h"
#include "analysis/slices.h"

struct heat {
    uint64_t accesses, bytes, ns; /* ns: its tensor's */
    double reads, rank;           /* of each of its bytes, in the mean; what they count for, heat_of */
    uint64_t from, span;          /* the run of bytes touched last, since most often the same comes again */
    uint32_t slice;
};

struct tensor_heat {
    uint64_t accesses, bytes, ns, unique;
};

struct hot {
    const struct subject * subject;
    struct slices slices;
    struct heat * heat;          /* by slice; sorted in the end, hottest first */
    struct tensor_heat * tensor; /* by tensor */
    struct ranges touched;
    struct again * again;
    struct access_counter counter;
    uint64_t accesses, bytes, tokens;
    uint64_t again_bytes; /* within one graph */
    uint64_t unclear;     /* accesses to unknown experts */
    bool approximate;
};

/* Where in the ranking the hot ones end and the cold ones begin. */
struct cuts {
    uint32_t hot, cold;
    bool tied;    /* the last hot one and the next are as hot */
    bool uniform; /* the last hot one and the first cold one are as hot */
};

/* True if any weight was touched, among those counted and ranked. */
void hot_report(const struct hot * h, const struct cuts * cuts, struct result * r);

#endif
