/* SPDX-License-Identifier: MIT
 *
 * What a cache of the model's weights would save: reuse distances, working set, miss-ratio curves, and what follows for
 * tokens a second.
 */
#include "analysis/caching/caching.h"

#include <inttypes.h>
#include <stdlib.h>

#include "analysis/caching/recency.h"
#include "analysis/run_metadata.h"
#include "analysis/units.h"

static void drop(struct caching * s) {
    references_free(&s->references);
    free(s);
}

static void * begin(const struct subject * subject) {
    struct caching * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    if (references_begin(&s->references, subject)) { return s; }
    drop(s);
    return NULL;
}

static void feed(void * state, const struct tat_access * records, size_t count) {
    references_feed(&((struct caching *) state)->references, records, count);
}

/* ---- reuse distances ---- */

/* By power of two: the bin of a distance is the smallest power that is not below it. */
static bool add_distances(const struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "up_to_bytes", "distance up to", UNIT_BYTES },
        { "accesses", "reads", UNIT_COUNT },
        { "share", "share", UNIT_SHARE },
        { "share_up_to", "so far", UNIT_SHARE },
        { "bytes", "bytes read", UNIT_BYTES },
    };
    const struct references * refs = &s->references;
    uint64_t counts[65] = { 0 }, bytes[65] = { 0 }, all = 0, first = 0;
    struct recency recency;
    const bool good = recency_begin(&recency, refs->slices.count, refs->bytes);
    for (size_t i = 0; i < refs->refs.count && good; i++) {
        if (reference_at(refs, i) >= refs->slices.count) { continue; }
        const uint64_t distance = recency_access(&recency, reference_at(refs, i));
        const int bin = distance <= 1 ? 0 : 64 - __builtin_clzll(distance - 1);
        all++;
        first += distance == NEVER_BEFORE;
        if (distance == NEVER_BEFORE) { continue; }
        counts[bin]++;
        bytes[bin] += refs->bytes[reference_at(refs, i)];
    }
    recency_end(&recency);
    result_table(r, "reuse_distances", "Bytes of different weights read until the same one is read again", SHOW_ASKED,
                 columns, sizeof columns / sizeof columns[0]);
    uint64_t so_far = 0;
    for (int bin = 0; bin < 64; bin++) {
        so_far += counts[bin];
        if (!counts[bin]) { continue; }
        json_t * row = result_row(r);
        result_put_count(r, row, "up_to_bytes", (uint64_t) 1 << bin);
        result_put_count(r, row, "accesses", counts[bin]);
        result_put_real(r, row, "share", ratio(counts[bin], all - first));
        result_put_real(r, row, "share_up_to", ratio(so_far, all - first));
        result_put_count(r, row, "bytes", bytes[bin]);
    }
    result_put_count(r, result_values(r), "slice_reads", all);
    result_put_count(r, result_values(r), "slice_first_reads", first);
    return good;
}

/* ---- working set ---- */

static bool add_working_set(struct caching * s, struct result * r) {
    static const struct result_column columns[] = {
        { "window", "graphs in a row", UNIT_COUNT },
        { "bytes", "they read, each byte once", UNIT_BYTES },
        { "share", "of the weights", UNIT_SHARE },
    };
    const struct working_set * w = &s->working_set;
    if (!working_set_find(&s->references, &s->working_set)) { return false; }
    result_table(r, "working_set", "Working set of generation, on average", SHOW_ASKED, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < w->count; i++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "window", w->window[i]);
        result_put_real(r, row, "bytes", w->bytes[i]);
        result_put_real(r, row, "share", s->weight_bytes ? w->bytes[i] / (double) s->weight_bytes : 0);
    }
    return true;
}

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
            bytes += reference_extent(refs, ref).bytes;
            if (ref >= refs->slices.count || read[ref]) { continue; }
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
        const uint64_t bytes = reference_extent(refs, ref).bytes;
        s->reads.all += bytes;
        if (ref >= refs->slices.count) {
            s->reads.rows += bytes;
        } else if (!read[ref]) {
            read[ref] = true;
            s->reads.touched += bytes;
        }
    }
    free(read);
    return true;
}

static void say_verdict(const struct caching * s, struct result * r) {
    json_t * metadata = run_metadata(s->subject->trace);
    const json_int_t host = json_integer_value(json_object_get(json_object_get(metadata, "host"), "memory_bytes"));
    const uint64_t given = s->subject->options.memory_bytes, memory = given ? given : host > 0 ? (uint64_t) host : 0;
    const uint64_t touched = s->reads.touched;
    const bool again = s->reads.all - s->reads.rows > touched;
    char t[UNITS_SIZE], m[UNITS_SIZE];
    json_decref(metadata);
    format_bytes(t, touched);
    format_bytes(m, memory);
    const bool fits = memory >= touched;
    if (!again) {
        result_line(r, "verdict", "not limited by memory: no weight is read twice");
    } else if (memory == 0) {
        result_line(r, "verdict", "memory limits this run where less than %s is left for weights", t);
    } else {
        result_line(r, "verdict", "%s by memory: the %s of weights that it reads %sfit in the %s %s",
                    fits ? "not limited" : "limited", t, fits ? "" : "again and again do not ", m,
                    given ? "given" : "of the machine it ran on");
    }
    result_answer(r, "Is this run limited by memory?",
                  !again        ? "No: no weight is read twice."
                  : memory == 0 ? "Where less than %s is left for weights."
                  : fits        ? "No: the %s of weights that it reads fit in %s."
                                : "Yes: the %s of weights that it reads again and again do not fit in %s.",
                  t, m);
    result_put_count(r, result_values(r), "memory_bytes", memory);
    result_put(r, result_values(r), "limited", !again || memory ? json_boolean(again && !fits) : json_null());
}

