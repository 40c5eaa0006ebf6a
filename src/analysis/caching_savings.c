/* SPDX-License-Identifier: MIT
 *
 * What caches save, by size and policy: in shares of the bytes read, and in tokens a second.
 */
#include <inttypes.h>
#include <string.h>

#include "analysis/caching.h"
#include "analysis/units.h"

/* LRU on blocks, policies on slices, MIN on blocks: in the order of their columns. */
enum { LRU_BLOCKS, MIN_BLOCKS = 1 + KINDS, STRATEGIES };

static const char * strategy_name(unsigned strategy) {
    return strategy == LRU_BLOCKS   ? "lru_blocks"
           : strategy == MIN_BLOCKS ? "min_blocks"
                                    : policy_kinds[strategy - 1]->name;
}

static const char * strategy_title(unsigned strategy) {
    return strategy == LRU_BLOCKS   ? "LRU (page cache)"
           : strategy == MIN_BLOCKS ? "MIN, blocks (the bound)"
                                    : policy_kinds[strategy - 1]->title;
}

uint64_t caching_size(const struct caching * s, unsigned size) {
    if (size == GIVEN) { return s->subject->options.memory_bytes; }
    return (uint64_t) ((__uint128_t) s->weight_bytes * (size + 1) / SIZES);
}

bool caching_simulate(struct caching * s) {
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned size = 0; size < ALL_SIZES; size++) {
            const uint64_t capacity = caching_size(s, size);
            if (capacity && !simulate(&s->simulation, policy_kinds[kind], capacity, &s->simulated[kind][size])) {
                return false;
            }
        }
    }
    return true;
}

struct outcome {
    double saved;           /* share of the bytes wanted */
    double again_per_token; /* bytes read again for a generated token, whole blocks where there are blocks */
};

/* From the disk, in whole blocks. Of the smallest caches that may be more than was wanted, since tensors share blocks:
 * who reads without a cache reads what is wanted, so there is nothing to be saved. */
static uint64_t bytes_read(const struct block_curves * b, const struct again * again) {
    const uint64_t bytes = (b->n_blocks + again->blocks) * b->block_bytes;
    return bytes < b->wanted ? bytes : b->wanted;
}

static struct outcome outcome(const struct caching * s, unsigned strategy, unsigned size) {
    const struct block_curves * b = &s->blocks;
    if (strategy != LRU_BLOCKS && strategy != MIN_BLOCKS) {
        const struct simulated * x     = &s->simulated[strategy - 1][size];
        const struct reads *     reads = &s->simulation.reads;
        return (struct outcome){ ratio(reads->all - reads->first - x->again, reads->all),
                                 ratio(x->again_generated, reads->tokens) };
    }
    const uint64_t blocks = caching_size(s, size) / b->block_bytes, at = blocks < b->n_blocks ? blocks : b->n_blocks;
    const struct again * again = strategy == LRU_BLOCKS ? &b->lru[at] : &b->min[at];
    return (struct outcome){ 1 - ratio(bytes_read(b, again), b->wanted),
                             (double) b->block_bytes * ratio(again->generated, b->tokens) };
}

/* Sizes that people ask about: a quarter, half, three quarters of the weights, and the one given. */
static const unsigned asked[] = { SIZES / 4 - 1, SIZES / 2 - 1, SIZES * 3 / 4 - 1, GIVEN };
enum { ASKED = sizeof asked / sizeof asked[0] };

static const char * size_name(unsigned size) {
    static const char * const quarters[] = { "25 %", "50 %", "75 %" };
    return size == GIVEN ? "given" : quarters[(size + 1) / (SIZES / 4) - 1];
}

/* ---------------------------------------------------------------------------------------------------------- savings */

/* The best of what can be had without knowing the future in detail. */
static unsigned best_policy(const struct caching * s, unsigned size) {
    unsigned best = LRU_BLOCKS;
    for (unsigned i = 1; i < MIN_BLOCKS; i++) {
        if (outcome(s, i, size).saved > outcome(s, best, size).saved) { best = i; }
    }
    return best;
}

