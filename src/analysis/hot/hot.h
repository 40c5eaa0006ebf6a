/* SPDX-License-Identifier: MIT
 *
 * Hot and cold: what hot.c counts and report.c tells.
 */
#ifndef TAT_ANALYSIS_HOT_HOT_H
#define TAT_ANALYSIS_HOT_HOT_H

#include "analysis/hot/again.h"
#include "analysis/parts.h"
#include "analysis/slices.h"

struct heat {
    uint64_t accesses, bytes, ns; /* ns: of its tensor */
    uint64_t from, span;          /* the run of bytes touched last: most often the same again */
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
    uint64_t accesses, bytes;
    uint64_t again_bytes; /* within one graph */
    uint64_t unclear;     /* accesses to experts that are not known */
    bool approximate;
};

/* Where the hot end, the cold begin, in the ranking. */
struct cuts {
    uint32_t hot, cold;
    bool tied;    /* the last of the hot and the next */
    bool uniform; /* the last of the hot and the first of the cold are touched as often */
};

/* Of what is counted and ranked: any weight was touched. */
void hot_report(const struct hot * h, const struct cuts * cuts, struct result * r);

#endif
