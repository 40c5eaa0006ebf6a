/* SPDX-License-Identifier: MIT */
#include "cli/doctor_disk.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/disk_kept.h"
#include "analysis/state_file.h"
#include "cli/state_json.h"
#include "cli/table.h"
#include "cli/units.h"
#include "doctor/disk.h"
#include "export/host_facts.h"

enum {
    ROUND_NS = 50000000,
    SMALL = 64 << 10, /* no page of a kernel is large that has no more */
};

static const char * const hows[] = { "mapped", "mapped, MADV_RANDOM", "read",
                                     "direct", "direct, burst",       "direct, burst, busy" };

static const char * order_of(const struct disk_rate * rate) {
    return rate->random ? "random" : "sequential";
}

/* ---- as JSON, which is what is kept ---- */

static json_t * rate_json(const struct disk_rate * r) {
    return json_pack("{s:s, s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "how", hows[r->how], "order", order_of(r),
                     "block_bytes", (json_int_t) r->block, "depth", (int) r->depth, "per_second", r->per_second, "low",
                     r->low, "high", r->high, "p50_ns", r->p50_ns, "p99_ns", r->p99_ns);
}

static json_t * measured_json(const struct disk_rates * d) {
    json_t * rates = json_array();
    for (size_t i = 0; i < d->n_rates; i++) {
        if (d->rate[i].per_second > 0) { json_array_append_new(rates, rate_json(&d->rate[i])); }
    }
    return json_pack("{s:o, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:s, s:s, s:o}", "host", host_identity_json(),
                     "measured", (json_int_t) time(NULL), "device", d->device, "model", d->model, "file_system",
                     d->system, "file_bytes", (json_int_t) d->bytes, "read_ahead_bytes", (json_int_t) d->ahead,
                     "buffer_page_bytes", (json_int_t) d->into, "resident_share", d->resident, "told_together_share",
                     d->together, "not_direct", d->direct, "not_through_cache", d->through, "rates", rates);
}

/* ---- as tables ---- */

static const char * format_speed(char text[static UNITS_SIZE], double per_second) {
    return per_second > 0 ? format_mean_bytes(text, per_second) : "-";
}

static int print_through(const struct disk_rates * d) {
    static const struct column columns[] = {
        { .name = "HOW" },           { .name = "ORDER" },
        { "BLOCK", .right = true },  { "BYTES/S", .right = true },
        { "LEAST", .right = true },  { "MOST", .right = true },
        { "MEDIAN", .right = true }, { "P99", .right = true },
    };
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < d->n_rates; i++) {
        const struct disk_rate * r = &d->rate[i];
        char block[UNITS_SIZE], rate[UNITS_SIZE], low[UNITS_SIZE], high[UNITS_SIZE], p50[UNITS_SIZE], p99[UNITS_SIZE];
        if (disk_is_direct(r->how)) { continue; }
        table_row(table, (const char *[]){ hows[r->how], order_of(r), format_bytes(block, r->block),
                                           format_speed(rate, r->per_second), format_speed(low, r->low),
                                           format_speed(high, r->high), format_duration(p50, (uint64_t) r->p50_ns),
                                           format_duration(p99, (uint64_t) r->p99_ns) });
    }
    return table_print(table, stdout);
}

static const struct disk_rate * find_rate(const struct disk_rates * d, enum disk_how how, bool random, unsigned depth,
                                          uint32_t block) {
    for (size_t i = 0; i < d->n_rates; i++) {
        const struct disk_rate * r = &d->rate[i];
        if (r->how == how && r->random == random && r->depth == depth && r->block == block) { return r; }
    }
    return NULL;
}

/* Rates by how many requests and, across, by the size of a block. */
struct grid {
    const char * depth; /* what the first column is called */
    enum disk_how how;
    bool has_orders; /* sequential too, which a second column tells */
    const uint32_t * blocks;
    int n_blocks;
    const unsigned * depths;
    int n_depths;
};

static int print_grid(const struct disk_rates * d, const struct grid * g) {
    _Static_assert((int) DISK_BURST_BLOCKS <= (int) DISK_BLOCKS, "columns");
    struct column columns[2 + DISK_BLOCKS] = { { g->depth, .right = true }, { .name = "ORDER" } };
    char names[DISK_BLOCKS][UNITS_SIZE];
    const int first = g->has_orders ? 2 : 1;
    for (int b = 0; b < g->n_blocks; b++) {
        columns[first + b] = (struct column){ format_bytes(names[b], g->blocks[b]), .right = true };
    }
    struct table * table = table_new(columns, (size_t) (first + g->n_blocks));
    for (int row = 0; row < (g->has_orders ? 2 : 1) * g->n_depths; row++) {
        const unsigned depth = g->depths[row % g->n_depths];
        const bool random = !g->has_orders || row >= g->n_depths;
        char count[UNITS_SIZE], rates[DISK_BLOCKS][UNITS_SIZE];
        const char * cells[2 + DISK_BLOCKS] = { count, random ? "random" : "sequential" };
        snprintf(count, sizeof count, "%u", depth);
        for (int b = 0; b < g->n_blocks; b++) {
            const struct disk_rate * r = find_rate(d, g->how, random, depth, g->blocks[b]);
            cells[first + b] = format_speed(rates[b], r ? r->per_second : 0);
        }
        table_row(table, cells);
    }
    return table_print(table, stdout);
}

static int print_direct(const struct disk_rates * d) {
    return print_grid(
        d, &(struct grid){ "AT ONCE", DISK_DIRECT, true, disk_blocks, DISK_BLOCKS, disk_depths, DISK_DEPTHS });
}

