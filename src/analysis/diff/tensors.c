/* SPDX-License-Identifier: MIT
 *
 * What changed by tensor: accesses, bytes and time a token, and tensors that only one side has.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/diff/join.h"
#include "analysis/parts.h"
#include "analysis/units.h"

enum { SHOWN = 20 };

static const char * const measures[MEASURES] = { "accesses", "bytes", "ns" };

/* ---- tables ---- */

static double change(const double mean[SIDES]) {
    return mean[0] > 0 ? mean[1] / mean[0] - 1 : NAN;
}

static bool same(const double mean[SIDES]) {
    return fabs(mean[1] - mean[0]) <= 1e-9 * fmax(mean[0], mean[1]);
}

static bool is_weight(const struct joined * j) {
    return j->t->kind == TAT_TENSOR_WEIGHT;
}

static bool is_changed(const struct joined * j) {
    return j->has[0] && j->has[1] && (!same(j->mean[MEASURED_ACCESSES]) || !same(j->mean[MEASURED_BYTES]));
}

static int most_time(const void * a, const void * b) {
    const struct joined *const *x = a, *const *y = b;
    const double dx = fabs((*x)->ns.value), dy = fabs((*y)->ns.value);
    return dx < dy ? 1 : dx > dy ? -1 : touched_order((*x)->t, (*y)->t);
}

static int most_bytes(const void * a, const void * b) {
    const struct joined *const *x = a, *const *y = b;
    const double dx = fabs((*x)->mean[MEASURED_BYTES][1] - (*x)->mean[MEASURED_BYTES][0]),
                 dy = fabs((*y)->mean[MEASURED_BYTES][1] - (*y)->mean[MEASURED_BYTES][0]);
    return dx < dy ? 1 : dx > dy ? -1 : touched_order((*x)->t, (*y)->t);
}

static void add_row(struct result * r, const struct comparison * c, const struct joined * j) {
    static const char suffix[SIDES] = { 'a', 'b' };
    json_t * row = result_row(r);
    result_put_text(r, row, "from", c->side[0]->label);
    result_put_text(r, row, "to", c->side[1]->label);
    result_put_text(r, row, "tensor", j->t->name);
    result_put_text(r, row, "kind", j->t->kind == TAT_TENSOR_WEIGHT ? "weight" : "state");
    result_put_text(r, row, "component", tat_component_name(j->t->component));
    result_put_layer(r, row, "layer", j->t->layer);
    result_put_count(r, row, "tensor_bytes", j->t->size);
    for (int m = 0; m < MEASURES; m++) {
        for (int s = 0; s < SIDES; s++) {
            char key[32];
            snprintf(key, sizeof key, "%s_%c", measures[m], suffix[s]);
            if (j->has[s]) { result_put_real(r, row, key, j->mean[m][s]); }
        }
    }
    if (!j->has[0] || !j->has[1]) { return; }
    result_put_real(r, row, "bytes_change", change(j->mean[MEASURED_BYTES]));
    result_put_real(r, row, "ns_change", change(j->mean[MEASURED_NS]));
    if (isnan(j->ns.low)) { return; }
    result_put_real(r, row, "ns_difference_low", j->ns.low);
    result_put_real(r, row, "ns_difference_high", j->ns.high);
}

/* The label of a pair's side in a heading, as in "bytes A". */
struct heads {
    char text[2][64];
};

static struct result_column headed(struct heads * h, int s, const char * key, const char * what, const char * label,
                                   enum unit unit) {
    snprintf(h->text[s], sizeof h->text[s], "%s %s", what, label);
    return (struct result_column){ key, h->text[s], unit };
}

/* If there are several pairs, two columns say which one a row is about. */
static size_t pair_columns(const struct diff * d, struct result_column * columns) {
    if (d->n_sides == 2) { return 0; }
    columns[0] = (struct result_column){ "from", "from", UNIT_TEXT };
    columns[1] = (struct result_column){ "to", "to", UNIT_TEXT };
    return 2;
}

