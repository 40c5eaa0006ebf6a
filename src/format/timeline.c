/* SPDX-License-Identifier: MIT
 *
 * What follows from the order of things: times, the token index of each context, phases.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "format/phases.h"
#include "format/trace.h"
#include "format/warmup.h"

/* ---- order ---- */

struct place {
    uint64_t tick;
    uint32_t number;
};

/* qsort may put equal elements in any order, so no two are equal here. */
static int by_tick(const void * a, const void * b) {
    const struct place *x = a, *y = b;
    if (x->tick != y->tick) { return x->tick < y->tick ? -1 : 1; }
    return (x->number > y->number) - (x->number < y->number);
}

/* The order of a list by the ticks at `tick_at` in its elements; equal ones keep their order. *places is NULL if they
 * are in order already. False: memory. */
static bool order_by_tick(const struct list * list, size_t size, size_t tick_at, struct place ** places) {
    const char * at = list->count ? (const char *) list->data + tick_at : NULL;
    uint64_t before = 0, tick = 0;
    uint32_t sorted = 0;
    *places = NULL;
    for (; sorted < list->count; sorted++, before = tick) {
        memcpy(&tick, at + sorted * size, sizeof tick);
        if (tick < before) { break; }
    }
    if (sorted == list->count) { return true; }
    if (!(*places = malloc(list->count * sizeof **places))) { return false; }
    for (uint32_t i = 0; i < list->count; i++) {
        memcpy(&tick, at + i * size, sizeof tick);
        (*places)[i] = (struct place){ tick, i };
    }
    qsort(*places, list->count, sizeof **places, by_tick);
    return true;
}

static bool arrange(struct list * list, size_t size, const struct place * places) {
    if (!places) { return true; }
    char * arranged = malloc(list->count * size);
    if (!arranged) { return false; }
    for (uint32_t i = 0; i < list->count; i++) {
        memcpy(arranged + i * size, (const char *) list->data + places[i].number * size, size);
    }
    free(list->data);
    list->data = arranged;
    list->capacity = list->count;
    return true;
}

static bool sort(struct list * list, size_t size, size_t tick_at) {
    struct place * places;
    const bool good = order_by_tick(list, size, tick_at, &places) && arrange(list, size, places);
    free(places);
    return good;
}

/* Blocks come in the order in which evaluations end. With several contexts, that is not the order in which they
 * begin. */
static bool sort_all(struct tat_trace * trace) {
    struct place * places;
    const bool good = order_by_tick(&trace->bodies, sizeof(struct body), offsetof(struct body, begin_tick), &places) &&
                      arrange(&trace->evaluations, sizeof(struct tat_evaluation), places) &&
                      arrange(&trace->bodies, sizeof(struct body), places) &&
                      sort(&trace->events, sizeof(struct tat_event), offsetof(struct tat_event, at_tick));
    free(places);
    return good;
}

/* ---- times ---- */

#define NS_MOST 0x1p60 /* 36 years; damage can make times longer: they are cut, so that sums stay exact */

static int64_t to_ns(double ns) {
    if (!(ns > -NS_MOST)) { return (int64_t) -NS_MOST; }
    return ns < NS_MOST ? (int64_t) ns : (int64_t) NS_MOST;
}

/* Between two anchors, times follow the line through them; outside, the line through the outermost two. With fewer than
 * two anchors the header's rate applies. */
int64_t timeline_ns(const struct tat_trace * trace, uint64_t tick) {
    const struct anchor * anchors = LIST(struct anchor, trace->anchors);
    const uint32_t count = trace->anchors.count;
    if (count < 2 || anchors[count - 1].tick == anchors[0].tick) {
        const double ticks = (double) (int64_t) (tick - trace->header.start_tick);
        return to_ns(ticks * 1e9 / (double) trace->header.ticks_per_second);
    }
    uint32_t low = 0, high = count - 1;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        *(anchors[middle].tick <= tick ? &low : &high) = middle;
    }
    if (anchors[low].tick == anchors[high].tick) {
        low = 0;
        high = count - 1;
    }
    const double rate =
        (double) (anchors[high].ns - anchors[low].ns) / (double) (anchors[high].tick - anchors[low].tick);
    return anchors[low].ns + to_ns(rate * (double) (int64_t) (tick - anchors[low].tick));
}

