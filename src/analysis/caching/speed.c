/* SPDX-License-Identifier: MIT
 *
 * What a generated token reads again from a cache of each size, and what that allows in tokens a second.
 */
#include <math.h>
#include <stdio.h>

#include "analysis/caching/caching.h"
#include "analysis/units.h"

static double disk_of(const struct caching * s) {
    return (double) s->subject->options.disk_bytes_per_second;
}

double caching_token_seconds(const struct caching * s) {
    const struct phase_total * generate = &s->subject->phase[TAT_PHASE_GENERATE];
    return ratio(generate->ns, generate->tokens) / 1e9;
}

/* Of a token's time, as far as it is known without what was waited for. */
static double compute_seconds(const struct caching * s) {
    return s->pace.compute_ns > 0 ? s->pace.compute_ns / 1e9 : caching_token_seconds(s);
}

static double again_per_token(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.again_per_token;
}

/* Tokens a second where reading goes on while computing. */
static double overlapped(const struct caching * s, struct outcome outcome) {
    const double compute = compute_seconds(s), read = outcome.again_per_token / disk_of(s);
    return 1 / (compute > read ? compute : read);
}

/* And where computing waits for what is read. */
static double serial(const struct caching * s, struct outcome outcome) {
    return 1 / (compute_seconds(s) + outcome.again_per_token / disk_of(s));
}

static double unread(const struct caching * s, struct outcome outcome) {
    (void) s;
    return -outcome.again_per_token;
}

/* What a disk that reads R bytes a second allows. */
static const char * rate(char text[static 2 * UNITS_SIZE], double bytes) {
    char size[UNITS_SIZE];
    snprintf(text, 2 * UNITS_SIZE, bytes < 1 ? "without limit" : "R / %s", format_mean_bytes(size, bytes));
    return text;
}

unsigned caching_least_again(const struct caching * s, unsigned size) {
    return caching_best(s, size, unread);
}

/* The rate that no cache exceeds, and what it is of. */
static void say_most(const struct caching * s, char * text, size_t size) {
    char rate[UNITS_SIZE], compute[UNITS_SIZE], token[UNITS_SIZE];
    format_rate(rate, 1 / compute_seconds(s));
    if (s->pace.compute_ns > 0) {
        snprintf(text, size, "the %s that computing alone allows (%s of a token's %s)", rate,
                 format_duration(compute, (uint64_t) s->pace.compute_ns),
                 format_duration(token, (uint64_t) s->pace.token_ns));
    } else {
        snprintf(text, size, "this run's own %s, which includes what it waited for", rate);
    }
}

static void say_bounds(const struct caching * s, struct result * r) {
    char cache[2 * UNITS_SIZE], a[2 * UNITS_SIZE], b[2 * UNITS_SIZE], c[2 * UNITS_SIZE];
    char x[UNITS_SIZE], y[UNITS_SIZE], z[UNITS_SIZE], most[160];
    const unsigned size = caching_told(s, cache), best = caching_least_again(s, size);
    const struct outcome lru = caching_outcome(s, caching_lru(s), size), other = caching_outcome(s, best, size),
                         min = caching_outcome(s, caching_min(s), size);
    say_most(s, most, sizeof most);
    if (disk_of(s) > 0) {
        result_answer(r, "How fast could it be?",
                      "With %s at most %s tokens/s under LRU (%s read again for each token), %s with the best online "
                      "policy (%s: %s), %s at the optimum; never more than %s.",
                      cache, format_rate(x, overlapped(s, lru)), format_mean_bytes(a, lru.again_per_token),
                      format_rate(y, overlapped(s, other)), caching_title(s, best),
                      format_mean_bytes(b, other.again_per_token), format_rate(z, overlapped(s, min)), most);
        result_note(r, "At best: reading goes on while computing, which takes %s a token%s.",
                    format_duration(x, (uint64_t) (1e9 * compute_seconds(s))),
                    s->pace.compute_ns > 0 ? "" : " here: all that the run measured, with what it waited for");
    } else {
        result_answer(r, "How fast could it be?",
                      "With %s, the tokens/s that a disk of R bytes/s allows: %s under LRU, %s with the best online "
                      "policy (%s), %s at the optimum; and never more than %s. (--disk 2G/s does the sum.)",
                      cache, rate(a, lru.again_per_token), rate(b, other.again_per_token), caching_title(s, best),
                      rate(c, min.again_per_token), most);
    }
}

/* What no cache saves. */
static void say_first_reads(const struct caching * s, struct result * r) {
    char touched[UNITS_SIZE], disk[UNITS_SIZE], time[UNITS_SIZE];
    const double seconds = (double) s->reads.touched / disk_of(s), most = 9e18; /* nanoseconds of 64 bits */
    result_put_real(r, result_values(r), "first_read_seconds", seconds);
    result_line(r, "first", "%s of weights are read a first time, whatever the cache: %s from a disk of %s/s",
                format_bytes(touched, s->reads.touched), format_duration(time, (uint64_t) fmin(seconds * 1e9, most)),
                format_bytes(disk, s->subject->options.disk_bytes_per_second));
}

/* All sizes and strategies one below the other, for programs. */
static void add_bounds(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "cache_bytes", "cache", UNIT_BYTES },
        { "policy", "policy", UNIT_TEXT },
        { "name", "name", UNIT_TEXT },
        { "again_bytes_per_token", "read again/token", UNIT_BYTES },
        { "tokens_per_second", "tokens/s at best", UNIT_PER_SECOND },
        { "tokens_per_second_serial", "if reads wait", UNIT_PER_SECOND },
    };
    result_table(r, "bounds", NULL, SHOW_NEVER, columns, disk_of(s) > 0 ? 6 : 4);
    for (unsigned i = 0; i < ASKED; i++) {
        const uint64_t capacity = s->outcomes.capacity[caching_asked(i)];
        for (unsigned x = 0; x < s->outcomes.n_strategies && capacity; x++) {
            const struct outcome found = caching_outcome(s, x, caching_asked(i));
            json_t * row = result_row(r);
            result_put_count(r, row, "cache_bytes", capacity);
            result_put_text(r, row, "policy", caching_title(s, x));
            result_put_text(r, row, "name", caching_name(s, x));
            result_put_real(r, row, "again_bytes_per_token", found.again_per_token);
            if (disk_of(s) <= 0) { continue; }
            result_put_real(r, row, "tokens_per_second", overlapped(s, found));
            result_put_real(r, row, "tokens_per_second_serial", serial(s, found));
        }
    }
}

void caching_speed(const struct caching * s, struct result * r) {
    static const struct by_size again = { "again", "Bytes read again for each generated token", UNIT_BYTES, SHOW_ASKED,
                                          again_per_token };
    static const struct by_size speed = { "speed", "Tokens a second at best, reading while computing", UNIT_PER_SECOND,
                                          SHOW_ASKED, overlapped };
    if (disk_of(s) > 0) { say_first_reads(s, r); }
    if (compute_seconds(s) <= 0) { return; }
    caching_by_size(s, r, &again);
    if (s->subject->some_layers) {
        result_note(r, "How fast it could be is not told of some layers: a token passes through all.");
        return;
    }
    if (disk_of(s) > 0) { caching_by_size(s, r, &speed); }
    add_bounds(s, r);
    result_put_real(r, result_values(r), "compute_tokens_per_second", 1 / compute_seconds(s));
    say_bounds(s, r);
}