static void begin_table(const struct diff * d, struct result * r, const char * name, const char * title, enum show show,
                        const char * what, enum unit unit) {
    const bool one = d->n_sides == 2;
    struct heads heads;
    char a[32], b[32], change_key[32];
    struct result_column columns[8];
    size_t n = pair_columns(d, columns);
    snprintf(a, sizeof a, "%s_a", what);
    snprintf(b, sizeof b, "%s_b", what);
    snprintf(change_key, sizeof change_key, "%s_change", what);
    const char * shown = unit == UNIT_NS ? "time" : what;
    columns[n++] = (struct result_column){ "tensor", "tensor", UNIT_TEXT };
    columns[n++] = headed(&heads, 0, a, shown, one ? d->side[0].label : "from", unit);
    columns[n++] = headed(&heads, 1, b, shown, one ? d->side[1].label : "to", unit);
    columns[n++] = (struct result_column){ change_key, "change", UNIT_CHANGE };
    result_table(r, name, title, show, columns, n);
}

static size_t shown_of_pair(const struct diff * d) {
    const size_t share = SHOWN / (d->n_sides - 1);
    return share > 5 ? share : 5;
}

/* Writes the first few in an order, of those that `chosen` lets through. */
static void add_sorted(const struct diff * d, struct result * r, const struct comparison * c,
                       bool (*chosen)(const struct joined *), int (*order)(const void *, const void *)) {
    const struct joined ** sorted = malloc((c->n + 1) * sizeof *sorted);
    size_t n = 0;
    r->failed |= !sorted;
    for (size_t i = 0; sorted && i < c->n; i++) {
        if (chosen(&c->all[i])) { sorted[n++] = &c->all[i]; }
    }
    if (n) { qsort(sorted, n, sizeof(const struct joined *), order); }
    for (size_t i = 0; i < n && i < shown_of_pair(d); i++) { add_row(r, c, sorted[i]); }
    free(sorted);
}

static bool changed_weight(const struct joined * j) {
    return is_weight(j) && is_changed(j);
}

static bool timed_in_both(const struct joined * j) {
    return j->has[0] && j->has[1] && j->mean[MEASURED_NS][0] > 0 && j->mean[MEASURED_NS][1] > 0;
}

static bool in_one(const struct joined * j) {
    return is_weight(j) && !(j->has[0] && j->has[1]);
}

/* ---- parts of the model ---- */

struct part {
    size_t tensors[SIDES];
    double bytes[SIDES], ns[SIDES];
};

static void add_parts(struct result * r, const struct comparison * c) {
    struct part parts[TAT_COMPONENT_COUNT] = { 0 };
    for (size_t i = 0; i < c->n; i++) {
        const struct joined * j = &c->all[i];
        struct part * part = &parts[(unsigned) j->t->component < TAT_COMPONENT_COUNT ? j->t->component : 0];
        for (int s = 0; s < SIDES; s++) {
            part->tensors[s] += j->has[s];
            part->bytes[s] += j->mean[MEASURED_BYTES][s];
            part->ns[s] += j->mean[MEASURED_NS][s];
        }
    }
    for (unsigned i = 0; i < TAT_COMPONENT_COUNT; i++) {
        const struct part * p = &parts[i];
        if (!p->tensors[0] && !p->tensors[1]) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "from", c->side[0]->label);
        result_put_text(r, row, "to", c->side[1]->label);
        result_put_text(r, row, "component", tat_component_name((enum tat_component) i));
        result_put_count(r, row, "tensors_a", p->tensors[0]);
        result_put_count(r, row, "tensors_b", p->tensors[1]);
        result_put_real(r, row, "bytes_a", p->bytes[0]);
        result_put_real(r, row, "bytes_b", p->bytes[1]);
        result_put_real(r, row, "bytes_change", change(p->bytes));
        result_put_real(r, row, "ns_a", p->ns[0]);
        result_put_real(r, row, "ns_b", p->ns[1]);
        result_put_real(r, row, "ns_change", change(p->ns));
    }
}

