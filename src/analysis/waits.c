/* SPDX-License-Identifier: MIT */
#include "analysis/waits.h"

#include <stdlib.h>

#include "analysis/units.h"

/* Sums over the operations whose wait was recorded. */
struct waited {
    uint64_t ns, wait_ns; /* the time contains the wait */
    uint32_t of;          /* operation, phase or layer */
    bool any;
};

struct waits {
    const struct subject * subject;
    uint32_t n_ops, n_layers;
    struct waited whole, phase[TAT_PHASE_COUNT];
    struct waited *operation, *layer; /* in `all`; the last layer: none */
    struct waited all[];
};

struct waits * waits_begin(const struct subject * subject) {
    const uint32_t n_ops = tat_trace_n_ops(subject->trace), n_layers = tat_matrix_columns(subject->trace, TAT_BY_LAYER);
    struct waits * w = calloc(1, sizeof *w + ((size_t) n_ops + n_layers) * sizeof w->all[0]);
    if (!w) { return NULL; }
    w->subject = subject;
    w->n_ops = n_ops;
    w->n_layers = n_layers;
    w->operation = w->all;
    w->layer = w->all + n_ops;
    for (uint32_t i = 0; i < n_ops; i++) { w->operation[i].of = i; }
    return w;
}

static void add(struct waited * to, uint64_t ns, uint64_t wait_ns) {
    to->ns += ns;
    to->wait_ns += wait_ns;
    to->any = true;
}

void waits_tally(struct waits * w, const struct tat_tally * t) {
    if (!t->wait_ns) { return; }
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        if (!t->ns[i] || !is_inference(phase_of(a))) { continue; }
        add(&w->whole, t->ns[i], t->wait_ns[i]);
        add(&w->phase[phase_of(a)], t->ns[i], t->wait_ns[i]);
        add(&w->operation[a->op], t->ns[i], t->wait_ns[i]);
        add(&w->layer[a->layer < w->n_layers ? a->layer : w->n_layers - 1], t->ns[i], t->wait_ns[i]);
    }
}

static int longest_wait(const void * a, const void * b) {
    const struct waited *x = a, *y = b;
    if (x->wait_ns != y->wait_ns) { return x->wait_ns < y->wait_ns ? 1 : -1; }
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    return x->of < y->of ? -1 : x->of > y->of;
}

/* ---- tables ---- */

#define WAIT_COLUMNS                                                                                                   \
    { "ns", "time", UNIT_NS }, { "wait_ns", "waited", UNIT_NS }, { "wait_share", "of its time", UNIT_SHARE }, {        \
        "share", "of all waiting", UNIT_SHARE                                                                          \
    }
enum { COLUMNS = 5 };

static json_t * add_waited(const struct waits * w, struct result * r, const struct waited * x) {
    json_t * row = result_row(r);
    result_put_count(r, row, "ns", x->ns);
    result_put_count(r, row, "wait_ns", x->wait_ns);
    result_put_real(r, row, "wait_share", ratio(x->wait_ns, x->ns));
    result_put_real(r, row, "share", ratio(x->wait_ns, w->whole.wait_ns));
    return row;
}

static void add_tables(const struct waits * w, struct result * r) {
    static const struct result_column operations[COLUMNS] = { { "operation", "behind", UNIT_TEXT }, WAIT_COLUMNS };
    static const struct result_column phases[COLUMNS] = { { "phase", "phase", UNIT_TEXT }, WAIT_COLUMNS };
    static const struct result_column layers[COLUMNS] = { { "layer", "layer", UNIT_NUMBER }, WAIT_COLUMNS };
    result_table(r, "waits", "Thread 0's waiting for the others, by operation", SHOW_ASKED, operations, COLUMNS);
    for (uint32_t i = 0; i < w->n_ops && w->operation[i].any; i++) {
        const struct waited * x = &w->operation[i];
        result_put_text(r, add_waited(w, r, x), "operation", tat_trace_op_name(w->subject->trace, (uint16_t) x->of));
    }
    result_table(r, "phase_waits", "The same by phase", SHOW_ASKED, phases, COLUMNS);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (!w->phase[p].any) { continue; }
        result_put_text(r, add_waited(w, r, &w->phase[p]), "phase", tat_phase_name((enum tat_phase) p));
    }
    result_table(r, "layer_waits", "The same by layer", SHOW_ASKED, layers, COLUMNS);
    for (uint32_t i = 0; i < w->n_layers; i++) {
        if (!w->layer[i].any) { continue; }
        result_put_layer(r, add_waited(w, r, &w->layer[i]), "layer", i + 1 < w->n_layers ? i : TAT_NO_LAYER);
    }
}

