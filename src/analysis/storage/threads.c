/* SPDX-License-Identifier: MIT
 *
 * Threads that do not wait in faults run: they compute, or wait for each other at a barrier, where they spin. So user
 * time, which the kernel counts by itself, and time in faults come to all of the threads' time in graphs.
 */
#include <stdio.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

void add_threads(const struct joined * j, struct result * r) {
    const struct subject * s = j->subject;
    const struct tat_event *first = NULL, *last = NULL;
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].type != TAT_EVENT_USAGE) { continue; }
        if (!first) { first = &s->events[i]; }
        last = &s->events[i];
    }
    if (s->some_tokens || s->is_part || j->until_ns != INT64_MAX || !first || last == first ||
        last->value[0] < first->value[0]) {
        return;
    }
    double threads_ns = 0, fault_ns = 0, others_ns = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * v = &s->evaluations[i];
        threads_ns += (double) (v->end_ns - v->begin_ns) * v->n_threads;
    }
    for (size_t i = 0; i < j->io->n_faults; i++) {
        const struct tat_placed * p = &j->faults[i];
        if (!fault_counts(j, p) || p->evaluation == TAT_NO_NUMBER) { continue; }
        fault_ns += (double) fault_of(j, p)->duration_ns;
        others_ns += (double) (fault_of(j, p)->duration_ns - fault_stall(fault_of(j, p)));
    }
    const double user_ns = (double) (last->value[0] - first->value[0]) * 1e3;
    if (threads_ns <= 0) { return; }
    const double missing = (threads_ns - user_ns - fault_ns) / threads_ns;
    char text[5][UNITS_SIZE], others[64] = "";
    if (others_ns > 0) {
        snprintf(others, sizeof others, ", %s of it while others ran", format_duration(text[4], (uint64_t) others_ns));
    }
    result_put_real(r, result_values(r), "threads_unexplained_share", missing);
    result_line(r, "threads",
                "of the %s that all threads had in graphs, the kernel counted %s of user time; %s passed in page "
                "faults%s; %s is unexplained",
                format_duration(text[0], (uint64_t) threads_ns), format_duration(text[1], (uint64_t) user_ns),
                format_duration(text[2], (uint64_t) fault_ns), others, format_change(text[3], missing));
}