static void say_notes(const struct caching * s, struct result * r) {
    const size_t graphs = s->references.marks.count;
    char block[UNITS_SIZE];
    result_note(
        r,
        "Reads of weights by prompt and generation, as if each went to a cache that was empty at first: a first read "
        "is never saved. LRU (least recently used) is what the kernel's page cache resembles, MIN (Belady) knows the "
        "future: both exactly, at every size, on blocks of %s of the model files, read as a whole. FIFO (first in, "
        "first out), LFU (least frequently used), S3-FIFO and pinning the best keep whole weights or experts, "
        "simulated at 64 sizes; rows of embeddings they always read. The bound is MIN on single bytes: no cache reads "
        "less, whatever it keeps.",
        format_bytes(block, s->blocks.block_bytes));
    if (s->blocks.graphs < graphs) {
        result_note(r, "LRU and MIN saw the first %zu of %zu graphs.", s->blocks.graphs, graphs);
    }
    if (s->simulation.reads.graphs < graphs) {
        result_note(r, "The other policies saw the first %zu of %zu graphs.", s->simulation.reads.graphs, graphs);
    }
    if (s->references.approximate) {
        result_note(r, "Some operands were too scattered to list, or which experts were chosen was not recorded: on "
                       "blocks their bounds count as read, policies never keep them, the verdict leaves them out.");
    }
    if (s->references.full) {
        result_note(r, "The first %zu graphs only: later ones were left out, as there are too many.", graphs);
    }
    if (s->blocks.unplaced) {
        result_note(r,
                    "%" PRIu64 " reads lie outside of the model files, or are too large: LRU and MIN leave them out.",
                    s->blocks.unplaced);
    }
}

static bool answer(struct caching * s, struct result * r) {
    for (uint32_t i = 0; i < s->references.slices.count; i++) { s->weight_bytes += s->references.bytes[i]; }
    if (!count_reads(s) || !block_curves_make(&s->blocks, &s->references) ||
        !simulation_begin(&s->simulation, &s->references) || !caching_simulate(s)) {
        return false;
    }
    result_put_count(r, result_values(r), "weight_bytes", s->weight_bytes);
    result_put_count(r, result_values(r), "read_bytes", s->reads.all);
    result_put_count(r, result_values(r), "touched_bytes", s->reads.touched);
    result_put_count(r, result_values(r), "row_bytes", s->reads.rows);
    result_put_count(r, result_values(r), "graphs", s->references.marks.count);
    result_put_count(r, result_values(r), "block_bytes", s->blocks.block_bytes);
    result_put_count(r, result_values(r), "blocks", s->blocks.n_blocks);
    result_put_count(r, result_values(r), "block_reads", s->blocks.block_reads);
    result_put_count(r, result_values(r), "block_graphs", s->blocks.graphs);
    result_put_count(r, result_values(r), "simulated_graphs", s->simulation.reads.graphs);
    say_verdict(s, r);
    caching_savings(s, r);
    caching_speed(s, r);
    caching_curves(s, r);
    const bool good = add_distances(s, r) && add_working_set(s, r) && add_over_time(s, r);
    if (good && s->working_set.count) {
        char one[UNITS_SIZE], share[UNITS_SIZE];
        result_answer(r, "How large is the working set?",
                      "A generated token's graph reads %s of the weights' bytes (%s) at least once, %zu in a row %s.",
                      format_bytes(one, (uint64_t) s->working_set.bytes[0]),
                      format_share(share, s->working_set.bytes[0] / (double) (s->weight_bytes ? s->weight_bytes : 1)),
                      s->working_set.window[s->working_set.count - 1],
                      format_bytes((char[UNITS_SIZE]){ 0 }, (uint64_t) s->working_set.bytes[s->working_set.count - 1]));
    }
    say_notes(s, r);
    return good;
}

static void finish(void * state, struct result * r) {
    struct caching * s = state;
    references_end(&s->references);
    if (s->references.failed) {
        r->failed = true;
    } else if (s->references.refs.count == 0) {
        result_headline(r, "Neither a prompt nor a generated token read a weight.");
    } else if (!answer(s, r)) {
        r->failed = true;
    }
    block_curves_free(&s->blocks);
    simulation_end(&s->simulation);
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
