/* SPDX-License-Identifier: MIT
 *
 * Is the order in which generated tokens read weights the same, and where does it differ first?
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/diff/diff.h"
#include "analysis/units.h"

static const struct reading * readings(const struct profile * p) {
    return LIST(const struct reading, p->readings);
}

struct order_match order_match(const struct profile * a, const struct profile * b) {
    const struct reading *x = readings(a), *y = readings(b);
    const uint32_t n = a->readings.count < b->readings.count ? a->readings.count : b->readings.count;
    struct order_match m = { .tokens = n };
    while (m.weights < n && x[m.weights].weights == y[m.weights].weights) { m.weights++; }
    while (m.slices < n && x[m.slices].slices == y[m.slices].slices) { m.slices++; }
    return m;
}

/* ---- one evaluation ---- */

enum { READS_MOST = 1 << 22 }; /* per token; far more than any model has */

struct read {
    const char * name;
    uint16_t expert;
};

struct sequence {
    const struct profile * p;
    struct list reads; /* struct read */
    uint32_t node, tensor;
    bool experts, failed;
};

static bool add_reads(const struct tat_access * records, size_t count, void * user) {
    struct sequence * s = user;
    for (size_t i = 0; i < count && s->reads.count < READS_MOST; i++) {
        const struct tat_access * a = &records[i];
        if (!s->p->name_hash[a->tensor] || a->bytes == 0) { continue; }
        const bool again = s->reads.count && s->node == a->node && s->tensor == a->tensor;
        s->node = a->node;
        s->tensor = a->tensor;
        if (again && !s->experts) { continue; }
        struct read * read = list_add(&s->reads, sizeof *read);
        s->failed |= !read;
        if (!read) { return false; }
        *read = (struct read){ s->p->subject.tensors[a->tensor].name, s->experts ? a->expert : TAT_NO_EXPERT };
    }
    return s->reads.count < READS_MOST;
}

static struct sequence sequence_of(const struct profile * p, uint32_t token, bool experts) {
    struct sequence s = { .p = p, .experts = experts };
    const uint32_t e = readings(p)[token].evaluation;
    s.failed |= tat_trace_expand(p->subject.trace, e, e + 1, add_reads, &s, NULL) < 0;
    return s;
}

static bool same_read(const struct sequence * a, const struct sequence * b, size_t at) {
    const struct read *x = &LIST(const struct read, a->reads)[at], *y = &LIST(const struct read, b->reads)[at];
    return x->expert == y->expert && strcmp(x->name, y->name) == 0;
}

static void put_read(char text[static 160], const struct sequence * s, size_t at) {
    const struct read * reads = LIST(const struct read, s->reads);
    if (at >= s->reads.count) {
        strcpy(text, "nothing more");
    } else if (reads[at].expert == TAT_NO_EXPERT) {
        snprintf(text, 160, "%.120s", reads[at].name);
    } else {
        snprintf(text, 160, "expert %" PRIu16 " of %.120s", reads[at].expert, reads[at].name);
    }
}

struct first {
    size_t at;
    char a[160], b[160];
};

/* Finds where a token's sequences part. False: no memory. */
static bool find_first(const struct profile * a, const struct profile * b, uint32_t token, bool experts,
                       struct first * first) {
    struct sequence x = sequence_of(a, token, experts), y = sequence_of(b, token, experts);
    const bool good = !x.failed && !y.failed;
    size_t at = 0;
    while (good && at < x.reads.count && at < y.reads.count && same_read(&x, &y, at)) { at++; }
    first->at = at;
    put_read(first->a, &x, at);
    put_read(first->b, &y, at);
    free(x.reads.data);
    free(y.reads.data);
    return good;
}

/* ---- pairs ---- */

static void put_first(struct result * r, json_t * row, const char * key, uint32_t token, const struct first * first) {
    json_t * object = json_object();
    result_put_count(r, object, "token", token);
    result_put_count(r, object, "read", first->at);
    result_put_text(r, object, "a", first->a);
    result_put_text(r, object, "b", first->b);
    result_put(r, row, key, object);
}

