/* SPDX-License-Identifier: MIT
 *
 * How much of the model's files was in memory over time: from what came and left, or else from samples.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

enum { SAMPLE_STEPS_MAX = 1 << 29, SAMPLED_PAGES_MAX = 1 << 28 };

static uint64_t file_pages(const struct joined * j, uint32_t file) {
    return j->subject->files[file - 1].size / j->bytes.page_bytes + 1;
}

static void add_row(const struct joined * j, struct result * r, int64_t ns, uint32_t file, const uint32_t * parts) {
    const uint64_t pages = file_pages(j, file), each = pages / CURVE_PARTS + 1;
    json_t *row = result_row(r), *shares = json_array();
    uint64_t all = 0;
    for (uint64_t i = 0; i < CURVE_PARTS && i * each < pages; i++) {
        const uint64_t of = pages - i * each < each ? pages - i * each : each;
        json_array_append_new(shares, json_real(round((double) parts[i] / (double) of * 1000) / 1000));
        all += parts[i];
    }
    result_put(r, row, "at_ns", json_integer((json_int_t) ns));
    result_put_count(r, row, "file", file);
    result_put_count(r, row, "bytes", all * j->bytes.page_bytes);
    result_put(r, row, "shares", shares);
}

static void begin_table(struct result * r) {
    static const struct result_column columns[] = { { "at_ns", "at", UNIT_NS },
                                                    { "file", "file", UNIT_NUMBER },
                                                    { "bytes", "in memory", UNIT_BYTES },
                                                    { "shares", "by part of the file", UNIT_SHARES } };
    result_table(r, "residency", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
}

/* ---- from what came and left ---- */

static void add_curve(const struct joined * j, const struct cache * c, struct result * r) {
    const int64_t step = (c->curve.end_ns - c->curve.begin_ns) / CURVE_TIMES;
    begin_table(r);
    for (uint32_t f = 1; f <= CURVE_FILES && f <= j->subject->n_files; f++) {
        if (j->bytes.same[f] != f) { continue; }
        for (int i = 0; i < CURVE_TIMES; i++) {
            add_row(j, r, c->curve.begin_ns + step * (i + 1), f, c->curve.pages[i][f - 1]);
        }
    }
}

/* ---- from samples ---- */

enum known { KNOWN_NOT, KNOWN_OUT, KNOWN_IN };

struct sampled {
    uint8_t * page[CURVE_FILES]; /* enum known */
    uint64_t pages[CURVE_FILES];
    uint32_t parts[CURVE_FILES][CURVE_PARTS];
    uint64_t came; /* pages that were not in memory in one sample and were in the next */
    uint64_t steps;
};

static void set_page(struct sampled * s, uint32_t f, uint64_t page, enum known known) {
    uint8_t * now = &s->page[f][page];
    uint32_t * part = &s->parts[f][page / (s->pages[f] / CURVE_PARTS + 1)];
    s->came += *now == KNOWN_OUT && known == KNOWN_IN;
    *part += (known == KNOWN_IN) - (*now == KNOWN_IN);
    *now = (uint8_t) known;
}

static void take_sample(struct sampled * s, uint32_t f, const struct tat_io_residency * sample) {
    const uint64_t first = sample->of.first, end_of = first + sample->of.count;
    const uint64_t end = end_of < s->pages[f] ? end_of : s->pages[f];
    size_t run = 0;
    for (uint64_t page = first; page < end && s->steps < SAMPLE_STEPS_MAX; page++, s->steps++) {
        while (run < sample->n_runs && sample->runs[run].first + sample->runs[run].count <= page) { run++; }
        const bool in = run < sample->n_runs && sample->runs[run].first <= page;
        set_page(s, f, page, in ? KNOWN_IN : KNOWN_OUT);
    }
}

static bool begin_samples(struct sampled * s, const struct joined * j) {
    bool good = true;
    for (uint32_t f = 0; f < CURVE_FILES && f < j->subject->n_files; f++) {
        const uint64_t pages = file_pages(j, f + 1);
        if (j->bytes.same[f + 1] != f + 1 || pages > SAMPLED_PAGES_MAX) { continue; }
        s->page[f] = calloc(pages, 1);
        s->pages[f] = s->page[f] ? pages : 0;
        good &= s->page[f] != NULL;
    }
    return good;
}

/* Every so many samples make a row; all are looked at. */
static void add_samples(const struct joined * j, struct result * r) {
    struct sampled * s = calloc(1, sizeof *s);
    const struct tat_io * io = j->io;
    const size_t every = io->n_residency / CURVE_TIMES + 1;
    r->failed |= !s || !begin_samples(s, j);
    begin_table(r);
    for (size_t i = 0; s && !r->failed && i < io->n_residency; i++) {
        const struct tat_io_residency * sample = &io->residency[i];
        const uint32_t number = sample->file && sample->file <= io->n_files ? j->bytes.file_of[sample->file - 1] : 0;
        if (!number || number > CURVE_FILES || !s->page[number - 1]) { continue; }
        take_sample(s, number - 1, sample);
        const bool last_of_moment = i + 1 == io->n_residency || io->residency[i + 1].ns != sample->ns;
        if (last_of_moment && i % every == 0) {
            add_row(j, r, (int64_t) (sample->ns - j->start_ns), number, s->parts[number - 1]);
        }
    }
    if (s) {
        char text[UNITS_SIZE];
        result_put_count(r, result_values(r), "came_at_least_bytes", s->came * j->bytes.page_bytes);
        if (s->came) {
            result_line(r, "at least", "%s of the model's files came into memory between two samples of what is in it",
                        format_bytes(text, s->came * j->bytes.page_bytes));
        }
        for (int f = 0; f < CURVE_FILES; f++) { free(s->page[f]); }
    }
    free(s);
}

void add_residency(const struct joined * j, const struct cache * c, struct result * r) {
    if (c->curve.pages) {
        add_curve(j, c, r);
    } else if (j->io->n_residency) {
        add_samples(j, r);
    }
}
