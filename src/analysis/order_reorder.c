/* SPDX-License-Identifier: MIT */
#include "analysis/order_reorder.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/order_depend.h"
#include "analysis/order_gaps.h"
#include "analysis/units.h"

bool reorder_begin(struct reorder * o, const struct subject * subject) {
    *o      = (struct reorder){ .subject = subject };
    o->base = calloc((size_t) subject->n_files + 2, sizeof o->base[0]);
    if (!o->base) { return false; }
    for (uint32_t i = 0; i < subject->n_files; i++) { o->base[i + 2] = o->base[i + 1] + subject->files[i].size; }
    return true;
}

void reorder_free(struct reorder * o) {
    free(o->base);
    free(o->reads);
}

void reorder_open(struct reorder * o, bool wanted) {
    o->wanted  = wanted;
    o->n_reads = 0;
}

void reorder_add(struct reorder * o, const struct tat_access * a, uint64_t end) {
    const uint32_t file = o->subject->tensors[a->tensor].file;
    const uint64_t base = o->base[file <= o->subject->n_files ? file : 0];
    if (o->n_reads == o->capacity) {
        const uint32_t        capacity = o->capacity ? o->capacity * 2 : 512;
        struct reorder_read * reads    = realloc(o->reads, capacity * sizeof *reads);
        if (!reads) {
            o->failed = true;
            return;
        }
        o->reads    = reads;
        o->capacity = capacity;
    }
    o->reads[o->n_reads++] = (struct reorder_read){ base + a->offset, base + end, a->node };
}

/* ------------------------------------------------------------------------------------------------------ distances */

static inline uint64_t distance(uint64_t from, uint64_t to) {
    return from < to ? to - from : from - to;
}

/* An operation: where its reads begin and end, and the distance between them. */
struct element {
    uint64_t from, end, within;
};

/* Reads of one node become one element. Returns how many; `nodes` gets their numbers. */
static uint32_t make_elements(const struct reorder * o, struct element * elements, uint32_t * nodes) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_reads; i++) {
        const struct reorder_read * x = &o->reads[i];
        if (n && nodes[n - 1] == x->node) {
            elements[n - 1].within += distance(elements[n - 1].end, x->from);
            elements[n - 1].end = x->end;
        } else {
            nodes[n]      = x->node;
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

/* What lies between the first and the last read and is in none. Sorts the reads. */
static uint64_t pass_distance(struct reorder * o) {
    uint64_t skipped = 0, end = 0;
    qsort(o->reads, o->n_reads, sizeof o->reads[0], by_offset);
    for (uint32_t i = 0; i < o->n_reads; i++) {
        if (i && o->reads[i].from > end) { skipped += o->reads[i].from - end; }
        if (i == 0 || o->reads[i].end > end) { end = o->reads[i].end; }
    }
    return skipped;
}

/* --------------------------------------------------------------------------------------------------------- search */

/* The cheapest way to each place where the last block may have ended. */
struct ends {
    uint32_t count;
    uint64_t at[REORDER_BLOCK], cost[REORDER_BLOCK];
};

struct search {
    const struct element * elements;
    const struct depend *  depend;
    struct ends            ends;
    uint64_t *             cost; /* by set of a block's elements and the last of them; UINT64_MAX: cannot be */
    bool *                 done; /* by element */
};

static uint64_t enter(const struct ends * ends, uint64_t from) {
    uint64_t best = ends->count ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < ends->count; i++) {
        const uint64_t cost = ends->cost[i] + distance(ends->at[i], from);
        if (cost < best) { best = cost; }
    }
    return best;
}

/* All orders of elements [first, first + n). Returns how many steps it took. */
static uint64_t search_block(struct search * s, uint32_t first, uint32_t n) {
    const struct element * e                   = s->elements + first;
    uint32_t               need[REORDER_BLOCK] = { 0 };
    uint64_t               work                = 0;
    const uint32_t         all                 = (1u << n) - 1;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            need[i] |= (uint32_t) depend_is_before(s->depend, first + j, first + i) << j;
        }
    }
    memset(s->cost, 0xff, ((size_t) n << n) * sizeof s->cost[0]);
    for (uint32_t i = 0; i < n; i++) {
        if (!need[i]) { s->cost[((size_t) 1 << i) * n + i] = enter(&s->ends, e[i].from) + e[i].within; }
    }
    for (uint32_t set = 1; set < all; set++) {
        for (uint32_t last = 0; last < n; last++) {
            const uint64_t cost = s->cost[(size_t) set * n + last];
            if (cost == UINT64_MAX) { continue; }
            work += n;
            for (uint32_t i = 0; i < n; i++) {
                if (set >> i & 1 || need[i] & ~set) { continue; }
                uint64_t *     slot = &s->cost[((size_t) set | (size_t) 1 << i) * n + i];
                const uint64_t sum  = cost + distance(e[last].end, e[i].from) + e[i].within;
                if (sum < *slot) { *slot = sum; }
            }
        }
    }
    s->ends.count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (s->cost[(size_t) all * n + i] == UINT64_MAX) { continue; }
        s->ends.at[s->ends.count]     = e[i].end;
        s->ends.cost[s->ends.count++] = s->cost[(size_t) all * n + i];
    }
    return work + ((uint64_t) 1 << n);
}

