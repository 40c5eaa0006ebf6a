/* SPDX-License-Identifier: MIT */
#include "agent/capture.h"

#include <string.h>

enum { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_I32 = 26, TYPE_I64 = 27 };
enum { F16_MINUS_INFINITY = 0xfc00 };
#define F32_MINUS_INFINITY 0xff800000u

/* Walks a tensor's elements in the order of their indices: ids are often strided views. */
struct cursor {
    const char * data;
    const int64_t * ne;
    const size_t * nb;
    int64_t at[4];
};

static uint64_t count_of(const int64_t * ne) {
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) { n *= ne[i] > 0 ? (uint64_t) ne[i] : 0; }
    return n;
}

static const void * next(struct cursor * c) {
    const char * here = c->data;
    for (int i = 0; i < 4; i++) { here += (size_t) c->at[i] * c->nb[i]; }
    for (int i = 0; i < 4 && ++c->at[i] == c->ne[i]; i++) { c->at[i] = 0; }
    return here;
}

static int64_t integer(const void * at, int32_t type) {
    if (type == TYPE_I64) {
        int64_t value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int64_t between(int64_t from, int64_t to) {
    return (int64_t) ((uint64_t) to - (uint64_t) from);
}

/* Row ids and positions are mostly arithmetic series, so they are stored as runs of (difference, length). */
static void put_series(struct cursor c, int32_t type, uint64_t count, struct tat_out * out) {
    int64_t previous = integer(next(&c), type);
    tat_put_zigzag(out, previous);
    for (uint64_t i = 1; i < count;) {
        int64_t value = integer(next(&c), type);
        const int64_t difference = between(previous, value);
        uint64_t length = 1;
        previous = value;
        for (i++; i < count; i++, length++) {
            struct cursor ahead = c;
            value = integer(next(&ahead), type);
            if (between(previous, value) != difference) { break; }
            previous = value;
            c = ahead;
        }
        tat_put_zigzag(out, difference);
        tat_put_varint(out, length);
    }
}

static inline int64_t packed(const char * data, int32_t type, uint64_t i) {
    return integer(data + i * (type == TYPE_I64 ? sizeof(int64_t) : sizeof(int32_t)), type);
}

/* The same for values that lie side by side. Without flash attention, V is stored transposed and has an id for every
 * element and a run for every token. Comparing whole blocks lets compilers vectorise the loop. */
static inline void put_packed_series(const char * data, int32_t type, uint64_t count, struct tat_out * out) {
    enum { BLOCK = 16 };
    tat_put_zigzag(out, packed(data, type, 0));
    for (uint64_t i = 1, from = 1; i < count; from = i) {
        const int64_t difference = between(packed(data, type, i - 1), packed(data, type, i));
        uint64_t others = 0;
        for (i++; i + BLOCK <= count; i += BLOCK) {
            for (uint64_t k = i; k < i + BLOCK; k++) {
                others |= (uint64_t) (between(packed(data, type, k - 1), packed(data, type, k)) ^ difference);
            }
            if (others) { break; }
        }
        while (i < count && between(packed(data, type, i - 1), packed(data, type, i)) == difference) { i++; }
        tat_put_zigzag(out, difference);
        tat_put_varint(out, i - from);
    }
}

static bool is_packed(const struct cursor * c, int32_t type) {
    size_t step = type == TYPE_I64 ? sizeof(int64_t) : sizeof(int32_t);
    for (int i = 0; i < 4; i++) {
        if (c->ne[i] > 1 && c->nb[i] != step) { return false; }
        step *= (size_t) c->ne[i];
    }
    return true;
}

static void put_integers(const struct cursor * c, int32_t type, uint64_t count, struct tat_out * out) {
    if (!is_packed(c, type)) {
        put_series(*c, type, count, out);
    } else if (type == TYPE_I64) {
        put_packed_series(c->data, TYPE_I64, count, out);
    } else {
        put_packed_series(c->data, TYPE_I32, count, out);
    }
}

static bool hidden(const char * cell, int32_t type) {
    if (type == TYPE_F16) {
        uint16_t bits;
        memcpy(&bits, cell, sizeof bits);
        return bits == F16_MINUS_INFINITY;
    }
    uint32_t bits;
    memcpy(&bits, cell, sizeof bits);
    return bits == F32_MINUS_INFINITY;
}

/* Stores a row of a mask as runs of visible cells: (cells skipped, cells seen), ended by (0, 0). */
static void put_visible(const char * row, int64_t cells, size_t step, int32_t type, struct tat_out * out) {
    for (int64_t at = 0; at < cells;) {
        const int64_t from = at;
        while (at < cells && hidden(row + (size_t) at * step, type)) { at++; }
        const int64_t seen = at;
        while (at < cells && !hidden(row + (size_t) at * step, type)) { at++; }
        if (at == seen) { break; }
        tat_put_varint(out, (uint64_t) (seen - from));
        tat_put_varint(out, (uint64_t) (at - seen));
    }
    tat_put_varint(out, 0);
    tat_put_varint(out, 0);
}

/* A mask is padded to more rows than the ubatch has; ne[1] of the consumer's first operand is the true number. */
static void put_mask(const struct ggml_layout * l, const struct ggml_tensor * node, const struct ggml_tensor * mask,
                     struct tat_out * out) {
    const int64_t * ne = layout_ne(l, mask);
    const size_t * nb = layout_nb(l, mask);
    const int64_t rows = layout_src(l, node)[0] ? layout_ne(l, layout_src(l, node)[0])[1] : ne[1];
    const int64_t used = rows < ne[1] ? rows : ne[1];
    tat_put_varint(out, (uint64_t) (used * ne[2] * ne[3]));
    for (int64_t i3 = 0; i3 < ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < used; i1++) {
                const char * row =
                    layout_data(l, mask) + (size_t) i1 * nb[1] + (size_t) i2 * nb[2] + (size_t) i3 * nb[3];
                put_visible(row, ne[0], nb[0], layout_type(l, mask), out);
            }
        }
    }
}

