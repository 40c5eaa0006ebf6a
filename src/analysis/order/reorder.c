/* SPDX-License-Identifier: MIT */
#include "analysis/order/reorder.h"

#include <stdlib.h>

#include "analysis/order/search.h"
#include "analysis/units.h"

bool reorder_begin(struct reorder * o, const struct subject * subject) {
    *o = (struct reorder){ .subject = subject };
    o->base = calloc((size_t) subject->n_files + 2, sizeof o->base[0]);
    if (!o->base) { return false; }
    for (uint32_t i = 0; i < subject->n_files; i++) { o->base[i + 2] = o->base[i + 1] + subject->files[i].size; }
    return true;
}

void reorder_free(struct reorder * o) {
    free(o->base);
    free(o->reads.data);
}

void reorder_open(struct reorder * o, bool wanted) {
    o->wanted = wanted;
    o->reads.count = 0;
}

void reorder_add(struct reorder * o, const struct tat_access * a, uint64_t end) {
    const uint32_t file = o->subject->tensors[a->tensor].file;
    const uint64_t base = o->base[file <= o->subject->n_files ? file : 0];
    if (o->reads.count == REORDER_READS) { return; }
    struct reorder_read * read = list_add(&o->reads, sizeof *read);
    o->failed |= !read;
    if (read) { *read = (struct reorder_read){ base + a->offset, base + end, a->node }; }
}

/* ---- distances ---- */

/* Joins the reads of one node to one element. Returns how many; `nodes` gets their numbers. */
static uint32_t make_elements(const struct reorder * o, struct element * elements, uint32_t * nodes) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->reads.count; i++) {
        const struct reorder_read * x = &LIST(struct reorder_read, o->reads)[i];
        if (n && nodes[n - 1] == x->node) {
            elements[n - 1].within += distance(elements[n - 1].end, x->from);
            elements[n - 1].end = x->end;
        } else {
            nodes[n] = x->node;
            elements[n++] = (struct element){ x->from, x->end, 0 };
        }
    }
    return n;
}

static uint64_t actual_distance(const struct element * e, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) { sum += e[i].within + (i ? distance(e[i - 1].end, e[i].from) : 0); }
    return sum;
}

