/* SPDX-License-Identifier: MIT
 *
 * What caches save, by size and policy: in shares of the bytes read, and in tokens a second.
 */
#include <inttypes.h>
#include <string.h>

#include "analysis/bound.h"
#include "analysis/caching.h"
#include "analysis/units.h"

/* LRU on blocks, policies on slices, MIN on blocks and on bytes: in the order of their columns. */
enum { LRU_BLOCKS, MIN_BLOCKS = 1 + KINDS, BOUND, STRATEGIES };

static const char * strategy_name(unsigned strategy) {
    return strategy == LRU_BLOCKS   ? "lru_blocks"
           : strategy == MIN_BLOCKS ? "min_blocks"
           : strategy == BOUND      ? "bound"
                                    : policy_kinds[strategy - 1]->name;
}

static const char * strategy_title(unsigned strategy) {
    return strategy == LRU_BLOCKS   ? "LRU (page cache)"
           : strategy == MIN_BLOCKS ? "MIN, blocks"
           : strategy == BOUND      ? "the bound"
                                    : policy_kinds[strategy - 1]->title;
}

uint64_t caching_size(const struct caching * s, unsigned size) {
    if (size == GIVEN) { return s->subject->options.memory_bytes; }
    return (uint64_t) ((__uint128_t) s->weight_bytes * (size + 1) / SIZES);
}

static bool find_bounds(struct caching * s) {
    struct bound bound;
    const bool   good = bound_begin(&bound, &s->simulation);
    for (unsigned size = 0; size < ALL_SIZES && good; size++) {
        const uint64_t capacity = caching_size(s, size);
        if (capacity) { s->bound[size] = bound_find(&bound, capacity); }
    }
    bound_end(&bound);
    return good;
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
    return find_bounds(s);
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
        const struct simulated * x     = strategy == BOUND ? &s->bound[size] : &s->simulated[strategy - 1][size];
        const struct reads *     reads = &s->simulation.reads;
        return (struct outcome){ ratio(reads->all - reads->first - x->again, reads->all),
                                 ratio(x->again_generated, reads->tokens) };
    }
    const uint64_t blocks = caching_size(s, size) / b->block_bytes, at = blocks < b->n_blocks ? blocks : b->n_blocks;
    const struct again * again = strategy == LRU_BLOCKS ? &b->lru[at] : &b->min[at];
    return (struct outcome){ 1 - ratio(bytes_read(b, again), b->wanted),
                             (double) b->block_bytes * ratio(again->generated, b->tokens) };
}

/* Sizes that people ask about: the one given, and a quarter, half, three quarters of the weights. */
static const unsigned asked[] = { GIVEN, SIZES / 4 - 1, SIZES / 2 - 1, SIZES * 3 / 4 - 1 };
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

/* The size that sentences are about, and its name. */
static unsigned told_size(const struct caching * s, char text[static 2 * UNITS_SIZE]) {
    const unsigned size = caching_size(s, GIVEN) ? GIVEN : SIZES / 2 - 1;
    char           bytes[UNITS_SIZE];
    snprintf(text, 2 * UNITS_SIZE, size == GIVEN ? "%s for weights" : "half of the weights in memory (%s)",
             format_bytes(bytes, caching_size(s, size)));
    return size;
}

static void say_savings(const struct caching * s, struct result * r) {
    char           cache[2 * UNITS_SIZE], lru[UNITS_SIZE], bound[UNITS_SIZE], other[UNITS_SIZE], text[512];
    const unsigned size = told_size(s, cache), best = best_policy(s, size);
    snprintf(text, sizeof text,
             "With %s, LRU saves %s of the bytes read from them, the best policy (%s) %s; no cache can save more than "
             "%s.",
             cache, format_share(lru, outcome(s, LRU_BLOCKS, size).saved), strategy_title(best),
             format_share(other, outcome(s, best, size).saved), format_share(bound, outcome(s, BOUND, size).saved));
    if (s->reads.all - s->reads.rows == s->reads.touched) {
        snprintf(text, sizeof text, "No weight is read twice: a cache has nothing to save.");
    }
    result_headline(r, "%s", text);
    result_answer(r, "What would a cache save?", "%s", text);
}

