/* SPDX-License-Identifier: MIT
 *
 * What the disk did: how fast, how busy, in which order, and where the files lie on it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/disk_kept.h"
#include "analysis/storage/section.h"
#include "analysis/units.h"

enum { BINS = 200 };

/* ---- requests for the model's files ---- */

/* One for each request that read anything of them; `bytes` are those of the files. */
struct read_request {
    const struct tat_io_request * request;
    uint64_t bytes;
};

static int by_begin(const void * a, const void * b) {
    const struct tat_io_request *x = ((const struct read_request *) a)->request,
                                *y = ((const struct read_request *) b)->request;
    const uint64_t p = x->end_ns - x->duration_ns, q = y->end_ns - y->duration_ns;
    return p != q ? (p < q ? -1 : 1) : x < y ? -1 : x > y;
}

/* In the order in which they were given to the driver. NULL: memory. */
static struct read_request * find_requests(const struct joined * j, size_t * count) {
    struct read_request * x = malloc((j->io->n_requests + 1) * sizeof *x);
    *count = 0;
    for (size_t i = 0; x && i < j->n_requests; i++) {
        const struct tat_placed * p = &j->requests[i];
        const struct tat_io_request * request = &j->io->requests[p->event];
        if (!p->file) { continue; }
        if (!*count || x[*count - 1].request != request) { x[(*count)++] = (struct read_request){ request, 0 }; }
        x[*count - 1].bytes += p->bytes;
    }
    if (x) { qsort(x, *count, sizeof *x, by_begin); }
    return x;
}

/* ---- order ---- */

static void put_order(struct result * r, const char * what, const struct order_sum * o) {
    const uint64_t all = o->sequential + o->near + o->random;
    if (!all) { return; }
    json_t * row = result_row(r);
    result_put_text(r, row, "order", what);
    result_put_count(r, row, "count", all);
    result_put_real(r, row, "sequential_share", ratio(o->sequential, all));
    result_put_real(r, row, "near_share", ratio(o->near, all));
    result_put_real(r, row, "random_share", ratio(o->random, all));
}

static void add_order(const struct joined * j, const struct cache * c, const struct read_request * x, size_t n,
                      struct result * r) {
    static const struct result_column columns[] = { { "order", "of", UNIT_TEXT },
                                                    { "count", "pairs", UNIT_COUNT },
                                                    { "sequential_share", "sequential", UNIT_SHARE },
                                                    { "near_share", "near", UNIT_SHARE },
                                                    { "random_share", "elsewhere", UNIT_SHARE } };
    struct order_sum disk = { 0 };
    for (size_t i = 0; i < n; i++) {
        const struct tat_io_request * q = x[i].request;
        order_add(&disk, (uint32_t) q->disk, q->disk_offset, q->disk_offset + q->bytes, j->bytes.page_bytes);
    }
    result_table(r, "order", "Where each read begins, compared with the end of the one before", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    put_order(r, "reads of weights, in the file", &c->asked);
    if (n < 2) { return; }
    const uint64_t all = disk.sequential + disk.near + disk.random;
    put_order(r, "requests, on the disk", &disk);
    result_put_real(r, result_values(r), "disk_sequential_share", ratio(disk.sequential, all));
    result_put_real(r, result_values(r), "disk_near_share", ratio(disk.near, all));
    result_put_real(r, result_values(r), "disk_random_share", ratio(disk.random, all));
}

/* ---- time ---- */

/* The time in which the disk had any of the requests. */
static uint64_t busy_time(const struct read_request * x, size_t n) {
    uint64_t ns = 0, to = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t end = x[i].request->end_ns, begin = end - x[i].request->duration_ns;
        const uint64_t from = begin > to ? begin : to;
        if (end <= from) { continue; }
        ns += end - from;
        to = end;
    }
    return ns;
}

struct bin {
    uint64_t bytes, busy_ns, requests;
};

/* A request's time counts in the bins that it spans, its bytes where it ends. */
static void fill_bins(const struct read_request * x, size_t n, uint64_t begin, uint64_t step, struct bin * bins) {
    uint64_t to = begin;
    for (size_t i = 0; i < n; i++) {
        const uint64_t end = x[i].request->end_ns, start = end - x[i].request->duration_ns;
        struct bin * last = &bins[(end - begin) / step < BINS ? (end - begin) / step : BINS - 1];
        last->bytes += x[i].bytes;
        last->requests++;
        for (uint64_t from = start > to ? start : to; from < end;) {
            const uint64_t at = (from - begin) / step;
            const uint64_t next = at < BINS - 1 && begin + (at + 1) * step < end ? begin + (at + 1) * step : end;
            bins[at < BINS ? at : BINS - 1].busy_ns += next - from;
            from = next;
        }
        if (end > to) { to = end; }
    }
}

