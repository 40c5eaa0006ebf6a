/* SPDX-License-Identifier: MIT
 *
 * Tokens a second and the time of operations, with what chance alone would make of them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/diff/diff.h"
#include "analysis/diff/statistics.h"
#include "analysis/units.h"

static double rate_of(const struct profile * p, enum tat_phase phase) {
    const struct phase_total * t = &p->subject.phase[phase];
    return t->tokens && t->ns ? 1e9 * ratio(t->tokens, t->ns) : NAN;
}

/* The rates of a side's runs that have any. Returns how many. */
static size_t rates_of(const struct side * side, enum tat_phase phase, double rates[static TAT_DIFF_MOST]) {
    size_t n = 0;
    for (size_t i = 0; i < side->n; i++) {
        const double rate = rate_of(side->run[i], phase);
        if (!isnan(rate)) { rates[n++] = rate; }
    }
    return n;
}

static void add_runs(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "run", "run", UNIT_TEXT },
        { "setup", "setup", UNIT_NUMBER },
        { "prompt_tokens_per_second", "prompt tokens/s", UNIT_PER_SECOND },
        { "generate_tokens_per_second", "generated tokens/s", UNIT_PER_SECOND },
    };
    result_table(r, "runs", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < d->n_runs; i++) {
        json_t * row = result_row(r);
        result_put_text(r, row, "run", d->run[i].label);
        result_put_count(r, row, "setup", d->run[i].group + 1);
        result_put_real(r, row, "prompt_tokens_per_second", rate_of(&d->run[i], TAT_PHASE_PROMPT));
        result_put_real(r, row, "generate_tokens_per_second", rate_of(&d->run[i], TAT_PHASE_GENERATE));
    }
}

/* ---- rates ---- */

static void put_test(struct result * r, json_t * row, const struct difference * d, const struct rank_test * t,
                     double mean) {
    result_put_real(r, row, "difference_low", d->low);
    result_put_real(r, row, "difference_high", d->high);
    result_put_real(r, row, "change_low", d->low / mean);
    result_put_real(r, row, "change_high", d->high / mean);
    result_put_real(r, row, "p", t->p);
    result_put(r, row, "p_exact", json_boolean(t->exact));
}

static void say_rate(struct result * r, const struct side * a, const struct side * b, const char * what,
                     const double * x, size_t nx, const double * y, size_t ny) {
    const struct difference d = mean_difference(x, nx, y, ny);
    const struct rank_test t = rank_test(x, nx, y, ny);
    const double mean = mean_of(x, nx);
    char label[64], change[UNITS_SIZE], low[UNITS_SIZE], high[UNITS_SIZE];
    snprintf(label, sizeof label, "%s to %s", a->label, b->label);
    if (isnan(d.low)) {
        result_line(r, label, "%s at %.1f tokens/s, then %.1f: %s.", what, mean, mean_of(y, ny),
                    format_change(change, d.value / mean));
    } else {
        const bool clear = d.low > 0 || d.high < 0;
        result_line(r, label,
                    "%s at %.1f tokens/s, then %.1f: %s, 95 %% interval %s to %s%s (%zu and %zu runs; rank test p = "
                    "%.3f).",
                    what, mean, mean_of(y, ny), format_change(change, d.value / mean), format_change(low, d.low / mean),
                    format_change(high, d.high / mean), clear ? "" : ": no clear difference", nx, ny, t.p);
    }
}

static void add_rates(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "from", "from", UNIT_TEXT },         { "to", "to", UNIT_TEXT },
        { "phase", "phase", UNIT_TEXT },       { "mean_a", "tokens/s", UNIT_PER_SECOND },
        { "mean_b", "then", UNIT_PER_SECOND }, { "change", "change", UNIT_CHANGE },
        { "change_low", "from", UNIT_CHANGE }, { "change_high", "to", UNIT_CHANGE },
        { "p", "rank test p", UNIT_INDEX },
    };
    static const enum tat_phase phases[] = { TAT_PHASE_PROMPT, TAT_PHASE_GENERATE };
    static const char * const names[] = { "prompt", "generation" };
    result_table(r, "rates", "Tokens a second, with the 95 % interval of the change", SHOW_NEVER, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t s = 1; s < d->n_sides; s++) {
        for (size_t p = 0; p < 2; p++) {
            double x[TAT_DIFF_MOST], y[TAT_DIFF_MOST];
            const size_t nx = rates_of(&d->side[0], phases[p], x), ny = rates_of(&d->side[s], phases[p], y);
            if (!nx || !ny) { continue; }
            const struct difference difference = mean_difference(x, nx, y, ny);
            const struct rank_test test = rank_test(x, nx, y, ny);
            json_t * row = result_row(r);
            result_put_text(r, row, "from", d->side[0].label);
            result_put_text(r, row, "to", d->side[s].label);
            result_put_text(r, row, "phase", names[p]);
            result_put_count(r, row, "runs_a", nx);
            result_put_count(r, row, "runs_b", ny);
            result_put_real(r, row, "mean_a", mean_of(x, nx));
            result_put_real(r, row, "mean_b", mean_of(y, ny));
            result_put_real(r, row, "change", difference.value / mean_of(x, nx));
            if (nx > 1 && ny > 1) { put_test(r, row, &difference, &test, mean_of(x, nx)); }
            say_rate(r, &d->side[0], &d->side[s], p ? "Generation" : "The prompt", x, nx, y, ny);
        }
    }
}