static void say_savings(const struct caching * s, struct result * r) {
    const unsigned size = caching_size(s, GIVEN) ? GIVEN : SIZES / 2 - 1, best = best_policy(s, size);
    char           bytes[UNITS_SIZE], lru[UNITS_SIZE], min[UNITS_SIZE], other[UNITS_SIZE], text[512];
    snprintf(
        text, sizeof text,
        "With %s%s for weights, LRU saves %s of the bytes read from them, the best policy (%s) %s; the bound (MIN) "
        "is %s.",
        size == GIVEN ? "the given " : "half of them in memory, ", format_bytes(bytes, caching_size(s, size)),
        format_share(lru, outcome(s, LRU_BLOCKS, size).saved), strategy_title(best),
        format_share(other, outcome(s, best, size).saved), format_share(min, outcome(s, MIN_BLOCKS, size).saved));
    result_headline(r, "%s", text);
    result_answer(r, "What would a cache save?", "%s", text);
}

void caching_savings(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "size", "of weights", UNIT_TEXT }, { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_blocks", "LRU", UNIT_SHARE }, { "fifo", "FIFO", UNIT_SHARE },
        { "lfu", "LFU", UNIT_SHARE },        { "s3fifo", "S3-FIFO", UNIT_SHARE },
        { "pin", "pin best", UNIT_SHARE },   { "min_blocks", "MIN", UNIT_SHARE },
    };
    result_table(r, "savings", "Share of the bytes read that a cache saves", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < ASKED; i++) {
        if (!caching_size(s, asked[i])) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "size", size_name(asked[i]));
        result_put_count(r, row, "cache_bytes", caching_size(s, asked[i]));
        for (unsigned x = 0; x < STRATEGIES; x++) {
            result_put_real(r, row, strategy_name(x), outcome(s, x, asked[i]).saved);
        }
    }
    say_savings(s, r);
}

/* ----------------------------------------------------------------------------------------------------------- bounds */

struct speed {
    double overlapped, serial; /* tokens a second */
};

static struct speed speed_of(double compute_seconds, double bytes, double disk) {
    const double read = bytes / disk;
    return (struct speed){ 1 / (compute_seconds > read ? compute_seconds : read), 1 / (compute_seconds + read) };
}

static void say_bounds(const struct caching * s, struct result * r, double compute) {
    const unsigned size = caching_size(s, GIVEN) ? GIVEN : SIZES / 2 - 1, best = best_policy(s, size);
    const double   disk = (double) s->subject->options.disk_bytes_per_second;
    const double   lru = outcome(s, LRU_BLOCKS, size).again_per_token, other = outcome(s, best, size).again_per_token;
    char           bytes[UNITS_SIZE], a[UNITS_SIZE], b[UNITS_SIZE];
    format_bytes(bytes, caching_size(s, size));
    format_bytes(a, (uint64_t) lru);
    format_bytes(b, (uint64_t) other);
    if (disk > 0) {
        result_answer(
            r, "How fast could it be?",
            "With %s for weights at most %.1f tokens/s under LRU (%s read again for each token), %.1f with the best "
            "policy (%s: %s); computing alone allows %.1f.",
            bytes, speed_of(compute, lru, disk).overlapped, a, speed_of(compute, other, disk).overlapped,
            strategy_title(best), b, 1 / compute);
    } else {
        result_answer(
            r, "How fast could it be?",
            "With %s for weights and a disk that reads R a second, R / %s tokens/s under LRU, R / %s with the best "
            "policy (%s), and never more than the %.1f that computing allows (--disk 2G/s does the sum).",
            bytes, a, b, strategy_title(best), 1 / compute);
    }
}

void caching_bounds(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "strategy", "strategy", UNIT_TEXT },
        { "again_bytes_per_token", "read again/token", UNIT_BYTES },
        { "tokens_per_second", "tokens/s at best", UNIT_PER_SECOND },
        { "tokens_per_second_serial", "if reads wait", UNIT_PER_SECOND },
    };
    const struct phase_total * generate = &s->subject->phase[TAT_PHASE_GENERATE];
    const double               disk     = (double) s->subject->options.disk_bytes_per_second;
    const double               compute  = ratio(generate->ns, generate->tokens) / 1e9;
    if (!generate->tokens || compute <= 0) { return; }
    result_table(r, "bounds", "What a generated token reads again, and what that allows", SHOW_ALWAYS, columns,
                 disk > 0 ? 5 : 3);
    for (unsigned i = 0; i < ASKED; i++) {
        for (unsigned x = 0; x < STRATEGIES && caching_size(s, asked[i]); x++) {
            const double again = outcome(s, x, asked[i]).again_per_token;
            json_t *     row   = result_row(r);
            result_put_count(r, row, "cache_bytes", caching_size(s, asked[i]));
            result_put_text(r, row, "strategy", strategy_title(x));
            result_put_text(r, row, "name", strategy_name(x));
            result_put_real(r, row, "again_bytes_per_token", again);
            if (disk <= 0) { continue; }
            result_put_real(r, row, "tokens_per_second", speed_of(compute, again, disk).overlapped);
            result_put_real(r, row, "tokens_per_second_serial", speed_of(compute, again, disk).serial);
        }
    }
    result_put_real(r, result_values(r), "compute_tokens_per_second", 1 / compute);
    say_bounds(s, r, compute);
    if (disk > 0) {
        result_note(
            r,
            "At best: reading goes on while computing. Computing took %.2f ms a token in this run, reads that it "
            "may have waited for included.",
            1e3 * compute);
    }
}

