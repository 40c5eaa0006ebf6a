/* SPDX-License-Identifier: MIT
 *
 * The tensors that are touched most.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/analysis.h"
#include "analysis/units.h"

enum { HOTTEST = 20 };

struct heat {
    uint64_t bytes, accesses;
    uint32_t tensor;
};

struct state {
    const struct subject * subject;
    uint64_t               total;
    struct heat            heat[]; /* by tensor */
};

static const struct result_column columns[] = {
    { "tensor", "tensor", UNIT_TEXT },        { "layer", "layer", UNIT_NUMBER }, { "type", "type", UNIT_TEXT },
    { "tensor_bytes", "size", UNIT_BYTES },   { "memory", "memory", UNIT_TEXT }, { "accesses", "accesses", UNIT_COUNT },
    { "bytes", "bytes touched", UNIT_BYTES }, { "share", "of all", UNIT_SHARE },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s + subject->n_tensors * sizeof s->heat[0]);
    if (!s) { return NULL; }
    s->subject = subject;
    for (uint32_t i = 0; i < subject->n_tensors; i++) { s->heat[i].tensor = i; }
    return s;
}

static void feed(void * state, const struct tat_access * a, size_t count) {
    struct state * s = state;
    for (size_t i = 0; i < count; i++) {
        if (a[i].bytes == 0 || !is_inference(phase_of(&a[i]))) { continue; }
        s->heat[a[i].tensor].bytes += a[i].bytes;
        s->heat[a[i].tensor].accesses++;
        s->total += a[i].bytes;
    }
}

static int hottest(const void * a, const void * b) {
    const struct heat *x = a, *y = b;
    if (x->bytes != y->bytes) { return x->bytes < y->bytes ? 1 : -1; }
    if (x->accesses != y->accesses) { return x->accesses < y->accesses ? 1 : -1; }
    return x->tensor < y->tensor ? -1 : 1;
}

static const char * memory_name(enum tat_memory memory) {
    static const char * const names[] = { "", "model file", "copy of it", "KV cache", "buffer" };
    return (unsigned) memory <= TAT_MEMORY_BUFFER ? names[memory] : "";
}

static void add_tensor(const struct state * s, struct result * r, const struct heat * h) {
    const struct tat_tensor * t   = &s->subject->tensors[h->tensor];
    json_t *                  row = result_row(r);
    result_put_text(r, row, "tensor", t->name);
    result_put_count(r, row, "tensor_id", h->tensor);
    result_put_layer(r, row, "layer", t->layer);
    result_put_text(r, row, "type", t->type_name);
    result_put_count(r, row, "tensor_bytes", t->bytes);
    result_put_text(r, row, "memory", memory_name(t->memory));
    result_put_count(r, row, "accesses", h->accesses);
    result_put_count(r, row, "bytes", h->bytes);
    result_put_real(r, row, "share", ratio(h->bytes, s->total));
}

static void finish(void * state, struct result * r) {
    struct state * s       = state;
    const uint32_t n       = s->subject->n_tensors;
    uint32_t       touched = 0, ties = 0;
    char           share[UNITS_SIZE];
    qsort(s->heat, n, sizeof s->heat[0], hottest);
    while (touched < n && s->heat[touched].bytes) { touched++; }
    const uint32_t shown = touched < HOTTEST ? touched : HOTTEST;
    result_table(r, "tensors", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    result_put_count(r, result_values(r), "tensors_touched", touched);
    for (uint32_t i = 0; i < shown; i++) { add_tensor(s, r, &s->heat[i]); }
    while (shown && shown + ties < touched && s->heat[shown + ties].bytes == s->heat[shown - 1].bytes) { ties++; }
    if (touched) {
        result_headline(r, "%s was touched most: %s of all bytes touched.", s->subject->tensors[s->heat[0].tensor].name,
                        format_share(share, ratio(s->heat[0].bytes, s->total)));
        result_note(r,
                    "Prompt and generation, of %" PRIu32 " tensors touched. An access is one operand of one executed "
                    "operation, or one expert of it.",
                    touched);
    } else {
        result_headline(r, "Neither a prompt nor a generated token touched a tensor.");
    }
    if (ties) { result_note(r, "%" PRIu32 " more have as many bytes as the last one shown.", ties); }
    free(s);
}

const struct analysis tensors_analysis = {
    .name   = "tensors",
    .title  = "The hottest tensors",
    .begin  = begin,
    .feed   = feed,
    .finish = finish,
};
