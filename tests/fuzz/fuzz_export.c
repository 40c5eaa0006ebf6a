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
    if (!filter || (heads && tat_filter_add(filter, "heads", "all", &error) != 0)) { abort(); }
    const struct access_request request = { .filter = filter, .limit = EXPORTED_MOST };
    access_writer_begin(&writer, format, trace, out, "out");
    if (access_stream(&request, trace, &writer, &error) != 0 && !*error.message) { abort(); }
    if (format == &access_bin) { access_bin_describe(&writer, out, &error); }
    access_writer_free(&writer);
    tat_filter_free(filter);
}

/* What passes a filter, and what of all records should. */
struct passing {
    uint64_t passed, should, left;
};

static bool count_passed(const struct tat_access * records, size_t count, void * user) {
    struct passing * p = user;
    for (size_t i = 0; i < count; i++) {
        if (records[i].layer > 2 || (records[i].expert != TAT_NO_EXPERT && records[i].expert > 5)) { abort(); }
    }
    p->passed += count;
    p->left = p->left > count ? p->left - count : 0;
    return p->left;
}

static bool count_due(const struct tat_access * records, size_t count, void * user) {
    struct passing * p = user;
    for (size_t i = 0; i < count; i++) {
        p->should += records[i].layer <= 2 && (records[i].expert <= 5 || records[i].expert == TAT_NO_EXPERT);
    }
    p->left = p->left > count ? p->left - count : 0;
    return p->left;
}

/* Of records without an expert; the others were counted before. */
static bool count_none(const struct tat_access * records, size_t count, void * user) {
    struct passing * p = user;
    for (size_t i = 0; i < count; i++) { p->passed += records[i].expert == TAT_NO_EXPERT; }
    p->left = p->left > count ? p->left - count : 0;
    return p->left;
}

/* Layers 0 to 2, with experts 0 to 5 or none: two filters, as one takes either. Places and times need only end. */
static void choose(const struct tat_trace * trace) {
    static const char * const experts[] = { "0:5", NULL };
    struct passing p = { .left = EXPORTED_MOST };
    struct tat_error error;
    size_t count;
    int status = tat_trace_expand(trace, 0, UINT32_MAX, count_due, &p, &error);
    p.left = EXPORTED_MOST;
    for (int i = 0; i < 2 && status == 0; i++) {
        struct tat_filter * filter = tat_filter_new(trace, &error);
        if (!filter || tat_filter_add(filter, "layers", ":2", &error) != 0) { abort(); }
        if (experts[i]) { tat_filter_add(filter, "experts", experts[i], &error); }
        status = tat_filter_expand(filter, 0, UINT32_MAX, experts[i] ? count_passed : count_none, &p, &error);
        tat_filter_free(filter);
    }
    if (status == 0 && p.passed != p.should) { abort(); }
    struct tat_filter * places = tat_filter_new(trace, &error);
    if (!places) { abort(); }
    tat_filter_add(places, "at", "100:70000", &error);
    tat_filter_add(places, "at", "0x100000:", &error);
    tat_filter_add(places, "files", "1", &error);
    tat_filter_add(places, "heads", "0:1", &error);
    tat_filter_add(places, "at_time", "5us:", &error);
    tat_filter_accesses(places, 0, GRAPHS_MOST, NULL, 0, &count, &error);
    tat_filter_free(places);
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
    choose(trace);
    export(trace, &access_csv, false, out);
    export(trace, &access_tsv, true, out);
    export(trace, &access_jsonl, false, out);
    export(trace, &access_bin, true, out);
    export(trace, &access_perfetto, false, out);
    show(trace, out);
    if (is_short(trace)) { plan(trace, out); }
    fclose(out);
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