/* ---- words ---- */

static bool several_threads(const struct subject * s) {
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (is_inference(s->evaluations[i].phase) && s->evaluations[i].n_threads > 1) { return true; }
    }
    return false;
}

static void tell(const struct waits * w, struct result * r) {
    static const char label[] = "barriers", question[] = "How much of the time goes into waiting for other threads?";
    const bool several = several_threads(w->subject);
    char share[UNITS_SIZE], most[UNITS_SIZE];
    format_share(share, ratio(w->whole.wait_ns, w->whole.ns));
    if (!w->whole.any) {
        const char * text = several ? "It was not recorded; a new recording with `tat record --exact-time` tells it."
                                    : "None: one thread computed.";
        result_line(r, label, "%s",
                    several ? "waiting at them was not recorded: `tat record --exact-time` does that"
                            : "one thread computed, and had none to wait for");
        result_answer(r, question, "%s", text);
    } else if (!several || w->whole.wait_ns == 0) {
        const char * why = several ? "no other was later than thread 0" : "one thread computed";
        result_line(r, label, "%s; passing them took %s of the time", why, share);
        result_answer(r, question, "None: %s. Passing the barriers took %s of the time.", why, share);
    } else {
        const char * behind = tat_trace_op_name(w->subject->trace, (uint16_t) w->operation[0].of);
        format_share(most, ratio(w->operation[0].wait_ns, w->whole.wait_ns));
        result_line(r, label, "thread 0 waited at them for %s of the time, most behind %s: %s of its waiting", share,
                    behind, most);
        result_answer(r, question, "Thread 0 waited at barriers for %s of the time, most behind %s: %s of its waiting.",
                      share, behind, most);
    }
}

/* Says how to read times and waits. */
static void explain(const struct waits * w, struct result * r, uint64_t ns) {
    uint32_t exact = 0;
    char rest[UNITS_SIZE];
    for (uint32_t i = 0; i < w->subject->n_evaluations; i++) {
        exact += (w->subject->evaluations[i].flags & TAT_EVALUATION_EXACT) != 0;
    }
    if (!exact) {
        result_note(r,
                    "Time is thread 0's, from one operation's end to the next's: the wait for the other threads is in "
                    "the operation after it, and is not told apart. `tat record --exact-time` times an operation until "
                    "its slowest thread is done, and tells the wait apart.");
        return;
    }
    result_note(r, "Time is from one operation's end to the next's, where the end is that of the slowest thread: the "
                   "wait for it is in its own operation.");
    if (!w->whole.any) { return; }
    result_note(r,
                "Waiting is that of thread 0, at the barrier behind an operation, until all threads had finished it. "
                "How long other threads waited for thread 0 is not recorded; barriers inside an operation, as a "
                "matrix product has, count as its work.");
    if (w->whole.ns < ns) {
        result_note(r, "Of %s of the time no waiting was recorded: shares of waiting are of the rest.",
                    format_share(rest, ratio(ns - w->whole.ns, ns)));
    }
}

void waits_finish(struct waits * w, struct result * r, uint64_t ns) {
    qsort(w->operation, w->n_ops, sizeof w->operation[0], longest_wait);
    if (w->whole.any) {
        result_put_count(r, result_values(r), "wait_ns", w->whole.wait_ns);
        result_put_real(r, result_values(r), "wait_share", ratio(w->whole.wait_ns, w->whole.ns));
        result_put_count(r, result_values(r), "wait_of_ns", w->whole.ns);
        add_tables(w, r);
    }
    if (ns) {
        tell(w, r);
        explain(w, r, ns);
    }
    free(w);
}
