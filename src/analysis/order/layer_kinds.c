/* SPDX-License-Identifier: MIT */
#include "analysis/order/layer_kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/numbers.h"

enum { KINDS_MAX = 16, ORDER_SIZE = 512 };

/* A step of the sequence. */
struct read {
    uint32_t layer, step;
};

/* The reads of one layer, among all sorted by layer. */
struct span {
    size_t first, count;
};

struct kind {
    struct span reads;          /* of its first layer */
    char order[ORDER_SIZE];     /* in words */
    uint32_t *layers, n_layers; /* ascending */
};

struct kinds {
    const struct subject * subject;
    const struct sequence * q;
    struct read * reads;
    uint32_t * numbers; /* of layers, for all kinds: each takes as many as there are layers */
    struct kind kind[KINDS_MAX];
    uint32_t count, n_layers, others; /* others: layers of further kinds */
};

static int by_layer(const void * a, const void * b) {
    const struct read *x = a, *y = b;
    if (x->layer != y->layer) { return x->layer < y->layer ? -1 : 1; }
    return (x->step > y->step) - (x->step < y->step);
}

/* The name behind the number of the layer, without ".weight": "attn_q", "ssm_in", "attn_q.bias". */
static const char * part_of(const struct kinds * k, const struct read * read, int * length) {
    const char *name = k->subject->tensors[k->q->tensor[read->step]].name, *part = name;
    char number[16];
    snprintf(number, sizeof number, ".%" PRIu32 ".", read->layer);
    const char * at = strstr(name, number);
    if (at) { part = at + strlen(number); }
    const char * end = part + strlen(part);
    if (end - part > 7 && strcmp(end - 7, ".weight") == 0) { end -= 7; }
    *length = (int) (end - part);
    return part;
}

static bool same_part(const struct kinds * k, const struct read * a, const struct read * b) {
    int n_a, n_b;
    const char *x = part_of(k, a, &n_a), *y = part_of(k, b, &n_b);
    return n_a == n_b && memcmp(x, y, (size_t) n_a) == 0;
}

static bool same_order(const struct kinds * k, struct span a, struct span b) {
    bool same = a.count == b.count;
    for (size_t i = 0; same && i < a.count; i++) {
        same = same_part(k, &k->reads[a.first + i], &k->reads[b.first + i]);
    }
    return same;
}

static void write_order(const struct kinds * k, struct kind * kind) {
    size_t used = 0;
    for (size_t i = 0; i < kind->reads.count; i++) {
        int length;
        const char * part = part_of(k, &k->reads[kind->reads.first + i], &length);
        if (used + (size_t) length + 32 > ORDER_SIZE) {
            snprintf(kind->order + used, ORDER_SIZE - used, " and %zu more", kind->reads.count - i);
            return;
        }
        used += (size_t) snprintf(kind->order + used, ORDER_SIZE - used, "%s%.*s", i ? ", " : "", length, part);
    }
}

static void add_layer(struct kinds * k, struct span reads) {
    const uint32_t layer = k->reads[reads.first].layer;
    uint32_t at = 0;
    while (at < k->count && !same_order(k, k->kind[at].reads, reads)) { at++; }
    k->n_layers++;
    if (at == KINDS_MAX) {
        k->others++;
        return;
    }
    struct kind * kind = &k->kind[at];
    if (at == k->count) {
        *kind = (struct kind){ .reads = reads, .layers = k->numbers + (size_t) at * layer_span(k->subject) };
        write_order(k, kind);
        k->count++;
    }
    kind->layers[kind->n_layers++] = layer;
}

/* False: no memory. */
static bool find(struct kinds * k) {
    size_t n = 0;
    k->reads = malloc(((size_t) k->q->n_steps + 1) * sizeof *k->reads);
    k->numbers = calloc((size_t) KINDS_MAX * layer_span(k->subject) + 1, sizeof *k->numbers);
    if (!k->reads || !k->numbers) { return false; }
    for (uint32_t i = 0; i < k->q->n_steps; i++) {
        const uint16_t layer = k->subject->tensors[k->q->tensor[i]].layer;
        if (layer != TAT_NO_LAYER) { k->reads[n++] = (struct read){ layer, i }; }
    }
    if (n) { qsort(k->reads, n, sizeof *k->reads, by_layer); }
    for (size_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && k->reads[next].layer == k->reads[first].layer;) { next++; }
        add_layer(k, (struct span){ first, next - first });
    }
    return true;
}

/* ---- telling ---- */

static const struct result_column columns[] = {
    { "n_layers", "layers", UNIT_COUNT },
    { "reads", "reads", UNIT_COUNT },
    { "order", "order", UNIT_TEXT },
};

static void add_row(struct result * r, const struct kind * kind) {
    json_t * row = result_row(r);
    json_t * layers = json_array();
    for (uint32_t i = 0; i < kind->n_layers; i++) { json_array_append_new(layers, json_integer(kind->layers[i])); }
    result_put_count(r, row, "n_layers", kind->n_layers);
    result_put(r, row, "layers", layers);
    result_put_count(r, row, "reads", kind->reads.count);
    result_put_text(r, row, "order", kind->order);
}

static void say(const struct kinds * k, struct result * r) {
    char layers[NUMBERS_SIZE];
    if (k->count == 1) {
        result_line(r, "a layer", "all %" PRIu32 " alike: %s", k->n_layers, k->kind[0].order);
        result_answer(r, "In which order does a layer read its weights?", "All %" PRIu32 " layers alike: %s.",
                      k->n_layers, k->kind[0].order);
        return;
    }
    for (uint32_t i = 0; i < k->count; i++) {
        const struct kind * kind = &k->kind[i];
        format_numbers(layers, kind->layers, kind->n_layers);
        result_line(r, i ? "" : "a layer", "%s %s: %s", kind->n_layers == 1 ? "layer" : "layers", layers, kind->order);
    }
    if (k->others) { result_line(r, "", "%" PRIu32 " layers in other orders", k->others); }
    const struct kind *a = &k->kind[0], *b = &k->kind[1];
    char more[NUMBERS_SIZE];
    result_answer(r, "In which order does a layer read its weights?",
                  "There are %s%" PRIu32 " kinds of layers. Layer%s %s: %s. Layer%s %s: %s.",
                  k->others ? "more than " : "", k->count, a->n_layers == 1 ? "" : "s",
                  format_numbers(layers, a->layers, a->n_layers), a->order, b->n_layers == 1 ? "" : "s",
                  format_numbers(more, b->layers, b->n_layers), b->order);
}

void layer_kinds_tell(const struct subject * subject, const struct sequence * q, struct result * r) {
    struct kinds * k = calloc(1, sizeof *k);
    r->failed |= !k;
    if (!k) { return; }
    k->subject = subject;
    k->q = q;
    r->failed |= !find(k);
    if (k->count) {
        result_put_count(r, result_values(r), "layer_kinds", k->count);
        result_table(r, "layer_kinds", "Order of reads in each kind of layer", SHOW_NEVER, columns,
                     sizeof columns / sizeof columns[0]);
        for (uint32_t i = 0; i < k->count; i++) { add_row(r, &k->kind[i]); }
        say(k, r);
    }
    free(k->reads);
    free(k->numbers);
    free(k);
}