static void say_first(struct result * r, const struct profile * a, const struct profile * b, const char * what,
                      uint32_t token, const struct first * first) {
    char label[64];
    snprintf(label, sizeof label, "%s to %s", a->label, b->label);
    result_line(r, label,
                "%s differ first in generated token %" PRIu32 ", at its read %zu of a weight: %s reads %s, %s %s.",
                what, token + 1, first->at + 1, a->label, first->a, b->label, first->b);
}

static void add_pair(struct result * r, const struct profile * a, const struct profile * b) {
    const struct order_match m = order_match(a, b);
    json_t * row = result_row(r);
    struct first first;
    result_put_text(r, row, "from", a->label);
    result_put_text(r, row, "to", b->label);
    result_put_count(r, row, "tokens", m.tokens);
    result_put_count(r, row, "weights_alike", m.weights);
    result_put_count(r, row, "slices_alike", m.slices);
    result_put(r, row, "weights_identical", json_boolean(m.tokens && m.weights == m.tokens));
    result_put(r, row, "slices_identical", json_boolean(m.tokens && m.slices == m.tokens));
    const bool experts = m.slices < m.tokens && m.slices < m.weights;
    if (m.weights < m.tokens) {
        r->failed |= !find_first(a, b, m.weights, false, &first);
        put_first(r, row, "weights_first", m.weights, &first);
        say_first(r, a, b, "the weights", m.weights, &first);
    }
    if (experts) {
        r->failed |= !find_first(a, b, m.slices, true, &first);
        put_first(r, row, "slices_first", m.slices, &first);
        say_first(r, a, b, "the experts", m.slices, &first);
    }
}

static void set_headline(const struct diff * d, struct result * r) {
    size_t pairs = d->n_runs - 1, none = 0, weights = 0, slices = 0;
    uint32_t least = UINT32_MAX;
    bool chose = false;
    char tokens[UNITS_SIZE];
    for (size_t i = 0; i < d->n_runs; i++) { chose |= d->run[i].n_choices > 0; }
    for (size_t i = 1; i < d->n_runs; i++) {
        const struct order_match m = order_match(&d->run[0], &d->run[i]);
        none += m.tokens == 0;
        weights += m.tokens && m.weights == m.tokens;
        slices += m.tokens && m.slices == m.tokens;
        if (m.tokens < least) { least = m.tokens; }
    }
    format_count(tokens, least);
    result_put(r, result_values(r), "differs", json_boolean(slices + none < pairs));
    if (none == pairs) {
        result_headline(r, "No generated token to compare.");
    } else if (slices == pairs) {
        result_headline(r, "Identical: all runs read the same weights%s in the same order, in all %s generated tokens.",
                        chose ? " and experts" : "", tokens);
    } else if (weights == pairs) {
        result_headline(r, "Weights are read in the identical order, in all %s generated tokens; the experts differ.",
                        tokens);
    } else if (pairs == 1) {
        result_headline(r, "Not identical: another order of weights.");
    } else {
        result_headline(r, "Not identical: %zu of %zu runs read weights in the order of %s.", weights, pairs,
                        d->run[0].label);
    }
}

static void answer(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "from", "from", UNIT_TEXT },
        { "to", "to", UNIT_TEXT },
        { "tokens", "tokens", UNIT_COUNT },
        { "weights_alike", "weights alike up to", UNIT_COUNT },
        { "slices_alike", "experts too", UNIT_COUNT },
    };
    bool lengths = false;
    set_headline(d, r);
    result_table(r, "pairs", NULL, d->n_runs == 2 ? SHOW_ASKED : SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t i = 1; i < d->n_runs; i++) {
        add_pair(r, &d->run[0], &d->run[i]);
        lengths |= d->run[i].readings.count != d->run[0].readings.count;
    }
    if (lengths) { result_note(r, "The runs generated different numbers of tokens: of each pair the shorter counts."); }
}

const struct diff_section diff_order = { "order", "Order", answer };