/* ----------------------------------------------------------------------------------------------------------- curves */

/* What is read, from nothing saved (1) to all that can be (0). */
static double left_to_save(const struct block_curves * b, const struct again * curve, uint32_t size) {
    const uint64_t least = bytes_read(b, &curve[b->n_blocks]);
    return ratio(bytes_read(b, &curve[size]) - least, b->wanted - least);
}

/* Where a curve bends most: farthest below the line between its ends (Satopaa et al.: Finding a "kneedle" in a
 * haystack, ICDCSW 2011). Returns how far, from 0 to 1. */
static double find_knee(const struct block_curves * b, const struct again * curve, uint32_t * at) {
    double far = 0;
    *at        = 0;
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
    *at         = 0;
    for (uint32_t i = 1; i <= b->n_blocks; i++) {
        const double drop = left_to_save(b, curve, i - 1) - left_to_save(b, curve, i);
        if (drop > most) {
            most = drop;
            *at  = i;
        }
    }
    return most;
}

static void say_knee(const struct caching * s, struct result * r, const char * label, const char * key,
                     const struct again * curve) {
    const struct block_curves * b = &s->blocks;
    uint32_t                    knee, cliff;
    char                        size[UNITS_SIZE], share[UNITS_SIZE], name[64];
    const double                far = find_knee(b, curve, &knee), drop = find_cliff(b, curve, &cliff);
    snprintf(name, sizeof name, "%s_knee_bytes", key);
    result_put(r, result_values(r), name,
               far > 0.05 ? json_integer((json_int_t) (knee * b->block_bytes)) : json_null());
    if (drop > 0.5) {
        result_line(r, label, "a cliff: %s of what can be saved is saved only from %s on", format_share(share, drop),
                    format_bytes(size, cliff * b->block_bytes));
    } else if (far > 0.05) {
        result_line(r, label, "the knee is at %s, where %s of what can be saved is",
                    format_bytes(size, knee * b->block_bytes), format_share(share, 1 - left_to_save(b, curve, knee)));
    } else {
        result_line(r, label, "no knee: each further block saves about as much as the one before");
    }
}

static void add_block_curve(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_miss_ratio", "LRU, of blocks", UNIT_SHARE },
        { "min_miss_ratio", "MIN, of blocks", UNIT_SHARE },
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
    }
}

void caching_curves(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES }, { "lru_blocks", "LRU, blocks", UNIT_SHARE },
        { "lru", "LRU", UNIT_SHARE },           { "fifo", "FIFO", UNIT_SHARE },
        { "lfu", "LFU", UNIT_SHARE },           { "s3fifo", "S3-FIFO", UNIT_SHARE },
        { "pin", "pin best", UNIT_SHARE },      { "min_blocks", "MIN, blocks", UNIT_SHARE },
    };
    say_knee(s, r, "LRU", "lru", s->blocks.lru);
    say_knee(s, r, "MIN", "min", s->blocks.min);
    result_table(r, "curves", "Miss ratio: share of the bytes read that a cache does not save", SHOW_NEVER, columns,
                 sizeof columns / sizeof columns[0]);
    for (unsigned size = 0; size < SIZES; size++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", caching_size(s, size));
        for (unsigned x = 0; x < STRATEGIES; x++) {
            result_put_real(r, row, strategy_name(x), 1 - outcome(s, x, size).saved);
        }
    }
    add_block_curve(s, r);
}
