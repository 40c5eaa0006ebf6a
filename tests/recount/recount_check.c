/* SPDX-License-Identifier: MIT
 *
 *     recount_check TRACE TABLE
 *
 * Does the trace say, for every operand of every node of every evaluation, the same tensor, bytes and experts as the
 * naive count (recount.c)? The one difference there must be: where a norm is fused with the product after it, the
 * result between the two is never stored, and the trace has 0 bytes; the count, node by node, sees it stored. Exit
 * status 0: the same, 1: not, 3: bad input.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ranges.h"
#include "tat/trace.h"

enum { SHOWN = 20, EXPERTS_TEXT = 4096 };

/* What the trace has of one operand. */
struct operand {
    uint32_t evaluation, node, tensor;
    uint8_t number;
    uint16_t flags;
    uint64_t bytes, hash;
    char * experts;
};

struct check {
    struct tat_trace * trace;
    const struct tat_tensor * tensors;
    struct operand * operands; /* in the order of the trace, which is the table's */
    size_t count, capacity;
    struct ranges ranges; /* of the last one */
    char experts[EXPERTS_TEXT];
    uint64_t equal, fused, different, approximate;
    uint64_t bytes[5], experts_equal; /* bytes by kind of tensor */
};

/* ---- the trace's side ---- */

static uint64_t base_of(const struct tat_tensor * t) {
    return t->file && (t->memory == TAT_MEMORY_FILE || t->memory == TAT_MEMORY_COPY) ? t->file_offset : 0;
}

static void finish_operand(struct check * c) {
    if (c->count == 0) { return; }
    struct operand * o = &c->operands[c->count - 1];
    const uint64_t claimed = o->bytes;
    ranges_merge(&c->ranges);
    o->bytes = ranges_bytes(&c->ranges);
    o->hash = ranges_hash(&c->ranges);
    o->experts = strdup(c->experts);
    /* Records of one operand never overlap, and what they say they touch is what their ranges are. */
    if (claimed != o->bytes || o->flags & TAT_ACCESS_APPROXIMATE) {
        c->approximate++;
        o->bytes = claimed;
    }
}

static void begin_operand(struct check * c, const struct tat_access * a) {
    finish_operand(c);
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 4096;
        c->operands = realloc(c->operands, c->capacity * sizeof c->operands[0]);
        if (!c->operands) { abort(); }
    }
    c->operands[c->count++] = (struct operand){
        .evaluation = a->evaluation, .node = a->node, .tensor = a->tensor, .number = a->operand, .flags = a->flags
    };
    c->ranges.count = 0;
    c->experts[0] = '\0';
}

static void add_record(struct check * c, const struct tat_access * a) {
    const struct operand * last = c->count ? &c->operands[c->count - 1] : NULL;
    if (!last || last->evaluation != a->evaluation || last->node != a->node || last->number != a->operand) {
        begin_operand(c, a);
    }
    struct operand * o = &c->operands[c->count - 1];
    const uint64_t from = a->offset - base_of(&c->tensors[a->tensor]);
    const struct tat_layout layout = tat_trace_layout(c->trace, a->layout);
    o->bytes += a->bytes;
    o->flags |= a->flags;
    if (a->flags & TAT_ACCESS_STRIDED) {
        for (uint64_t i = 0; i < a->rows; i++) { ranges_add(&c->ranges, from + i * layout.stride, layout.run_bytes); }
    } else {
        ranges_add(&c->ranges, from, a->bytes);
    }
    const size_t length = strlen(c->experts);
    if (a->expert != TAT_NO_EXPERT) { snprintf(c->experts + length, EXPERTS_TEXT - length, "%u,", a->expert); }
}

static bool take(const struct tat_access * records, size_t count, void * user) {
    for (size_t i = 0; i < count; i++) { add_record(user, &records[i]); }
    return true;
}

/* ---- the table's side ---- */

struct line {
    uint32_t evaluation, node;
    unsigned number;
    char op[64], name[128], tensor[128], experts[EXPERTS_TEXT];
    uint64_t bytes, hash;
};

/* The next field, cut off at its tab or newline. */
static char * field(char ** rest) {
    char * start = *rest;
    if (!start) { return NULL; }
    const size_t length = strcspn(start, "\t\n");
    *rest = start[length] == '\t' ? start + length + 1 : NULL;
    start[length] = '\0';
    return start;
}

