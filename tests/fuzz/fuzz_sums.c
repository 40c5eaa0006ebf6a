/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the sums for pictures that are kept beside a trace: as the whole file, and behind a header that is right,
 * where the first byte says how many marks there are. What is taken makes sense. Run as
 *
 *     fuzz_sums -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/file_map.h"
#include "analysis/view/pyramid_file.h"
#include "small_model.h"
#include "sums_seal.h"

enum { TOKENS = 70 };

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

/* A trace of so many tokens, opened once, and its sums. */
static struct {
    struct tat_trace * trace;
    struct subject s;
    struct token_axis axis;
    uint8_t * bytes;
    size_t count;
} known;

static void know(void) {
    struct trace_builder b;
    struct small_model m;
    struct tat_error error;
    if (known.trace) { return; }
    small_model_begin(&b, &m);
    const uint32_t generate = small_model_template(&b, &m, 1);
    for (uint32_t i = 0; i < TOKENS; i++) {
        small_model_evaluate(&b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ i % 4, (i + 1) % 4 });
    }
    known.trace = small_model_open(&b);
    tb_free(&b);
    if (!subject_begin(&known.s, known.trace, NULL) || !token_axis_begin(&known.axis, &known.s)) { abort(); }
    struct pyramid * p = pyramid_make(&known.s, &known.axis, NULL, NULL, &error);
    known.bytes = p ? pyramid_to_bytes(p, known.trace, &known.count) : NULL;
    if (!known.bytes) { abort(); }
    pyramid_free(p);
}

static void check(const struct pyramid * p) {
    for (size_t i = 0; i < p->n_blocks * p->row; i++) {
        if (!isfinite(p->sums[i]) || p->sums[i] < 0) { abort(); }
    }
    for (uint32_t i = 0; i < p->n_marks; i++) {
        const struct pyramid_mark * mark = &p->marks[i];
        if (mark->before > p->n_evaluations || mark->token > p->n_tokens) { abort(); }
        if (i && (mark->before <= mark[-1].before || mark->token <= mark[-1].token)) { abort(); }
        for (size_t r = 0; i && r < 2 * (size_t) p->slices.count; r++) {
            if (mark->reads[r] < mark[-1].reads[r]) { abort(); }
        }
    }
}

static void read_bytes(const uint8_t * bytes, size_t count) {
    struct tat_error error;
    struct pyramid * p = pyramid_from_bytes(&known.s, &known.axis, bytes, count);
    if (!p) { return; }
    check(p);
    for (uint64_t tokens = 0; tokens <= TOKENS; tokens += 10) {
        const struct file_map_query q = { .tokens = tokens, .hi = UINT64_MAX };
        json_t * map = view_file_map(&known.s, &q, p, &error);
        if (!map) { abort(); }
        json_decref(map);
    }
    pyramid_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    know();
    read_bytes(data, size);
    if (size == 0) { return 0; }
    const uint32_t n_marks = *data;
    const size_t count = SUMS_HEADER + size - 1;
    uint8_t * bytes = malloc(count);
    if (!bytes) { abort(); }
    memcpy(bytes, known.bytes, SUMS_HEADER);
    memcpy(bytes + SUMS_MARKS_AT, &n_marks, sizeof n_marks);
    memcpy(bytes + SUMS_HEADER, data + 1, size - 1);
    sums_seal(bytes, count);
    read_bytes(bytes, count);
    free(bytes);
    return 0;
}