/* Runs of one set-up are not compared; it is only said how far apart they are. */
static void say_spread(const struct diff * d, struct result * r) {
    static const char * const names[] = { "prompt", "generation" };
    for (size_t p = 0; p < 2; p++) {
        double low = INFINITY, high = 0;
        for (size_t i = 0; i < d->n_runs; i++) {
            const double rate = rate_of(&d->run[i], p ? TAT_PHASE_GENERATE : TAT_PHASE_PROMPT);
            if (isnan(rate)) { continue; }
            low = fmin(low, rate);
            high = fmax(high, rate);
        }
        if (high > 0) {
            char change[UNITS_SIZE];
            const bool times = high >= 10 * low;
            result_line(r, names[p], "%.1f to %.1f tokens/s: the fastest run is %s %s the slowest.", low, high,
                        format_change(change, high / low - 1) + !times, times ? "as fast as" : "faster than");
        }
    }
}

/* ---- within one run ---- */

static void add_tokens(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "from", "from", UNIT_TEXT },      { "to", "to", UNIT_TEXT },          { "tokens_a", "tokens", UNIT_COUNT },
        { "tokens_b", "then", UNIT_COUNT }, { "slower", "slower", UNIT_SHARE }, { "p_if_independent", "p", UNIT_INDEX },
    };
    result_table(r, "tokens", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    bool said = false;
    for (size_t s = 1; s < d->n_sides; s++) {
        const struct profile *a = d->side[0].run[0], *b = d->side[s].run[0];
        if (!a->n_token_ns || !b->n_token_ns || diff_has_repeats(d)) { continue; }
        const struct rank_test t = rank_test(a->token_ns, a->n_token_ns, b->token_ns, b->n_token_ns);
        json_t * row = result_row(r);
        char label[64], slower[UNITS_SIZE];
        result_put_text(r, row, "from", a->label);
        result_put_text(r, row, "to", b->label);
        result_put_count(r, row, "tokens_a", a->n_token_ns);
        result_put_count(r, row, "tokens_b", b->n_token_ns);
        result_put_real(r, row, "u", t.u);
        result_put_real(r, row, "slower", t.superior);
        result_put_real(r, row, "p_if_independent", t.p);
        snprintf(label, sizeof label, "%s to %s", a->label, b->label);
        result_line(r, label, "token against token, one of %s takes longer than one of %s in %s of all pairs.",
                    b->label, a->label, format_share(slower, t.superior));
        said = true;
    }
    if (said) {
        result_note(r, "Without repeated runs nobody can tell a difference from chance: tokens of one run share its "
                       "caches, clock speed and neighbours, so testing them against each other (in the JSON) finds "
                       "differences between any two runs. Record each setup three times or more.");
    }
}

/* ---- operations ---- */

struct operation {
    const char * name;
    double ns[2][TAT_DIFF_MOST]; /* per token, by run of each side */
    struct difference d;
    double mean[2];
};

static struct operation * find(struct operation * all, size_t * n, size_t most, const char * name) {
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(all[i].name, name) == 0) { return &all[i]; }
    }
    if (*n == most) { return NULL; }
    all[*n] = (struct operation){ .name = name };
    return &all[(*n)++];
}

static int most_change(const void * a, const void * b) {
    const struct operation *x = a, *y = b;
    const double dx = fabs(x->d.value), dy = fabs(y->d.value);
    return dx < dy ? 1 : dx > dy ? -1 : strcmp(x->name, y->name);
}

static void gather(const struct diff * d, const struct side * side, size_t s, struct operation * all, size_t * n,
                   size_t most) {
    for (size_t i = 0; i < side->n; i++) {
        const struct profile * p = side->run[i];
        const double tokens = fmax((double) profile_total(p, d->scope).tokens, 1);
        for (uint32_t o = 0; o < p->n_operations; o++) {
            if (!p->operations[o].ns[d->scope]) { continue; }
            struct operation * operation = find(all, n, most, p->operations[o].name);
            if (operation) { operation->ns[s][i] += (double) p->operations[o].ns[d->scope] / tokens; }
        }
    }
}