static void begin_parts(const struct diff * d, struct result * r) {
    struct result_column columns[10];
    size_t n = pair_columns(d, columns);
    const struct result_column of[] = {
        { "component", "part of the model", UNIT_TEXT },
        { "bytes_a", "bytes a token", UNIT_BYTES },
        { "bytes_b", "then", UNIT_BYTES },
        { "bytes_change", "change", UNIT_CHANGE },
        { "ns_a", "time a token", UNIT_NS },
        { "ns_b", "then", UNIT_NS },
        { "ns_change", "change", UNIT_CHANGE },
    };
    memcpy(&columns[n], of, sizeof of);
    result_table(r, "components", NULL, d->n_sides == 2 ? SHOW_ALWAYS : SHOW_ASKED, columns,
                 n + sizeof of / sizeof of[0]);
}

static void add_tables(const struct diff * d, struct result * r, const struct comparison * c, size_t pairs) {
    static const struct result_column all[] = {
        { "from", "from", UNIT_TEXT }, { "to", "to", UNIT_TEXT },         { "tensor", "tensor", UNIT_TEXT },
        { "kind", "kind", UNIT_TEXT }, { "accesses_a", "", UNIT_FACTOR }, { "accesses_b", "", UNIT_FACTOR },
        { "bytes_a", "", UNIT_BYTES }, { "bytes_b", "", UNIT_BYTES },     { "bytes_change", "", UNIT_CHANGE },
        { "ns_a", "", UNIT_NS },       { "ns_b", "", UNIT_NS },           { "ns_change", "", UNIT_CHANGE },
    };
    begin_parts(d, r);
    for (size_t i = 0; i < pairs; i++) { add_parts(r, &c[i]); }
    begin_table(d, r, "changed", "Weights of which another number of bytes is read a token", SHOW_ALWAYS, "bytes",
                UNIT_BYTES);
    for (size_t i = 0; i < pairs; i++) { add_sorted(d, r, &c[i], changed_weight, most_bytes); }
    begin_table(d, r, "only", "Weights that only one side has", SHOW_ASKED, "bytes", UNIT_BYTES);
    for (size_t i = 0; i < pairs; i++) { add_sorted(d, r, &c[i], in_one, most_bytes); }
    begin_table(d, r, "time", "Time a token of a tensor's operations, where it changed most", SHOW_ASKED, "ns",
                UNIT_NS);
    for (size_t i = 0; i < pairs; i++) { add_sorted(d, r, &c[i], timed_in_both, most_time); }
    result_table(r, "all", NULL, SHOW_NEVER, all, sizeof all / sizeof all[0]);
    for (size_t i = 0; i < pairs; i++) {
        for (size_t j = 0; j < c[i].n; j++) { add_row(r, &c[i], &c[i].all[j]); }
    }
}

/* ---- words ---- */

struct counts {
    size_t both, changed, only[SIDES];
    double bytes[2][SIDES]; /* of weights, of the KV cache */
};

static struct counts count(const struct comparison * c) {
    struct counts n = { 0 };
    for (size_t i = 0; i < c->n; i++) {
        const struct joined * j = &c->all[i];
        for (int s = 0; s < SIDES; s++) { n.bytes[!is_weight(j)][s] += j->mean[MEASURED_BYTES][s]; }
        if (!is_weight(j)) { continue; }
        if (j->has[0] && j->has[1]) {
            n.both++;
            n.changed += is_changed(j);
        } else {
            n.only[j->has[1]]++;
        }
    }
    return n;
}

/* "140 MiB in both", "92.1 MiB, then 140 MiB", or "about 140 MiB in both". */
static const char * before_after(char text[static 80], const double bytes[SIDES]) {
    char a[UNITS_SIZE], b[UNITS_SIZE];
    format_mean_bytes(a, bytes[0]);
    format_mean_bytes(b, bytes[1]);
    if (strcmp(a, b) == 0) {
        snprintf(text, 80, "%s%s in both", same(bytes) ? "" : "about ", a);
    } else {
        snprintf(text, 80, "%s, then %s", a, b);
    }
    return text;
}