static void add_throughput(const struct joined * j, const struct read_request * x, size_t n, struct result * r) {
    static const struct result_column columns[] = { { "begin_ns", "from", UNIT_NS },
                                                    { "ns", "for", UNIT_NS },
                                                    { "bytes", "read", UNIT_BYTES },
                                                    { "requests", "requests", UNIT_COUNT },
                                                    { "busy_ns", "disk busy", UNIT_NS } };
    uint64_t begin = UINT64_MAX, end = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tat_io_request * q = x[i].request;
        if (q->end_ns - q->duration_ns < begin) { begin = q->end_ns - q->duration_ns; }
        if (q->end_ns > end) { end = q->end_ns; }
    }
    struct bin * bins = calloc(BINS, sizeof *bins);
    const uint64_t step = (end - begin) / BINS + 1;
    r->failed |= !bins;
    if (bins) { fill_bins(x, n, begin, step, bins); }
    result_table(r, "throughput", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; bins && i < BINS; i++) {
        json_t * row = result_row(r);
        result_put(r, row, "begin_ns", json_integer((json_int_t) (begin + (uint64_t) i * step - j->start_ns)));
        result_put_count(r, row, "ns", step);
        result_put_count(r, row, "bytes", bins[i].bytes);
        result_put_count(r, row, "requests", bins[i].requests);
        result_put_count(r, row, "busy_ns", bins[i].busy_ns);
    }
    free(bins);
}

/* ---- what the disk can do ---- */

struct disk_known disk_known(const struct joined * j) {
    struct disk_known k = { 0 };
    for (size_t f = 0; f < j->io->n_files && !*k.name; f++) {
        if (j->bytes.file_of[f] && j->io->files[f].disk) { disk_name(j->io->files[f].disk, k.name); }
    }
    json_t * kept = disk_kept(k.name);
    k.sequential = disk_kept_most(kept, NULL, "sequential");
    k.random = disk_kept_most(kept, NULL, "random");
    k.best = k.random > k.sequential ? k.random : k.sequential;
    k.mapped = disk_kept_most(kept, "mapped", "sequential");
    json_decref(kept);
    return k;
}

/* What the disk can do: it is known where no request was recorded, too. */
static struct disk_known put_known(const struct joined * j, struct result * r) {
    const struct disk_known known = disk_known(j);
    if (known.best > 0) { result_put_real(r, result_values(r), "disk_best_bytes_per_second", known.best); }
    if (known.mapped > 0) { result_put_real(r, result_values(r), "disk_mapped_bytes_per_second", known.mapped); }
    return known;
}

static void say_rates(const struct disk_known * known, const struct read_request * x, size_t n, struct result * r) {
    const uint64_t busy = busy_time(x, n);
    char text[4][UNITS_SIZE], best[96] = "";
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) { bytes += x[i].bytes; }
    const double rate = busy ? (double) bytes * 1e9 / (double) busy : 0;
    result_put_count(r, result_values(r), "disk_busy_ns", busy);
    result_put_real(r, result_values(r), "disk_busy_bytes_per_second", rate);
    result_put_count(r, result_values(r), "model_requests", n);
    if (known->best > 0) {
        snprintf(best, sizeof best, "; `tat doctor --disk` measured %s/s at best",
                 format_mean_bytes(text[2], known->best));
    }
    result_line(r, "disk", "%s requests for the model's files; the disk worked on them for %s, at %s/s%s",
                format_count(text[3], n), format_duration(text[0], busy), format_mean_bytes(text[1], rate), best);
}

/* ---- extents ---- */

static void add_extents(const struct joined * j, struct result * r) {
    static const struct result_column columns[] = {
        { "file", "file", UNIT_TEXT },           { "file_system", "file system", UNIT_TEXT },
        { "fragments", "pieces", UNIT_COUNT },   { "largest_bytes", "largest", UNIT_BYTES },
        { "backward", "backwards", UNIT_COUNT }, { "why", "unknown because", UNIT_TEXT }
    };
    bool begun = false;
    for (size_t f = 0; f < j->io->n_files; f++) {
        const struct tat_io_file * file = &j->io->files[f];
        if (!j->bytes.file_of[f]) { continue; }
        if (!begun) {
            result_table(r, "extents", "Where the model's files lie", SHOW_ASKED, columns,
                         sizeof columns / sizeof columns[0]);
        }
        begun = true;
        json_t * row = result_row(r);
        uint64_t fragments = 0, backward = 0, largest = 0, run = 0;
        for (size_t i = 0; i < file->n_extents; i++) {
            const struct tat_io_extent *e = &file->extents[i], *before = i ? e - 1 : NULL;
            const bool joins = before && before->file_offset + before->bytes == e->file_offset &&
                               before->disk_offset + before->bytes == e->disk_offset;
            fragments += !joins;
            backward += before && e->disk_offset < before->disk_offset;
            run = joins ? run + e->bytes : e->bytes;
            if (run > largest) { largest = run; }
        }
        result_put_text(r, row, "file", last_part(file->path));
        result_put_text(r, row, "file_system", file->file_system);
        if (*file->no_extents) { result_put_text(r, row, "why", file->no_extents); }
        if (!file->n_extents) { continue; }
        result_put_count(r, row, "fragments", fragments);
        result_put_count(r, row, "largest_bytes", largest);
        result_put_count(r, row, "backward", backward);
    }
}

void disk_tables(const struct joined * j, const struct cache * c, struct result * r) {
    size_t n;
    struct read_request * x = find_requests(j, &n);
    r->failed |= !x;
    if (!x) { return; }
    const struct disk_known known = put_known(j, r);
    if (n) { say_rates(&known, x, n, r); }
    add_order(j, c, x, n, r);
    if (n) { add_throughput(j, x, n, r); }
    add_extents(j, r);
    free(x);
}
