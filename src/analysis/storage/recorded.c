/* SPDX-License-Identifier: MIT
 *
 * How long I/O was recorded, which may be shorter than the run. What came later is not known.
 */
#include <stdio.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

static void later(uint64_t * last, uint64_t ns) {
    if (ns > *last) { *last = ns; }
}

/* Of the last event of any kind, but for counters of the whole run, which are written when it has ended. */
uint64_t last_io_event(const struct tat_io * io) {
    uint64_t last = io->header.start_monotonic_ns;
    if (io->n_faults) { later(&last, io->faults[io->n_faults - 1].end_ns); }
    if (io->n_pages) { later(&last, io->pages[io->n_pages - 1].ns); }
    if (io->n_requests) { later(&last, io->requests[io->n_requests - 1].end_ns); }
    if (io->n_residency) { later(&last, io->residency[io->n_residency - 1].ns); }
    for (size_t i = 0; i < io->n_counters; i++) {
        const uint32_t counter = io->counters[i].counter;
        if (counter < TAT_IO_RUN_READ_BYTES || counter > TAT_IO_RUN_MINOR_FAULTS) { later(&last, io->counters[i].ns); }
    }
    return last;
}

/* Events that were lost may be any; but where none is left of whole graphs, it is those of the end. */
int64_t recorded_until(const struct subject * s, const struct tat_io * io, uint64_t start_ns) {
    if (io->ended && !io->lost) { return INT64_MAX; }
    const int64_t last = (int64_t) (last_io_event(io) - start_ns);
    const bool graphs_follow = s->n_evaluations && (int64_t) s->evaluations[s->n_evaluations - 1].begin_ns > last;
    return io->ended && !graphs_follow ? INT64_MAX : last;
}

struct recorded_tokens recorded_tokens(const struct joined * j) {
    struct recorded_tokens tokens = { 0 };
    for (uint32_t i = 0; i < j->subject->n_evaluations; i++) {
        const struct tat_evaluation * v = &j->subject->evaluations[i];
        if (v->phase != TAT_PHASE_GENERATE) { continue; }
        tokens.all += v->n_tokens;
        tokens.recorded += is_recorded(j, v) ? v->n_tokens : 0;
    }
    return tokens;
}

const char * say_recorded(const struct joined * j, char * text, size_t size) {
    char one[UNITS_SIZE], two[UNITS_SIZE], three[UNITS_SIZE];
    int n = 0;
    *text = '\0';
    if (j->until_ns <= 0) {
        n = snprintf(text, size, " I/O was recorded only before the trace began; what came later is not known.");
    } else if (j->until_ns != INT64_MAX) {
        const struct recorded_tokens tokens = recorded_tokens(j);
        n = snprintf(text, size,
                     " I/O was recorded until %s after the trace began, for %s of %s generated tokens; what came later "
                     "is not known.",
                     format_duration(one, (uint64_t) j->until_ns), format_count(two, tokens.recorded),
                     format_count(three, tokens.all));
    }
    if (j->io->lost && n >= 0 && (size_t) n < size) {
        snprintf(text + n, size - (size_t) n, " Figures are too low: %s events of the kernel were lost.",
                 format_count(one, j->io->lost));
    }
    return text;
}
