/* SPDX-License-Identifier: MIT
 *
 * The byte encoding that all blocks share: writing into a buffer that the caller sized, reading from bytes that nobody
 * trusts. Neither allocates. A write past the end and a read past the end set a flag that is asked once, at the end.
 */
#ifndef TAT_FORMAT_BUFFER_H
#define TAT_FORMAT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TAT_VARINT_MAX 10 /* bytes that a varint can take */

struct tat_out {
    uint8_t * at;
    uint8_t * end;
    bool overflow;
};

static inline void tat_put_varint(struct tat_out * out, uint64_t value) {
    if (out->end - out->at < TAT_VARINT_MAX) {
        out->overflow = true;
        return;
    }
    while (value >= 0x80) {
        *out->at++ = (uint8_t) (value | 0x80);
        value >>= 7;
    }
    *out->at++ = (uint8_t) value;
}

static inline void tat_put_zigzag(struct tat_out * out, int64_t value) {
    tat_put_varint(out, ((uint64_t) value << 1) ^ (uint64_t) (value >> 63));
}

static inline void tat_put_bytes(struct tat_out * out, const void * bytes, size_t count) {
    if ((size_t) (out->end - out->at) < count) {
        out->overflow = true;
        return;
    }
    memcpy(out->at, bytes, count);
    out->at += count;
}

/* A length and the bytes, no NUL. */
static inline void tat_put_string(struct tat_out * out, const char * string, size_t length) {
    tat_put_varint(out, length);
    tat_put_bytes(out, string, length);
}

struct tat_in {
    const uint8_t * at;
    const uint8_t * end;
    bool bad; /* a read went past the end, or a varint was too long; every later read returns 0 */
};

static inline uint64_t tat_get_varint(struct tat_in * in) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        const uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) { break; }
        value |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) { return value; }
    }
    in->bad = true;
    in->at = in->end;
    return 0;
}

static inline int64_t tat_get_zigzag(struct tat_in * in) {
    const uint64_t value = tat_get_varint(in);
    return (int64_t) (value >> 1) ^ -(int64_t) (value & 1);
}

static inline const void * tat_get_bytes(struct tat_in * in, uint64_t count) {
    if ((uint64_t) (in->end - in->at) < count) {
        in->bad = true;
        in->at = in->end;
        return NULL;
    }
    const void * bytes = in->at;
    in->at += count;
    return bytes;
}

/* Reads a count of items that take at least `least` bytes each; a count that cannot fit is bad. */
static inline uint64_t tat_get_count(struct tat_in * in, size_t least) {
    const uint64_t count = tat_get_varint(in);
    if (count > (uint64_t) (in->end - in->at) / (least ? least : 1)) {
        in->bad = true;
        in->at = in->end;
        return 0;
    }
    return count;
}

#endif