/* Too many for that: the nearest that may come, time and again. */
static void schedule_block(struct search * s, uint32_t first, uint32_t n, uint32_t * need) {
    const struct element * e    = s->elements + first;
    uint32_t               from = 0;
    for (uint32_t i = 1; i < s->ends.count; i++) {
        if (s->ends.cost[i] < s->ends.cost[from]) { from = i; }
    }
    uint64_t at = s->ends.at[from], cost = s->ends.cost[from];
    bool     placed = s->ends.count > 0;
    for (uint32_t i = 0; i < n; i++) {
        need[i]    = 0;
        s->done[i] = false;
        for (uint32_t j = 0; j < n; j++) { need[i] += depend_is_before(s->depend, first + j, first + i); }
    }
    for (uint32_t step = 0; step < n; step++) {
        uint32_t next = n;
        for (uint32_t i = 0; i < n; i++) {
            if (s->done[i] || need[i]) { continue; }
            if (next == n || (placed && distance(at, e[i].from) < distance(at, e[next].from))) { next = i; }
        }
        if (placed) { cost += distance(at, e[next].from); }
        placed = true;
        cost += e[next].within;
        at            = e[next].end;
        s->done[next] = true;
        for (uint32_t i = 0; i < n; i++) { need[i] -= depend_is_before(s->depend, first + next, first + i); }
    }
    s->ends = (struct ends){ .count = 1, .at = { at }, .cost = { cost } };
}

/* The first elements that all come before element i. */
static uint32_t leading(const struct depend * d, uint32_t i) {
    const uint64_t * before = d->before + (size_t) i * d->words;
    uint32_t         w      = 0;
    while (w < d->words && before[w] == UINT64_MAX) { w++; }
    return w * 64 + (w < d->words ? (uint32_t) __builtin_ctzll(~before[w]) : 0);
}

/* By element: whether a block begins with it, which is where all before it come before all from it on. */
static void find_blocks(const struct depend * d, bool * begins) {
    uint32_t least = d->count;
    for (uint32_t i = d->count; i-- > 0;) {
        const uint32_t l = leading(d, i);
        if (l < least) { least = l; }
        begins[i] = least >= i;
    }
}

