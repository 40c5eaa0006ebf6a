/* SPDX-License-Identifier: MIT
 *
 * Which tensors waited for the disk. Times are those of threads in page faults: a fault of each of two threads at once
 * counts twice in `stall`, and once in `blocked`, the time in which any thread was in one.
 */
#include "analysis/storage/storage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/machine.h"
#include "analysis/token_times.h"
#include "analysis/units.h"

enum { SHOWN = 15 };

static const char * const place_names[PLACES] = {
    [PLACE_OPERATION] = "an operation",
    [PLACE_OUTSIDE] = "a weight, outside graphs",
    [PLACE_UNWANTED] = "a weight that no operation read then",
    [PLACE_NO_WEIGHT] = "the model file, outside its weights",
    [PLACE_OTHER_FILE] = "another file",
    [PLACE_NO_FILE] = "memory that is no file's, or code",
    [PLACE_OTHER_PROCESS] = "another process",
};

struct sum {
    uint64_t major, minor, stall_ns;
};

struct slice_sum {
    uint32_t tensor;
    uint16_t expert;
    struct sum sum;
};

struct state {
    const struct subject * subject;
    struct placed_faults faults;
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (s) { s->subject = subject; }
    return s;
}

static void add(struct sum * sum, const struct placed_fault * f) {
    *(is_major(&f->fault) ? &sum->major : &sum->minor) += 1;
    sum->stall_ns += fault_stall(&f->fault);
}

#define SUM_COLUMNS                                                                                                    \
    { "major_faults", "major faults", UNIT_COUNT }, { "minor_faults", "minor faults", UNIT_COUNT },                    \
        { "stall_ns", "time in them", UNIT_NS }, {                                                                     \
        "stall_share", "share", UNIT_SHARE                                                                             \
    }

static json_t * put_sum(struct result * r, const struct sum * sum, const struct sum * all) {
    json_t * row = result_row(r);
    result_put_count(r, row, "major_faults", sum->major);
    result_put_count(r, row, "minor_faults", sum->minor);
    result_put_count(r, row, "stall_ns", sum->stall_ns);
    result_put_real(r, row, "stall_share", ratio(sum->stall_ns, all->stall_ns));
    return row;
}

/* ---- by place, by phase ---- */

static void add_places(const struct state * s, struct result * r, const struct sum * all) {
    static const struct result_column columns[] = { { "place", "in", UNIT_TEXT }, SUM_COLUMNS };
    struct sum sums[PLACES] = { 0 };
    for (size_t i = 0; i < s->faults.count; i++) { add(&sums[s->faults.at[i].place], &s->faults.at[i]); }
    result_table(r, "places", "Where the faults were", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < PLACES; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        const struct sum none = { 0 }; /* of which another process has no share */
        result_put_text(r, put_sum(r, &sums[i], i == PLACE_OTHER_PROCESS ? &none : all), "place", place_names[i]);
    }
    struct sum model = { 0 };
    for (int i = 0; i <= PLACE_NO_WEIGHT; i++) { model.stall_ns += sums[i].stall_ns; }
    result_put_real(r, result_values(r), "placed_share", ratio(sums[PLACE_OPERATION].stall_ns, model.stall_ns));
}

/* Of one process's faults, by end: the time in which any of its threads was in one. */
static uint64_t blocked(const struct placed_fault * const * faults, size_t count) {
    uint64_t ns = 0, from = UINT64_MAX; /* what was joined so far begins there */
    for (size_t i = count; i-- > 0;) {  /* backwards: each ends no later than the one before */
        const uint64_t end = faults[i]->fault.end_ns, begin = end - fault_stall(&faults[i]->fault);
        if (begin >= from) { continue; }
        ns += (end < from ? end : from) - begin;
        from = begin;
    }
    return ns;
}

static void add_phases(const struct state * s, struct result * r, const struct sum * all) {
    static const struct result_column columns[] = { { "phase", "while", UNIT_TEXT }, SUM_COLUMNS };
    struct sum sums[TAT_PHASE_COUNT + 1] = { 0 };
    for (size_t i = 0; i < s->faults.count; i++) {
        const struct placed_fault * f = &s->faults.at[i];
        if (f->place == PLACE_OTHER_PROCESS) { continue; }
        const bool graph = f->evaluation != NO_EVALUATION;
        add(&sums[graph ? s->subject->evaluations[f->evaluation].phase : TAT_PHASE_COUNT], f);
    }
    result_table(r, "phases", "When they were", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i <= TAT_PHASE_COUNT; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        result_put_text(r, put_sum(r, &sums[i], all), "phase",
                        i == TAT_PHASE_COUNT ? "no graph is computed" : tat_phase_name((enum tat_phase) i));
    }
}

