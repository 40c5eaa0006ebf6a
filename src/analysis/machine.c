/* SPDX-License-Identifier: MIT */
#include "analysis/machine.h"

#include <inttypes.h>
#include <stdio.h>

#include "analysis/units.h"

/* Values of the events, as doc/format.md lists them. */
enum { USER, SYSTEM, MINOR, MAJOR, WAITED, PREEMPTED, READ };
enum { COUNT, BUSY, IDLE, STOLEN, THROTTLED, KHZ, MOST_KHZ };

/* The first and the last event of a type. False: there are no two. */
static bool between(const struct subject * s, enum tat_event_type type, const struct tat_event ** from,
                    const struct tat_event ** to) {
    *from = *to = NULL;
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].type != type) { continue; }
        if (!*from) { *from = &s->events[i]; }
        *to = &s->events[i];
    }
    return *from != *to && (*to)->at_ns > (*from)->at_ns;
}

/* Counters grow; what does not is damage. */
static uint64_t grown(const struct tat_event * from, const struct tat_event * to, int value) {
    return to->value[value] > from->value[value] ? to->value[value] - from->value[value] : 0;
}

static void read_process(const struct subject * s, struct machine * m) {
    const struct tat_event *from, *to;
    if (!between(s, TAT_EVENT_USAGE, &from, &to)) { return; }
    m->process = true;
    m->seconds = (double) (to->at_ns - from->at_ns) / 1e9;
    m->own = (double) (grown(from, to, USER) + grown(from, to, SYSTEM)) / 1e6 / m->seconds;
    m->minor_faults = grown(from, to, MINOR);
    m->major_faults = grown(from, to, MAJOR);
    m->waited = grown(from, to, WAITED);
    m->preempted = grown(from, to, PREEMPTED);
    m->disk_bytes = grown(from, to, READ);
}

/* The machine counts in hundredths of a second: of less than half a second nothing is said. */
static void read_processors(const struct subject * s, struct machine * m) {
    const struct tat_event *from, *to;
    if (!between(s, TAT_EVENT_MACHINE, &from, &to)) { return; }
    const double seconds = (double) (to->at_ns - from->at_ns) / 1e9;
    m->khz[0] = from->value[KHZ];
    m->khz[1] = to->value[KHZ];
    m->most_khz = to->value[MOST_KHZ];
    m->count = (uint32_t) to->value[COUNT];
    m->processors = m->process && m->count && to->value[BUSY] && seconds >= 0.5;
    if (!m->processors) { return; }
    m->others = (double) grown(from, to, BUSY) / 1e6 / seconds - m->own;
    if (m->others < 0) { m->others = 0; }
    m->stolen = (double) grown(from, to, STOLEN) / 1e6 / seconds;
    m->throttled = (double) grown(from, to, THROTTLED) / 1e6 / seconds;
}

static double seconds_in_graphs(const struct subject * s) {
    uint64_t ns = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) { ns += s->evaluations[i].end_ns - s->evaluations[i].begin_ns; }
    return (double) ns / 1e9;
}

/* The system counts for the whole run, so graphs count that way too. */
struct machine machine_of(const struct subject * s) {
    struct machine m = { 0 };
    if (s->run) { s = s->run; }
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (s->evaluations[i].n_threads > m.threads) { m.threads = s->evaluations[i].n_threads; }
    }
    read_process(s, &m);
    if (m.process) { m.graphs = seconds_in_graphs(s) / m.seconds; }
    read_processors(s, &m);
    return m;
}

double machine_missing(const struct machine * m) {
    const double expected = m->threads * m->graphs, missing = expected > 0 ? 1 - m->own / expected : 0;
    return m->process && missing > 0 ? missing : 0;
}

double machine_lost(const struct machine * m) {
    if (!m->processors || !m->threads) { return 0; }
    const double wanted = m->threads + m->others + m->stolen - m->count;
    double lost = wanted > 0 ? wanted / m->threads : 0;
    if (m->stolen / m->count > lost) { lost = m->stolen / m->count; }
    if (m->throttled > lost) { lost = m->throttled; }
    const double missing = machine_missing(m);
    return lost < missing ? lost : missing;
}

bool machine_was_busy(const struct machine * m) {
    return machine_lost(m) >= 0.05;
}

/* ---- words ---- */

static void put_values(const struct machine * m, struct result * r) {
    json_t * o = json_object();
    result_put(r, result_values(r), "machine", o);
    if (m->process) {
        result_put_real(r, o, "seconds", m->seconds);
        result_put_real(r, o, "own_processors", m->own);
        result_put_count(r, o, "minor_faults", m->minor_faults);
        result_put_count(r, o, "major_faults", m->major_faults);
        result_put_count(r, o, "voluntary_switches", m->waited);
        result_put_count(r, o, "involuntary_switches", m->preempted);
        result_put_count(r, o, "disk_bytes", m->disk_bytes);
    }
    if (m->processors) {
        result_put_count(r, o, "processors", m->count);
        result_put_real(r, o, "other_processors", m->others);
        result_put_real(r, o, "stolen_processors", m->stolen);
        result_put_real(r, o, "throttled_share", m->throttled);
        result_put_real(r, o, "lost_share", machine_lost(m));
    }
    for (int i = 0; i < 2 && m->khz[i]; i++) {
        result_put_count(r, o, i ? "end_khz" : "begin_khz", m->khz[i]);
        result_put_count(r, o, "most_khz", m->most_khz);
    }
}

static void say_clock(const struct machine * m, struct result * r) {
    if (!m->khz[0] || !m->khz[1]) { return; }
    result_line(r, "clock", "%.2f GHz at the beginning, %.2f at the end, %.2f at most", (double) m->khz[0] / 1e6,
                (double) m->khz[1] / 1e6, (double) m->most_khz / 1e6);
}

void machine_say(const struct machine * m, struct result * r) {
    char waited[UNITS_SIZE], preempted[UNITS_SIZE], faults[UNITS_SIZE], bytes[UNITS_SIZE], lost[UNITS_SIZE];
    if (!m->process) { return; }
    put_values(m, r);
    result_line(r, "usage",
                "%.2f processors; %s switches of threads that waited, %s of threads that were made to; %s "
                "page faults that read %s from disk",
                m->own, format_count(waited, m->waited), format_count(preempted, m->preempted),
                format_count(faults, m->major_faults), format_bytes(bytes, m->disk_bytes));
    say_clock(m, r);
    if (m->processors) {
        result_line(r, machine_was_busy(m) ? "BUSY" : "others",
                    "other programs used %.2f of %" PRIu32 " processors, other machines %.2f%s", m->others, m->count,
                    m->stolen, machine_was_busy(m) ? ": times are longer than on an idle machine" : "");
    }
    if (machine_was_busy(m)) {
        result_note(r,
                    "The machine was busy: of the time of the threads that computed, others took %s. Compare medians, "
                    "or record again.",
                    format_share(lost, machine_lost(m)));
    }
}

json_t * machine_json(const struct tat_trace * trace) {
    struct subject s = { 0 };
    struct result r;
    s.events = tat_trace_events(trace, &s.n_events);
    s.evaluations = tat_trace_evaluations(trace, &s.n_evaluations);
    const struct machine m = machine_of(&s);
    if (!m.process) { return NULL; }
    result_begin(&r, "");
    put_values(&m, &r);
    json_t * all = result_end(&r);
    json_t * machine = json_incref(json_object_get(json_object_get(all, "values"), "machine"));
    json_decref(all);
    return machine;
}
