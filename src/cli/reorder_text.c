/* SPDX-License-Identifier: MIT */
#include "cli/reorder_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "analysis/result.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

static double per_token(uint64_t sum, const struct file_seeks * s) {
    return ratio(sum, s->tokens);
}

static uint64_t bytes_of_files(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t sum = 0;
    const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
    for (uint32_t i = 0; i < count; i++) { sum += files[i].size; }
    return sum;
}

/* Bytes of the largest tensor that holds several experts; 0: there is none. */
static uint64_t largest_stack(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t largest = 0;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (tensors[i].n_slices > 1 && tensors[i].bytes > largest) { largest = tensors[i].bytes; }
    }
    return largest;
}

static uint64_t lost_bytes(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t total, lost = 0;
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    for (uint32_t i = 0; i < count; i++) {
        const bool gap = findings[i].kind == TAT_GGUF_GAP || findings[i].kind == TAT_GGUF_TRAILING;
        lost += gap ? findings[i].bytes : 0;
    }
    return lost;
}

/* ---- in words ---- */

static void print_source(const struct reorder_outcome * o) {
    const struct reorder_source * s = o->source;
    uint32_t n;
    char tokens[UNITS_SIZE], before[UNITS_SIZE], after[UNITS_SIZE];
    tat_gguf_tensors(o->gguf, &n);
    if (s->trace) {
        printf("order      as %s %s%s read them in\n           ", format_count(tokens, s->order.tokens),
               s->order.generated ? "generated token" : "evaluation of a prompt", s->order.tokens == 1 ? "" : "s");
        print_safe(s->path, stdout);
        putchar('\n');
    } else {
        printf("order      layer by layer, by the names of the tensors, without a trace of\n"
               "           this model; so the figures are those of one pass that reads every\n"
               "           tensor once and whole\n");
    }
    if (s->order.n_read < n) { printf("not read   %u tensors, which go to the end\n", n - s->order.n_read); }
    printf("moved      %u of %u tensors\n", o->moved, n);
    printf("files      %s, with an alignment of %u: %s, with %u\n\n", format_bytes(before, bytes_of_files(o->gguf)),
           o->files->parts[0].rewrite.file->alignment, format_bytes(after, o->files->bytes),
           o->files->parts[0].rewrite.alignment);
}

static const char * number(char text[static UNITS_SIZE], double value) {
    snprintf(text, UNITS_SIZE, "%.1f", value);
    return text;
}

static void add_numbers(struct table * table, const char * what, double before, double after) {
    char text[2][UNITS_SIZE];
    table_row(table, (const char *[]){ what, number(text[0], before), number(text[1], after) });
}

static void add_bytes(struct table * table, const char * what, double before, double after) {
    char text[2][UNITS_SIZE];
    table_row(table, (const char *[]){ what, format_mean_bytes(text[0], before), format_mean_bytes(text[1], after) });
}

static int print_costs(const struct reorder_outcome * o, const struct gap_shares * b, const struct gap_shares * a) {
    static const struct column columns[] = { { .name = "A TOKEN'S READS OF WEIGHTS", .cut = true },
                                             { .name = "BEFORE", .right = true },
                                             { .name = "AFTER", .right = true } };
    const struct file_seeks *before = &o->before, *after = &o->after;
    char text[2][UNITS_SIZE];
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    add_numbers(table, "sequential: where the one before ended", per_token(b->sequential.accesses, before),
                per_token(a->sequential.accesses, after));
    add_numbers(table, "near: within 128 KiB of that", per_token(b->near.accesses, before),
                per_token(a->near.accesses, after));
    add_numbers(table, "far: elsewhere", per_token(b->random.accesses, before), per_token(a->random.accesses, after));
    table_row(table, (const char *[]){ "bytes that are read sequentially or near",
                                       format_share(text[0], 1 - ratio(b->random.bytes, b->all.bytes)),
                                       format_share(text[1], 1 - ratio(a->random.bytes, a->all.bytes)) });
    add_bytes(table, "gaps between reads, added up", per_token(before->gaps.distance, before),
              per_token(after->gaps.distance, after));
    add_bytes(table, "from the first byte to the last", per_token(before->span, before), per_token(after->span, after));
    table_row(table, (const char *[]){ "in the file: borders of slices inside a page",
                                       format_count(text[0], before->borders), format_count(text[1], after->borders) });
    return table_print(table, stdout);
}

static uint64_t reads_in(const struct gap_counts * c, int bin) {
    return c->forward[bin].accesses + c->backward[bin].accesses;
}

static int print_histogram(const struct reorder_outcome * o) {
    static const struct column columns[] = { { .name = "GAP BEFORE A READ", .cut = true },
                                             { .name = "BEFORE", .right = true },
                                             { .name = "AFTER", .right = true } };
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    for (int i = 0; i < GAP_BINS; i++) {
        const uint64_t before = reads_in(&o->before.gaps, i), after = reads_in(&o->after.gaps, i);
        char text[GAP_BIN_TEXT];
        if (before + after == 0) { continue; }
        add_numbers(table, gap_bin_text(text, i), per_token(before, &o->before), per_token(after, &o->after));
    }
    putchar('\n');
    return table_print(table, stdout);
}

/* ---- what it is worth ---- */

/* Below this, the order is as good as it was. */
#define LEAST_GAIN 0.01 /* of the bytes or of the reads, which are no longer far from the one before */

static bool is_gain(const struct gap_shares * b, const struct gap_shares * a) {
    return ratio(b->random.bytes, b->all.bytes) - ratio(a->random.bytes, a->all.bytes) >= LEAST_GAIN ||
           ratio(b->random.accesses, b->all.accesses) - ratio(a->random.accesses, a->all.accesses) >= LEAST_GAIN;
}

