/* SPDX-License-Identifier: MIT */
#include "analysis/caching/working_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/units.h"

enum { CELLS_MAX = 1 << 24 }; /* of windows and graphs: for very long runs, the largest windows are left out */

/* By slice: the first and the last graph that read it, from 1; 0: none. */
struct span {
    uint32_t first, last;
};

static bool is_of(const struct references * r, size_t mark) {
    return mark_phase(r, mark) == TAT_PHASE_GENERATE;
}

static size_t count_graphs(const struct references * r) {
    size_t n = 0;
    for (size_t m = 0; m < r->marks.count; m++) { n += is_of(r, m); }
    return n;
}

static uint64_t * cell(const struct working_set * w, size_t window, size_t graph) {
    return &w->bytes[window * (w->graphs + 1) + graph];
}

/* A slice was read by a graph and not again until before another: it is missing from the windows in between. Cells hold
 * the change of what is missing, from graph to graph; the sums may wrap meanwhile. */
static void note_gap(struct working_set * w, size_t from, size_t until, uint64_t bytes) {
    for (size_t i = 0; i < w->count && w->window[i].graphs < until - from; i++) {
        *cell(w, i, from + w->window[i].graphs) += bytes;
        *cell(w, i, until) -= bytes;
    }
}

/* Sets `fresh` to the bytes that each graph reads as the first one. */
static void find_gaps(struct working_set * w, struct span * span, uint64_t * fresh) {
    const struct references * r = w->references;
    uint32_t graph = 0;
    for (size_t m = 0; m < r->marks.count; m++) {
        if (!is_of(r, m)) { continue; }
        graph++;
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const uint32_t slice = reference_at(r, i);
            if (!is_slice(r, slice) || span[slice].last == graph) { continue; }
            if (!span[slice].first) {
                span[slice].first = graph;
                fresh[graph - 1] += r->bytes[slice];
            } else {
                note_gap(w, span[slice].last - 1, graph - 1, r->bytes[slice]);
            }
            span[slice].last = graph;
        }
    }
    for (uint32_t slice = 0; slice < r->slices.count; slice++) {
        if (span[slice].first) { note_gap(w, span[slice].last - 1, graph, r->bytes[slice]); }
    }
}

/* From changes of what is missing to what is there. */
static void add_up(struct working_set * w, const uint64_t * fresh) {
    for (size_t i = 0; i < w->count; i++) {
        uint64_t read = 0, missing = 0;
        for (size_t graph = 0; graph < w->graphs; graph++) {
            read += fresh[graph];
            missing += *cell(w, i, graph);
            *cell(w, i, graph) = read - missing;
        }
    }
}

