/* SPDX-License-Identifier: MIT
 *
 * Any blocks as a trace: opening answers, and whatever it hands out can be read. Run as
 *
 *     fuzz_trace -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

enum { RECORDS_MOST = 1 << 18 }; /* a small trace may stand for any number */

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

/* Reads every byte, so that the sanitizer sees it. */
static size_t touch(const char * text) {
    return strlen(text);
}

static bool check(const struct tat_access * records, size_t count, void * user) {
    uint64_t * const left = user;
    for (size_t i = 0; i < count; i++) {
        if (records[i].operand > TAT_MAX_SRC || records[i].rows == 0) { abort(); }
    }
    *left = *left > count ? *left - count : 0;
    return *left > 0;
}

static void touch_tables(const struct tat_trace * trace) {
    uint32_t n_tensors, n;
    tat_trace_tensors(trace, &n_tensors);
    for (uint32_t i = 0; i < n_tensors; i++) {
        const struct tat_tensor * t = &tat_trace_tensors(trace, &n)[i];
        touch(t->name);
        touch(t->type_name);
        touch(t->buffer_name);
    }
    const struct tat_template * templates = tat_trace_templates(trace, &n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < templates[i].n_leaves + templates[i].n_nodes; k++) {
            const struct tat_entry * e = &templates[i].entries[k];
            touch(e->name);
            if (e->tensor >= n_tensors || strcmp(e->op, tat_trace_op_name(trace, e->op_index)) != 0) { abort(); }
        }
        for (uint32_t rule = 0; rule < TAT_RULE_COUNT; rule++) {
            const struct tat_expectation x = tat_template_expect(&templates[i], rule);
            if (x.n_callbacks + x.n_fused != x.n_executable) { abort(); }
        }
    }
    const struct tat_event * events = tat_trace_events(trace, &n);
    for (uint32_t i = 0; i < n; i++) { touch(events[i].text); }
    const struct tat_model_file * files = tat_trace_model_files(trace, &n);
    for (uint32_t i = 0; i < n; i++) { touch(files[i].path); }
}

static void touch_evaluations(const struct tat_trace * trace) {
    uint32_t n, n_templates;
    uint64_t left = RECORDS_MOST;
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    struct tat_error error;
    int64_t values[16];
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].template_id >= n_templates || e[i].end_ns < e[i].begin_ns) { abort(); }
        for (uint32_t c = 0; c < templates[e[i].template_id].n_captures && c < 16; c++) {
            tat_trace_capture(trace, i, c, values, 16);
        }
    }
    tat_trace_expand(trace, 0, n, check, &left, &error);
}

/* Arrays that hold a part: what is stored is there, and no more is. */
static void touch_arrays(const struct tat_trace * trace) {
    enum { ROOM = 64, EVALUATIONS = 8 };
    struct tat_wait waits[ROOM];
    struct tat_token tokens[ROOM];
    struct tat_selection selections[ROOM];
    uint32_t n_evaluations;
    size_t count;
    tat_trace_evaluations(trace, &n_evaluations);
    tat_trace_waits(trace, 0, EVALUATIONS, waits, ROOM, &count, NULL);
    for (size_t i = 0; i < count && i < ROOM; i++) {
        if (waits[i].evaluation >= n_evaluations || waits[i].ns > UINT32_MAX) { abort(); }
    }
    tat_trace_tokens(trace, 0, EVALUATIONS, tokens, ROOM, &count, NULL);
    for (size_t i = 0; i < count && i < ROOM; i++) {
        if (tokens[i].evaluation >= n_evaluations || tokens[i].id < TAT_NO_TOKEN_ID) { abort(); }
    }
    tat_trace_routing(trace, 0, EVALUATIONS, selections, ROOM, &count, NULL);
    for (size_t i = 0; i < count && i < ROOM; i++) {
        if (selections[i].evaluation >= n_evaluations || selections[i].zero) { abort(); }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_trace * trace = open_blocks(&b, data, size);
    touch_tables(trace);
    touch_evaluations(trace);
    touch_arrays(trace);
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
