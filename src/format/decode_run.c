/* SPDX-License-Identifier: MIT
 *
 * EVALUATION, EVENT, LOSS and END blocks: what happened.
 */
#include <stdlib.h>
#include <string.h>

#include "format/trace.h"

/* At the end of payloads since there are exact times. A wait lies between its stamp and the one before. */
static void read_waits(struct tat_in * in, struct tat_in stamps, struct tat_evaluation * e, struct body * b) {
    const uint8_t * const from = in->at;
    e->n_waits = in->at < in->end ? (uint32_t) tat_get_count(in, 1) : 0;
    b->waits_at = (uint8_t) (in->at - from);
    in->bad |= e->n_waits > e->n_stamps;
    for (uint32_t i = 0; i < e->n_waits && !in->bad; i++) { in->bad |= tat_get_varint(in) > tat_get_varint(&stamps); }
    b->waits_bytes = (uint32_t) (in->at - from) - b->waits_at;
}

bool decode_evaluation(struct tat_trace * trace, struct tat_in in, uint64_t file_offset) {
    struct tat_evaluation e = { 0 };
    struct body b = { .file_offset = file_offset };
    const uint8_t * const payload = in.at;
    const uint64_t t = tat_get_varint(&in);
    e.template_id = (uint32_t) t;
    e.flags = (uint32_t) tat_get_varint(&in);
    e.rule = (uint32_t) tat_get_varint(&in);
    e.status = (int32_t) tat_get_zigzag(&in);
    e.n_threads = (uint32_t) tat_get_varint(&in);
    e.thread = (uint32_t) tat_get_varint(&in);
    b.begin_tick = tat_get_varint(&in);
    b.end_tick = b.begin_tick + tat_get_varint(&in);
    const uint64_t callbacks = tat_get_varint(&in);
    e.n_callbacks = callbacks > UINT32_MAX ? UINT32_MAX : (uint32_t) callbacks;
    e.n_stamps = (uint32_t) tat_get_count(&in, 1);
    struct tat_in stamps = in;
    for (uint32_t i = 0; i < e.n_stamps && !in.bad; i++) { tat_get_varint(&in); }
    stamps.end = in.at;
    b.file_offset += (uint64_t) (stamps.at - payload);
    b.stamps_bytes = (uint32_t) (stamps.end - stamps.at);
    b.captures_bytes = (uint32_t) tat_get_count(&in, 1);
    b.captures_at = (uint8_t) (in.at - stamps.end);
    tat_get_bytes(&in, b.captures_bytes);
    if (!in.bad) { read_waits(&in, stamps, &e, &b); }
    if (in.bad || e.rule >= TAT_RULE_COUNT || b.end_tick < b.begin_tick) { return false; }
    if (t >= trace->templates.count || !LIST(struct tat_template, trace->templates)[t].known) {
        trace->summary.orphan_evaluations++;
        return true;
    }
    const struct tat_template * tmpl = &LIST(struct tat_template, trace->templates)[t];
    e.context = tmpl->context;
    e.n_tokens = tmpl->n_tokens;
    e.n_outputs = tmpl->n_outputs;
    struct tat_evaluation * slot = list_add(&trace->evaluations, sizeof e);
    struct body * body = slot ? list_add(&trace->bodies, sizeof b) : NULL;
    if (!body) { return false; }
    *slot = e;
    *body = b;
    return true;
}

/* How many values each type of event has before its text, and whether it has one. */
static const struct {
    uint8_t values;
    uint8_t is_signed; /* bits: these values are zigzag */
    bool has_text;
} event_shapes[] = {
    [TAT_EVENT_CLOCK] = { 2, 0, false },
    [TAT_EVENT_MAPPING] = { 4, 0, false },
    [TAT_EVENT_MODEL_FILE] = { 9, 1 << 4, true },
    [TAT_EVENT_LOAD_BEGIN] = { 0, 0, true },
    [TAT_EVENT_LOAD_END] = { 2, 1 << 1, false },
    [TAT_EVENT_OPEN_MODEL] = { 0, 0, true },
    [TAT_EVENT_MEMORY_CLEAR] = { 2, 1 << 1, false },
    [TAT_EVENT_PERF_RESET] = { 2, 1 << 1, false },
    [TAT_EVENT_WARMUP] = { 2, 1 << 1, false },
    [TAT_EVENT_CALL_BEGIN] = { 2, 1 << 1, false },
    [TAT_EVENT_CALL_END] = { 2, 1 << 1, false },
    [TAT_EVENT_CONTEXT] = { 3, 0, false },
    [TAT_EVENT_NOTE] = { 0, 0, true },
    [TAT_EVENT_MEMORY_SET] = { 2, 1 << 1, false },
    [TAT_EVENT_BUFFER_ALLOC] = { 2, 1 << 1, false },
    [TAT_EVENT_BUFFER_FREE] = { 2, 1 << 1, false },
    [TAT_EVENT_OWN_READ] = { 2, 1 << 1, false },
    [TAT_EVENT_USAGE] = { 7, 0, false },
    [TAT_EVENT_MACHINE] = { 7, 0, false },
};

static bool is_event_type(uint64_t type) {
    return type > 0 && type < sizeof event_shapes / sizeof event_shapes[0];
}

bool event_is_known(struct tat_in in) {
    const uint64_t type = tat_get_varint(&in);
    return in.bad || type == 0 || is_event_type(type);
}

/* A private run has "~" for the home folder, so whoever reads it at home still finds the model. */
static const char * at_home(struct tat_trace * trace, const char * path) {
    const char * home = getenv("HOME");
    if (path[0] != '~' || path[1] != '/' || !home) { return path; }
    const size_t n = strlen(home), rest = strlen(path + 1);
    char * whole = arena_alloc(&trace->arena, n + rest + 1);
    if (!whole) { return path; }
    memcpy(whole, home, n);
    memcpy(whole + n, path + 1, rest + 1);
    return whole;
}

