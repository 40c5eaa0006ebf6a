/* SPDX-License-Identifier: MIT
 *
 * What slices and their arguments are called in a Perfetto trace, by number. All of it is for perfetto.c and
 * perfetto_io.c.
 */
#ifndef TAT_EXPORT_PERFETTO_NAMES_H
#define TAT_EXPORT_PERFETTO_NAMES_H

#include "export/perfetto_packet.h"
#include "tat/storage.h"
#include "tat/trace.h"

enum category { CATEGORY_PHASE = 1, CATEGORY_GRAPH, CATEGORY_OPERATION, CATEGORY_FAULT, CATEGORY_REQUEST, CATEGORIES };

enum annotation {
    A_GRAPH = 1,
    A_NODE,
    A_TOKEN,
    A_TOKENS,
    A_THREADS,
    A_ACCESSES,
    A_OPERAND,
    A_TENSOR,
    A_OFFSET,
    A_BYTES,
    A_ACCESS,
    A_EXPERT,
    A_HEAD,
    A_HEADS,
    A_ROWS,
    A_STRIDE,
    A_BYTES_READ,
    A_BYTES_WRITTEN,
    A_PLACE,
    A_STALL,
    A_DISK,
    A_DISK_OFFSET,
    ANNOTATIONS
};

/* Of events: 1 + phase, those below, NAME_OPS + operation. */
enum { NAME_MAJOR = 10, NAME_MINOR, NAME_READ, NAME_WRITE, NAME_OPS = 16 };

/* Of strings: those below, then STRING_TENSORS + tensor. */
enum { STRING_READ = 1, STRING_WRITE, STRING_OPERANDS, STRING_PLACES = 24, STRING_TENSORS = 64 };

static inline void annotate(struct protobuf * b, uint32_t field, enum annotation name, uint64_t value) {
    const size_t annotation = protobuf_begin(b, field);
    protobuf_uint(b, ANNOTATION_NAME_IID, name);
    protobuf_uint(b, ANNOTATION_UINT, value);
    protobuf_end(b, annotation);
}

static inline void annotate_string(struct protobuf * b, uint32_t field, enum annotation name, uint64_t iid) {
    const size_t annotation = protobuf_begin(b, field);
    protobuf_uint(b, ANNOTATION_NAME_IID, name);
    protobuf_uint(b, ANNOTATION_STRING_IID, iid);
    protobuf_end(b, annotation);
}

/* A packet with an event, whose further fields follow until event_end, which takes what event_begin returned. */
static inline size_t event_begin(struct packet * packet, uint64_t at, unsigned type, uint64_t track) {
    packet_begin(packet, &at, SEQUENCE_NEEDS_STATE);
    const size_t event = protobuf_begin(&packet->bytes, PACKET_TRACK_EVENT);
    protobuf_uint(&packet->bytes, EVENT_TYPE, type);
    protobuf_uint(&packet->bytes, EVENT_TRACK, track);
    return event;
}

static inline void event_end(struct packet * packet, struct text_out * out, size_t event) {
    protobuf_end(&packet->bytes, event);
    packet_end(packet, out);
}

static inline void put_slice_end(struct packet * packet, struct text_out * out, uint64_t at, uint64_t track) {
    event_end(packet, out, event_begin(packet, at, TYPE_END, track));
}

static inline void put_counter(struct packet * packet, struct text_out * out, uint64_t at, uint64_t track,
                               uint64_t value) {
    const size_t event = event_begin(packet, at, TYPE_COUNTER, track);
    protobuf_uint(&packet->bytes, EVENT_COUNTER_VALUE, value);
    event_end(packet, out, event);
}

#endif