static void put_each(struct cursor c, enum tat_capture_kind kind, uint64_t count, struct tat_out * out) {
    for (uint64_t i = 0; i < count; i++) {
        const void * at = next(&c);
        if (kind == TAT_CAPTURE_GATES) {
            tat_put_bytes(out, at, sizeof(float));
        } else {
            tat_put_varint(out, (uint32_t) integer(at, TYPE_I32));
        }
    }
}

static bool readable(enum tat_capture_kind kind, int32_t type) {
    switch (kind) {
        case TAT_CAPTURE_ROWS: return type == TYPE_I32 || type == TYPE_I64;
        case TAT_CAPTURE_EXPERTS:
        case TAT_CAPTURE_POSITIONS: return type == TYPE_I32;
        case TAT_CAPTURE_GATES: return type == TYPE_F32;
        case TAT_CAPTURE_MASK: return type == TYPE_F32 || type == TYPE_F16;
        case TAT_CAPTURE_OFFSET: break; /* not an operand */
    }
    return false;
}

void capture_read(const struct ggml_layout * l, const struct ggml_tensor * node, const struct capture * capture,
                  struct tat_out * out) {
    const enum tat_capture_kind kind = (enum tat_capture_kind) capture->kind;
    if (kind == TAT_CAPTURE_OFFSET) {
        const struct ggml_tensor * root = layout_view_src(l, node);
        tat_put_varint(out, root ? 1 : 0);
        if (root) { tat_put_zigzag(out, layout_data(l, node) - layout_data(l, root)); }
        return;
    }
    const struct ggml_tensor * operand = layout_src(l, node)[capture->src];
    const int32_t type = layout_type(l, operand);
    const uint64_t count = count_of(layout_ne(l, operand));
    if (!layout_data(l, operand) || !readable(kind, type) || count == 0) {
        tat_put_varint(out, 0);
        return;
    }
    if (kind == TAT_CAPTURE_MASK) {
        put_mask(l, node, operand, out);
        return;
    }
    const struct cursor c = { .data = layout_data(l, operand),
                              .ne = layout_ne(l, operand),
                              .nb = layout_nb(l, operand) };
    tat_put_varint(out, count);
    if (kind == TAT_CAPTURE_ROWS || kind == TAT_CAPTURE_POSITIONS) {
        put_integers(&c, type, count, out);
    } else {
        put_each(c, kind, count, out);
    }
}
