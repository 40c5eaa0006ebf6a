/* SPDX-License-Identifier: MIT */
#include "trace_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void reserve(struct trace_builder * b, size_t more) {
    if (b->size + more <= b->capacity) { return; }
    b->capacity = 2 * (b->size + more);
    b->bytes = realloc(b->bytes, b->capacity);
    if (!b->bytes) { abort(); }
    memset(b->bytes + b->size, 0, b->capacity - b->size);
}

void tb_begin(struct trace_builder * b) {
    *b = (struct trace_builder){ .tick = 1000 };
    reserve(b, TAT_HEADER_BYTES);
    b->size = TAT_HEADER_BYTES;
    struct tat_file_header * h = tb_header(b);
    memcpy(h->magic, TAT_MAGIC, sizeof h->magic);
    h->version = TAT_FORMAT_VERSION;
    h->header_bytes = TAT_HEADER_BYTES;
    h->byte_order = TAT_BYTE_ORDER;
    h->file_kind = TAT_FILE_TENSOR_ACCESS;
    h->clock = TAT_CLOCK_MONOTONIC;
    h->ticks_per_second = 1000000000;
    tb_seal(b);
}

void tb_free(struct trace_builder * b) {
    free(b->bytes);
}

struct tat_file_header * tb_header(struct trace_builder * b) {
    return (struct tat_file_header *) b->bytes;
}

void tb_seal(struct trace_builder * b) {
    tat_header_seal(tb_header(b));
}

struct tat_trace * tb_open(const struct trace_builder * b, struct tat_error * error) {
    const int fd = memfd_create("trace", MFD_CLOEXEC);
    char path[64];
    for (size_t at = 0; at < b->size;) {
        const ssize_t written = write(fd, b->bytes + at, b->size - at);
        if (written <= 0) { abort(); }
        at += (size_t) written;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct tat_trace * trace = tat_trace_open(path, error);
    close(fd);
    return trace;
}

void tb_block(struct trace_builder * b, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    const size_t bytes = tat_block_bytes(payload_bytes);
    reserve(b, bytes);
    const struct tat_block_header header = tat_block_header_of(b->size, type, payload, (uint32_t) payload_bytes);
    memcpy(b->bytes + b->size, &header, sizeof header);
    if (payload_bytes) { memcpy(b->bytes + b->size + sizeof header, payload, payload_bytes); }
    b->last = b->size;
    b->size += bytes;
}

void tb_bytes(struct trace_builder * b, const void * bytes, size_t count) {
    reserve(b, count + TAT_BLOCK_ALIGN);
    if (count) { memcpy(b->bytes + b->size, bytes, count); }
    b->size += (count + TAT_BLOCK_ALIGN - 1) & ~(size_t) (TAT_BLOCK_ALIGN - 1);
}

void payload_begin(struct payload * p) {
    p->out = (struct tat_out){ .at = p->bytes, .end = p->bytes + sizeof p->bytes };
}

void tb_payload(struct trace_builder * b, enum tat_block_type type, const struct payload * p) {
    if (p->out.overflow) { abort(); }
    tb_block(b, type, p->bytes, (size_t) (p->out.at - p->bytes));
}

uint32_t tb_string(struct trace_builder * b, const char * string) {
    for (uint32_t i = 0; i < b->n_strings; i++) {
        if (strcmp(b->strings[i], string) == 0) { return i; }
    }
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, b->n_strings);
    tat_put_varint(&p.out, 1);
    tat_put_string(&p.out, string, strlen(string));
    tb_payload(b, TAT_BLOCK_STRING, &p);
    if (b->n_strings == sizeof b->strings / sizeof b->strings[0]) { abort(); }
    b->strings[b->n_strings] = string;
    return b->n_strings++;
}

static void fill_shape(uint64_t * ne) {
    for (int i = 1; i < 4; i++) { ne[i] = ne[i] ? ne[i] : 1; }
}

uint32_t tb_tensor(struct trace_builder * b, struct tb_tensor t) {
    struct payload p;
    if (!t.type) {
        t.type = "f32";
        t.block = 1;
        t.block_bytes = 4;
    }
    fill_shape(t.ne);
    uint64_t nb[4] = { t.block_bytes, t.ne[0] / t.block * t.block_bytes };
    const uint32_t name = tb_string(b, t.name), type = tb_string(b, t.type), buffer = tb_string(b, "CPU");
    for (int i = 2; i < 4; i++) { nb[i] = nb[i - 1] * t.ne[i - 1]; }
    payload_begin(&p);
    tat_put_varint(&p.out, b->n_tensors);
    tat_put_varint(&p.out, 1);
    tat_put_varint(&p.out, name);
    tat_put_varint(&p.out, 0);
    tat_put_varint(&p.out, t.kind);
    tat_put_varint(&p.out, t.memory);
    tat_put_varint(&p.out, 0);
    tat_put_varint(&p.out, type);
    tat_put_varint(&p.out, t.block);
    tat_put_varint(&p.out, t.block_bytes);
    for (int i = 0; i < 4; i++) { tat_put_varint(&p.out, t.ne[i]); }
    for (int i = 0; i < 4; i++) { tat_put_varint(&p.out, nb[i]); }
    tat_put_varint(&p.out, t.bytes ? t.bytes : nb[3] * t.ne[3]);
    tat_put_varint(&p.out, 0x10000);
    tat_put_varint(&p.out, 1);
    tat_put_varint(&p.out, buffer);
    tat_put_varint(&p.out, t.file);
    tat_put_varint(&p.out, t.file_offset);
    tb_payload(b, TAT_BLOCK_TENSOR, &p);
    return b->n_tensors++;
}

