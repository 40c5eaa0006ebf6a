/* SPDX-License-Identifier: MIT */
#include "export/protobuf.h"

#include <stdlib.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_LENGTH = 2 };
enum { VARINT_MAX = 10, LENGTH_MAX = 5, FIRST_CAPACITY = 4096 };

/* Room for `count` more bytes, or NULL. */
static uint8_t * room(struct protobuf * p, size_t count) {
    if (p->failed || count > INT32_MAX || p->used > INT32_MAX) {
        p->failed = true;
        return NULL;
    }
    if (count > p->capacity - p->used) {
        size_t capacity = p->capacity ? p->capacity : FIRST_CAPACITY;
        while (capacity < p->used + count) { capacity *= 2; }
        uint8_t * bigger = realloc(p->bytes, capacity);
        if (!bigger) {
            p->failed = true;
            return NULL;
        }
        p->bytes = bigger;
        p->capacity = capacity;
    }
    return p->bytes + p->used;
}

static size_t encode(uint8_t * to, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) { to[n++] = (uint8_t) (value | 0x80); }
    to[n++] = (uint8_t) value;
    return n;
}

static void put_varint(struct protobuf * p, uint64_t value) {
    uint8_t * to = room(p, VARINT_MAX);
    if (to) { p->used += encode(to, value); }
}

static void put_tag(struct protobuf * p, uint32_t field, enum wire_type type) {
    put_varint(p, (uint64_t) field << 3 | type);
}

void protobuf_uint(struct protobuf * p, uint32_t field, uint64_t value) {
    put_tag(p, field, WIRE_VARINT);
    put_varint(p, value);
}

void protobuf_fixed64(struct protobuf * p, uint32_t field, uint64_t value) {
    put_tag(p, field, WIRE_64_BITS);
    uint8_t * to = room(p, sizeof value);
    for (size_t i = 0; to && i < sizeof value; i++) { to[i] = (uint8_t) (value >> 8 * i); } /* little-endian */
    if (to) { p->used += sizeof value; }
}

void protobuf_bytes(struct protobuf * p, uint32_t field, const void * bytes, size_t count) {
    put_tag(p, field, WIRE_LENGTH);
    put_varint(p, count);
    uint8_t * to = room(p, count);
    if (to && count) { memcpy(to, bytes, count); }
    if (to) { p->used += count; }
}

/* Most messages are shorter than 128 bytes, so there is room for a length of one byte. */
size_t protobuf_begin(struct protobuf * p, uint32_t field) {
    put_tag(p, field, WIRE_LENGTH);
    uint8_t * to = room(p, 1);
    if (to) { p->used++; }
    return p->used;
}

void protobuf_end(struct protobuf * p, size_t begun) {
    uint8_t length[VARINT_MAX];
    if (!room(p, LENGTH_MAX)) { return; }
    const size_t count = p->used - begun, n = encode(length, count);
    uint8_t * message = p->bytes + begun;
    if (n > 1) { memmove(message + n - 1, message, count); }
    memcpy(message - 1, length, n);
    p->used += n - 1;
}