static void say_pair(const struct diff * d, struct result * r, const struct comparison * c, const struct counts * n) {
    char label[64], weights[80], cache[80], only[160] = "";
    snprintf(label, sizeof label, "%s to %s", c->side[0]->label, c->side[1]->label);
    if (n->only[0] || n->only[1]) {
        snprintf(only, sizeof only, "; %zu only in %s, %zu only in %s", n->only[0], c->side[0]->label, n->only[1],
                 c->side[1]->label);
    }
    result_line(
        r, label,
        "%zu weights in both; of %zu of them the number of bytes or accesses differs%s. Of weights a %s touches "
        "%s; of the KV cache %s.",
        n->both, n->changed, only, diff_scope_name(d), before_after(weights, n->bytes[0]),
        before_after(cache, n->bytes[1]));
}

/* Whether tokens of two runs use other experts, which are as many bytes. */
static bool other_bytes(const struct diff * d) {
    bool other = false;
    for (size_t i = 1; i < d->n_runs; i++) {
        const struct order_match m = order_match(&d->run[0], &d->run[i]);
        other |= m.slices < m.weights || choices_variation(&d->run[0], &d->run[i]) > 0;
    }
    return other;
}

static void set_headline(const struct diff * d, struct result * r, size_t changed, size_t only, size_t both) {
    if (both == 0) {
        result_headline(r, "No weight has the same name on both sides.");
    } else if (changed + only == 0) {
        result_headline(r, "The same weights, and of each the same number of bytes and accesses per %s%s.",
                        diff_scope_name(d), other_bytes(d) ? ", though not always the same bytes: experts differ" : "");
    } else if (d->n_sides == 2) {
        result_headline(
            r,
            "Of %zu weights that both have, the number of bytes or accesses differs for %zu; %zu weights are only "
            "in one.",
            both, changed, only);
    } else {
        result_headline(r, "The number of bytes or accesses of weights differs: see pair by pair.");
    }
}

static void answer(const struct diff * d, struct result * r) {
    const size_t pairs = d->n_sides - 1;
    struct comparison * c = calloc(pairs, sizeof *c);
    size_t changed = 0, only = 0, both = 0;
    r->failed |= !c;
    for (size_t i = 0; c && i < pairs; i++) {
        c[i].side[0] = &d->side[0];
        c[i].side[1] = &d->side[i + 1];
        r->failed |= !diff_join(d, &c[i]);
        const struct counts n = r->failed ? (struct counts){ 0 } : count(&c[i]);
        say_pair(d, r, &c[i], &n);
        changed += n.changed;
        only += n.only[0] + n.only[1];
        both += n.both;
    }
    set_headline(d, r, changed, only, both);
    result_put(r, result_values(r), "differs", json_boolean(changed || only));
    result_put_count(r, result_values(r), "weights_in_both", both);
    result_put_count(r, result_values(r), "weights_read_differently", changed);
    result_put_count(r, result_values(r), "weights_in_one", only);
    if (!r->failed) { add_tables(d, r, c, pairs); }
    result_note(r, "Figures are those of %s, by the number of %ss%s. Tensors are the same where model and name are.",
                d->scope == SCOPE_GENERATE ? "generation" : "prompt and generation", diff_scope_name(d),
                diff_has_repeats(d) ? ", of repeated runs their mean" : "");
    if (d->scope != SCOPE_GENERATE) {
        result_note(r, "Not all runs generated. The tokens of a prompt share each pass over the weights, so that runs "
                       "with longer prompts read less for a token.");
    }
    for (size_t i = 0; c && i < pairs; i++) { free(c[i].all); }
    free(c);
}

const struct diff_section diff_tensors = { "tensors", "Tensors", answer };
