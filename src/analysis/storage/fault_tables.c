/* SPDX-License-Identifier: MIT
 *
 * Page faults by place, phase, weight and layer. Times are those of threads in page faults: a fault of each of two
 * threads at once counts twice in `stall`, and once in `blocked`, the time in which any thread was in one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "analysis/machine.h"
#include "analysis/storage/section.h"
#include "analysis/units.h"

enum { SHOWN = 15 };

struct slice_sum {
    uint32_t tensor;
    uint16_t expert, layer; /* without a layer: last */
    struct fault_sum sum;
};

void fault_sum_add(struct fault_sum * sum, const struct joined * j, const struct tat_placed * p) {
    *(is_major(fault_of(j, p)) ? &sum->major : &sum->minor) += 1;
    sum->stall_ns += fault_stall(fault_of(j, p));
}

bool fault_counts(const struct joined * j, const struct tat_placed * p) {
    return p->place != TAT_PLACE_OTHER_PROCESS && (!j->subject->some_tokens || p->evaluation != TAT_NO_NUMBER);
}

struct fault_sum fault_sum_all(const struct joined * j) {
    struct fault_sum all = { 0 };
    for (size_t i = 0; i < j->io->n_faults; i++) {
        if (fault_counts(j, &j->faults[i])) { fault_sum_add(&all, j, &j->faults[i]); }
    }
    return all;
}

#define SUM_COLUMNS                                                                                                    \
    { "major_faults", "major faults", UNIT_COUNT }, { "minor_faults", "minor faults", UNIT_COUNT },                    \
        { "stall_ns", "time in them", UNIT_NS }, {                                                                     \
        "stall_share", "share", UNIT_SHARE                                                                             \
    }

static json_t * put_sum(struct result * r, const struct fault_sum * sum, const struct fault_sum * all) {
    json_t * row = result_row(r);
    result_put_count(r, row, "major_faults", sum->major);
    result_put_count(r, row, "minor_faults", sum->minor);
    result_put_count(r, row, "stall_ns", sum->stall_ns);
    if (all->stall_ns) { result_put_real(r, row, "stall_share", ratio(sum->stall_ns, all->stall_ns)); }
    return row;
}

/* ---- by place, by phase ---- */

static void add_places(const struct joined * j, struct result * r, const struct fault_sum * all) {
    static const struct result_column columns[] = { { "place", "in", UNIT_TEXT }, SUM_COLUMNS };
    struct fault_sum sums[TAT_PLACES] = { 0 };
    uint64_t model_ns = 0;
    for (size_t i = 0; i < j->io->n_faults; i++) {
        const struct tat_placed * p = &j->faults[i];
        if (!fault_counts(j, p) && p->place != TAT_PLACE_OTHER_PROCESS) { continue; }
        fault_sum_add(&sums[p->place], j, p);
        if (p->file) { model_ns += fault_stall(fault_of(j, p)); }
    }
    result_table(r, "places", "Where the faults were", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < TAT_PLACES; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        const struct fault_sum none = { 0 }; /* of which another process has no share */
        result_put_text(r, put_sum(r, &sums[i], i == TAT_PLACE_OTHER_PROCESS ? &none : all), "place",
                        tat_place_name((enum tat_place) i));
    }
    if (!model_ns) { return; }
    result_put_real(r, result_values(r), "fault_placed_share", ratio(sums[TAT_PLACE_OPERATION].stall_ns, model_ns));
}

uint64_t faults_blocked(const struct joined * j, const struct tat_placed * const * faults, size_t count) {
    uint64_t ns = 0, from = UINT64_MAX; /* what was joined so far begins there */
    for (size_t i = count; i-- > 0;) {  /* backwards: each ends no later than the one before */
        const struct tat_io_fault * f = fault_of(j, faults[i]);
        const uint64_t end = f->end_ns, begin = end - fault_stall(f);
        if (begin >= from) { continue; }
        ns += (end < from ? end : from) - begin;
        from = begin;
    }
    return ns;
}

