/* SPDX-License-Identifier: MIT
 *
 * Any blocks as a trace, of which `tat verify', `tat report', `tat plan' and `tat view' ask all they ask: they answer,
 * or say why not. Run as
 *
 *     fuzz_answers -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/planning/planning.h"
#include "analysis/view/graph_layout.h"
#include "analysis/view/records.h"
#include "blocks.h"
#include "short.h"
#include "tat/analysis.h"
#include "tat/verify.h"

enum { SECTIONS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static void ask_for_plans(const struct tat_trace * trace) {
    struct tat_error error = { 0 };
    const struct planning_request request = { .memory_bytes = 20 << 20, .program_bytes = 13 << 20, .disk_rate = 1e9 };
    json_t * plan = planning_make(trace, &request, &error);
    if (!plan && !*error.message) { abort(); }
    json_t * pattern = planning_access_pattern(trace, &request, &error);
    if (!pattern && !*error.message) { abort(); }
    json_decref(plan);
    json_decref(pattern);
}

static void ask(const struct tat_trace * trace) {
    struct tat_verification verification;
    struct tat_error error = { 0 };
    if (tat_verify(trace, &verification, &error) != 0 && !*error.message) { abort(); }
    const char * names[SECTIONS_MAX]; /* all, slow ones too */
    size_t n = 0;
    while (n < SECTIONS_MAX && (names[n] = tat_analysis_name((unsigned) n))) { n++; }
    struct tat_analysis_options options = { .memory_bytes = 1 << 20, .disk_bytes_per_second = 1 << 30 };
    for (uint32_t part = 0; part < 2; part++) { /* all, then some layers and tokens */
        options.scope = (struct tat_scope){ part, 4 * part, part, 3 * part };
        char * answer = tat_analyze(trace, names, part ? 0 : n, &options, &error);
        if (!answer && !*error.message) { abort(); }
        free(answer);
    }
    const struct tat_analysis_options blocks = { .memory_bytes = 1 << 16, .cache_unit = 512, .read_ahead = 8 };
    char * answer = tat_analyze(trace, (const char * const[]){ "caching" }, 1, &blocks, &error);
    if (!answer && !*error.message) { abort(); }
    free(answer);
}

static void ask_for_pages(struct view_records * view, const char * const * parameters) {
    struct tat_error error = { 0 };
    for (unsigned order = 0; order < RECORDS_ORDERS; order += 3) { /* by time, by bytes, by offset */
        struct records_query query = { .order = (enum records_order) order, .count = 50 };
        struct records_page page = { 0 };
        bool good = true;
        for (const char * const * p = parameters; *p; p += 2) {
            good = good && records_query_set(&query, p[0], p[1], &error) == 0;
        }
        if (!good) { abort(); }
        const int status = view_records_page(view, &query, &page, &error);
        if (status != 0 ? !*error.message : page.total < page.count || page.reachable > page.total) { abort(); }
        records_page_free(&page);
        records_query_free(&query);
    }
}

static void ask_for_records(const struct tat_trace * trace) {
    static const char * const queries[][5] = {
        { NULL },
        { "near", "1000", NULL },
        { "expert", "0:3", "phase", "generate", NULL },
        { "lo", "64", "hi", "4096", NULL },
        { "t0", "500", "tensor", "blk", NULL },
        { "graph", "0", "node", "1", NULL },
    };
    struct tat_error error = { 0 };
    struct view_records * view = view_records_new(trace, &error);
    if (!view) { abort(); }
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) { ask_for_pages(view, queries[i]); }
    view_records_free(view);
}

static void ask_for_graphs(const struct tat_trace * trace) {
    uint32_t n;
    tat_trace_evaluations(trace, &n);
    for (uint32_t i = 0; i < n && i < 4; i++) {
        struct tat_error error = { 0 };
        struct graph_layout layout;
        if (graph_layout_make(trace, i, (int32_t) i - 1, &layout, &error) != 0 && !*error.message) { abort(); }
        graph_layout_free(&layout);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_trace * trace = open_blocks(&b, data, size);
    if (is_short(trace)) {
        ask(trace);
        ask_for_plans(trace);
        ask_for_records(trace);
        ask_for_graphs(trace);
    }
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
