/* SPDX-License-Identifier: MIT */
#include "format/captures.h"

#include <stdlib.h>
#include <string.h>

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
        for (uint64_t i = 0; i < length; i++) {
            value = (int64_t) ((uint64_t) value + (uint64_t) difference);
            add(v, value);
        }
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

bool capture_next(struct tat_in * in, enum tat_capture_kind kind, int64_t * values, size_t capacity, size_t * count) {
    struct values v = { .at = values, .capacity = capacity };
    const uint64_t n = tat_get_varint(in);
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
    return good;
}

size_t tat_trace_capture(const struct tat_trace * trace, uint32_t evaluation, uint32_t capture, int64_t * values,
                         size_t capacity) {
    if (evaluation >= trace->evaluations.count) { return 0; }
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[evaluation];
    const struct tat_template * t = &LIST(struct tat_template, trace->templates)[e->template_id];
    const struct body * b = &LIST(struct body, trace->bodies)[evaluation];
    struct tat_in in = { .at = b->captures, .end = b->captures + b->captures_bytes };
    for (uint32_t i = 0; i < t->n_captures && i <= capture; i++) {
        size_t count;
        const bool wanted = i == capture;
        if (in.at == in.end ||
            !capture_next(&in, t->captures[i].kind, wanted ? values : NULL, wanted ? capacity : 0, &count)) {
            return 0;
        }
        if (wanted) { return count; }
    }
    return 0;
}

int tat_trace_each_capture(const struct tat_trace * trace, uint32_t evaluation, tat_capture_sink sink, void * user,
                           struct tat_error * error) {
    if (evaluation >= trace->evaluations.count) { return 0; }
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[evaluation];
    const struct tat_template * t = &LIST(struct tat_template, trace->templates)[e->template_id];
    const struct body * b = &LIST(struct body, trace->bodies)[evaluation];
    struct tat_in in = { .at = b->captures, .end = b->captures + b->captures_bytes };
    size_t capacity = 256, count;
    int64_t * values = malloc(capacity * sizeof *values);
    bool going = true, readable = true;
    for (uint32_t i = 0; i < t->n_captures && in.at < in.end && values && going && readable; i++) {
        const struct tat_in before = in;
        readable = capture_next(&in, t->captures[i].kind, values, capacity, &count);
        if (readable && count > capacity) {
            free(values);
            capacity = count;
            values = malloc(capacity * sizeof *values);
            in = before;
            if (values) { capture_next(&in, t->captures[i].kind, values, capacity, &count); }
        }
        if (readable && values) { going = sink(i, values, count, user); }
    }
    const bool memory = values != NULL;
    free(values);
    if (!memory) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    return going ? 0 : 1;
}