/* ---- by tensor ---- */

static int by_stall(const void * a, const void * b) {
    const struct slice_sum *x = a, *y = b;
    if (x->sum.stall_ns != y->sum.stall_ns) { return x->sum.stall_ns > y->sum.stall_ns ? -1 : 1; }
    return x->tensor != y->tensor ? (x->tensor < y->tensor ? -1 : 1)
                                  : (x->expert > y->expert) - (x->expert < y->expert);
}

static int by_key(const void * a, const void * b) {
    const struct placed_fault *x = *(const struct placed_fault *const *) a,
                              *y = *(const struct placed_fault *const *) b;
    return x->tensor != y->tensor ? (x->tensor < y->tensor ? -1 : 1)
                                  : (x->expert > y->expert) - (x->expert < y->expert);
}

/* One sum for each tensor and expert. */
static struct slice_sum * sum_slices(const struct state * s, size_t * count) {
    const struct placed_fault ** order = malloc((s->faults.count + 1) * sizeof *order);
    struct slice_sum * sums = calloc(s->faults.count + 1, sizeof *sums);
    size_t n = 0, k = 0;
    for (size_t i = 0; order && i < s->faults.count; i++) {
        if (s->faults.at[i].tensor != NO_TENSOR) { order[n++] = &s->faults.at[i]; }
    }
    if (order && sums && n) { qsort(order, n, sizeof *order, by_key); }
    for (size_t i = 0; order && sums && i < n; i++) {
        if (i == 0 || by_key(&order[i - 1], &order[i]) != 0) {
            sums[k++] = (struct slice_sum){ .tensor = order[i]->tensor, .expert = order[i]->expert };
        }
        add(&sums[k - 1].sum, order[i]);
    }
    if (!order) {
        free(sums);
        sums = NULL;
    }
    free(order);
    *count = k;
    return sums;
}

/* "blk.3.attn_q.weight (4.2 %), ...", of the first few. */
static void name_slices(const struct state * s, const struct slice_sum * sums, size_t n, const struct sum * all,
                        char * text, size_t size) {
    enum { NAMED = 3 };
    size_t used = 0;
    char share[UNITS_SIZE], expert[24];
    for (size_t i = 0; i < n && i < NAMED && used < size; i++) {
        snprintf(expert, sizeof expert, sums[i].expert == TAT_NO_EXPERT ? "" : ", expert %u", sums[i].expert);
        used += (size_t) snprintf(text + used, size - used, "%s%.100s%s (%s)", i ? "; " : "",
                                  s->subject->tensors[sums[i].tensor].name, expert,
                                  format_share(share, ratio(sums[i].sum.stall_ns, all->stall_ns)));
    }
}

static void answer_who_waited(const struct state * s, struct result * r, const struct slice_sum * sums, size_t n,
                              const struct sum * all) {
    char names[512] = "", count[UNITS_SIZE], major[UNITS_SIZE], time[UNITS_SIZE];
    name_slices(s, sums, n, all, names, sizeof names);
    result_answer(r, "Which weights waited for the disk?",
                  all->major ? "Threads spent %s in %s page faults, of which %s waited for the disk. Most of the time "
                               "went to %s."
                             : "None: of %s in %s page faults, none was spent on waiting for the disk.",
                  format_duration(time, all->stall_ns), format_count(count, all->major + all->minor),
                  format_count(major, all->major), n ? names : "no weight");
}

static void add_slices(const struct state * s, struct result * r, const struct sum * all) {
    static const struct result_column columns[] = { { "tensor", "tensor", UNIT_TEXT },
                                                    { "expert", "expert", UNIT_NUMBER },
                                                    SUM_COLUMNS };
    size_t n;
    struct slice_sum * sums = sum_slices(s, &n);
    r->failed |= !sums;
    if (!sums) { return; }
    qsort(sums, n, sizeof *sums, by_stall);
    answer_who_waited(s, r, sums, n, all);
    result_table(r, "slices", "Weights that were waited for longest", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        json_t * row = put_sum(r, &sums[i].sum, all);
        result_put_text(r, row, "tensor", s->subject->tensors[sums[i].tensor].name);
        if (sums[i].expert != TAT_NO_EXPERT) { result_put_count(r, row, "expert", sums[i].expert); }
    }
    free(sums);
}