uint32_t tb_file_weight(struct trace_builder * b, const char * name, const uint64_t ne[static 3], uint64_t offset) {
    return tb_tensor(b, (struct tb_tensor){ .name = name,
                                            .kind = TAT_TENSOR_WEIGHT,
                                            .memory = TAT_MEMORY_FILE,
                                            .ne = { ne[0], ne[1], ne[2] },
                                            .file = 1,
                                            .file_offset = offset });
}

uint32_t tb_token_ids(struct trace_builder * b, uint64_t tokens) {
    return tb_tensor(b, (struct tb_tensor){ .name = "inp_tokens",
                                            .kind = TAT_TENSOR_INPUT,
                                            .memory = TAT_MEMORY_BUFFER,
                                            .type = "i32",
                                            .block = 1,
                                            .block_bytes = 4,
                                            .ne = { tokens } });
}

uint32_t tb_result(struct trace_builder * b, uint64_t n0, uint64_t n1) {
    return tb_tensor(
        b, (struct tb_tensor){
               .name = "result_output", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { n0, n1 } });
}

static void put_entry(struct trace_builder * b, struct tat_out * out, const struct tb_entry * e) {
    uint64_t ne[4];
    bool packed = true;
    memcpy(ne, e->ne, sizeof ne);
    fill_shape(ne);
    if (e->empty) { ne[1] = 0; }
    for (int i = 0; i < 4; i++) { packed &= e->nb[i] == 0; }
    tat_put_varint(out, tb_string(b, e->name));
    tat_put_varint(out, tb_string(b, e->op ? e->op : "NONE"));
    tat_put_varint(out, tb_string(b, e->type ? e->type : "f32"));
    tat_put_varint(out, 0);
    for (int i = 0; i < 4; i++) { tat_put_varint(out, ne[i]); }
    tat_put_varint(out, packed);
    for (int i = 0; i < 4 && !packed; i++) { tat_put_varint(out, e->nb[i]); }
    tat_put_varint(out, e->tensor);
    tat_put_zigzag(out, e->offset);
    tat_put_zigzag(out, 0);
}

static void put_sources(struct tat_out * out, const struct tb_entry * e) {
    uint32_t mask = 0;
    for (int s = 0; s < 6; s++) { mask |= (e->src[s] ? 1u : 0u) << s; }
    tat_put_varint(out, mask);
    for (int s = 0; s < 6; s++) {
        if (e->src[s]) { tat_put_varint(out, (uint64_t) e->src[s] - 1); }
    }
}

uint32_t tb_template(struct trace_builder * b, uint32_t context, const struct tb_entry * entries, uint32_t n_leaves,
                     uint32_t n_nodes, const struct tb_capture * captures, uint32_t n_captures) {
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, b->n_templates);
    tat_put_varint(&p.out, context);
    tat_put_varint(&p.out, n_leaves);
    tat_put_varint(&p.out, n_nodes);
    for (uint32_t i = 0; i < n_leaves + n_nodes; i++) {
        put_entry(b, &p.out, &entries[i]);
        if (i < n_leaves) { continue; }
        tat_put_varint(&p.out, entries[i].facts);
        put_sources(&p.out, &entries[i]);
        tat_put_varint(&p.out, 0); /* no parameters */
    }
    tat_put_varint(&p.out, n_captures);
    for (uint32_t i = 0; i < n_captures; i++) {
        tat_put_varint(&p.out, captures[i].kind);
        tat_put_varint(&p.out, captures[i].entry);
        tat_put_varint(&p.out, captures[i].node);
        tat_put_varint(&p.out, captures[i].src);
    }
    tb_payload(b, TAT_BLOCK_TEMPLATE, &p);
    return b->n_templates++;
}