/* After the path, since 2026: what the file holds, and for which architecture. */
static void read_part(struct tat_trace * trace, struct tat_in in, struct tat_model_file * file) {
    const uint64_t holds = tat_get_varint(&in), length = tat_get_varint(&in);
    const char * architecture = tat_get_bytes(&in, length);
    file->architecture = "";
    if (in.bad || holds > TAT_PART_FOREIGN) { return; }
    file->holds = (enum tat_part) holds;
    const char * kept = arena_string(&trace->arena, architecture, length);
    if (kept) { file->architecture = kept; }
}

static bool add_model_file(struct tat_trace * trace, const uint64_t * value, const char * path, struct tat_in in) {
    if (value[0] != (uint64_t) trace->files.count + 1) { return false; }
    struct tat_model_file * file = list_add(&trace->files, sizeof *file);
    if (!file) { return false; }
    *file = (struct tat_model_file){
        .path = at_home(trace, path),
        .model = (uint32_t) value[1],
        .part = (uint32_t) value[2],
        .size = value[3],
        .mtime_ns = (int64_t) value[4],
        .header_hash = value[7],
        .model_hash = value[8],
    };
    read_part(trace, in, file);
    return true;
}

static bool add_anchor(struct tat_trace * trace, uint64_t tick, uint64_t monotonic_ns) {
    const int64_t most = INT64_C(1) << 60, ns = (int64_t) (monotonic_ns - trace->header.start_monotonic_ns);
    if (ns < -most || ns > most) { return false; } /* 36 years */
    struct anchor * anchor = list_add(&trace->anchors, sizeof *anchor);
    if (!anchor) { return false; }
    *anchor = (struct anchor){ tick, ns };
    return true;
}

bool decode_event(struct tat_trace * trace, struct tat_in in) {
    const uint64_t type = tat_get_varint(&in);
    struct tat_event e = { .type = (enum tat_event_type) type, .text = "" };
    e.at_tick = tat_get_varint(&in);
    e.thread = (uint32_t) tat_get_varint(&in);
    if (in.bad || !is_event_type(type)) { return false; }
    for (unsigned i = 0; i < event_shapes[type].values; i++) {
        const bool is_signed = event_shapes[type].is_signed >> i & 1;
        e.value[i] = is_signed ? (uint64_t) tat_get_zigzag(&in) : tat_get_varint(&in);
    }
    if (event_shapes[type].has_text) {
        const uint64_t length = tat_get_varint(&in);
        const char * text = tat_get_bytes(&in, length);
        e.text = text ? arena_string(&trace->arena, text, length) : NULL;
    }
    if (in.bad || !e.text) { return false; }
    if (type == TAT_EVENT_MODEL_FILE && !add_model_file(trace, e.value, e.text, in)) { return false; }
    if (type == TAT_EVENT_CLOCK && !add_anchor(trace, e.value[0], e.value[1])) { return false; }
    struct tat_event * slot = list_add(&trace->events, sizeof e);
    if (slot) { *slot = e; }
    return slot != NULL;
}

/* Many events together, each after its length, so that one of unknown type can be skipped. */
bool decode_events(struct tat_trace * trace, struct tat_in in) {
    const uint32_t events = trace->events.count, files = trace->files.count, anchors = trace->anchors.count;
    uint32_t unknown = 0;
    bool good = true;
    for (uint64_t left = tat_get_count(&in, 2); left && good; left--) {
        const uint64_t bytes = tat_get_varint(&in);
        const uint8_t * at = tat_get_bytes(&in, bytes);
        const struct tat_in event = { .at = at, .end = at ? at + bytes : NULL };
        if (at && !event_is_known(event)) {
            unknown++;
        } else {
            good = at && decode_event(trace, event);
        }
    }
    good &= !in.bad;
    if (good) {
        trace->summary.unknown_blocks += unknown;
    } else {
        trace->events.count = events;
        trace->files.count = files;
        trace->anchors.count = anchors;
    }
    return good;
}

/* LOSS blocks serve traces without an end; END repeats their totals. */
bool decode_loss(struct tat_trace * trace, struct tat_in in) {
    const uint64_t reason = tat_get_varint(&in);
    const uint64_t evaluations = tat_get_varint(&in);
    const uint64_t events = tat_get_varint(&in);
    if (in.bad || reason == 0 || reason >= TAT_LOSS_COUNT) { return false; }
    if (trace->summary.ended) { return true; }
    trace->summary.lost[reason] += evaluations;
    trace->summary.events_lost += events;
    return true;
}

bool decode_end(struct tat_trace * trace, struct tat_in in) {
    struct tat_trace_summary * s = &trace->summary;
    uint64_t * const totals[] = {
        &s->evaluations_emitted,     &s->evaluations_stored,   &s->evaluations_filtered,  &s->callbacks_emitted,
        &s->callbacks_stored,        &s->events_emitted,       &s->events_stored,         &s->lost[TAT_LOSS_NO_SPACE],
        &s->lost[TAT_LOSS_MAX_SIZE], &s->lost[TAT_LOSS_SLOTS], &s->lost[TAT_LOSS_MEMORY], &s->lost[TAT_LOSS_LAYOUT],
    };
    uint64_t values[sizeof totals / sizeof totals[0]];
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) { values[i] = tat_get_varint(&in); }
    if (in.bad) { return false; }
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) { *totals[i] = values[i]; }
    if (s->events_emitted >= s->events_stored) { s->events_lost = s->events_emitted - s->events_stored; }
    s->ended = true;
    return true;
}
