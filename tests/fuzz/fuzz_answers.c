/* SPDX-License-Identifier: MIT
 *
 * Any blocks as a trace, of which `tat verify' and `tat report' ask all they ask: they answer, or say why not. Run as
 *
 *     fuzz_answers -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "tat/analysis.h"
#include "tat/verify.h"

enum {
    RECORDS_MOST  = 1 << 18, /* a small trace may stand for any number */
    SECTIONS_MOST = 32,
};

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static bool count_down(const struct tat_access * records, size_t count, void * user) {
    uint64_t * const left = user;
    (void) records;
    *left = *left > count ? *left - count : 0;
    return *left > 0;
}

static bool is_short(const struct tat_trace * trace) {
    struct tat_error error;
    uint64_t         left = RECORDS_MOST;
    uint32_t         count;
    tat_trace_evaluations(trace, &count);
    tat_trace_expand(trace, 0, count, count_down, &left, &error);
    return left > 0;
}

static void ask(const struct tat_trace * trace) {
    struct tat_verification verification;
    struct tat_error        error = { 0 };
    if (tat_verify(trace, &verification, &error) != 0 && !*error.message) { abort(); }
    const struct tat_analysis_options options = { .memory_bytes = 1 << 20, .disk_bytes_per_second = 1 << 30 };
    const char *                      names[SECTIONS_MOST];
    unsigned                          count = 0;
    for (; tat_analysis_name(count); count++) { /* slow ones too, which have to be named */
        if (count == SECTIONS_MOST) { abort(); }
        names[count] = tat_analysis_name(count);
    }
    char * answer = tat_analyze(trace, names, count, &options, &error);
    if (!answer && !*error.message) { abort(); }
    free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_error     error;
    tb_begin(&b);
    put_blocks(&b, data, size);
    struct tat_trace * trace = tb_open(&b, &error);
    if (!trace) { abort(); } /* the header is right */
    if (is_short(trace)) { ask(trace); }
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
