/* SPDX-License-Identifier: MIT */
#include "cli/doctor_memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/speed/speed.h"
#include "cli/state_json.h"
#include "cli/table.h"
#include "cli/units.h"
#include "doctor/roofs.h"
#include "export/host_facts.h"

/* ---- as JSON, which is what is kept ---- */

static json_t * measured_json(const struct roofs * roofs) {
    json_t *reads = json_array(), *arithmetic = json_array();
    for (size_t i = 0; i < roofs->n_reads; i++) {
        const struct roof_read * r = &roofs->read[i];
        json_array_append_new(reads, json_pack("{s:i, s:I, s:f, s:f, s:f}", "threads", (int) r->threads, "buffer_bytes",
                                               (json_int_t) r->buffer_bytes, "per_second", r->per_second, "low", r->low,
                                               "high", r->high));
    }
    for (size_t i = 0; i < roofs->n_arithmetic; i++) {
        const struct roof_arithmetic * a = &roofs->arithmetic[i];
        json_array_append_new(arithmetic, json_pack("{s:i, s:f, s:f, s:f}", "threads", (int) a->threads, "per_second",
                                                    a->per_second, "low", a->low, "high", a->high));
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "host", host_identity_json(), "measured", (json_int_t) time(NULL),
                     "cache_bytes", (json_int_t) roofs->cache_bytes, "reads", reads, "arithmetic", arithmetic);
}

/* ---- as a table ---- */

static int print_rates(const struct roofs * roofs) {
    static const struct column columns[] = {
        { "THREADS", .right = true }, { "READING", .right = true }, { "BYTES/S", .right = true },
        { "LEAST", .right = true },   { "MOST", .right = true },    { "F32 FLOP/S", .right = true },
    };
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < roofs->n_reads; i++) {
        const struct roof_read * r = &roofs->read[i];
        char threads[UNITS_SIZE], buffer[UNITS_SIZE], rate[UNITS_SIZE], low[UNITS_SIZE], high[UNITS_SIZE],
            flops[UNITS_SIZE] = "";
        snprintf(threads, sizeof threads, "%u", r->threads);
        for (size_t k = 0; k < roofs->n_arithmetic && i % ROOF_BUFFERS == 0; k++) {
            if (roofs->arithmetic[k].threads != r->threads) { continue; }
            snprintf(flops, sizeof flops, "%.1f G", roofs->arithmetic[k].per_second / 1e9);
        }
        table_row(table,
                  (const char *[]){ threads, format_bytes(buffer, r->buffer_bytes),
                                    format_bytes(rate, (uint64_t) r->per_second), format_bytes(low, (uint64_t) r->low),
                                    format_bytes(high, (uint64_t) r->high), flops });
    }
    return table_print(table, stdout);
}

/* Of a machine that did nothing else, rounds are alike. */
static bool differ(const struct roofs * roofs) {
    for (size_t i = 0; i < roofs->n_reads; i++) {
        if (roofs->read[i].high > 1.2 * roofs->read[i].low) { return true; }
    }
    return false;
}

static int show(const struct roofs * roofs, const json_t * measured, const char * path, bool as_json) {
    char cache[UNITS_SIZE];
    if (as_json) { return json_dumpf(measured, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ? -1 : 0; }
    if (print_rates(roofs) != 0) { return -1; }
    printf("\nThe last cache holds %s. A buffer is read by all threads together, each its part: what fits the cache "
           "comes from "
           "it, the rest from memory. Medians of %d rounds. Kept in %s, where `tat report' finds it.\n",
           format_bytes(cache, roofs->cache_bytes), ROOF_ROUNDS, path);
    if (differ(roofs)) {
        printf("\nThe rounds differ by more than 20 %%: other programs ran. Measure again when the machine is idle.\n");
    }
    return 0;
}

int doctor_memory(bool as_json, struct tat_error * error) {
    struct roofs * roofs = calloc(1, sizeof *roofs);
    int status = roofs ? roofs_measure(roofs, error) : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    json_t * measured = status == 0 ? measured_json(roofs) : NULL;
    char * path = measured ? roofs_path(json_object_get(measured, "host")) : NULL;
    if (status == 0) { status = state_json_keep(path, measured, error); }
    if (status == 0 && show(roofs, measured, path, as_json) != 0) {
        status = tat_fail_errno(error, "writing what was measured");
    }
    json_decref(measured);
    free(path);
    free(roofs);
    return status;
}
