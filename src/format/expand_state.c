/* SPDX-License-Identifier: MIT */
#include "format/expand_state.h"

#include <stdlib.h>
#include <string.h>

#include "format/captures.h"
#include "format/extent.h"

bool expansion_reserve(void * array, size_t * capacity, size_t wanted, size_t size) {
    if (wanted <= *capacity) { return true; }
    void * old;
    memcpy(&old, array, sizeof old);
    void * bigger = realloc(old, wanted * 2 * size);
    if (!bigger) { return false; }
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted * 2;
    return true;
}

bool expansion_begin(struct expansion * x, const struct tat_trace * trace, tat_access_sink sink, void * user) {
    *x = (struct expansion){ .trace = (struct tat_trace *) trace, .sink = sink, .user = user };
    bodies_begin(&x->bodies, trace);
    x->batch = aligned_alloc(64, BATCH * sizeof *x->batch);
    x->pieces = malloc(PIECES_MAX * sizeof *x->pieces);
    return x->batch && x->pieces;
}

int expansion_fail(struct expansion * x, struct tat_error * error) {
    return bodies_fail(&x->bodies, error);
}

bool expansion_at(struct expansion * x, uint32_t evaluation) {
    for (int i = 0; i < ROWS_KEPT; i++) { x->kept[i].known = false; }
    return bodies_read(&x->bodies, evaluation, &x->body);
}

void expansion_end(struct expansion * x) {
    for (int i = 0; i < ROWS_KEPT; i++) { free(x->kept[i].pieces); }
    bodies_end(&x->bodies);
    free(x->offsets);
    free(x->ids);
    free(x->values);
    free(x->wait_ns);
    free(x->start_ns);
    free(x->pieces);
    free(x->batch);
}

void expansion_flush(struct expansion * x) {
    if (x->n_batch && !x->stopped) { x->stopped = !x->sink(x->batch, x->n_batch, x->user); }
    x->n_batch = 0;
}

/* Most varints have one or two bytes. */
static inline uint64_t next_delta(struct tat_in * in) {
    const uint8_t * at = in->at;
    if (in->end - at >= 2 && at[0] < 0x80) {
        in->at = at + 1;
        return at[0];
    }
    if (in->end - at >= 2 && at[1] < 0x80) {
        in->at = at + 2;
        return (uint64_t) (at[0] & 0x7f) | (uint64_t) at[1] << 7;
    }
    return tat_get_varint(in);
}

/* Nanoseconds per tick. One line serves the whole evaluation, which is far shorter than the distance of two anchors. */
static double rate_of(const struct tat_evaluation * e, const struct body * b) {
    const uint64_t duration = b->end_tick - b->begin_tick;
    return duration ? (double) (e->end_ns - e->begin_ns) / (double) duration : 0;
}

uint32_t expansion_times(struct expansion * x, uint32_t evaluation) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[evaluation];
    const struct body * b = &LIST(struct body, x->trace->bodies)[evaluation];
    const unsigned shift = x->trace->header.stamp_shift;
    struct tat_in in = x->body.stamps;
    if (!expansion_reserve(&x->start_ns, &x->times_capacity, (size_t) e->n_stamps + 2, sizeof x->start_ns[0])) {
        return 0;
    }
    const uint64_t duration = b->end_tick - b->begin_tick;
    const double rate = rate_of(e, b);
    uint64_t stamp = b->begin_tick >> shift;
    x->start_ns[0] = e->begin_ns;
    for (uint32_t i = 0; i < e->n_stamps; i++) {
        stamp += next_delta(&in);
        const int64_t ticks = (int64_t) ((stamp << shift) - b->begin_tick);
        const double within = ticks <= 0 ? 0 : (uint64_t) ticks < duration ? (double) ticks : (double) duration;
        x->start_ns[i + 1] = e->begin_ns + (uint64_t) (within * rate);
    }
    return e->n_stamps;
}

uint32_t expansion_waits(struct expansion * x, uint32_t evaluation) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[evaluation];
    const struct body * b = &LIST(struct body, x->trace->bodies)[evaluation];
    const double unit = rate_of(e, b) * (double) (1u << x->trace->header.stamp_shift);
    struct tat_in in = x->body.waits;
    if (!expansion_reserve(&x->wait_ns, &x->waits_capacity, (size_t) e->n_waits + 1, sizeof x->wait_ns[0])) {
        return 0;
    }
    for (uint32_t i = 0; i < e->n_waits; i++) {
        const uint64_t node = duration_of(x->start_ns, i);
        const double ns = (double) next_delta(&in) * unit;
        x->wait_ns[i] = ns < (double) node ? (uint64_t) ns : node;
    }
    return e->n_waits;
}

bool expansion_ids(struct expansion * x, uint32_t evaluation) {
    const uint32_t template_id = LIST(struct tat_evaluation, x->trace->evaluations)[evaluation].template_id;
    const struct tat_template * t = &LIST(struct tat_template, x->trace->templates)[template_id];
    size_t room = x->ids_capacity;
    if (!expansion_reserve(&x->ids, &room, (size_t) t->n_captures + 1, sizeof x->ids[0])) { return false; }
    x->ids_capacity = (uint32_t) room;
    memset(x->ids, 0, (t->n_captures + 1) * sizeof x->ids[0]);
    struct capture_reader reader = captures_begin(x->body.captures);
    size_t used = 0;
    for (uint32_t i = 0; i < t->n_captures && reader.in.at < reader.in.end; i++) {
        const enum tat_capture_kind kind = t->captures[i].kind;
        const bool wanted = kind == TAT_CAPTURE_ROWS || kind == TAT_CAPTURE_EXPERTS || kind == TAT_CAPTURE_OFFSET;
        const struct capture_reader before = reader;
        size_t count;
        if (!capture_next(&reader, kind, NULL, 0, &count)) { return true; }
        if (!wanted || count == 0 || count > CAPTURE_VALUES_MAX - used) { continue; }
        if (!bodies_may_work(&x->bodies, count)) { return false; }
        if (!expansion_reserve(&x->values, &x->values_capacity, used + count, sizeof x->values[0])) { return false; }
        reader = before;
        capture_next(&reader, kind, x->values + used, count, &count);
        x->ids[i] = (struct ids){ used, count };
        used += count;
    }
    return true;
}

uint32_t plan_records_before(const struct plan * plan, uint32_t n_times) {
    uint32_t n = plan->n_records;
    while (n && plan->records[n - 1].start_ns >= n_times) { n--; }
    return n;
}
