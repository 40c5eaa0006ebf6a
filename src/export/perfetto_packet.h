/* SPDX-License-Identifier: MIT
 *
 * Packets of one Perfetto sequence: what is said more than once is said by number. All of it is for perfetto.c.
 */
#ifndef TAT_EXPORT_PERFETTO_PACKET_H
#define TAT_EXPORT_PERFETTO_PACKET_H

#include "export/protobuf.h"
#include "export/text_out.h"

/* Fields, by message. */
enum {
    TRACE_PACKET = 1,
    PACKET_TIMESTAMP = 8,
    PACKET_SEQUENCE = 10,
    PACKET_TRACK_EVENT = 11,
    PACKET_INTERNED_DATA = 12,
    PACKET_SEQUENCE_FLAGS = 13,
    PACKET_TRACK_DESCRIPTOR = 60,
    INTERNED_CATEGORIES = 1,
    INTERNED_EVENT_NAMES = 2,
    INTERNED_ANNOTATION_NAMES = 3,
    INTERNED_ANNOTATION_STRINGS = 29,
    INTERNED_IID = 1,
    INTERNED_TEXT = 2,
    EVENT_CATEGORY = 3,
    EVENT_ANNOTATION = 4,
    EVENT_TYPE = 9,
    EVENT_NAME_IID = 10,
    EVENT_TRACK = 11,
    EVENT_EXTRA_COUNTER_VALUES = 12,
    EVENT_NAME = 23,
    EVENT_COUNTER_VALUE = 30,
    EVENT_EXTRA_COUNTER_TRACKS = 31,
    EVENT_FLOW = 47,
    ANNOTATION_NAME_IID = 1,
    ANNOTATION_UINT = 3,
    ANNOTATION_STRING_IID = 17,
    ANNOTATION_ENTRY = 11,   /* of a dictionary */
    ANNOTATION_ELEMENT = 12, /* of an array */
    TRACK_UUID = 1,
    TRACK_NAME = 2,
    TRACK_PROCESS = 3,
    TRACK_PARENT = 5,
    TRACK_COUNTER = 8,
    TRACK_CHILD_ORDERING = 11,
    TRACK_RANK = 12,
    TRACK_DESCRIPTION = 14,
    TRACK_MERGING = 15,
    PROCESS_PID = 1,
    PROCESS_NAME = 6,
    COUNTER_UNIT = 3,
};

/* Values of enums. */
enum {
    SEQUENCE_CLEARED = 1, /* nothing that was interned before counts */
    SEQUENCE_NEEDS_STATE = 2,
    TYPE_BEGIN = 1,
    TYPE_END = 2,
    TYPE_COUNTER = 4,
    ORDERING_BY_RANK = 3,
    MERGING_NEVER = 2,
    UNIT_TIME_NS = 1,
    UNIT_COUNT = 2,
    UNIT_BYTES = 3,
};

struct packet {
    struct protobuf bytes;
    size_t begun;
};

/* Without a time if `at` is NULL. The packet's own field follows, then packet_end. */
static inline void packet_begin(struct packet * packet, const uint64_t * at, unsigned flags) {
    packet->bytes.used = 0;
    packet->begun = protobuf_begin(&packet->bytes, TRACE_PACKET);
    if (at) { protobuf_uint(&packet->bytes, PACKET_TIMESTAMP, *at); }
    protobuf_uint(&packet->bytes, PACKET_SEQUENCE, 1);
    protobuf_uint(&packet->bytes, PACKET_SEQUENCE_FLAGS, flags);
}

static inline void packet_end(struct packet * packet, struct text_out * out) {
    protobuf_end(&packet->bytes, packet->begun);
    if (!packet->bytes.failed) { text_out_bytes(out, packet->bytes.bytes, packet->bytes.used); }
}

static inline void intern(struct protobuf * interned, uint32_t field, uint64_t iid, const char * text) {
    const size_t entry = protobuf_begin(interned, field);
    protobuf_uint(interned, INTERNED_IID, iid);
    protobuf_string(interned, INTERNED_TEXT, text);
    protobuf_end(interned, entry);
}

#endif
