/* SPDX-License-Identifier: MIT */
#include "format/captures.h"

#include <stdlib.h>
#include <string.h>

#include "format/bodies.h"

struct values {
    int64_t * at;
    size_t capacity, count;
};

static void add(struct values * v, int64_t value) {
    if (v->count < v->capacity) { v->at[v->count] = value; }
    v->count++;
}

static bool get_series(struct tat_in * in, uint64_t count, struct values * v) {
    int64_t value = tat_get_zigzag(in);
    add(v, value);
    while (v->count < count && !in->bad) {
        const int64_t difference = tat_get_zigzag(in);
        const uint64_t length = tat_get_varint(in);
        if (length == 0 || length > count - v->count) { return false; }
        const uint64_t room = v->count < v->capacity ? v->capacity - v->count : 0;
        const uint64_t stored = length < room ? length : room;
        for (uint64_t i = 0; i < stored; i++) {
            value = (int64_t) ((uint64_t) value + (uint64_t) difference);
            v->at[v->count++] = value;
        }
        value = (int64_t) ((uint64_t) value + (uint64_t) difference * (length - stored));
        v->count += length - stored;
    }
    return !in->bad;
}

static bool get_mask(struct tat_in * in, uint64_t rows, struct values * v) {
    for (uint64_t row = 0; row < rows; row++) {
        for (uint64_t seen = 1; seen && !in->bad;) {
            add(v, (int64_t) tat_get_varint(in));
            seen = tat_get_varint(in);
            add(v, (int64_t) seen);
        }
        if (in->bad) { return false; }
    }
    return true;
}

static bool get_gates(struct tat_in * in, uint64_t count, struct values * v) {
    const char * bytes = tat_get_bytes(in, count * sizeof(uint32_t));
    for (uint64_t i = 0; bytes && i < count; i++) {
        uint32_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        add(v, bits);
    }
    return bytes != NULL;
}

struct capture_reader captures_begin(struct tat_in captures) {
    const uint64_t most = VALUES_LEAST + (uint64_t) VALUES_A_BYTE * (uint64_t) (captures.end - captures.at);
    return (struct capture_reader){ captures, most < CAPTURE_VALUES_MAX ? most : CAPTURE_VALUES_MAX };
}

bool capture_next(struct capture_reader * reader, enum tat_capture_kind kind, int64_t * values, size_t capacity,
                  size_t * count) {
    struct tat_in * in = &reader->in;
    struct values v = { .at = values, .capacity = capacity };
    const uint64_t n = tat_get_varint(in);
    const bool is_series = kind == TAT_CAPTURE_ROWS || kind == TAT_CAPTURE_POSITIONS || kind == TAT_CAPTURE_OFFSET;
    bool good = !in->bad && n <= CAPTURE_VALUES_MAX;
    if (good && n) {
        switch (kind) {
            case TAT_CAPTURE_ROWS:
            case TAT_CAPTURE_POSITIONS:
            case TAT_CAPTURE_OFFSET: good = get_series(in, n, &v); break;
            case TAT_CAPTURE_GATES: good = get_gates(in, n, &v); break;
            case TAT_CAPTURE_MASK: good = get_mask(in, n, &v); break;
            case TAT_CAPTURE_EXPERTS:
                for (uint64_t i = 0; i < n && !in->bad; i++) { add(&v, (int64_t) tat_get_varint(in)); }
                good = !in->bad;
                break;
        }
    }
    *count = good ? v.count : 0;
    if (!is_series || !good) { return good; }
    if (*count > reader->values_left) { *count = 0; } /* treated as not captured */
    reader->values_left -= *count;
    return true;
}

static size_t capture_at(const struct tat_template * t, struct capture_reader reader, uint32_t capture,
                         int64_t * values, size_t capacity) {
    for (uint32_t i = 0; i < t->n_captures && i <= capture; i++) {
        size_t count;
        const bool wanted = i == capture;
        if (reader.in.at == reader.in.end ||
            !capture_next(&reader, t->captures[i].kind, wanted ? values : NULL, wanted ? capacity : 0, &count)) {
            return 0;
        }
        if (wanted) { return count; }
    }
    return 0;
}

static const struct tat_template * template_of(const struct tat_trace * trace, uint32_t evaluation) {
    const uint32_t number = LIST(struct tat_evaluation, trace->evaluations)[evaluation].template_id;
    return &LIST(struct tat_template, trace->templates)[number];
}

size_t tat_trace_capture(const struct tat_trace * trace, uint32_t evaluation, uint32_t capture, int64_t * values,
                         size_t capacity) {
    if (evaluation >= trace->evaluations.count) { return 0; }
    struct body_bytes body;
    struct bodies bodies;
    bodies_borrow(&bodies, trace);
    const size_t count =
        bodies_read(&bodies, evaluation, &body)
            ? capture_at(template_of(trace, evaluation), captures_begin(body.captures), capture, values, capacity)
            : 0;
    bodies_give_back(&bodies);
    return count;
}

int each_capture(struct bodies * bodies, uint32_t evaluation, tat_capture_sink sink, void * user,
                 struct tat_error * error) {
    const struct tat_template * t = template_of(bodies->trace, evaluation);
    struct body_bytes body;
    if (!bodies_read(bodies, evaluation, &body)) { return bodies_fail(bodies, error); }
    struct capture_reader reader = captures_begin(body.captures);
    size_t capacity = 256, count;
    int64_t * values = malloc(capacity * sizeof *values);
    bool going = true, readable = true;
    for (uint32_t i = 0; i < t->n_captures && reader.in.at < reader.in.end && values && going && readable; i++) {
        const struct capture_reader before = reader;
        readable = capture_next(&reader, t->captures[i].kind, values, capacity, &count);
        if (readable && count > capacity) {
            free(values);
            capacity = count;
            values = malloc(capacity * sizeof *values);
            reader = before;
            if (values) { capture_next(&reader, t->captures[i].kind, values, capacity, &count); }
        }
        if (readable && values) { going = sink(i, values, count, user); }
    }
    const bool memory = values != NULL;
    free(values);
    if (!memory) { return bodies_fail(bodies, error); }
    return going ? 0 : 1;
}

int tat_trace_each_capture(const struct tat_trace * trace, uint32_t evaluation, tat_capture_sink sink, void * user,
                           struct tat_error * error) {
    struct bodies bodies;
    if (evaluation >= trace->evaluations.count) { return 0; }
    bodies_borrow(&bodies, trace);
    const int status = each_capture(&bodies, evaluation, sink, user, error);
    bodies_give_back(&bodies);
    return status;
}
