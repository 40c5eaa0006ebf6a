/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/bottleneck.h"
#include "analysis/layers/layers.h"
#include "analysis/machine.h"
#include "analysis/parts.h"
#include "analysis/units.h"

struct slowest {
    const struct subject * subject;
    const uint64_t * bytes;
    uint32_t n_layers;
    struct token_times times;
    struct standing * standing;    /* the slowest first */
    uint32_t n;                    /* layers that took any time */
    uint32_t longest;              /* the layer whose median time is the longest: not always the first of `standing` */
    uint64_t longest_ns, first_ns; /* its median time, and that of the first of `standing` */
    struct excess excess;
};

/* ---- why ---- */

struct difference {
    unsigned part;
    double ns; /* a token: above the average layer's, the median over tokens */
};

static int by_size(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

/* By how much each part of the layer exceeds that of the average one, times the number of layers, so that no digit is
 * lost: by part, then by token. */
static void compare_parts(const struct slowest * s, const struct token_times * by_tensor, double * over) {
    const uint32_t layer = s->standing[0].column;
    memset(over, 0, (size_t) by_tensor->n * PARTS * sizeof *over);
    for (uint32_t i = 0; i < by_tensor->n; i++) {
        const uint64_t * ns = by_tensor->ns + (size_t) i * by_tensor->columns;
        for (uint32_t t = 0; t < by_tensor->columns; t++) {
            const struct tat_tensor * tensor = &s->subject->tensors[t];
            if (!ns[t] || tensor->layer >= s->n_layers) { continue; }
            const double own = tensor->layer == layer ? s->n : 0;
            over[part_of(tensor) * (size_t) by_tensor->n + i] += (own - 1) * (double) ns[t];
        }
    }
}

/* The part of the model to which most of the difference goes. False: memory. */
static bool find_difference(const struct slowest * s, struct difference * d) {
    struct token_times by_tensor;
    bool good = token_times_of(s->subject, TAT_BY_TENSOR, &by_tensor);
    double * over = good ? malloc(((size_t) by_tensor.n * PARTS + 1) * sizeof *over) : NULL;
    *d = (struct difference){ .ns = -1 };
    good = over != NULL;
    if (good) { compare_parts(s, &by_tensor, over); }
    for (unsigned p = 0; p < PARTS && good && by_tensor.n; p++) {
        double * values = over + p * (size_t) by_tensor.n;
        qsort(values, by_tensor.n, sizeof *values, by_size);
        const double median = values[(by_tensor.n - 1) / 2] / s->n;
        if (median > d->ns) { *d = (struct difference){ p, median }; }
    }
    free(over);
    token_times_free(&by_tensor);
    return good;
}

/* ---- words ---- */

static const char question[] = "Which layers are the bottleneck, and why?";

static double bytes_of_average(const struct slowest * s, uint32_t layer) {
    uint64_t all = 0;
    uint32_t named = 0;
    for (uint32_t i = 0; i < s->n_layers; i++) {
        all += s->bytes[i];
        named += s->bytes[i] > 0;
    }
    return all ? (double) s->bytes[layer] / ratio(all, named) : 0;
}

/* "; so do layers 3 and 7", of those that are bottlenecks too. */
static void name_others(const struct slowest * s, char * text, size_t size) {
    uint32_t n = 0;
    size_t used = 0;
    while (n < s->n && s->standing[n].is_bottleneck) { n++; }
    *text = '\0';
    for (uint32_t i = 1; i < n && used + 32 < size; i++) {
        used += (size_t) snprintf(text + used, size - used, "%s%" PRIu32,
                                  i == 1 && n == 2 ? "; so does layer "
                                  : i == 1         ? "; so do layers "
                                  : i + 1 == n     ? " and "
                                                   : ", ",
                                  s->standing[i].column);
    }
}

/* Threads that lose their processor lose it where they meet, which may well be one layer, token for token. */
static void say_busy(const struct slowest * s, char * text, size_t size) {
    const struct machine machine = machine_of(s->subject);
    char lost[UNITS_SIZE];
    *text = '\0';
    if (!machine_was_busy(&machine)) { return; }
    snprintf(text, size, " The machine was busy: others took %s of the threads' time; record again.",
             format_share(lost, machine_lost(&machine)));
}

/* Where the layer that takes longest for its token is not the one with the longest median time. */
static void say_longest(const struct slowest * s, char * text, size_t size) {
    *text = '\0';
    if (s->longest == s->standing[0].column) { return; }
    snprintf(text, size, " By median time alone it is layer %" PRIu32 ".", s->longest);
}

static void say_bottleneck(const struct slowest * s, struct result * r) {
    const struct standing * first = &s->standing[0];
    const double more = bytes_of_average(s, first->column);
    struct difference d;
    char others[256], ns[UNITS_SIZE], busy[96], longest[64];
    r->failed |= !find_difference(s, &d);
    say_busy(s, busy, sizeof busy);
    say_longest(s, longest, sizeof longest);
    name_others(s, others, sizeof others);
    result_answer(r, question,
                  "Layer %" PRIu32 ": in the median it takes %.2f times as long as the median layer of the same %s, "
                  "and in %" PRIu32 " of %" PRIu32
                  " parts of the run at least 1.1 times%s. Its bytes, %.2f times the average's, %s that. "
                  "Most of the difference lies with %s: %s.%s%s",
                  first->column, first->times, times_unit(&s->times), first->slow, first->parts, others, more,
                  more < BOTTLENECK_FACTOR ? "do not explain" : "may explain", part_name(d.part),
                  format_duration(ns, (uint64_t) (d.ns > 0 ? d.ns : 0)), longest, busy);
}

/* A sum that a few tokens made. */
static void say_noise(const struct slowest * s, char * text, size_t size) {
    *text = '\0';
    if (s->excess.times < BOTTLENECK_FACTOR) { return; }
    snprintf(text, size,
             " In sum layer %" PRIu32 " takes %.2f times as long as the average layer, but half of that excess lies on "
             "%" PRIu32 " of %" PRIu32 " %ss: it is noise.",
             s->excess.column, s->excess.times, s->excess.tokens, s->times.n, times_unit(&s->times));
}

static void say_none(const struct slowest * s, struct result * r) {
    const struct standing * first = &s->standing[0];
    const char * unit = times_unit(&s->times);
    char noise[256], longest[64];
    say_noise(s, noise, sizeof noise);
    say_longest(s, longest, sizeof longest);
    if (first->times < BOTTLENECK_FACTOR) {
        result_answer(r, question,
                      "None: in the median, layer %" PRIu32
                      " takes longest, but only %.2f times as long as the median layer of the same %s.%s%s",
                      first->column, first->times, unit, longest, noise);
    } else if (s->times.n < PARTS_OF_RUN / 2) {
        result_answer(r, question,
                      "Too few tokens to tell. Layer %" PRIu32
                      " takes longest, %.2f times as long as the median layer.%s",
                      first->column, first->times, longest);
    } else {
        result_answer(r, question,
                      "None that stands out from the run's own variation: in the median, layer %" PRIu32
                      " takes %.2f times as long as the median layer of the same %s, but at least 1.1 times in only "
                      "%" PRIu32 " of %" PRIu32 " parts of the run.%s%s",
                      first->column, first->times, unit, first->slow, first->parts, longest, noise);
    }
}

/* False: memory. */
static bool find_longest(struct slowest * s) {
    uint64_t * room = malloc(((size_t) s->times.n + 1) * sizeof *room);
    if (!room) { return false; }
    s->first_ns = s->longest_ns = spread_of(&s->times, s->standing[0].column, room).p50;
    s->longest = s->standing[0].column;
    for (uint32_t i = 1; i < s->n; i++) {
        const uint64_t ns = spread_of(&s->times, s->standing[i].column, room).p50;
        if (ns > s->longest_ns) {
            s->longest = s->standing[i].column;
            s->longest_ns = ns;
        }
    }
    free(room);
    return true;
}

static void set_headline(const struct slowest * s, struct result * r) {
    const struct standing * first = &s->standing[0];
    const char * unit = times_unit(&s->times);
    char ns[UNITS_SIZE], most[UNITS_SIZE];
    format_duration(ns, s->first_ns);
    if (s->longest == first->column) {
        result_headline(r,
                        "Layer %" PRIu32 " takes longest: %s of the median %s, %.2f times as long as the median layer.",
                        first->column, ns, unit, first->times);
    } else {
        result_headline(r,
                        "Compared with the median layer of the same %s, layer %" PRIu32
                        " takes longest: %.2f times as long. By its median time alone, %s, it does not: layer %" PRIu32
                        " takes %s.",
                        unit, first->column, first->times, ns, s->longest, format_duration(most, s->longest_ns));
    }
}

/* ---- figures ---- */

static void put_values(const struct slowest * s, struct result * r) {
    json_t *values = result_values(r), *bottlenecks = json_array();
    result_put_count(r, values, "tokens", s->times.n);
    result_put_count(r, values, "slowest_layer", s->standing[0].column);
    result_put_real(r, values, "slowest_of_median", s->standing[0].times);
    result_put_count(r, values, "longest_median_layer", s->longest);
    result_put_count(r, values, "longest_median_ns", s->longest_ns);
    for (uint32_t i = 0; i < s->n && s->standing[i].is_bottleneck; i++) {
        json_array_append_new(bottlenecks, json_integer(s->standing[i].column));
    }
    result_put(r, values, "bottlenecks", bottlenecks);
    result_put_count(r, values, "largest_sum_layer", s->excess.column);
    result_put_real(r, values, "largest_sum_of_average", s->excess.times);
    result_put_count(r, values, "excess_tokens", s->excess.tokens);
}

static int by_layer(const void * a, const void * b) {
    const struct standing *x = a, *y = b;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* Sorts the standings anew. */
static void add_times(struct slowest * s, struct result * r) {
    static const struct result_column columns[] = {
        { "layer", "layer", UNIT_NUMBER },    { "p50_ns", "median", UNIT_NS },
        { "p90_ns", "p90", UNIT_NS },         { "p99_ns", "p99", UNIT_NS },
        { "times", "of median", UNIT_INDEX }, { "slow_parts", "slow parts", UNIT_COUNT },
    };
    char title[80];
    uint64_t * room = malloc(((size_t) s->times.n + 1) * sizeof *room);
    snprintf(title, sizeof title, "Times of a %s", times_unit(&s->times));
    result_table(r, "token_times", title, SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    qsort(s->standing, s->n, sizeof *s->standing, by_layer);
    r->failed |= !room;
    for (uint32_t i = 0; i < s->n && room; i++) {
        const struct spread spread = spread_of(&s->times, s->standing[i].column, room);
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", s->standing[i].column);
        put_spread(r, row, &spread);
        result_put_real(r, row, "times", s->standing[i].times);
        result_put_count(r, row, "slow_parts", s->standing[i].slow);
    }
    free(room);
}

static void explain(const struct slowest * s, struct result * r) {
    result_note(
        r,
        "p90, p99: the time that 90 and 99 %% of the %ss do not exceed. A layer is called a bottleneck where it "
        "takes at least 1.1 times as long as the median layer of the same %s: in the median, and in so many "
        "of ten consecutive parts of the run that chance is ruled out (sign test, p < 0.05).",
        times_unit(&s->times), times_unit(&s->times));
}

void layers_slowest(const struct subject * subject, struct result * r, const uint64_t * bytes, uint32_t n_layers) {
    struct slowest s = { .subject = subject, .bytes = bytes, .n_layers = n_layers };
    bool good = token_times_of(subject, TAT_BY_LAYER, &s.times);
    s.standing = good ? standings_of(&s.times, n_layers, &s.n) : NULL;
    good = s.standing && excess_of(&s.times, n_layers, &s.excess);
    r->failed |= !good;
    if (good && s.n == 1 && s.times.n && subject->some_layers) {
        result_headline(r, "Layer %" PRIu32 " alone: there is no other layer to compare it with.",
                        s.standing[0].column);
        add_times(&s, r);
    } else if (good && s.n && s.times.n) {
        r->failed |= !find_longest(&s);
        set_headline(&s, r);
        put_values(&s, r);
        if (s.standing[0].is_bottleneck) {
            say_bottleneck(&s, r);
        } else {
            say_none(&s, r);
        }
        add_times(&s, r);
        explain(&s, r);
    } else if (good) {
        result_headline(r, "No token was computed to its end: nothing tells which layer is slow.");
    }
    free(s.standing);
    token_times_free(&s.times);
}