static void add_layers(const struct state * s, struct result * r, const struct sum * all) {
    static const struct result_column columns[] = { { "layer", "layer", UNIT_NUMBER }, SUM_COLUMNS };
    const uint32_t layers = layer_span(s->subject);
    struct sum * sums = calloc((size_t) layers + 1, sizeof *sums);
    r->failed |= !sums;
    if (!sums) { return; }
    for (size_t i = 0; i < s->faults.count; i++) {
        const struct placed_fault * f = &s->faults.at[i];
        if (f->tensor == NO_TENSOR) { continue; }
        const uint16_t layer = s->subject->tensors[f->tensor].layer;
        add(&sums[layer == TAT_NO_LAYER ? layers : layer], f);
    }
    result_table(r, "layers", "By layer", SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i <= layers; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        result_put_layer(r, put_sum(r, &sums[i], all), "layer", i == layers ? TAT_NO_LAYER : i);
    }
    free(sums);
}

/* ---- by token ---- */

struct token_stall {
    uint64_t n, *blocked_ns, *ns; /* of generated tokens, each a graph of its own */
    uint64_t faults;              /* major ones in all of them */
};

static int by_evaluation(const void * a, const void * b) {
    const struct placed_fault *x = *(const struct placed_fault *const *) a,
                              *y = *(const struct placed_fault *const *) b;
    if (x->evaluation != y->evaluation) { return x->evaluation < y->evaluation ? -1 : 1; }
    return x < y ? -1 : x > y; /* by end */
}

/* Faults while graphs were computed, graph by graph: those of several contexts may alternate. NULL: memory. */
static const struct placed_fault ** in_graphs(const struct state * s, size_t * count) {
    const struct placed_fault ** order = malloc((s->faults.count + 1) * sizeof *order);
    *count = 0;
    for (size_t i = 0; order && i < s->faults.count; i++) {
        if (s->faults.at[i].evaluation != NO_EVALUATION) { order[(*count)++] = &s->faults.at[i]; }
    }
    if (order) { qsort(order, *count, sizeof *order, by_evaluation); }
    return order;
}

/* False: memory. */
static bool stalls_of_tokens(const struct state * s, struct token_stall * t) {
    const struct subject * subject = s->subject;
    size_t n;
    const struct placed_fault ** order = in_graphs(s, &n);
    t->blocked_ns = calloc((size_t) subject->n_evaluations + 1, sizeof *t->blocked_ns);
    t->ns = calloc((size_t) subject->n_evaluations + 1, sizeof *t->ns);
    const bool good = order && t->blocked_ns && t->ns;
    for (uint32_t e = 0, at = 0; good && e < subject->n_evaluations; e++) {
        const struct tat_evaluation * v = &subject->evaluations[e];
        const bool is_token = v->phase == TAT_PHASE_GENERATE && v->n_tokens == 1;
        const uint32_t first = at;
        for (; at < n && order[at]->evaluation == e; at++) { t->faults += is_token && is_major(&order[at]->fault); }
        if (!is_token) { continue; }
        t->blocked_ns[t->n] = blocked(order + first, at - first);
        t->ns[t->n++] = v->end_ns - v->begin_ns;
    }
    free(order);
    return good;
}

static void add_tokens(const struct state * s, struct result * r) {
    struct token_stall t = { 0 };
    uint64_t blocked_ns = 0, ns = 0;
    char text[4][UNITS_SIZE];
    if (!stalls_of_tokens(s, &t)) {
        r->failed = true;
    } else if (t.n) {
        for (uint64_t i = 0; i < t.n; i++) {
            blocked_ns += t.blocked_ns[i];
            ns += t.ns[i];
        }
        qsort(t.blocked_ns, t.n, sizeof *t.blocked_ns, by_value);
        const struct spread spread = spread_of_sorted(t.blocked_ns, t.n);
        result_put_count(r, result_values(r), "token_blocked_p50_ns", spread.p50);
        result_put_count(r, result_values(r), "token_blocked_p99_ns", spread.p99);
        result_put_real(r, result_values(r), "token_blocked_share", ratio(blocked_ns, ns));
        result_put_real(r, result_values(r), "token_major_faults", ratio(t.faults, t.n));
        result_line(r, "token",
                    "in %s of a generated token's time a thread was in a page fault: %s in the median token, %s at "
                    "p99; %.1f major faults a token",
                    format_share(text[0], ratio(blocked_ns, ns)), format_duration(text[1], spread.p50),
                    format_duration(text[2], spread.p99), ratio(t.faults, t.n));
    }
    free(t.blocked_ns);
    free(t.ns);
}

/* ---- all ---- */

