/* SPDX-License-Identifier: MIT
 *
 * Miss ratios by cache size, and where these curves bend.
 */
#include <stdio.h>

#include "analysis/caching/caching.h"
#include "analysis/units.h"

/* What is read, from nothing saved (1) to all that can be (0). */
static double left_to_save(const struct block_curves * b, const struct again * curve, uint32_t size) {
    const uint64_t least = caching_bytes_read(b, &curve[b->n_blocks]);
    return ratio(caching_bytes_read(b, &curve[size]) - least, b->wanted - least);
}

/* Where a curve bends most: farthest below the line between its ends (Satopaa et al.: Finding a "kneedle" in a
 * haystack, ICDCSW 2011). Returns how far, from 0 to 1. */
static double find_knee(const struct block_curves * b, const struct again * curve, uint32_t * at) {
    double far = 0;
    *at = 0;
    for (uint32_t i = 0; i <= b->n_blocks && left_to_save(b, curve, 0) > 0; i++) {
        const double below = 1 - (double) i / b->n_blocks - left_to_save(b, curve, i);
        if (below > far) {
            far = below;
            *at = i;
        }
    }
    return far;
}

/* The block that saves most. */
static double find_cliff(const struct block_curves * b, const struct again * curve, uint32_t * at) {
    double most = 0;
    *at = 0;
    for (uint32_t i = 1; i <= b->n_blocks; i++) {
        const double drop = left_to_save(b, curve, i - 1) - left_to_save(b, curve, i);
        if (drop > most) {
            most = drop;
            *at = i;
        }
    }
    return most;
}

static void put_size(struct result * r, const char * curve, const char * what, uint64_t bytes, bool known) {
    char key[64];
    snprintf(key, sizeof key, "%s_%s_bytes", curve, what);
    result_put(r, result_values(r), key, known ? json_integer((json_int_t) bytes) : json_null());
}

static void say_knee(const struct caching * s, struct result * r, const char * label, const char * key,
                     const struct again * curve) {
    const struct block_curves * b = &s->blocks;
    uint32_t knee, cliff;
    char size[UNITS_SIZE], share[UNITS_SIZE];
    const double far = find_knee(b, curve, &knee), drop = find_cliff(b, curve, &cliff);
    put_size(r, key, "knee", knee * b->block_bytes, far > 0.05);
    put_size(r, key, "cliff", cliff * b->block_bytes, drop > 0.5);
    if (left_to_save(b, curve, 0) <= 0) {
        result_line(r, label, "nothing to save");
    } else if (drop > 0.5) {
        result_line(r, label, "a cliff: %s of what can be saved is saved only from %s on", format_share(share, drop),
                    format_bytes(size, cliff * b->block_bytes));
    } else if (far > 0.05) {
        result_line(r, label, "the knee is at %s: that saves %s of what can be saved",
                    format_bytes(size, knee * b->block_bytes), format_share(share, 1 - left_to_save(b, curve, knee)));
    } else {
        result_line(r, label, "no knee: each further block saves about as much as the one before");
    }
}

/* Misses of reads of blocks, as caches are compared; and bytes, as the other curves have it: who reads a small tensor
 * out of a block that it shares wants a part of the block only. */
static void add_block_curve(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_miss_ratio", "LRU, reads of blocks", UNIT_SHARE },
        { "min_miss_ratio", "MIN, reads of blocks", UNIT_SHARE },
        { "lru_read_share", "LRU, bytes", UNIT_SHARE },
        { "min_read_share", "MIN, bytes", UNIT_SHARE },
    };
    const struct block_curves * b = &s->blocks;
    result_table(r, "block_curves", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i <= b->n_blocks; i++) {
        const bool ends = i == 0 || i == b->n_blocks;
        if (!ends && b->lru[i].blocks == b->lru[i - 1].blocks && b->min[i].blocks == b->min[i - 1].blocks) { continue; }
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", i * b->block_bytes);
        result_put_real(r, row, "lru_miss_ratio", ratio(b->n_blocks + b->lru[i].blocks, b->block_reads));
        result_put_real(r, row, "min_miss_ratio", ratio(b->n_blocks + b->min[i].blocks, b->block_reads));
        result_put_real(r, row, "lru_read_share", ratio(caching_bytes_read(b, &b->lru[i]), b->wanted));
        result_put_real(r, row, "min_read_share", ratio(caching_bytes_read(b, &b->min[i]), b->wanted));
    }
}

void caching_curves(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_blocks", "LRU, blocks", UNIT_SHARE },
        { "lru", "LRU", UNIT_SHARE },
        { "fifo", "FIFO", UNIT_SHARE },
        { "frequency", "frequency", UNIT_SHARE },
        { "s3fifo", "S3-FIFO", UNIT_SHARE },
        { "pin", "pin best", UNIT_SHARE },
        { "min_blocks", "MIN, blocks", UNIT_SHARE },
        { "bound", "bound", UNIT_SHARE },
    };
    say_knee(s, r, "LRU", "lru", s->blocks.lru);
    say_knee(s, r, "MIN", "min", s->blocks.min);
    result_table(r, "curves", "Miss ratio: share of the bytes read that a cache does not save", SHOW_NEVER, columns,
                 sizeof columns / sizeof columns[0]);
    for (unsigned size = 0; size < SIZES; size++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", caching_size(s, size));
        for (unsigned x = 0; x < STRATEGIES; x++) {
            result_put_real(r, row, caching_name(x), 1 - caching_outcome(s, x, size).saved);
        }
    }
    add_block_curve(s, r);
}
