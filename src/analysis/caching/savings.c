/* SPDX-License-Identifier: MIT
 *
 * What caches save, by size and policy, in shares of the bytes read.
 */
#include <stdio.h>

#include "analysis/caching/bound.h"
#include "analysis/caching/caching.h"
#include "analysis/units.h"

const char * caching_name(unsigned strategy) {
    return strategy == LRU_BLOCKS   ? "lru_blocks"
           : strategy == MIN_BLOCKS ? "min_blocks"
           : strategy == BOUND      ? "bound"
                                    : policy_kinds[strategy - 1]->name;
}

const char * caching_title(unsigned strategy) {
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
    const bool good = bound_begin(&bound, &s->simulation);
    for (unsigned size = 0; size < ALL_SIZES && good; size++) {
        const uint64_t capacity = caching_size(s, size);
        if (capacity) { s->bound[size] = bound_find(&bound, capacity); }
    }
    s->bound_first = bound.first;
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

/* Of the smallest caches whole blocks may be more than was wanted, since tensors share blocks: who reads without a
 * cache reads what is wanted, so there is nothing to be saved. */
uint64_t caching_bytes_read(const struct block_curves * b, const struct again * again) {
    const uint64_t bytes = (b->n_blocks + again->blocks) * b->block_bytes;
    return bytes < b->wanted ? bytes : b->wanted;
}

struct outcome caching_outcome(const struct caching * s, unsigned strategy, unsigned size) {
    const struct block_curves * b = &s->blocks;
    if (strategy != LRU_BLOCKS && strategy != MIN_BLOCKS) {
        const struct simulated * x = strategy == BOUND ? &s->bound[size] : &s->simulated[strategy - 1][size];
        const struct reads * reads = &s->simulation.reads;
        const uint64_t first = strategy == BOUND ? s->bound_first : reads->first;
        return (struct outcome){ ratio(reads->all - first - x->again, reads->all),
                                 ratio(x->again_generated, reads->tokens) };
    }
    const uint64_t blocks = caching_size(s, size) / b->block_bytes, at = blocks < b->n_blocks ? blocks : b->n_blocks;
    const struct again * again = strategy == LRU_BLOCKS ? &b->lru[at] : &b->min[at];
    return (struct outcome){ 1 - ratio(caching_bytes_read(b, again), b->wanted),
                             (double) b->block_bytes * ratio(again->generated, b->tokens) };
}

const unsigned caching_asked[ASKED] = { GIVEN, SIZES / 4 - 1, SIZES / 2 - 1, SIZES * 3 / 4 - 1 };

const char * caching_size_name(unsigned size) {
    static const char * const quarters[] = { "25 %", "50 %", "75 %" };
    return size == GIVEN ? "given" : quarters[(size + 1) / (SIZES / 4) - 1];
}

/* The best of what can be had without knowing the future in detail. */
static unsigned best_policy(const struct caching * s, unsigned size) {
    unsigned best = LRU_BLOCKS;
    for (unsigned i = 1; i < MIN_BLOCKS; i++) {
        if (caching_outcome(s, i, size).saved > caching_outcome(s, best, size).saved) { best = i; }
    }
    return best;
}

unsigned caching_told(const struct caching * s, char text[static 2 * UNITS_SIZE]) {
    const unsigned size = caching_size(s, GIVEN) ? GIVEN : SIZES / 2 - 1;
    char bytes[UNITS_SIZE];
    snprintf(text, 2 * UNITS_SIZE, size == GIVEN ? "%s for weights" : "half of the weights in memory (%s)",
             format_bytes(bytes, caching_size(s, size)));
    return size;
}

static void say_savings(const struct caching * s, struct result * r) {
    char cache[2 * UNITS_SIZE], lru[UNITS_SIZE], bound[UNITS_SIZE], other[UNITS_SIZE], text[512];
    const unsigned size = caching_told(s, cache), best = best_policy(s, size);
    snprintf(text, sizeof text,
             "With %s, LRU saves %s of the bytes read from them, the best policy (%s) %s; no cache can save more than "
             "%s.",
             cache, format_share(lru, caching_outcome(s, LRU_BLOCKS, size).saved), caching_title(best),
             format_share(other, caching_outcome(s, best, size).saved),
             format_share(bound, caching_outcome(s, BOUND, size).saved));
    if (s->reads.all - s->reads.rows == s->reads.touched) {
        snprintf(text, sizeof text, "No weight is read twice: a cache has nothing to save.");
    }
    result_headline(r, "%s", text);
    result_answer(r, "What would a cache save?", "%s", text);
}

void caching_by_size(const struct caching * s, struct result * r, const struct by_size * table) {
    const struct result_column columns[] = {
        { "size", "of weights", UNIT_TEXT },       { "cache_bytes", "cache", UNIT_BYTES },
        { "lru_blocks", "LRU", table->unit },      { "fifo", "FIFO", table->unit },
        { "frequency", "frequency", table->unit }, { "s3fifo", "S3-FIFO", table->unit },
        { "pin", "pin best", table->unit },        { "bound", "bound", table->unit },
    };
    result_table(r, table->name, table->title, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < ASKED; i++) {
        if (!caching_size(s, caching_asked[i])) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "size", caching_size_name(caching_asked[i]));
        result_put_count(r, row, "cache_bytes", caching_size(s, caching_asked[i]));
        for (unsigned x = 0; x < STRATEGIES; x++) {
            result_put_real(r, row, caching_name(x), table->figure(s, caching_outcome(s, x, caching_asked[i])));
        }
    }
}

static double saved(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.saved;
}

void caching_savings(const struct caching * s, struct result * r) {
    static const struct by_size table = { "savings", "Share of the bytes read that a cache saves", UNIT_SHARE, saved };
    caching_by_size(s, r, &table);
    say_savings(s, r);
}