/* What the process itself counted since the trace began, beside what was recorded since. */
static void reconcile(const struct state * s, struct result * r) {
    const struct machine m = machine_of(s->subject);
    const struct tat_file_header * header = tat_trace_header(s->subject->trace);
    uint64_t recorded = 0;
    char text[2][UNITS_SIZE];
    if (!m.process || s->subject->some_tokens) { return; } /* it counts for the whole run */
    for (size_t i = 0; i < s->faults.count; i++) {
        const struct placed_fault * f = &s->faults.at[i];
        recorded += is_major(&f->fault) && f->fault.pid == header->pid && f->fault.end_ns >= header->start_monotonic_ns;
    }
    result_put_count(r, result_values(r), "process_major_faults", m.major_faults);
    result_put_count(r, result_values(r), "recorded_major_faults", recorded);
    result_put_count(r, result_values(r), "disk_bytes", m.disk_bytes);
    result_line(r, "counted",
                "%s major faults by the kernel since the first graph, the tracer's own included; %s recorded",
                format_count(text[0], m.major_faults), format_count(text[1], recorded));
    if (m.disk_bytes) {
        result_line(r, "disk", "%s read for this process since then, with what was read ahead",
                    format_bytes(text[0], m.disk_bytes));
    }
}

static void add_losses(const struct state * s, struct result * r) {
    char text[UNITS_SIZE];
    if (s->faults.lost) {
        result_note(r, "%s events of the kernel were lost: there was no room for them. Faults are missing.",
                    format_count(text, s->faults.lost));
    }
    if (s->faults.damaged_bytes) {
        result_note(r, "%s of io_events.bin are damaged. Faults are missing.",
                    format_bytes(text, s->faults.damaged_bytes));
    }
    if (s->faults.partial) { result_note(r, "Faults inside system calls were not recorded: that needs root."); }
    if (!s->faults.ended) {
        result_note(r,
                    "io_events.bin has no end: it is still written, or tat was killed. The last faults are missing.");
    }
    result_put_count(r, result_values(r), "lost_events", s->faults.lost);
}

static void say(const struct state * s, struct result * r) {
    struct sum all = { 0 };
    char count[UNITS_SIZE], major[UNITS_SIZE], time[UNITS_SIZE];
    size_t others = 0;
    for (size_t i = 0; i < s->faults.count; i++) {
        const bool other = s->faults.at[i].place == PLACE_OTHER_PROCESS;
        others += other;
        if (!other) { add(&all, &s->faults.at[i]); }
    }
    if (others && others == s->faults.count) {
        result_note(
            r, "No fault is of this trace's process: it ran in a process namespace of its own, or io_events.bin is "
               "of another run.");
    }
    result_put_count(r, result_values(r), "major_faults", all.major);
    result_put_count(r, result_values(r), "minor_faults", all.minor);
    result_put_count(r, result_values(r), "stall_ns", all.stall_ns);
    if (!all.major) {
        result_headline(r, "No thread waited for the disk: there was no major page fault.");
    } else {
        result_headline(r, "Threads spent %s in %s page faults, of which %s waited for the disk.",
                        format_duration(time, all.stall_ns), format_count(count, all.major + all.minor),
                        format_count(major, all.major));
    }
    add_tokens(s, r);
    reconcile(s, r);
    add_places(s, r, &all);
    add_phases(s, r, &all);
    add_slices(s, r, &all);
    add_layers(s, r, &all);
    add_losses(s, r);
    result_note(r, "A major fault waits for the disk, or for another thread that does; a minor one finds the page in "
                   "memory. Only faults of memory that a file is mapped to count here, and all major ones. Time is "
                   "that of threads, without what others ran in their place: two threads in a fault at once count "
                   "twice.");
    result_note(r, "A model whose pages are read at loading by the system call that maps them (MAP_POPULATE, "
                   "llama.cpp's default) has no faults then.");
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    struct tat_error error;
    struct tat_io io;
    int status = io_events_read(&io, s->subject->trace, &error);
    if (status == 0) { status = faults_place(&s->faults, s->subject, &io, &error); }
    if (status > 0) {
        result_headline(r, "Page faults were not recorded: `tat record --io` does that.");
        result_absent(r);
    } else if (status < 0) {
        result_headline(r, "The page faults cannot be read: %s.", error.message);
    } else {
        say(s, r);
    }
    placed_faults_free(&s->faults);
    tat_io_free(&io);
    free(s);
}

const struct analysis storage_analysis = {
    .name = "storage",
    .title = "Waiting for the disk",
    .all_layers = "memory is shared by all of them",
    .begin = begin,
    .finish = finish,
};