static void add_phases(const struct joined * j, struct result * r, const struct fault_sum * all) {
    static const struct result_column columns[] = { { "phase", "while", UNIT_TEXT }, SUM_COLUMNS };
    struct fault_sum sums[TAT_WHENS] = { 0 };
    for (size_t i = 0; i < j->io->n_faults; i++) {
        if (fault_counts(j, &j->faults[i])) { fault_sum_add(&sums[j->faults[i].when], j, &j->faults[i]); }
    }
    result_table(r, "phases", "When they were", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < TAT_WHENS; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        result_put_text(r, put_sum(r, &sums[i], all), "phase", tat_when_name((enum tat_when) i));
    }
}

/* ---- by tensor ---- */

static int by_stall(const void * a, const void * b) {
    const struct slice_sum *x = a, *y = b;
    if (x->sum.stall_ns != y->sum.stall_ns) { return x->sum.stall_ns > y->sum.stall_ns ? -1 : 1; }
    if (x->layer != y->layer) { return x->layer < y->layer ? -1 : 1; }
    return x->tensor != y->tensor ? (x->tensor < y->tensor ? -1 : 1)
                                  : (x->expert > y->expert) - (x->expert < y->expert);
}

static int by_key(const void * a, const void * b) {
    const struct tat_placed *x = *(const struct tat_placed *const *) a, *y = *(const struct tat_placed *const *) b;
    return x->tensor != y->tensor ? (x->tensor < y->tensor ? -1 : 1)
                                  : (x->expert > y->expert) - (x->expert < y->expert);
}

/* One sum for each tensor and expert. */
static struct slice_sum * sum_slices(const struct joined * j, size_t * count) {
    const struct tat_placed ** order = malloc((j->io->n_faults + 1) * sizeof *order);
    struct slice_sum * sums = calloc(j->io->n_faults + 1, sizeof *sums);
    size_t n = 0, k = 0;
    for (size_t i = 0; order && i < j->io->n_faults; i++) {
        if (j->faults[i].tensor != TAT_NO_NUMBER && fault_counts(j, &j->faults[i])) { order[n++] = &j->faults[i]; }
    }
    if (order && sums && n) { qsort(order, n, sizeof *order, by_key); }
    for (size_t i = 0; order && sums && i < n; i++) {
        if (i == 0 || by_key(&order[i - 1], &order[i]) != 0) {
            sums[k++] =
                (struct slice_sum){ .tensor = order[i]->tensor, .expert = order[i]->expert, .layer = order[i]->layer };
        }
        fault_sum_add(&sums[k - 1].sum, j, order[i]);
    }
    if (!order) {
        free(sums);
        sums = NULL;
    }
    free(order);
    *count = k;
    return sums;
}

/* None was recorded: what that means depends on what can be seen, and on what the kernel counts by itself. */
const char * no_major_fault(const struct joined * j, char * text, size_t size) {
    const struct machine m = machine_of(j->subject);
    uint64_t counted = m.process && !j->subject->some_tokens ? m.major_faults : 0, run;
    char number[UNITS_SIZE], kernel[64] = "", recorded[RECORDED_SIZE];
    if (!j->subject->some_tokens && run_counter(j->io, TAT_IO_RUN_MAJOR_FAULTS, &run) && run > counted) {
        counted = run;
    }
    say_recorded(j, recorded, sizeof recorded);
    if (counted) {
        snprintf(kernel, sizeof kernel, ", but the kernel counted %s of them", format_count(number, counted));
    }
    if (counted || j->io->partial || *recorded) {
        snprintf(text, size, "No page fault that waited for the disk was recorded%s.%s%s", kernel,
                 j->io->partial ? " Faults inside system calls were not recorded."
                 : *recorded    ? ""
                                : " The kernel also counts other processes of the run, and the tracer.",
                 recorded);
    } else {
        snprintf(text, size, "No page fault waited for the disk: there was no major one.");
    }
    return text;
}