static int print_bursts(const struct disk_rates * d, enum disk_how how) {
    return print_grid(d, &(struct grid){ "TOGETHER", how, false, disk_burst_blocks, DISK_BURST_BLOCKS,
                                         disk_burst_depths, DISK_BURST_DEPTHS });
}

static const struct disk_rate * fastest(const struct disk_rates * d) {
    const struct disk_rate * best = NULL;
    for (size_t i = 0; i < d->n_rates; i++) {
        if (d->rate[i].per_second > (best ? best->per_second : 0)) { best = &d->rate[i]; }
    }
    return best;
}

/* A page at a time is how a mapped model is read whose experts, or pages that were dropped, are needed again. */
static void say_answer(const struct disk_rates * d) {
    const struct disk_rate *best = fastest(d), *fault = find_rate(d, DISK_MAPPED, true, 1, disk_blocks[0]),
                           *alone = find_rate(d, DISK_MAPPED_RANDOM, true, 1, disk_blocks[0]);
    char rate[UNITS_SIZE], block[UNITS_SIZE], ahead[UNITS_SIZE], median[UNITS_SIZE];
    if (best) {
        printf("%s: %s/s at best: %s, in %s order, blocks of %s, %u at once.\n",
               *d->device ? d->device : "This file system", format_speed(rate, best->per_second), hows[best->how],
               order_of(best), format_bytes(block, best->block), best->depth);
    }
    if (fault && fault->per_second > 0) {
        printf("A page here and there of a mapped file, as from experts or pages that were dropped: %s/s, %s a fault",
               format_speed(rate, fault->per_second), format_duration(median, (uint64_t) fault->p50_ns));
        if (d->ahead) { printf("; the kernel reads up to %s with each", format_bytes(ahead, d->ahead)); }
        printf(".\n");
    }
    if (alone && alone->per_second > 0) {
        printf("With MADV_RANDOM it reads the page alone: %s/s, %s a fault.\n", format_speed(rate, alone->per_second),
               format_duration(median, (uint64_t) alone->p50_ns));
    }
}

/* What is read into counts as much as how it is read. */
static void say_direct(const struct disk_rates * d) {
    char page[UNITS_SIZE];
    printf("Past it (O_DIRECT, io_uring), into memory in pages of %s%s,\nbytes/s by block and requests at once:\n",
           format_bytes(page, d->into),
           d->into > SMALL ? ", as `tat run` reads" : ", as this kernel makes no large ones");
}

static int show(const struct disk_rates * d, const json_t * measured, bool as_json) {
    if (as_json) { return json_dumpf(measured, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ? -1 : 0; }
    say_answer(d);
    putchar('\n');
    if (*d->through) { printf("Nothing was read through the page cache. %s.\n", d->through); }
    if (!*d->through) { printf("Through the page cache, one thread:\n"); }
    if (!*d->through && print_through(d) != 0) { return -1; }
    putchar('\n');
    if (*d->direct) { printf("Nothing was read past the page cache. %s.\n", d->direct); }
    if (!*d->direct) { say_direct(d); }
    if (!*d->direct && print_direct(d) != 0) { return -1; }
    if (!*d->direct) {
        printf("\nLikewise, but an idle disk, and so many requests together, until the last has ended:\n");
    }
    if (!*d->direct && print_bursts(d, DISK_BURST) != 0) { return -1; }
    if (!*d->direct) {
        printf("\nThe same, while all processors compute, as those of a program that generates tokens:\n");
    }
    if (!*d->direct && print_bursts(d, DISK_BURST_BUSY) != 0) { return -1; }
    if (d->together >= 0) {
        printf("\nOf reads that another one joined when they were half done, %.0f %% ended with it%s.\n",
               100 * d->together, d->together > 0.5 ? ": this disk tells of reads together" : "");
    }
    printf("\nBytes that were asked for, by time: medians of %d rounds, all rates in turn. MEDIAN and P99 are of one "
           "request. What the disk, or the machine below a virtual one, has in a cache of its own reads faster.\n",
           DISK_ROUNDS);
    if (disk_kept_was_busy(measured)) {
        printf("\nOf more than a quarter of the rates, one round was twice as fast as another: other programs ran. "
               "Measure again when the machine is idle.\n");
    }
    return 0;
}

/* A disk, as a host names it. */
static char * path_of(const struct disk_rates * d) {
    char name[sizeof d->device + 16];
    snprintf(name, sizeof name, "disk-%s.json", *d->device ? d->device : d->system);
    return state_file(name);
}

/* Where there is no place for it, the figures were shown all the same. */
static void keep(const struct disk_rates * d, const json_t * measured, bool as_json) {
    struct tat_error error;
    char * path = path_of(d);
    if (state_json_keep(path, measured, &error) != 0) {
        fprintf(stderr, "tat doctor: warning: not kept: %s\n", error.message);
    } else if (!as_json) {
        printf("Kept in %s.\n", path);
    }
    free(path);
}

int doctor_disk(const char * path, bool as_json, struct tat_error * error) {
    struct disk_rates * d = calloc(1, sizeof *d);
    int status = d ? disk_measure(d, path, ROUND_NS, error) : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    json_t * measured = status == 0 ? measured_json(d) : NULL;
    if (status == 0 && !measured) { status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (status == 0 && show(d, measured, as_json) != 0) { status = tat_fail_errno(error, "writing what was measured"); }
    if (status == 0) { keep(d, measured, as_json); }
    json_decref(measured);
    free(d);
    return status;
}
