/* SPDX-License-Identifier: MIT
 *
 * Miss ratios by cache size, and where these curves bend.
 */
#include <stdio.h>

#include "analysis/caching/caching.h"

/* Of what a cache can save, the share that is not saved by one of `part` parts of the weights: from 1 to 0. */
static double left_to_save(const struct caching * s, unsigned strategy, unsigned part) {
    return part ? ratio(s->outcomes.again[strategy][part - 1].all, sum(s->string.repeat)) : 1;
}

/* Where a curve bends most: farthest below the line between its ends (Satopaa et al.: Finding a "kneedle" in a
 * haystack, ICDCSW 2011). Returns how far, from 0 to 1. */
static double find_knee(const struct caching * s, unsigned strategy, unsigned * at) {
    double far = 0;
    *at = 0;
    for (unsigned part = 0; part <= PARTS; part++) {
        const double below = 1 - (double) part / PARTS - left_to_save(s, strategy, part);
        if (below > far) {
            far = below;
            *at = part;
        }
    }
    return far;
}

/* The part that saves most. */
static double find_cliff(const struct caching * s, unsigned strategy, unsigned * at) {
    double most = 0;
    *at = 0;
    for (unsigned part = 1; part <= PARTS; part++) {
        const double drop = left_to_save(s, strategy, part - 1) - left_to_save(s, strategy, part);
        if (drop > most) {
            most = drop;
            *at = part;
        }
    }
    return most;
}

static uint64_t part_bytes(const struct caching * s, unsigned part) {
    return part ? s->outcomes.capacity[part - 1] : 0;
}

static void put_size(struct result * r, const char * curve, const char * what, uint64_t bytes, bool known) {
    char key[64];
    snprintf(key, sizeof key, "%s_%s_bytes", curve, what);
    result_put(r, result_values(r), key, known ? json_integer((json_int_t) bytes) : json_null());
}

static void say_knee(const struct caching * s, struct result * r, const char * label, unsigned strategy) {
    unsigned knee = 0, cliff = 0;
    char size[UNITS_SIZE], share[UNITS_SIZE];
    const bool any = sum(s->string.repeat) > 0;
    const double far = any ? find_knee(s, strategy, &knee) : 0, drop = any ? find_cliff(s, strategy, &cliff) : 0;
    put_size(r, caching_name(s, strategy), "knee", part_bytes(s, knee), far > 0.05);
    put_size(r, caching_name(s, strategy), "cliff", part_bytes(s, cliff), drop > 0.5);
    if (!any) {
        result_line(r, label, "nothing to save");
    } else if (drop > 0.5) {
        result_line(r, label, "a cliff: %s of what can be saved is saved only from %s on", format_share(share, drop),
                    format_bytes(size, part_bytes(s, cliff)));
    } else if (far > 0.05) {
        result_line(r, label, "the knee is at %s: that saves %s of what can be saved",
                    format_bytes(size, part_bytes(s, knee)), format_share(share, 1 - left_to_save(s, strategy, knee)));
    } else {
        result_line(r, label, "no knee: each further part saves about as much as the one before");
    }
}

void caching_curves(const struct caching * s, struct result * r) {
    struct result_column columns[1 + STRATEGIES_MAX] = { { "cache_bytes", "cache", UNIT_BYTES } };
    for (unsigned x = 0; x < s->outcomes.n_strategies; x++) {
        columns[1 + x] = (struct result_column){ caching_name(s, x), caching_title(s, x), UNIT_SHARE };
    }
    say_knee(s, r, "LRU", caching_lru(s));
    say_knee(s, r, "MIN", caching_min(s));
    result_table(r, "curves", "Miss ratio: bytes that a cache reads, of the bytes wanted", SHOW_NEVER, columns,
                 1 + s->outcomes.n_strategies);
    for (unsigned size = 0; size < PARTS; size++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", s->outcomes.capacity[size]);
        for (unsigned x = 0; x < s->outcomes.n_strategies; x++) {
            result_put_real(r, row, caching_name(s, x), 1 - caching_outcome(s, x, size).saved);
        }
    }
}
