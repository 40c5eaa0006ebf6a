/* SPDX-License-Identifier: MIT
 *
 * What follows from the order of things: times, the token index of each context, phases.
 */
#include <stdlib.h>
#include <string.h>

#include "format/trace.h"

/* ---- times ---- */

static int by_tick(const void * a, const void * b) {
    const uint64_t x = ((const struct anchor *) a)->tick, y = ((const struct anchor *) b)->tick;
    return (x > y) - (x < y);
}

#define NS_MOST 0x1p60 /* 36 years: what damage makes longer is cut, so that sums of times stay exact */

static int64_t to_ns(double ns) {
    if (!(ns > -NS_MOST)) { return (int64_t) -NS_MOST; }
    return ns < NS_MOST ? (int64_t) ns : (int64_t) NS_MOST;
}

/* Between two anchors along the line through them; outside along the line through the outermost; with fewer than two by
 * the header's rate. */
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

static void set_times(struct tat_trace * trace, uint32_t evaluation, uint32_t event) {
    if (trace->anchors.count) { qsort(trace->anchors.data, trace->anchors.count, sizeof(struct anchor), by_tick); }
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
}

/* ---- order ---- */

struct pair {
    struct tat_evaluation e;
    struct body b;
};

static int by_begin(const void * a, const void * b) {
    const uint64_t x = ((const struct pair *) a)->b.begin_tick, y = ((const struct pair *) b)->b.begin_tick;
    return (x > y) - (x < y);
}

static int by_at(const void * a, const void * b) {
    const uint64_t x = ((const struct tat_event *) a)->at_tick, y = ((const struct tat_event *) b)->at_tick;
    return (x > y) - (x < y);
}

/* Blocks come in the order in which evaluations end; with several contexts that is not the order of their beginning. */
static bool sort_all(struct tat_trace * trace) {
    const uint32_t count = trace->evaluations.count;
    if (trace->events.count) { qsort(trace->events.data, trace->events.count, sizeof(struct tat_event), by_at); }
    struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    struct body * b = LIST(struct body, trace->bodies);
    bool sorted = true;
    for (uint32_t i = 1; i < count && sorted; i++) { sorted = b[i - 1].begin_tick <= b[i].begin_tick; }
    if (sorted) { return true; }
    struct pair * pairs = malloc(count * sizeof *pairs);
    if (!pairs) { return false; }
    for (uint32_t i = 0; i < count; i++) { pairs[i] = (struct pair){ e[i], b[i] }; }
    qsort(pairs, count, sizeof *pairs, by_begin);
    for (uint32_t i = 0; i < count; i++) {
        e[i] = pairs[i].e;
        b[i] = pairs[i].b;
    }
    free(pairs);
    return true;
}

/* ---- phases ---- */

enum {
    WARMUP_TOKENS = 2, /* llama.cpp warms up with BOS and EOS */
    POSITIONS_MAX = 1 << 20,
};

/* llama_set_warmup marks warm-up. Older and newest versions evaluate two tokens without it, then clear the memory
 * and reset the counters before anything else: the first such reset of a thread ends a warm-up, if no more was
 * evaluated. */
static void mark_warmup(struct tat_trace * trace) {
    struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    const struct body * b = LIST(struct body, trace->bodies);
    const struct tat_event * v = LIST(struct tat_event, trace->events);
    uint32_t next = 0, tokens = 0;
    bool warming = false, cleared = false, settled = false;
    for (uint32_t i = 0; i < trace->events.count; i++) {
        for (; next < trace->evaluations.count && b[next].begin_tick < v[i].at_tick; next++) {
            tokens += e[next].n_tokens;
            cleared = false;
            if (warming) { e[next].phase = TAT_PHASE_WARMUP; }
        }
        if (v[i].type == TAT_EVENT_WARMUP) { warming = v[i].value[1] != 0; }
        if (v[i].type == TAT_EVENT_MEMORY_CLEAR) { cleared = true; }
        if (v[i].type == TAT_EVENT_PERF_RESET && next && !settled) {
            for (uint32_t w = 0; cleared && tokens <= WARMUP_TOKENS && w < next; w++) { e[w].phase = TAT_PHASE_WARMUP; }
            settled = true;
        }
    }
}

/* What a context is in the middle of. */
struct progress {
    uint32_t tokens;
    bool has_output;       /* the last ubatch gave logits, so a single row after it continues a generation */
    int64_t next_position; /* of the sequence whose row was the last one; -1: unknown */
};