static int by_offset(const void * a, const void * b) {
    const struct reorder_read *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* The bytes between the first and the last read that no read covers. Sorts the reads. */
static uint64_t pass_distance(struct reorder * o) {
    struct reorder_read * reads = LIST(struct reorder_read, o->reads);
    uint64_t skipped = 0, end = 0;
    qsort(reads, o->reads.count, sizeof *reads, by_offset);
    for (uint32_t i = 0; i < o->reads.count; i++) {
        if (i && reads[i].from > end) { skipped += reads[i].from - end; }
        if (i == 0 || reads[i].end > end) { end = reads[i].end; }
    }
    return skipped;
}

static void reorder_one(struct reorder * o, const struct element * elements, const struct depend * d) {
    struct search_result result;
    const uint64_t actual = actual_distance(elements, d->count);
    if (!search_orders(elements, d, &o->work, &result)) {
        o->failed = true;
        return;
    }
    o->sampled++;
    o->operations += d->count;
    o->blocks += result.blocks;
    if (result.largest_block > o->largest_block) { o->largest_block = result.largest_block; }
    o->inexact |= !result.exact;
    o->actual += actual;
    o->best += result.best < actual ? result.best : actual;
    o->pass += pass_distance(o);
}

void reorder_close(struct reorder * o, uint32_t evaluation) {
    const struct tat_evaluation * e = &o->subject->evaluations[evaluation];
    const struct tat_template * t = &o->subject->templates[e->template_id];
    struct depend d;
    if (!o->wanted || o->failed || o->reads.count == 0) { return; }
    struct element * elements = malloc(o->reads.count * sizeof *elements);
    uint32_t * nodes = malloc(o->reads.count * sizeof *nodes);
    if (elements && nodes) {
        const uint32_t n = make_elements(o, elements, nodes);
        const enum depend_status status = n <= REORDER_ELEMENTS && o->reads.count < REORDER_READS
                                              ? depend_make(&d, o->subject, t, nodes, n)
                                              : DEPEND_TOO_LARGE;
        o->too_large += status == DEPEND_TOO_LARGE;
        o->failed |= status == DEPEND_FAILED;
        if (status == DEPEND_KNOWN) {
            reorder_one(o, elements, &d);
            depend_free(&d);
        }
    } else {
        o->failed = true;
    }
    free(elements);
    free(nodes);
}

/* ---- telling ---- */

static const struct result_column columns[] = {
    { "label", "order of operations", UNIT_TEXT },
    { "gap_bytes", "gaps/token", UNIT_BYTES },
    { "share", "of the actual", UNIT_SHARE },
};

static void add_order(const struct reorder * o, struct result * r, const char * order, const char * label,
                      uint64_t distance_bytes) {
    json_t * row = result_row(r);
    result_put_text(r, row, "order", order);
    result_put_text(r, row, "label", label);
    result_put_real(r, row, "gap_bytes", ratio(distance_bytes, o->sampled));
    result_put_real(r, row, "share", ratio(distance_bytes, o->actual));
}

static void put_values(const struct reorder * o, struct result * r) {
    json_t * values = result_values(r);
    result_put_count(r, values, "reordered_tokens", o->sampled);
    result_put_count(r, values, "reorder_actual_bytes", o->actual);
    result_put_count(r, values, "reorder_best_bytes", o->best);
    result_put_count(r, values, "reorder_one_pass_bytes", o->pass);
    result_put(r, values, "reorder_exact", json_boolean(!o->inexact));
    result_put_count(r, values, "reorder_operations", o->operations);
    result_put_count(r, values, "reorder_blocks", o->blocks);
    result_put_count(r, values, "reorder_largest_block", o->largest_block);
}

static void answer(const struct reorder * o, struct result * r) {
    char saved[UNITS_SIZE], actual[UNITS_SIZE];
    const double share = 1 - ratio(o->best, o->actual);
    const char * question = "Would another order of operations help?";
    const char * why = "The rest follows from dependencies and from the order of tensors in the file.";
    if (o->best == o->actual) {
        result_answer(r, question, "No: the actual order is %s. %s",
                      o->inexact ? "as good as the best legal one that was found" : "already the best legal one", why);
    } else {
        result_answer(r, question, "%s: %s shortens the gaps of a token, %s in all, by %s. %s",
                      share < 0.1 ? "Hardly" : "Yes",
                      o->inexact ? "the best legal order that was found" : "the best legal order",
                      format_bytes(actual, (uint64_t) ratio(o->actual, o->sampled)), format_share(saved, share), why);
    }
}

void reorder_tell(const struct reorder * o, struct result * r) {
    r->failed |= o->failed;
    put_values(o, r);
    result_table(r, "reorder", "If independent operations were reordered", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    if (o->too_large) { result_note(r, "The graph is too large for other orders of its operations to be tried."); }
    if (!o->sampled) { return; }
    add_order(o, r, "actual", "as they were computed", o->actual);
    add_order(o, r, "best", o->inexact ? "the best legal order found" : "the best legal order", o->best);
    add_order(o, r, "one_pass", "one pass in file order, were it legal", o->pass);
    char tokens[UNITS_SIZE];
    result_note(
        r,
        "Reordering: the gaps of a token are those between its reads of weights, forwards and backwards, added up; the "
        "figures are means over %s generated tokens, evenly spaced. An order is legal if every operation comes after "
        "those "
        "whose results it reads, and if reads and writes of a KV cache keep their order. %s One pass in file order "
        "skips "
        "only what no read touches. No order can have smaller gaps.",
        format_count(tokens, o->sampled),
        o->inexact ? "Some independent parts were too large to try every order; there, the nearest read comes next."
                   : "All legal orders were tried, so the best is exact.");
    if (o->actual) { answer(o, r); }
}
