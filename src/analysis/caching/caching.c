/* SPDX-License-Identifier: MIT
 *
 * What a cache of the model's weights would save: reuse distances, working set, miss-ratio curves, and what follows for
 * tokens a second.
 */
#include "analysis/caching/caching.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/machine.h"
#include "analysis/run_metadata.h"

static void drop(struct caching * s) {
    cache_string_free(&s->string);
    working_set_free(&s->working_set);
    references_free(&s->references);
    course_free(&s->course);
    free(s);
}

static void * begin(const struct subject * subject) {
    struct caching * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    if (references_begin(&s->references, subject) && course_begin(&s->course, &s->references, COURSE_READS)) {
        return s;
    }
    drop(s);
    return NULL;
}

static void feed(void * state, const struct tat_access * records, size_t count) {
    struct caching * s = state;
    references_feed(&s->references, records, count);
    course_feed(&s->course, records, count);
}

/* ---- over time ---- */

/* Graph by graph, or as many in a row as make a table of bearable length. */
static bool add_over_time(const struct caching * s, struct result * r) {
    enum { ROWS = 512 };
    static const struct result_column columns[] = {
        { "token", "from token", UNIT_NUMBER },
        { "graphs", "graphs", UNIT_COUNT },
        { "bytes", "bytes read a graph", UNIT_BYTES },
        { "new_bytes", "never read before", UNIT_BYTES },
        { "unique_bytes", "different ones so far", UNIT_BYTES },
    };
    const struct references * refs = &s->references;
    bool * read = calloc((size_t) refs->slices.count + 1, sizeof *read);
    if (!read) { return false; }
    const size_t step = refs->marks.count / ROWS + 1;
    uint64_t unique = 0;
    result_table(r, "over_time", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (size_t m = 0; m < refs->marks.count; m += step) {
        const size_t end = m + step < refs->marks.count ? m + step : refs->marks.count;
        uint64_t bytes = 0, before = unique;
        for (size_t i = mark_at(refs, m)->first; i < mark_at(refs, end)->first; i++) {
            const uint32_t ref = reference_at(refs, i);
            const struct extent_read e = reference_extent(refs, ref);
            bytes += extent_read_bytes(&e);
            if (!is_slice(refs, ref) || read[ref]) { continue; }
            read[ref] = true;
            unique += refs->bytes[ref];
        }
        json_t * row = result_row(r);
        result_put_count(r, row, "token", s->subject->evaluations[mark_at(refs, m)->evaluation].token_first);
        result_put_count(r, row, "graphs", end - m);
        result_put_real(r, row, "bytes", ratio(bytes, end - m));
        result_put_count(r, row, "new_bytes", unique - before);
        result_put_count(r, row, "unique_bytes", unique);
    }
    free(read);
    return true;
}

/* ---- summary ---- */

static bool count_reads(struct caching * s) {
    const struct references * refs = &s->references;
    bool * read = calloc((size_t) refs->slices.count + 1, sizeof *read);
    if (!read) { return false; }
    for (size_t i = 0; i < refs->refs.count; i++) {
        const uint32_t ref = reference_at(refs, i);
        const struct extent_read e = reference_extent(refs, ref);
        s->reads.all += extent_read_bytes(&e);
        if (!is_slice(refs, ref)) {
            s->reads.rows += extent_read_bytes(&e);
        } else if (!read[ref]) {
            read[ref] = true;
            s->reads.touched += extent_read_bytes(&e);
        }
    }
    free(read);
    return true;
}

static void say_verdict(const struct caching * s, struct result * r) {
    json_t * metadata = run_metadata(s->subject->trace);
    bool is_limited;
    const uint64_t had = run_memory(metadata, &is_limited);
    const uint64_t given = s->subject->options.memory_bytes, memory = given ? given : had;
    const uint64_t touched = s->reads.touched;
    const bool again = s->reads.all - s->reads.rows > touched;
    char t[UNITS_SIZE], m[UNITS_SIZE], share[UNITS_SIZE], cost[96] = "";
    json_decref(metadata);
    if (s->subject->some_layers) { return; } /* memory is for all layers */
    format_bytes(t, touched);
    format_bytes(m, memory);
    const struct machine machine = machine_of(s->subject);
    const bool starved = !given && machine.process && machine.disk_bytes / 2 > touched; /* a first reading is one */
    const bool fits = memory >= touched && !starved;
    if (starved) {
        format_bytes(m, machine.disk_bytes);
        if (s->pace.token_ns > 0) {
            snprintf(cost, sizeof cost, " In %s of a generated token's time a thread was in a page fault.",
                     format_share(share, s->pace.blocked_ns / s->pace.token_ns));
        }
        result_line(r, "verdict", "limited by memory: %s were read from disk for the %s of weights that it reads", m,
                    t);
    } else if (!again) {
        result_line(r, "verdict", "not limited by memory: no weight is read twice");
    } else if (memory == 0) {
        result_line(r, "verdict", "memory limits this run where less than %s is left for weights", t);
    } else {
        result_line(r, "verdict", "%s by memory: the %s of weights that it reads %sfit in the %s %s",
                    fits ? "not limited" : "limited", t, fits ? "" : "do not ", m,
                    given        ? "given"
                    : is_limited ? "to which it was limited"
                                 : "of the machine it ran on");
    }
    result_answer(
        r, "Is memory too small for the weights?",
        starved       ? "Yes: the %s of weights that it reads came from disk again and again: %s were read from it. "
                        "Less memory than that was left for them.%s"
        : !again      ? "No: no weight is read twice."
        : memory == 0 ? "Where less than %s is left for weights."
        : fits        ? "No: the %s of weights that it reads fit in %s."
                      : "Yes: the %s of weights that it reads do not fit in %s, and it reads weights more than once.",
        t, m, cost);
    result_put_count(r, result_values(r), "memory_bytes", memory);
    result_put(r, result_values(r), "limited",
               starved || !again || memory ? json_boolean(starved || (again && !fits)) : json_null());
}

/* What is kept as one: "64 KiB blocks of the model files". */
static const char * unit_title(const struct caching * s, char text[static 2 * UNITS_SIZE]) {
    char block[UNITS_SIZE];
    if (!is_of_blocks(&s->string)) {
        return s->string.unit == TAT_CACHE_EXPERT ? "whole experts and other weights"
                                                  : "whole weights and experts' parts";
    }
    snprintf(text, 2 * UNITS_SIZE, "%s blocks of the model files", format_bytes(block, s->string.unit));
    return text;
}

const char * caching_graphs(const struct caching * s, char text[static 64]) {
    const uint32_t seen = s->string.graphs.count, all = s->references.marks.count;
    *text = '\0';
    if (seen < all) { snprintf(text, 64, " in the first %" PRIu32 " of %" PRIu32 " graphs", seen, all); }
    return text;
}

static void say_unit(const struct caching * s, struct result * r) {
    char title[2 * UNITS_SIZE], size[UNITS_SIZE];
    const char * unit = unit_title(s, title);
    char graphs[64];
    result_line(r, "unit", "caches keep or drop %s; %s of these were read%s", unit,
                format_bytes(size, sum(s->string.first)), caching_graphs(s, graphs));
    result_put_text(r, result_values(r), "unit", unit);
}

static void say_notes(const struct caching * s, struct result * r) {
    const struct cache_string * c = &s->string;
    const size_t graphs = s->references.marks.count;
    char share[UNITS_SIZE], block[UNITS_SIZE];
    result_note(r,
                "Prompt and generation read weights as if from a cache that was empty at first: a first read is never "
                "saved. All policies keep the same unit (--unit) and may decline to keep what was just read. Online "
                "policies know the past. Policies with hindsight know the use counts: how often each item will be read "
                "in this run. The optimum knows the future: each read to come.");
    if (!is_of_blocks(c)) {
        result_note(r, "Rows of embeddings are read whenever they are wanted; no policy keeps them.");
    }
    if (s->subject->options.cache_unit > TAT_CACHE_EXPERT && c->unit != s->subject->options.cache_unit) {
        result_note(r, "The model files are too large for blocks of %s.",
                    format_bytes(block, s->subject->options.cache_unit));
    }
    if (c->sample > 1) {
        result_note(r,
                    "One block of %" PRIu32
                    " was simulated (SHARDS). Two halves of this sample differ by %s at most in "
                    "what LRU saves.",
                    c->sample, format_share(share, s->sampling_error));
    }
    if (c->graphs.count < graphs) {
        result_note(r,
                    "The policies saw the first %" PRIu32 " of %zu graphs%s: what caches save, read again and wait for "
                    "is of these.",
                    c->graphs.count, graphs,
                    s->subject->options.read_ahead > 1 ? ", as read-ahead is simulated on a shorter string" : "");
    }
    if (s->references.approximate) {
        result_note(r, "Some operands were too scattered to list, or which experts were chosen was not recorded: all "
                       "bytes within their bounds count as blocks that were read, no policy keeps them as weights, and "
                       "the verdict leaves them out.");
    }
    if (s->references.full) {
        result_note(r, "The first %zu graphs only: later ones were left out, as there are too many.", graphs);
    }
    if (c->unplaced) {
        result_note(r, "%" PRIu64 " reads lie outside of the model files, or are too large: they are left out.",
                    c->unplaced);
    }
}

/* How far apart two halves of the sample are, in what LRU saves at the sizes of the tables. */
static bool find_sampling_error(struct caching * s) {
    double saved[2][ASKED] = { 0 };
    for (unsigned half = 1; half <= 2 && s->string.sample > 1; half++) {
        struct cache_string part;
        const struct string_request request = { s->string.unit, SIMULATED_MAX, true, half };
        bool good = cache_string_make(&part, &s->references, &request);
        for (unsigned i = 0; i < ASKED && good; i++) {
            struct again again = { 0 };
            const uint64_t capacity = s->outcomes.capacity[caching_asked(i)];
            good = capacity == 0 || simulate(&part, &policy_lru, capacity, &again);
            saved[half - 1][i] = (double) again.all / (double) sum(s->string.wanted);
        }
        cache_string_free(&part);
        if (!good) { return false; }
    }
    for (unsigned i = 0; i < ASKED; i++) {
        s->sampling_error = fmax(s->sampling_error, fabs(saved[0][i] - saved[1][i]));
    }
    return true;
}

static bool compare(struct caching * s) {
    struct cache_string * c = &s->string;
    const bool sampled = s->subject->options.read_ahead < 2; /* blocks of a sample have no neighbours */
    const size_t most = sampled ? SIMULATED_MAX : SIMULATED_MAX / 4;
    const struct string_request request = { s->subject->options.cache_unit, most, sampled, 0 };
    if (!cache_string_make(c, &s->references, &request)) { return false; }
    const uint64_t all = is_of_blocks(c) && sum(c->first) > s->weight_bytes ? sum(c->first) : s->weight_bytes;
    return outcomes_find(&s->outcomes, c, all, s->subject->options.memory_bytes) && find_sampling_error(s);
}

static void put_values(const struct caching * s, struct result * r) {
    const struct cache_string * c = &s->string;
    json_t * values = result_values(r);
    result_put_count(r, values, "weight_bytes", s->weight_bytes);
    result_put_count(r, values, "read_bytes", s->reads.all);
    result_put_count(r, values, "touched_bytes", s->reads.touched);
    result_put_count(r, values, "row_bytes", s->reads.rows);
    result_put_count(r, values, "graphs", s->references.marks.count);
    result_put_count(r, values, "simulated_graphs", c->graphs.count);
    result_put_count(r, values, "unit_bytes", is_of_blocks(c) ? c->unit : 0);
    result_put_count(r, values, "wanted_bytes", sum(c->wanted));
    result_put_count(r, values, "first_bytes", sum(c->first));
    result_put_count(r, values, "repeat_bytes", sum(c->repeat));
    result_put_count(r, values, "sample", c->sample);
    if (c->sample > 1) { result_put_real(r, values, "sampling_error", s->sampling_error); }
}

static bool answer(struct caching * s, struct result * r) {
    for (uint32_t i = 0; i < s->references.slices.count; i++) { s->weight_bytes += s->references.bytes[i]; }
    if (!count_reads(s) || !compare(s)) { return false; }
    s->pace = storage_pace_of(s->subject);
    put_values(s, r);
    say_verdict(s, r);
    say_unit(s, r);
    caching_savings(s, r);
    caching_beside(s, r);
    caching_speed(s, r);
    caching_curves(s, r);
    const bool good = caching_pages(s, r) && caching_lead(s, r) && caching_reuse(s, r) &&
                      working_set_find(&s->references, &s->working_set) && add_over_time(s, r);
    if (good) {
        working_set_tables(&s->working_set, s->weight_bytes, r);
        working_set_answer(&s->working_set, s->weight_bytes, r);
    }
    say_notes(s, r);
    return good;
}

static void finish(void * state, struct result * r) {
    struct caching * s = state;
    references_end(&s->references);
    course_end(&s->course);
    if (s->references.failed || s->course.failed) {
        r->failed = true;
    } else if (s->references.refs.count == 0) {
        result_headline(r, "Neither a prompt nor a generated token read a weight.");
    } else if (!answer(s, r)) {
        r->failed = true;
    }
    drop(s);
}

const struct analysis caching_analysis = {
    .name = "caching",
    .title = "Caching",
    .slow = true,
    .begin = begin,
    .feed = feed,
    .finish = finish,
};