void tb_evaluation(struct trace_builder * b, struct tb_evaluation e) {
    struct payload p;
    const uint64_t begin = e.begin ? e.begin : b->tick;
    const uint64_t each = b->callback_ns ? b->callback_ns : TB_CALLBACK_NS;
    uint64_t duration = each;
    for (uint32_t i = 0; i < e.n_callbacks; i++) { duration += e.durations ? e.durations[i] : each; }
    payload_begin(&p);
    tat_put_varint(&p.out, e.template_id);
    tat_put_varint(&p.out, e.flags);
    tat_put_varint(&p.out, e.rule);
    tat_put_zigzag(&p.out, e.flags & TAT_EVALUATION_ABORTED ? 1 : 0);
    tat_put_varint(&p.out, e.n_threads ? e.n_threads : 2);
    tat_put_varint(&p.out, 77);
    tat_put_varint(&p.out, begin);
    tat_put_varint(&p.out, duration);
    tat_put_varint(&p.out, e.n_callbacks);
    tat_put_varint(&p.out, e.n_callbacks);
    for (uint32_t i = 0; i < e.n_callbacks; i++) { tat_put_varint(&p.out, e.durations ? e.durations[i] : each); }
    tat_put_varint(&p.out, e.captures_bytes);
    if (e.captures_bytes) { tat_put_bytes(&p.out, e.captures, e.captures_bytes); }
    if (e.waits) { tat_put_varint(&p.out, e.n_waits); }
    for (uint32_t i = 0; e.waits && i < e.n_waits; i++) { tat_put_varint(&p.out, e.waits[i]); }
    tb_payload(b, TAT_BLOCK_EVALUATION, &p);
    b->tick = begin + duration + TB_CALLBACK_NS;
    b->n_evaluations++;
    b->n_callbacks += e.n_callbacks;
}

void tb_put_series(struct tat_out * out, const int64_t * values, size_t count) {
    tat_put_varint(out, count);
    tat_put_zigzag(out, values[0]);
    for (size_t i = 1; i < count;) {
        const int64_t difference = values[i] - values[i - 1];
        uint64_t length = 1;
        for (i++; i < count && values[i] - values[i - 1] == difference; i++) { length++; }
        tat_put_zigzag(out, difference);
        tat_put_varint(out, length);
    }
}

void tb_put_each(struct tat_out * out, const uint32_t * values, size_t count) {
    tat_put_varint(out, count);
    for (size_t i = 0; i < count; i++) { tat_put_varint(out, values[i]); }
}

void tb_event(struct trace_builder * b, enum tat_event_type type, uint64_t tick, const uint64_t * values,
              size_t n_values, const char * text) {
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, type);
    tat_put_varint(&p.out, tick);
    tat_put_varint(&p.out, 77);
    for (size_t i = 0; i < n_values; i++) { tat_put_varint(&p.out, values[i]); }
    if (text) { tat_put_string(&p.out, text, strlen(text)); }
    tb_payload(b, TAT_BLOCK_EVENT, &p);
    b->n_events++;
}

void tb_model_file(struct trace_builder * b, const char * path) {
    const uint64_t values[9] = { ++b->n_files, 1, 0, 1 << 20, 0, 5, 6, 7, 8 };
    tb_event(b, TAT_EVENT_MODEL_FILE, 10, values, 9, path);
}

void tb_part(struct trace_builder * b, const char * path, uint32_t model, enum tat_part part) {
    const uint64_t values[9] = { ++b->n_files, model, 0, 1 << 20, 0, 5, 6, 7, 8 };
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, TAT_EVENT_MODEL_FILE);
    tat_put_varint(&p.out, 10);
    tat_put_varint(&p.out, 77);
    for (size_t i = 0; i < 9; i++) { tat_put_varint(&p.out, values[i]); }
    tat_put_string(&p.out, path, strlen(path));
    tat_put_varint(&p.out, part);
    tat_put_string(&p.out, "llama", 5);
    tb_payload(b, TAT_BLOCK_EVENT, &p);
    b->n_events++;
}

void tb_loss(struct trace_builder * b, enum tat_loss_reason reason, uint64_t lost, uint64_t events) {
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, reason);
    tat_put_varint(&p.out, lost);
    tat_put_varint(&p.out, events);
    tb_payload(b, TAT_BLOCK_LOSS, &p);
}

void tb_end_lost(struct trace_builder * b, enum tat_loss_reason reason, uint64_t lost, uint64_t events) {
    struct payload p;
    payload_begin(&p);
    const uint64_t totals[] = {
        b->n_evaluations + lost, b->n_evaluations, 0, b->n_callbacks, b->n_callbacks, b->n_events + events, b->n_events,
    };
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) { tat_put_varint(&p.out, totals[i]); }
    for (int i = 1; i < TAT_LOSS_COUNT; i++) { tat_put_varint(&p.out, i == (int) reason ? lost : 0); }
    tb_payload(b, TAT_BLOCK_END, &p);
}

void tb_end(struct trace_builder * b) {
    tb_end_lost(b, TAT_LOSS_NO_SPACE, 0, 0);
}
