/* SPDX-License-Identifier: MIT
 *
 * Any blocks as a trace, written in every format that `tat dump' and `tat export' have, experts included. Attention by
 * head keeps the bytes. Run as
 *
 *     fuzz_export -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "export/access_stream.h"
#include "export/block_text.h"
#include "export/expert_plan.h"
#include "format/access_heads.h"
#include "short.h"

enum { EXPORTED_MOST = 1 << 14, GRAPHS_MOST = 4 }; /* a small trace may stand for any number */

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

struct sums {
    struct access_heads * heads;
    uint64_t whole, parts, left;
};

static bool add_part(const struct tat_access * a, struct tat_layout layout, void * user) {
    struct sums * s = user;
    const bool has = a->head_first != TAT_NO_HEAD;
    if (has && a->rows > 1 && layout.run_bytes * a->rows != a->bytes) { abort(); }
    s->parts += a->bytes;
    return true;
}

static bool add(const struct tat_access * records, size_t count, void * user) {
    struct sums * s = user;
    for (size_t i = 0; i < count; i++) { s->whole += records[i].bytes; }
    s->left = s->left > count ? s->left - count : 0;
    return tat_access_heads_split(s->heads, records, count, add_part, s) && s->left;
}

static void split(const struct tat_trace * trace) {
    struct tat_error error;
    uint32_t count;
    struct sums s = { .heads = tat_access_heads_new(trace, &error), .left = EXPORTED_MOST };
    tat_trace_evaluations(trace, &count);
    /* One that was ended may be in the middle of an operand. */
    if (s.heads && tat_trace_expand(trace, 0, count, add, &s, &error) == 0 && s.whole != s.parts) { abort(); }
    tat_access_heads_free(s.heads);
}

static void export(const struct tat_trace * trace, const struct access_format * format, bool heads, FILE * out) {
    static struct access_writer writer;
    struct tat_error error = { 0 };
    struct tat_filter * filter = tat_filter_new(trace, &error);
    const struct access_request request = { .filter = filter, .limit = EXPORTED_MOST };
    if (!filter || (heads && tat_filter_add(filter, "heads", "all", &error) != 0)) { abort(); }
    access_writer_begin(&writer, format, trace, out, "out");
    if (access_stream(&request, trace, &writer, &error) != 0 && !*error.message) { abort(); }
    if (format == &access_bin) { access_bin_describe(&writer, out, &error); }
    access_writer_free(&writer);
    tat_filter_free(filter);
}

static void show(const struct tat_trace * trace, FILE * out) {
    struct tat_error error;
    for (enum text_format format = TEXT_TABLE; format <= TEXT_JSON; format++) {
        blocks_text(trace, format, out, &error);
        for (uint32_t e = 0; e < GRAPHS_MOST; e++) { graph_text(trace, e, format, out, &error); }
    }
}

static void plan(const struct tat_trace * trace, FILE * out) {
    struct expert_counts counts = { 0 };
    struct expert_plan p;
    struct tat_error error = { 0 };
    if (expert_counts_add(&counts, trace, NULL, "trace", &error) == 0) {
        expert_counts_write(&counts, true, out, "out", &error);
        expert_mask_write(&counts, 1 << 20, 0, false, out, "out", &p, &error);
        if (p.kept_bytes > 1 << 20 || p.kept > p.all || p.kept_choices > p.choices) { abort(); }
        expert_mask_write(&counts, 0, 2, false, out, "out", &p, &error);
        expert_rules_write(&counts, 1 << 10, out, "out", &p, &error);
    } else if (!*error.message) {
        abort();
    }
    expert_counts_free(&counts);
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_trace * trace = open_blocks(&b, data, size);
    FILE * out = fopen("/dev/null", "w");
    if (!out) { abort(); }
    split(trace);
    export(trace, &access_csv, false, out);
    export(trace, &access_tsv, true, out);
    export(trace, &access_jsonl, false, out);
    export(trace, &access_bin, true, out);
    show(trace, out);
    if (is_short(trace)) { plan(trace, out); }
    fclose(out);
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