/* A table of all strategies by size: which figure of an outcome, in which unit. */
struct by_size {
    const char * name;
    const char * title;
    enum unit    unit;
    double (*figure)(const struct caching * s, struct outcome outcome);
};

static void add_by_size(const struct caching * s, struct result * r, const struct by_size * table) {
    const struct result_column columns[] = {
        { "size", "of weights", UNIT_TEXT },  { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_blocks", "LRU", table->unit }, { "fifo", "FIFO", table->unit },
        { "lfu", "LFU", table->unit },        { "s3fifo", "S3-FIFO", table->unit },
        { "pin", "pin best", table->unit },   { "bound", "bound", table->unit },
    };
    result_table(r, table->name, table->title, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < ASKED; i++) {
        if (!caching_size(s, asked[i])) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "size", size_name(asked[i]));
        result_put_count(r, row, "cache_bytes", caching_size(s, asked[i]));
        for (unsigned x = 0; x < STRATEGIES; x++) {
            result_put_real(r, row, strategy_name(x), table->figure(s, outcome(s, x, asked[i])));
        }
    }
}

static double saved(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.saved;
}

void caching_savings(const struct caching * s, struct result * r) {
    static const struct by_size table = { "savings", "Share of the bytes read that a cache saves", UNIT_SHARE, saved };
    add_by_size(s, r, &table);
    say_savings(s, r);
}

/* ----------------------------------------------------------------------------------------------------------- bounds */

static double disk_of(const struct caching * s) {
    return (double) s->subject->options.disk_bytes_per_second;
}

/* Seconds a generated token, as measured. 0: unknown. */
static double compute_of(const struct caching * s) {
    const struct phase_total * generate = &s->subject->phase[TAT_PHASE_GENERATE];
    return ratio(generate->ns, generate->tokens) / 1e9;
}

static double again_per_token(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.again_per_token;
}

/* Tokens a second where reading goes on while computing. */
static double overlapped(const struct caching * s, struct outcome outcome) {
    const double compute = compute_of(s), read = outcome.again_per_token / disk_of(s);
    return 1 / (compute > read ? compute : read);
}

/* And where computing waits for what is read. */
static double serial(const struct caching * s, struct outcome outcome) {
    return 1 / (compute_of(s) + outcome.again_per_token / disk_of(s));
}

/* The policy that reads least for a generated token, without knowing the future in detail. */
static unsigned fastest_policy(const struct caching * s, unsigned size) {
    unsigned best = LRU_BLOCKS;
    for (unsigned i = 1; i < MIN_BLOCKS; i++) {
        if (outcome(s, i, size).again_per_token < outcome(s, best, size).again_per_token) { best = i; }
    }
    return best;
}

/* What a disk that reads R bytes a second allows. */
static const char * rate(char text[static 2 * UNITS_SIZE], double bytes) {
    char size[UNITS_SIZE];
    snprintf(text, 2 * UNITS_SIZE, bytes < 1 ? "without limit" : "R / %s", format_bytes(size, (uint64_t) bytes));
    return text;
}