/* "blk.3.attn_q.weight (4.2 %), ...", of the first few. */
static void name_slices(const struct joined * j, const struct slice_sum * sums, size_t n, const struct fault_sum * all,
                        char * text, size_t size) {
    enum { NAMED = 3 };
    size_t used = 0;
    char share[UNITS_SIZE], expert[24];
    for (size_t i = 0; i < n && i < NAMED && used < size; i++) {
        snprintf(expert, sizeof expert, sums[i].expert == TAT_NO_EXPERT ? "" : ", expert %u", sums[i].expert);
        used += (size_t) snprintf(text + used, size - used, "%s%.100s%s (%s)", i ? "; " : "",
                                  j->subject->tensors[sums[i].tensor].name, expert,
                                  format_share(share, ratio(sums[i].sum.stall_ns, all->stall_ns)));
    }
}

static void answer_who_waited(const struct joined * j, struct result * r, const struct slice_sum * sums, size_t n,
                              const struct fault_sum * all) {
    char names[512] = "", count[UNITS_SIZE], major[UNITS_SIZE], time[UNITS_SIZE], recorded[RECORDED_SIZE];
    name_slices(j, sums, n, all, names, sizeof names);
    static const char question[] = "Which weights waited for the disk?";
    if (j->no_waits) {
        result_answer(r, question, "That is not known, as %s recorded: %s.",
                      j->io->n_faults ? "no page fault of this process was" : "page faults were not", j->no_waits);
        return;
    }
    if (!all->major) {
        char none[NO_FAULT_SIZE];
        result_answer(r, question, "%s", no_major_fault(j, none, sizeof none));
        return;
    }
    say_recorded(j, recorded, sizeof recorded);
    result_answer(r, question,
                  "Threads spent %s in %s page faults, of which %s waited for the disk. Most of the time went to %s.%s",
                  format_duration(time, all->stall_ns), format_count(count, all->major + all->minor),
                  format_count(major, all->major), n ? names : "no weight", recorded);
}

void waiting_table(const struct joined * j, struct result * r) {
    const struct fault_sum sum = fault_sum_all(j), *all = &sum;
    static const struct result_column columns[] = { { "tensor", "tensor", UNIT_TEXT },
                                                    { "expert", "expert", UNIT_NUMBER },
                                                    SUM_COLUMNS };
    size_t n;
    struct slice_sum * sums = sum_slices(j, &n);
    r->failed |= !sums;
    if (!sums) { return; }
    qsort(sums, n, sizeof *sums, by_stall);
    answer_who_waited(j, r, sums, n, all);
    result_table(r, "slices", "Weights that were waited for longest", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        json_t * row = put_sum(r, &sums[i].sum, all);
        result_put_text(r, row, "tensor", j->subject->tensors[sums[i].tensor].name);
        if (sums[i].expert != TAT_NO_EXPERT) { result_put_count(r, row, "expert", sums[i].expert); }
    }
    free(sums);
}

static void add_layers(const struct joined * j, struct result * r, const struct fault_sum * all) {
    static const struct result_column columns[] = { { "layer", "layer", UNIT_NUMBER }, SUM_COLUMNS };
    const uint32_t layers = layer_span(j->subject);
    struct fault_sum * sums = calloc((size_t) layers + 1, sizeof *sums);
    r->failed |= !sums;
    if (!sums) { return; }
    for (size_t i = 0; i < j->io->n_faults; i++) {
        const struct tat_placed * f = &j->faults[i];
        if (f->tensor == TAT_NO_NUMBER || !fault_counts(j, f)) { continue; }
        const uint16_t layer = j->subject->tensors[f->tensor].layer;
        fault_sum_add(&sums[layer == TAT_NO_LAYER ? layers : layer], j, f);
    }
    result_table(r, "layers", "By layer", SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i <= layers; i++) {
        if (!sums[i].major && !sums[i].minor) { continue; }
        result_put_layer(r, put_sum(r, &sums[i], all), "layer", i == layers ? TAT_NO_LAYER : i);
    }
    free(sums);
}

void fault_tables(const struct joined * j, struct result * r) {
    const struct fault_sum all = fault_sum_all(j);
    add_places(j, r, &all);
    add_phases(j, r, &all);
    add_layers(j, r, &all);
}