/* The positions of a ubatch's rows, POSITIONS_MAX at most; `memory` holds as many. Returns how many are known. */
static size_t positions_of(const struct tat_trace * trace, uint32_t evaluation, int64_t * memory) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[evaluation];
    const struct tat_template * t = &LIST(struct tat_template, trace->templates)[e->template_id];
    const uint32_t rows = e->n_tokens < POSITIONS_MAX ? e->n_tokens : POSITIONS_MAX;
    for (uint32_t c = 0; c < t->n_captures; c++) {
        if (t->captures[c].kind != TAT_CAPTURE_POSITIONS) { continue; }
        const size_t count = tat_trace_capture(trace, evaluation, c, memory, rows);
        return count < rows ? count : rows;
    }
    return 0;
}

/* Whether the rows of a ubatch follow each other: those of several sequences do not. */
static bool is_one_sequence(const int64_t * positions, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (positions[i - 1] == INT64_MAX || positions[i] != positions[i - 1] + 1) { return false; }
    }
    return true;
}

/* Several rows are a prompt; a single row is a generated token if the one before it had an output to sample from, or if
 * it is of another sequence than the prompt that is being read, else the rest of a prompt. Rows of several sequences
 * are generated tokens if each has an output, else prompts and tokens mixed, as a server does. Graphs without token
 * rows are something else: shifts of the KV cache, encoders. */
static enum tat_phase phase_of(const struct tat_evaluation * e, const struct progress * p, const int64_t * positions,
                               size_t count) {
    if (e->n_tokens == 0) { return TAT_PHASE_OTHER; }
    if (e->n_tokens == 1) {
        const bool other = count && positions[0] && p->next_position >= 0 && positions[0] != p->next_position;
        return p->has_output || other ? TAT_PHASE_GENERATE : TAT_PHASE_PROMPT;
    }
    if (is_one_sequence(positions, count)) { return TAT_PHASE_PROMPT; }
    return e->n_outputs == e->n_tokens ? TAT_PHASE_GENERATE : TAT_PHASE_MIXED;
}

/* Takes the evaluations from the first on whose phase is not settled. */
static bool set_phases(struct tat_trace * trace, struct timeline * line) {
    struct tat_evaluation * e = LIST(struct tat_evaluation, trace->evaluations);
    uint32_t most = 0, tokens = 0;
    for (uint32_t i = line->evaluations; i < trace->evaluations.count; i++) {
        if (e[i].n_tokens > tokens) { tokens = e[i].n_tokens; }
        if (e[i].context > most) { most = e[i].context; }
    }
    if (most > trace->size / 8) { return true; } /* numbers that no agent gave */
    const uint32_t contexts = most < line->contexts ? line->contexts : most + 1;
    if (tokens > POSITIONS_MAX) { tokens = POSITIONS_MAX; }
    struct progress * progress = reallocarray(line->progress, contexts, sizeof *progress);
    int64_t * memory = calloc(tokens + 1, sizeof *memory);
    if (progress) { line->progress = progress; }
    if (!progress || !memory) {
        free(memory);
        return false;
    }
    for (; line->contexts < contexts; line->contexts++) {
        progress[line->contexts] = (struct progress){ .next_position = -1 };
    }
    for (uint32_t i = line->evaluations; i < trace->evaluations.count; i++) {
        struct progress * p = &progress[e[i].context];
        if (e[i].phase == TAT_PHASE_WARMUP) { continue; }
        const size_t count = positions_of(trace, i, memory);
        e[i].phase = phase_of(&e[i], p, memory, count);
        e[i].token_first = p->tokens;
        p->tokens += e[i].n_tokens;
        if (e[i].n_tokens) {
            p->has_output = e[i].n_outputs > 0;
            p->next_position = count && memory[count - 1] < INT64_MAX ? memory[count - 1] + 1 : -1;
        }
    }
    line->evaluations = trace->evaluations.count;
    free(memory);
    return true;
}

/* ---- summary ---- */

/* Without an END block, what is there is all that is known. */
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

/* Events that say something of warm-up are few, so what was settled is looked at again with each of them. */
static bool tells_warmup(const struct tat_trace * trace, uint32_t event) {
    for (; event < trace->events.count; event++) {
        const enum tat_event_type type = LIST(struct tat_event, trace->events)[event].type;
        if (type == TAT_EVENT_WARMUP || type == TAT_EVENT_PERF_RESET) { return true; }
    }
    return false;
}

bool timeline_extend(struct tat_trace * trace, struct timeline * line, bool * revised) {
    *revised = false;
    set_times(trace, line->evaluations, line->events);
    for (uint32_t i = line->evaluations; i < trace->evaluations.count; i++) {
        LIST(struct tat_evaluation, trace->evaluations)[i].phase = TAT_PHASE_OTHER;
    }
    if (tells_warmup(trace, line->events)) {
        const uint32_t before = count_warmup(trace, line->evaluations);
        mark_warmup(trace);
        *revised = count_warmup(trace, line->evaluations) != before;
    }
    if (*revised) { line->evaluations = line->contexts = 0; }
    line->events = trace->events.count;
    return set_phases(trace, line);
}