static uint64_t best_distance(struct reorder * o, struct search * s, const bool * begins, uint32_t * need) {
    const uint32_t n    = s->depend->count;
    uint64_t       best = UINT64_MAX;
    for (uint32_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && !begins[next];) { next++; }
        const uint32_t count = next - first;
        o->blocks++;
        if (count > o->largest_block) { o->largest_block = count; }
        if (count <= REORDER_BLOCK && o->work < REORDER_WORK) {
            o->work += search_block(s, first, count);
            o->searched++;
        } else {
            schedule_block(s, first, count, need);
            o->inexact = true;
        }
    }
    for (uint32_t i = 0; i < s->ends.count; i++) {
        if (s->ends.cost[i] < best) { best = s->ends.cost[i]; }
    }
    return best;
}

static void reorder_one(struct reorder * o, const struct element * elements, const struct depend * d) {
    struct search s      = { .elements = elements, .depend = d };
    bool *        begins = calloc(d->count, sizeof *begins);
    uint32_t *    need   = calloc(d->count, sizeof *need);
    s.cost               = malloc(((size_t) REORDER_BLOCK << REORDER_BLOCK) * sizeof s.cost[0]);
    s.done               = calloc(d->count, sizeof s.done[0]);
    if (begins && need && s.cost && s.done) {
        const uint64_t actual = actual_distance(elements, d->count);
        find_blocks(d, begins);
        const uint64_t best = best_distance(o, &s, begins, need);
        o->sampled++;
        o->operations += d->count;
        o->actual += actual;
        o->best += best < actual ? best : actual;
        o->pass += pass_distance(o);
    } else {
        o->failed = true;
    }
    free(s.done);
    free(s.cost);
    free(need);
    free(begins);
}

void reorder_close(struct reorder * o, uint32_t evaluation) {
    const struct tat_evaluation * e = &o->subject->evaluations[evaluation];
    const struct tat_template *   t = &o->subject->templates[e->template_id];
    struct depend                 d;
    if (!o->wanted || o->failed || o->n_reads == 0) { return; }
    struct element * elements = malloc(o->n_reads * sizeof *elements);
    uint32_t *       nodes    = malloc(o->n_reads * sizeof *nodes);
    if (elements && nodes) {
        const uint32_t           n = make_elements(o, elements, nodes);
        const enum depend_status status =
            n <= REORDER_ELEMENTS ? depend_make(&d, o->subject, t, nodes, n) : DEPEND_TOO_LARGE;
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

/* -------------------------------------------------------------------------------------------------------- telling */

static const struct result_column columns[] = {
    { "label", "order of the operations", UNIT_TEXT },
    { "gap_bytes", "gaps of a token", UNIT_BYTES },
    { "share", "of actual", UNIT_SHARE },
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
    char         saved[UNITS_SIZE], actual[UNITS_SIZE];
    const double share    = 1 - ratio(o->best, o->actual);
    const char * question = "Would another order of operations help?";
    const char * why      = "What is left follows from dependencies and from the order of tensors in the file.";
    if (o->best == o->actual) {
        result_answer(r, question, "No: the order in which they are computed is %s. %s",
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
    result_table(r, "reorder", "If independent operations changed places", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    if (o->too_large) { result_note(r, "The graph is too large to look for other orders of its operations."); }
    if (!o->sampled) { return; }
    add_order(o, r, "actual", "as they were computed", o->actual);
    add_order(o, r, "best", o->inexact ? "the best legal order found" : "the best legal order", o->best);
    add_order(o, r, "one_pass", "one pass in file order, were it legal", o->pass);
    char tokens[UNITS_SIZE];
    result_note(r,
                "Changing places: the gaps of a token are the sum of all between its reads of weights, forwards and "
                "backwards; the mean of %s generated tokens, evenly spaced. An order is legal where every operation "
                "comes after those whose results it reads, and reads and writes of a KV cache keep their order. %s One "
                "pass skips only what no read touches, and no order can have smaller gaps.",
                format_count(tokens, o->sampled),
                o->inexact ? "Some independent parts were too large to try all orders: there, the nearest came next."
                           : "All of them were tried, so the best is exact.");
    if (o->actual) { answer(o, r); }
}