static bool set_times(struct tat_trace * trace, uint32_t evaluation, uint32_t event) {
    if (!sort(&trace->anchors, sizeof(struct anchor), offsetof(struct anchor, tick))) { return false; }
    for (uint32_t i = evaluation; i < trace->evaluations.count; i++) {
        const struct body * b = &LIST(struct body, trace->bodies)[i];
        struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        const int64_t begin = timeline_ns(trace, b->begin_tick), end = timeline_ns(trace, b->end_tick);
        e->begin_ns = begin > 0 ? (uint64_t) begin : 0;
        e->end_ns = end > (int64_t) e->begin_ns ? (uint64_t) end : e->begin_ns;
    }
    for (uint32_t i = event; i < trace->events.count; i++) {
        struct tat_event * e = &LIST(struct tat_event, trace->events)[i];
        e->at_ns = timeline_ns(trace, e->at_tick);
    }
    return true;
}

/* ---- warm-up and phases ---- */

static uint32_t last_context(const struct tat_trace * trace, uint32_t from, uint32_t * tokens) {
    const struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    uint32_t most = 0;
    *tokens = 0;
    for (uint32_t i = from; i < trace->evaluations.count; i++) {
        if (e[i].n_tokens > *tokens) { *tokens = e[i].n_tokens; }
        if (e[i].context > most) { most = e[i].context; }
    }
    return most;
}

/* True for a number that no agent gave: each context has a graph, which takes more than 64 bytes of the file. */
static bool is_forged(const struct tat_trace * trace, uint32_t context) {
    return context > trace->size / 64;
}

static bool mark_warmup(struct tat_trace * trace) {
    struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    const struct body * b = LIST(struct body, trace->bodies);
    const struct tat_event * v = LIST(struct tat_event, trace->events);
    struct warmup w = { 0 };
    uint32_t next = 0, since = 0, tokens;
    const uint32_t most = last_context(trace, 0, &tokens);
    if (is_forged(trace, most)) { return true; }
    uint8_t * times = calloc((size_t) most + 1, sizeof *times);
    for (uint32_t i = 0; times && i < trace->events.count; i++) {
        for (; next < trace->evaluations.count && b[next].begin_tick < v[i].at_tick; next++) {
            if (w.on) { e[next].phase = TAT_PHASE_WARMUP; }
            if (!w.on) { warmup_graph(&w, times, e[next].context, e[next].n_tokens, e[next].n_outputs > 0); }
        }
        if (v[i].type == TAT_EVENT_WARMUP) { w.on = v[i].value[1] != 0; }
        if (v[i].type == TAT_EVENT_LOAD_END) {
            warmup_load(&w, times);
            since = next;
        }
        if (v[i].type != TAT_EVENT_MEMORY_CLEAR) { continue; }
        const bool warm = warmup_clear(&w, times) > 0;
        for (; since < next; since++) {
            if (warm) { e[since].phase = TAT_PHASE_WARMUP; }
        }
    }
    free(times);
    return times != NULL;
}

enum { PIECES = 0 }; /* takes the place of a context's number, which begin at 1 */

static uint32_t calls_before(const struct tat_trace * trace, struct timeline * line, uint64_t tick) {
    const struct tat_event * v = LIST(struct tat_event, trace->events);
    for (; line->calls_from < trace->events.count && v[line->calls_from].at_tick <= tick; line->calls_from++) {
        line->calls += v[line->calls_from].type == TAT_EVENT_CALL_BEGIN;
    }
    return line->calls;
}

