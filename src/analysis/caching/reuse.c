/* SPDX-License-Identifier: MIT
 *
 * Reuse distances: bytes of different items read until the same one is read again, itself included. A cache under LRU
 * saves the reads whose distance it has room for.
 */
#include <stdlib.h>

#include "analysis/caching/caching.h"
#include "analysis/caching/recency.h"

/* Bins: four between one power of two and the next. */
enum { STEPS = 4, BINS = 64 * STEPS };

static unsigned bin_of(uint64_t distance) {
    if (distance <= 1) { return 0; }
    const unsigned power = 63 - (unsigned) __builtin_clzll(distance - 1);
    const uint64_t step = power < 2 ? 1 : (uint64_t) 1 << (power - 2);
    return power * STEPS + 1 + (unsigned) ((distance - 1 - ((uint64_t) 1 << power)) / step);
}

/* The longest distance in it. */
static uint64_t bin_end(unsigned bin) {
    if (bin == 0) { return 1; }
    const unsigned power = (bin - 1) / STEPS, part = (bin - 1) % STEPS + 1;
    const uint64_t step = power < 2 ? 1 : (uint64_t) 1 << (power - 2);
    return ((uint64_t) 1 << power) + part * step;
}

struct distances {
    uint64_t reads[BINS + 1], bytes[BINS + 1];
    uint64_t all, again;
};

static bool find_distances(const struct cache_string * c, struct distances * d) {
    struct recency recency;
    const bool good = recency_begin(&recency, c->n_items, c->bytes);
    const double whole = c->sample > 1 ? ratio(sum(c->first), sum(c->first_sampled)) : 1;
    for (uint32_t i = 0; i < c->items.count && good; i++) {
        const uint64_t distance = recency_access(&recency, item_at(c, i));
        d->all++;
        if (distance == NEVER_BEFORE) { continue; }
        const unsigned bin = bin_of(c->sample > 1 ? (uint64_t) (whole * (double) distance) : distance);
        d->again++;
        d->reads[bin]++;
        d->bytes[bin] += c->bytes[item_at(c, i)];
    }
    recency_end(&recency);
    return good;
}

bool caching_reuse(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "up_to_bytes", "distance up to", UNIT_BYTES },
        { "accesses", "reads", UNIT_COUNT },
        { "share", "share", UNIT_SHARE },
        { "share_up_to", "so far", UNIT_SHARE },
        { "bytes", "bytes read", UNIT_BYTES },
    };
    struct distances * d = calloc(1, sizeof *d);
    const bool good = d && find_distances(&s->string, d);
    uint64_t so_far = 0;
    result_table(r, "reuse_distances", "Bytes of different weights read until the same one is read again", SHOW_ASKED,
                 columns, sizeof columns / sizeof columns[0]);
    for (unsigned bin = 0; bin <= BINS && good; bin++) {
        so_far += d->reads[bin];
        if (!d->reads[bin]) { continue; }
        json_t * row = result_row(r);
        result_put_count(r, row, "up_to_bytes", bin_end(bin));
        result_put_count(r, row, "accesses", d->reads[bin]);
        result_put_real(r, row, "share", ratio(d->reads[bin], d->again));
        result_put_real(r, row, "share_up_to", ratio(so_far, d->again));
        result_put_count(r, row, "bytes", d->bytes[bin]);
    }
    if (good) {
        result_put_count(r, result_values(r), "item_reads", d->all);
        result_put_count(r, result_values(r), "item_first_reads", d->all - d->again);
    }
    free(d);
    return good;
}
