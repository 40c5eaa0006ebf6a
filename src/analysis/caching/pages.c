/* SPDX-License-Identifier: MIT
 *
 * Blocks with read-ahead beside blocks without.
 */
#include <inttypes.h>
#include <stdio.h>

#include "analysis/caching/caching.h"
#include "analysis/caching/read_ahead.h"

/* What page caches do, more or less; Linux keeps two lists, of which the one for newcomers is a FIFO queue. */
static const struct policy_kind * const kinds[] = { &policy_lru, &policy_clock, &policy_2q };
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Blocks. No window is in two files. */
static uint32_t window_of(const struct caching * s) {
    uint32_t window = s->subject->options.read_ahead;
    while (window * s->string.unit > REFERENCES_ALIGN) { window /= 2; }
    return window;
}

static double saved(const struct caching * s, const struct ahead_reads * reads) {
    const uint64_t wanted = sum(s->string.wanted);
    return wanted ? 1 - (double) sum(reads->read) / (double) wanted : 0;
}

static void put(const struct caching * s, struct result * r, const struct policy_kind * kind, uint64_t capacity,
                const struct ahead_reads reads[2]) {
    for (unsigned i = 0; i < 2; i++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", capacity);
        result_put_text(r, row, "policy", kind->title);
        result_put_count(r, row, "blocks", i ? window_of(s) : 1);
        result_put_real(r, row, "saved", saved(s, &reads[i]));
        result_put_real(r, row, "read_bytes", ratio(reads[i].read.generated, s->string.tokens));
        result_put_real(r, row, "vain_bytes", ratio(reads[i].vain.generated, s->string.tokens));
        result_put_real(r, row, "requests", ratio(reads[i].requests.generated, s->string.tokens));
    }
}

static void say(const struct caching * s, struct result * r, const char * cache, const struct ahead_reads reads[2]) {
    char size[UNITS_SIZE], read[2][UNITS_SIZE], vain[UNITS_SIZE], requests[2][UNITS_SIZE];
    for (unsigned i = 0; i < 2; i++) {
        format_mean_bytes(read[i], ratio(reads[i].read.generated, s->string.tokens));
        format_count(requests[i], (uint64_t) (ratio(reads[i].requests.generated, s->string.tokens) + 0.5));
    }
    result_answer(r, "What does read-ahead change?",
                  "With %s, LRU and read-ahead of %" PRIu32
                  " blocks (%s) read %s for a generated token in %s requests, "
                  "of which %s are in vain; without read-ahead %s in %s requests.",
                  cache, window_of(s), format_bytes(size, s->string.unit * window_of(s)), read[1], requests[1],
                  format_mean_bytes(vain, ratio(reads[1].vain.generated, s->string.tokens)), read[0], requests[0]);
    result_note(r,
                "Read-ahead is simple here: of a block that is missing, all of its aligned window that is missing is "
                "read too, within the file. What is dropped before it was asked for was read in vain.");
}

static bool compare(const struct caching * s, struct result * r, const struct ahead_string strings[2]) {
    char cache[2 * UNITS_SIZE];
    const unsigned told = caching_told(s, cache);
    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned a = 0; a < ASKED; a++) {
            struct ahead_reads reads[2];
            const uint64_t capacity = s->outcomes.capacity[caching_asked(a)];
            for (unsigned i = 0; i < 2 && capacity; i++) {
                if (!ahead_simulate(&strings[i], kinds[k], capacity / s->string.unit * s->string.unit, &reads[i],
                                    NULL)) {
                    return false;
                }
            }
            if (!capacity) { continue; }
            put(s, r, kinds[k], capacity, reads);
            if (kinds[k] == &policy_lru && caching_asked(a) == told && s->string.tokens) { say(s, r, cache, reads); }
        }
    }
    return true;
}

bool caching_pages(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },     { "policy", "policy", UNIT_TEXT },
        { "blocks", "blocks", UNIT_COUNT },         { "saved", "saved", UNIT_SHARE },
        { "read_bytes", "read/token", UNIT_BYTES }, { "vain_bytes", "in vain", UNIT_BYTES },
        { "requests", "requests", UNIT_COUNT },
    };
    const uint32_t window = window_of(s);
    struct ahead_string strings[2] = { 0 };
    if (window < 2 || !is_of_blocks(&s->string)) { return true; }
    bool good = ahead_begin(&strings[0], &s->string, 1) && ahead_begin(&strings[1], &s->string, window);
    if (good && strings[1].too_many) {
        result_note(r, "There are too many blocks to simulate read-ahead: choose a larger --unit.");
    } else if (good) {
        result_table(r, "read_ahead", "With read-ahead of so many blocks at once, and without", SHOW_ASKED, columns,
                     sizeof columns / sizeof columns[0]);
        good = compare(s, r, strings);
    }
    ahead_end(&strings[0]);
    ahead_end(&strings[1]);
    return good;
}