/* Takes the evaluations from the first one whose phase is not settled. */
static bool set_phases(struct tat_trace * trace, struct timeline * line) {
    struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    uint32_t tokens;
    const uint32_t most = last_context(trace, line->evaluations, &tokens);
    if (is_forged(trace, most)) { return true; }
    const uint32_t contexts = most < line->contexts ? line->contexts : most + 1;
    if (line->contexts && line->progress[PIECES].rows > tokens) { tokens = line->progress[PIECES].rows; }
    if (tokens > PHASE_ROWS) { tokens = PHASE_ROWS; }
    struct progress * progress = reallocarray(line->progress, contexts, sizeof *progress);
    int64_t * memory = calloc((size_t) tokens + PHASE_MASK, sizeof *memory);
    if (progress) { line->progress = progress; }
    if (!progress || !memory) {
        free(memory);
        return false;
    }
    for (; line->contexts < contexts; line->contexts++) { progress[line->contexts] = PROGRESS_NONE; }
    for (uint32_t i = line->evaluations; i < trace->evaluations.count; i++) {
        const uint32_t calls = calls_before(trace, line, LIST(struct body, trace->bodies)[i].begin_tick);
        if (e[i].phase != TAT_PHASE_WARMUP) {
            phase_set(trace, &e[i], i, &progress[e[i].context], &progress[PIECES], calls, memory);
        }
    }
    line->evaluations = trace->evaluations.count;
    free(memory);
    return true;
}

/* ---- summary ---- */

/* Without an END block, only what is there is known. */
static void rebuild_totals(struct tat_trace * trace) {
    struct tat_trace_summary * s = &trace->summary;
    if (s->ended) { return; }
    s->evaluations_stored = trace->evaluations.count + s->orphan_evaluations;
    s->events_stored = trace->events.count;
    s->events_emitted = s->events_stored + s->events_lost;
    s->callbacks_stored = 0;
    for (uint32_t i = 0; i < trace->evaluations.count; i++) {
        s->callbacks_stored += LIST(struct tat_evaluation, trace->evaluations)[i].n_callbacks;
    }
    s->callbacks_emitted = s->callbacks_stored;
    s->evaluations_emitted = s->evaluations_stored;
    for (int reason = 0; reason < TAT_LOSS_COUNT; reason++) { s->evaluations_emitted += s->lost[reason]; }
}

bool timeline_build(struct tat_trace * trace) {
    struct timeline line = { 0 };
    bool revised;
    if (!sort_all(trace)) { return false; }
    const bool good = timeline_extend(trace, &line, &revised);
    rebuild_totals(trace);
    free(line.progress);
    return good;
}

static uint32_t count_warmup(const struct tat_trace * trace, uint32_t evaluations) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < evaluations; i++) {
        count += LIST(struct tat_evaluation, trace->evaluations)[i].phase == TAT_PHASE_WARMUP;
    }
    return count;
}

/* Events about warm-up are few, so each makes what was settled be looked at again. */
static bool tells_warmup(const struct tat_trace * trace, uint32_t event) {
    for (; event < trace->events.count; event++) {
        const enum tat_event_type type = LIST(struct tat_event, trace->events)[event].type;
        if (type == TAT_EVENT_WARMUP || type == TAT_EVENT_MEMORY_CLEAR) { return true; }
    }
    return false;
}

bool timeline_extend(struct tat_trace * trace, struct timeline * line, bool * revised) {
    *revised = false;
    if (!set_times(trace, line->evaluations, line->events)) { return false; }
    for (uint32_t i = line->evaluations; i < trace->evaluations.count; i++) {
        LIST(struct tat_evaluation, trace->evaluations)[i].phase = TAT_PHASE_OTHER;
    }
    if (tells_warmup(trace, line->events)) {
        const uint32_t before = count_warmup(trace, line->evaluations);
        if (!mark_warmup(trace)) { return false; }
        *revised = count_warmup(trace, line->evaluations) != before;
    }
    if (*revised) { line->evaluations = line->contexts = line->calls = line->calls_from = 0; }
    line->events = trace->events.count;
    return set_phases(trace, line);
}