static void add_pair(const struct diff * d, struct result * r, const struct side * a, const struct side * b) {
    enum { OPERATIONS_MOST = 512 }; /* ggml has about 100; only a made-up trace has more */
    struct operation * all = calloc(OPERATIONS_MOST, sizeof *all);
    size_t n = 0;
    r->failed |= !all;
    if (!all) { return; }
    gather(d, a, 0, all, &n, OPERATIONS_MOST);
    gather(d, b, 1, all, &n, OPERATIONS_MOST);
    for (size_t i = 0; i < n; i++) {
        all[i].d = mean_difference(all[i].ns[0], a->n, all[i].ns[1], b->n);
        all[i].mean[0] = mean_of(all[i].ns[0], a->n);
        all[i].mean[1] = mean_of(all[i].ns[1], b->n);
    }
    qsort(all, n, sizeof *all, most_change);
    for (size_t i = 0; i < n; i++) {
        const struct operation * o = &all[i];
        json_t * row = result_row(r);
        result_put_text(r, row, "from", a->label);
        result_put_text(r, row, "to", b->label);
        result_put_text(r, row, "operation", o->name);
        result_put_real(r, row, "ns_a", o->mean[0]);
        result_put_real(r, row, "ns_b", o->mean[1]);
        if (o->mean[0] > 0) { result_put_real(r, row, "change", o->d.value / o->mean[0]); }
        if (isnan(o->d.low)) { continue; }
        const struct rank_test t = rank_test(o->ns[0], a->n, o->ns[1], b->n);
        put_test(r, row, &o->d, &t, o->mean[0]);
        result_put_text(r, row, "clear", o->d.low > 0 || o->d.high < 0 ? "yes" : "no");
    }
    free(all);
}

static void add_operations(const struct diff * d, struct result * r) {
    struct result_column columns[8];
    size_t n = 0;
    if (d->n_sides > 2) {
        columns[n++] = (struct result_column){ "from", "from", UNIT_TEXT };
        columns[n++] = (struct result_column){ "to", "to", UNIT_TEXT };
    }
    columns[n++] = (struct result_column){ "operation", "operation", UNIT_TEXT };
    columns[n++] = (struct result_column){ "ns_a", "time a token", UNIT_NS };
    columns[n++] = (struct result_column){ "ns_b", "then", UNIT_NS };
    columns[n++] = (struct result_column){ "change", "change", UNIT_CHANGE };
    if (diff_has_repeats(d)) { columns[n++] = (struct result_column){ "clear", "beyond chance", UNIT_TEXT }; }
    result_table(r, "operations", "Time of operations, most change first", d->n_sides == 2 ? SHOW_ALWAYS : SHOW_ASKED,
                 columns, n);
    for (size_t i = 1; i < d->n_sides; i++) { add_pair(d, r, &d->side[0], &d->side[i]); }
}

static void set_headline(const struct diff * d, struct result * r) {
    double x[TAT_DIFF_MOST], y[TAT_DIFF_MOST];
    const size_t nx = rates_of(&d->side[0], TAT_PHASE_GENERATE, x);
    const size_t ny = rates_of(&d->side[1], TAT_PHASE_GENERATE, y);
    if (d->n_groups == 1) {
        result_headline(r, "The runs repeat each other: their times differ by chance.");
    } else if (!nx || !ny) {
        result_headline(r, "No generated tokens on both sides to compare the rates of.");
    } else {
        const struct difference t = mean_difference(x, nx, y, ny);
        const char * chance = isnan(t.low)              ? ", but without repeated runs this may be chance"
                              : t.low > 0 || t.high < 0 ? ", beyond chance"
                                                        : ", which may be chance";
        char change[UNITS_SIZE];
        result_headline(r, "Generation went from %.1f to %.1f tokens/s (%s)%s%s.", mean_of(x, nx), mean_of(y, ny),
                        format_change(change, t.value / mean_of(x, nx)), chance,
                        d->n_sides > 2 ? "; further pairs below" : "");
    }
}

static void answer(const struct diff * d, struct result * r) {
    set_headline(d, r);
    add_runs(d, r);
    if (d->n_groups == 1) {
        say_spread(d, r);
    } else {
        add_rates(d, r);
        add_tokens(d, r);
    }
    add_operations(d, r);
    if (diff_has_repeats(d)) {
        result_note(r,
                    "Intervals are Welch's, over runs; the rank test is Mann and Whitney's. \"Beyond chance\": the 95 "
                    "%% interval leaves out zero; of 20 operations that did not change, one is expected to do so.");
    }
    result_note(r, "Tokens/s is by the time of computing graphs. Times of operations are thread 0's, per %s.",
                diff_scope_name(d));
}

const struct diff_section diff_time = { "time", "Time", answer };