static void print_verdict(const struct reorder_outcome * o, const struct gap_shares * b, const struct gap_shares * a) {
    char stack[UNITS_SIZE], lost[UNITS_SIZE];
    if (o->moved == 0) {
        printf("\nThe tensors already stand in this order.\n");
    } else if (!is_gain(b, a)) {
        printf("\nThe new order gains nothing: as many reads are far from the one before.\n");
    } else {
        printf("\nThe new order saves %.1f of %.1f far jumps a token. It can matter only where\n"
               "weights are read from the disk during inference.\n",
               per_token(b->random.accesses, &o->before) - per_token(a->random.accesses, &o->after),
               per_token(b->random.accesses, &o->before));
    }
    if (largest_stack(o->gguf)) {
        printf("An expert's gate, up and down stay apart: the format keeps all experts of a\n"
               "matrix in one tensor, of up to %s here. So no order of tensors brings an\n"
               "expert with one read.\n",
               format_bytes(stack, largest_stack(o->gguf)));
    }
    if (lost_bytes(o->gguf)) {
        printf("Left out: %s that belong to no tensor.\n", format_bytes(lost, lost_bytes(o->gguf)));
    }
}

int reorder_print(const struct reorder_outcome * o) {
    const struct gap_shares b = gap_shares(&o->before.gaps), a = gap_shares(&o->after.gaps);
    uint32_t n;
    tat_gguf_tensors(o->gguf, &n);
    print_source(o);
    if (print_costs(o, &b, &a) || print_histogram(o)) { return -1; }
    print_verdict(o, &b, &a);
    if (o->output) {
        printf("\n");
        print_safe(o->output, stdout);
        printf("%s written; all %u tensors were read back and compared byte for byte\n",
               o->files->count > 1 ? " and its other parts:" : ":", n);
    }
    return fflush(stdout) ? -1 : 0;
}

/* ---- for programs ---- */

/* Of a path or a name, which may be invalid UTF-8; NULL is null. */
static json_t * text_json(const char * text) {
    return text ? result_text(text) : json_null();
}

static json_t * kind_json(const struct gap_bin * bin, const struct gap_shares * all, const struct file_seeks * s) {
    return json_pack("{s:f, s:f, s:f}", "reads_per_token", per_token(bin->accesses, s), "bytes_per_token",
                     per_token(bin->bytes, s), "share_of_bytes", ratio(bin->bytes, all->all.bytes));
}

static json_t * seeks_json(const struct file_seeks * s, uint64_t file_bytes, uint32_t alignment) {
    const struct gap_shares g = gap_shares(&s->gaps);
    json_t * bins = json_array();
    for (int i = 0; i < GAP_BINS; i++) {
        if (!reads_in(&s->gaps, i)) { continue; }
        json_array_append_new(bins,
                              json_pack("{s:I, s:I, s:I, s:I}", "from_bytes", (json_int_t) gap_bin_from(i), "to_bytes",
                                        (json_int_t) gap_bin_to(i), "forward", (json_int_t) s->gaps.forward[i].accesses,
                                        "backward", (json_int_t) s->gaps.backward[i].accesses));
    }
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:f, s:f, s:I, s:o}", "file_bytes", (json_int_t) file_bytes,
                     "alignment", (json_int_t) alignment, "sequential", kind_json(&g.sequential, &g, s), "near",
                     kind_json(&g.near, &g, s), "far", kind_json(&g.random, &g, s), "gap_bytes_per_token",
                     per_token(s->gaps.distance, s), "span_bytes", per_token(s->span, s), "borders_inside_pages",
                     (json_int_t) s->borders, "gaps", bins);
}

/* The tensors in their new order, part by part. */
static json_t * tensors_json(const struct reorder_outcome * o) {
    json_t * array = json_array();
    for (uint32_t i = 0; i < o->files->count; i++) {
        const struct rewrite * r = &o->files->parts[i].rewrite;
        for (uint32_t j = 0; j < r->file->n_tensors; j++) {
            const struct tat_gguf_tensor * t = &r->tensors[r->order[j]];
            json_array_append_new(array,
                                  json_pack("{s:o, s:I, s:I, s:I, s:I}", "name", text_json(t->name), "part",
                                            (json_int_t) i + 1, "old_offset", (json_int_t) t->file_offset, "offset",
                                            (json_int_t) r->place[r->order[j]], "bytes", (json_int_t) t->bytes));
        }
    }
    return array;
}

int reorder_print_json(const struct reorder_outcome * o) {
    const struct gap_shares b = gap_shares(&o->before.gaps), a = gap_shares(&o->after.gaps);
    const struct reorder_source * s = o->source;
    const struct rewrite * r = &o->files->parts[0].rewrite;
    json_t * json = json_pack(
        "{s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:b, s:I, s:o, s:o, s:o, s:b}", "model", text_json(o->path), "output",
        text_json(o->output), "order", s->trace ? "trace" : "names", "trace", text_json(s->trace ? s->path : NULL),
        "tokens", (json_int_t) s->order.tokens, "tensors_read", (json_int_t) s->order.n_read, "tensors_moved",
        (json_int_t) o->moved, "generated", s->order.generated, "left_out_bytes", (json_int_t) lost_bytes(o->gguf),
        "before", seeks_json(&o->before, bytes_of_files(o->gguf), r->file->alignment), "after",
        seeks_json(&o->after, o->files->bytes, r->alignment), "tensors", tensors_json(o), "gains", is_gain(&b, &a));
    const int status = json ? json_dumpf(json, stdout, JSON_INDENT(1)) : -1;
    json_decref(json);
    putchar('\n');
    return status || fflush(stdout) ? -1 : 0;
}