static int compare(const void * a, const void * b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* Over all places of the window; `sorted` is room for as many. */
static void describe(struct working_set * w, size_t i, uint64_t * sorted) {
    struct window * window = &w->window[i];
    const size_t n = w->graphs - window->graphs + 1;
    double sum = 0;
    memcpy(sorted, cell(w, i, window->graphs - 1), n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    for (size_t at = 0; at < n; at++) { sum += (double) sorted[at]; }
    window->mean = sum / (double) n;
    window->least = sorted[0];
    window->median = sorted[(n - 1) / 2];
    window->most = sorted[n - 1];
}

/* Two windows one behind the other are one of twice the length: what they read both is read twice. */
static double share_of_next(const struct working_set * w, size_t i) {
    const size_t length = w->window[i].graphs;
    double both = 0, first = 0;
    for (size_t at = length - 1; at + length < w->graphs; at++) {
        const uint64_t one = working_set_at(w, i, at), next = working_set_at(w, i, at + length);
        both += (double) (one + next - working_set_at(w, i + 1, at + length));
        first += (double) one;
    }
    return first > 0 ? both / first : 0;
}

static double share_of_last(const struct working_set * w, size_t i, const struct span * span) {
    const struct references * r = w->references;
    const size_t length = w->window[i].graphs;
    uint64_t both = 0;
    for (uint32_t slice = 0; slice < r->slices.count; slice++) {
        const bool in_first = span[slice].first && span[slice].first <= length;
        both += in_first && span[slice].last > w->graphs - length ? r->bytes[slice] : 0;
    }
    return ratio(both, working_set_at(w, i, length - 1));
}

static bool find(struct working_set * w, struct span * span, uint64_t * fresh) {
    find_gaps(w, span, fresh);
    add_up(w, fresh);
    for (size_t i = 0; i < w->count; i++) {
        describe(w, i, fresh);
        w->window[i].has_next = i + 1 < w->count;
        if (!w->window[i].has_next) { continue; }
        w->window[i].next = share_of_next(w, i);
        w->window[i].last = share_of_last(w, i, span);
    }
    return true;
}

bool working_set_find(const struct references * r, struct working_set * w) {
    *w = (struct working_set){ .references = r, .graphs = count_graphs(r) };
    const size_t cells = w->graphs + 1;
    for (size_t length = 1; length <= w->graphs && (w->count + 1) * cells <= CELLS_MAX; length *= 2) {
        w->window[w->count++].graphs = length;
    }
    w->bytes = calloc(w->count * cells + 1, sizeof *w->bytes);
    struct span * span = calloc((size_t) r->slices.count + 1, sizeof *span);
    uint64_t * fresh = calloc(cells, sizeof *fresh);
    const bool good = w->bytes && span && fresh && find(w, span, fresh);
    free(span);
    free(fresh);
    return good;
}

void working_set_free(struct working_set * w) {
    free(w->bytes);
}

/* ---- for the report ---- */

static void add_windows(const struct working_set * w, uint64_t weight_bytes, struct result * r) {
    static const struct result_column columns[] = {
        { "window", "graphs", UNIT_COUNT },
        { "least_bytes", "least", UNIT_BYTES },
        { "median_bytes", "median", UNIT_BYTES },
        { "most_bytes", "most", UNIT_BYTES },
        { "bytes", "mean", UNIT_BYTES },
        { "share", "of weights", UNIT_SHARE },
        { "next_share", "next again", UNIT_SHARE },
        { "last_share", "last again", UNIT_SHARE },
    };
    result_table(r, "working_set", "Working set: what so many generated graphs in a row read, each byte once",
                 SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < w->count; i++) {
        const struct window * window = &w->window[i];
        json_t * row = result_row(r);
        result_put_count(r, row, "window", window->graphs);
        result_put_count(r, row, "least_bytes", window->least);
        result_put_count(r, row, "median_bytes", window->median);
        result_put_count(r, row, "most_bytes", window->most);
        result_put_real(r, row, "bytes", window->mean);
        result_put_real(r, row, "share", weight_bytes ? window->mean / (double) weight_bytes : 0);
        if (!window->has_next) { continue; }
        result_put_real(r, row, "next_share", window->next);
        result_put_real(r, row, "last_share", window->last);
    }
}

/* As the run goes on: by the last token of the window, or as many rows as make a table of bearable length. */
static void add_course(const struct working_set * w, struct result * r) {
    enum { ROWS = 512 };
    char keys[WORKING_SETS][32], labels[WORKING_SETS][32];
    struct result_column columns[1 + WORKING_SETS] = { { "token", "until token", UNIT_NUMBER } };
    const struct references * refs = w->references;
    const size_t step = w->graphs / ROWS + 1;
    size_t graph = 0;
    for (size_t i = 0; i < w->count; i++) {
        snprintf(keys[i], sizeof keys[i], "window_%zu", w->window[i].graphs);
        snprintf(labels[i], sizeof labels[i], "%zu graphs", w->window[i].graphs);
        columns[1 + i] = (struct result_column){ keys[i], labels[i], UNIT_BYTES };
    }
    result_table(r, "working_set_course", NULL, SHOW_NEVER, columns, 1 + w->count);
    for (size_t m = 0; m < refs->marks.count; m++) {
        if (!is_of(refs, m) || graph++ % step) { continue; }
        const struct tat_evaluation * e = &refs->subject->evaluations[mark_at(refs, m)->evaluation];
        json_t * row = result_row(r);
        result_put_count(r, row, "token", (uint64_t) e->token_first + (e->n_tokens ? e->n_tokens - 1 : 0));
        for (size_t i = 0; i < w->count && w->window[i].graphs <= graph; i++) {
            result_put_count(r, row, keys[i], working_set_at(w, i, graph - 1));
        }
    }
}

void working_set_tables(const struct working_set * w, uint64_t weight_bytes, struct result * r) {
    add_windows(w, weight_bytes, r);
    add_course(w, r);
}

/* Of the longest windows of which the run holds two. */
static const char * drift(const struct working_set * w, char text[static 256]) {
    char next[UNITS_SIZE], last[UNITS_SIZE];
    text[0] = '\0';
    if (w->count < 2) { return text; }
    const struct window * window = &w->window[w->count - 2];
    snprintf(text, 256, " Of what %zu read, the next %zu read %s again; of what the first %zu read, the last %zu %s.",
             window->graphs, window->graphs, format_share(next, window->next), window->graphs, window->graphs,
             format_share(last, window->last));
    return text;
}

void working_set_answer(const struct working_set * w, uint64_t weight_bytes, struct result * r) {
    char one[UNITS_SIZE], many[UNITS_SIZE], share[UNITS_SIZE], text[256];
    if (!w->count) { return; }
    const struct window *first = &w->window[0], *longest = &w->window[w->count - 1];
    const double of_weights = weight_bytes ? first->mean / (double) weight_bytes : 0;
    result_answer(r, "How large is the working set?",
                  "A generated token's graph reads %s of weights on average (%s of all), %zu in a row %s.%s",
                  format_mean_bytes(one, first->mean), format_share(share, of_weights), longest->graphs,
                  format_mean_bytes(many, longest->mean), drift(w, text));
    result_note(r, "Working set: \"next again\" is the share of what so many graphs in a row read that as many graphs "
                   "right behind them read too, on average; \"last again\" the share of what the first ones of the run "
                   "read that the last ones read too. If it is smaller, what is read drifts.");
}