static void say_bounds(const struct caching * s, struct result * r) {
    char                 cache[2 * UNITS_SIZE], a[2 * UNITS_SIZE], b[2 * UNITS_SIZE], c[2 * UNITS_SIZE];
    const unsigned       size = told_size(s, cache), best = fastest_policy(s, size);
    const struct outcome lru = outcome(s, LRU_BLOCKS, size), other = outcome(s, best, size),
                         bound = outcome(s, BOUND, size);
    if (disk_of(s) > 0) {
        result_answer(r, "How fast could it be?",
                      "With %s at most %.1f tokens/s under LRU (%s read again for each token), %.1f with the best "
                      "policy (%s: %s), %.1f with any cache; computing alone allows %.1f.",
                      cache, overlapped(s, lru), format_bytes(a, (uint64_t) lru.again_per_token), overlapped(s, other),
                      strategy_title(best), format_bytes(b, (uint64_t) other.again_per_token), overlapped(s, bound),
                      1 / compute_of(s));
        result_note(r,
                    "At best: reading goes on while computing. Computing took %.2f ms a token in this run, reads that "
                    "it may have waited for included.",
                    1e3 * compute_of(s));
    } else {
        result_answer(r, "How fast could it be?",
                      "With %s, the tokens/s that a disk of R bytes/s allows: %s under LRU, %s with the best policy "
                      "(%s), %s with any cache; and never more than the %.1f that computing allows (--disk 2G/s does "
                      "the sum).",
                      cache, rate(a, lru.again_per_token), rate(b, other.again_per_token), strategy_title(best),
                      rate(c, bound.again_per_token), 1 / compute_of(s));
    }
}

/* All sizes and strategies one below the other, for programs. */
static void add_bounds(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "strategy", "strategy", UNIT_TEXT },
        { "name", "name", UNIT_TEXT },
        { "again_bytes_per_token", "read again/token", UNIT_BYTES },
        { "tokens_per_second", "tokens/s at best", UNIT_PER_SECOND },
        { "tokens_per_second_serial", "if reads wait", UNIT_PER_SECOND },
    };
    result_table(r, "bounds", NULL, SHOW_NEVER, columns, disk_of(s) > 0 ? 6 : 4);
    for (unsigned i = 0; i < ASKED; i++) {
        for (unsigned x = 0; x < STRATEGIES && caching_size(s, asked[i]); x++) {
            const struct outcome found = outcome(s, x, asked[i]);
            json_t *             row   = result_row(r);
            result_put_count(r, row, "cache_bytes", caching_size(s, asked[i]));
            result_put_text(r, row, "strategy", strategy_title(x));
            result_put_text(r, row, "name", strategy_name(x));
            result_put_real(r, row, "again_bytes_per_token", found.again_per_token);
            if (disk_of(s) <= 0) { continue; }
            result_put_real(r, row, "tokens_per_second", overlapped(s, found));
            result_put_real(r, row, "tokens_per_second_serial", serial(s, found));
        }
    }
}

void caching_bounds(const struct caching * s, struct result * r) {
    static const struct by_size again = { "again", "Bytes read again for each generated token", UNIT_BYTES,
                                          again_per_token };
    static const struct by_size speed = { "speed", "Tokens a second at best, reading while computing", UNIT_PER_SECOND,
                                          overlapped };
    if (compute_of(s) <= 0) { return; }
    add_by_size(s, r, &again);
    if (disk_of(s) > 0) { add_by_size(s, r, &speed); }
    add_bounds(s, r);
    result_put_real(r, result_values(r), "compute_tokens_per_second", 1 / compute_of(s));
    say_bounds(s, r);
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

static void put_size(struct result * r, const char * curve, const char * what, uint64_t bytes, bool known) {
    char key[64];
    snprintf(key, sizeof key, "%s_%s_bytes", curve, what);
    result_put(r, result_values(r), key, known ? json_integer((json_int_t) bytes) : json_null());
}

static void say_knee(const struct caching * s, struct result * r, const char * label, const char * key,
                     const struct again * curve) {
    const struct block_curves * b = &s->blocks;
    uint32_t                    knee, cliff;
    char                        size[UNITS_SIZE], share[UNITS_SIZE];
    const double                far = find_knee(b, curve, &knee), drop = find_cliff(b, curve, &cliff);
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
            result_put_real(r, row, strategy_name(x), 1 - outcome(s, x, size).saved);
        }
    }
    add_block_curve(s, r);
}