static bool read_line(char * text, struct line * l) {
    char * f[9];
    for (int i = 0; i < 9; i++) {
        f[i] = field(&text);
        if (!f[i]) { return false; }
    }
    l->evaluation = (uint32_t) strtoul(f[0], NULL, 10);
    l->node = (uint32_t) strtoul(f[1], NULL, 10);
    l->number = (unsigned) strtoul(f[4], NULL, 10);
    l->bytes = strtoull(f[6], NULL, 10);
    l->hash = strtoull(f[7], NULL, 16);
    snprintf(l->op, sizeof l->op, "%s", f[2]);
    snprintf(l->name, sizeof l->name, "%s", f[3]);
    snprintf(l->tensor, sizeof l->tensor, "%s", f[5]);
    snprintf(l->experts, sizeof l->experts, "%s", f[8]);
    return true;
}

static const char * difference(struct check * c, const struct line * l, const struct operand * o) {
    uint32_t count;
    const struct tat_evaluation * e = &tat_trace_evaluations(c->trace, &count)[o->evaluation];
    const struct tat_template * t = &tat_trace_templates(c->trace, &count)[e->template_id];
    const struct tat_entry * node = &t->entries[t->n_leaves + o->node];
    if (l->evaluation != o->evaluation || l->node != o->node || l->number != o->number) { return "order"; }
    if (strcmp(l->op, node->op) != 0) { return "operation"; }
    if (strcmp(l->name, node->name) != 0) { return "name"; }
    if (strcmp(l->tensor, c->tensors[o->tensor].name) != 0) { return "tensor"; }
    if (o->flags & TAT_ACCESS_FUSED && o->bytes == 0 && l->bytes > 0) { return "fused"; }
    if (l->bytes != o->bytes) { return "bytes"; }
    if (l->hash != o->hash) { return "ranges"; }
    return strcmp(l->experts, o->experts) != 0 ? "experts" : NULL;
}

static void compare(struct check * c, const struct line * l, const struct operand * o) {
    const char * what = difference(c, l, o);
    if (!what) {
        c->equal++;
        c->bytes[c->tensors[o->tensor].kind] += o->bytes;
        for (const char * at = o->experts; (at = strchr(at, ',')); at++) { c->experts_equal++; }
    } else if (strcmp(what, "fused") == 0) {
        c->fused++;
    } else if (++c->different <= SHOWN) {
        printf("  %s differs: evaluation %" PRIu32 ", node %" PRIu32 " %s %s, operand %u %s: counted %" PRIu64
               " bytes %s; trace: node %" PRIu32 ", operand %u %s, %" PRIu64 " bytes %s\n",
               what, l->evaluation, l->node, l->op, l->name, l->number, l->tensor, l->bytes, l->experts, o->node,
               o->number, c->tensors[o->tensor].name, o->bytes, o->experts);
    }
}

static bool compare_all(struct check * c, const char * path) {
    FILE * in = fopen(path, "re");
    if (!in) { return false; }
    static struct line line;
    char * text = NULL;
    size_t size = 0, n = 0;
    bool good = true;
    for (; good && getline(&text, &size, in) > 0; n++) {
        good = read_line(text, &line);
        if (good && n < c->count) { compare(c, &line, &c->operands[n]); }
    }
    if (n != c->count) { printf("  operands: counted %zu, in the trace %zu\n", n, c->count); }
    c->different += n != c->count;
    free(text);
    fclose(in);
    return good;
}

int main(int argc, char ** argv) {
    if (argc != 3) { return 2; }
    static struct check c;
    struct tat_error error;
    uint32_t count;
    c.trace = tat_trace_open(argv[1], &error);
    if (c.trace) { c.tensors = tat_trace_tensors(c.trace, &count); }
    if (!c.trace || tat_trace_expand(c.trace, 0, UINT32_MAX, take, &c, &error) < 0) {
        fprintf(stderr, "recount_check: %s\n", error.message);
        return 3;
    }
    finish_operand(&c);
    if (!compare_all(&c, argv[2])) {
        fprintf(stderr, "recount_check: %s: no table of recount's\n", argv[2]);
        return 3;
    }
    tat_trace_evaluations(c.trace, &count);
    printf("evaluations %" PRIu32 ", operands equal %" PRIu64 ", fused %" PRIu64 ", different %" PRIu64
           ", approximate %" PRIu64 "; bytes of weights %" PRIu64 ", state %" PRIu64 ", results %" PRIu64
           ", inputs %" PRIu64 "; experts %" PRIu64 "\n",
           count, c.equal, c.fused, c.different, c.approximate, c.bytes[TAT_TENSOR_WEIGHT], c.bytes[TAT_TENSOR_STATE],
           c.bytes[TAT_TENSOR_ACTIVATION], c.bytes[TAT_TENSOR_INPUT], c.experts_equal);
    for (size_t i = 0; i < c.count; i++) { free(c.operands[i].experts); }
    free(c.operands);
    free(c.ranges.range);
    tat_trace_close(c.trace);
    return c.equal > 0 && c.different == 0 && c.approximate == 0 ? 0 : 1;
}
