/* SPDX-License-Identifier: MIT
 *
 * Most sums of a block are those of the block before, so only the differences are written: a tenth of the bytes.
 */
#include "analysis/view/pyramid_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/pyramid_parts.h"
#include "format/block.h"
#include "format/buffer.h"
#include "format/contents.h"

enum { VERSION = 1 };
#define WHOLE_MOST 9007199254740992.0 /* 2^53: up to here a double holds any whole number */

struct sums_header {
    char magic[8];
    uint32_t version, header_bytes, byte_order, n_marks;
    uint64_t trace_header, trace_bytes, trace_contents; /* the trace: its header's checksum, its size, its blocks */
    char producer[16];                                  /* tat's version: another one may have other rules */
    uint32_t n_evaluations, n_tokens, n_blocks, block;
    uint32_t width[8];
    uint64_t payload_bytes;
    uint64_t checksum; /* XXH64 of the payload; seed: that of the bytes before, with seed 0 */
};
static_assert(sizeof(struct sums_header) == 128, "as doc/format.md has it");
static_assert(offsetof(struct sums_header, trace_header) == 24 && offsetof(struct sums_header, producer) == 48 &&
                  offsetof(struct sums_header, width) == 80 && offsetof(struct sums_header, payload_bytes) == 112,
              "as doc/format.md has it");
static_assert((int) PYRAMID_KEYS <= 8 && sizeof TAT_VERSION <= 16, "there is room for both");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sums are kept in little-endian order"
#endif

static struct sums_header header_of(const struct pyramid * p, const struct tat_trace * trace) {
    struct sums_header h = { .magic = "TATSUMS",
                             .version = VERSION,
                             .header_bytes = sizeof h,
                             .byte_order = TAT_BYTE_ORDER,
                             .trace_header = tat_trace_header(trace)->checksum,
                             .trace_bytes = tat_trace_summary(trace)->file_bytes,
                             .trace_contents = trace_contents(trace),
                             .producer = TAT_VERSION,
                             .n_evaluations = p->n_evaluations,
                             .n_tokens = p->n_tokens,
                             .n_blocks = p->n_blocks,
                             .block = p->block };
    memcpy(h.width, p->width, sizeof p->width);
    return h;
}

static uint64_t checksum_of(const struct sums_header * h, const void * payload) {
    return tat_checksum(payload, h->payload_bytes, tat_checksum(h, offsetof(struct sums_header, checksum), 0));
}

static bool is_whole(double value) {
    return !signbit(value) && value < WHOLE_MOST && value == floor(value);
}

/* ---- writing ---- */

enum { SUM_BYTES_MOST = TAT_VARINT_MAX + TAT_VARINT_MAX };

/* Runs of sums that are those of the block before, and between them one that is not: the difference where both are
 * whole, else the sum itself. */
static void put_row(struct tat_out * out, const double * row, const double * before, size_t count) {
    uint64_t alike = 0;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&row[i], &before[i], sizeof *row) == 0) {
            alike++;
            continue;
        }
        tat_put_varint(out, alike);
        alike = 0;
        if (is_whole(row[i]) && is_whole(before[i])) {
            tat_put_zigzag(out, (int64_t) row[i] - (int64_t) before[i]);
        } else {
            tat_put_zigzag(out, 0); /* no difference */
            tat_put_bytes(out, &row[i], sizeof *row);
        }
    }
    if (alike) { tat_put_varint(out, alike); }
}

static void put_mark(struct tat_out * out, const struct pyramid_mark * mark, const struct pyramid_mark * before,
                     size_t count) {
    tat_put_varint(out, mark->before - before->before);
    tat_put_varint(out, mark->token - before->token);
    for (size_t i = 0; i < count; i++) { tat_put_varint(out, mark->reads[i] - before->reads[i]); }
}

/* Makes room for so many bytes more. */
static bool reserve(struct tat_out * out, uint8_t ** bytes, size_t more) {
    const size_t used = *bytes ? (size_t) (out->at - *bytes) : 0, room = *bytes ? (size_t) (out->end - *bytes) : 0;
    if (room - used >= more) { return true; }
    uint8_t * larger = realloc(*bytes, room * 2 + more);
    if (!larger) { return false; }
    *bytes = larger;
    *out = (struct tat_out){ .at = larger + used, .end = larger + room * 2 + more };
    return true;
}

static bool put_all(struct tat_out * out, uint8_t ** bytes, const struct pyramid * p) {
    double * zeros = calloc(p->row + 1, sizeof *zeros);
    uint64_t * none = calloc(pyramid_reads(p) + 1, sizeof *none);
    const struct pyramid_mark nothing = { .reads = none };
    bool good = zeros && none;
    for (uint32_t b = 0; b < p->n_blocks && good; b++) {
        const double * row = p->sums + (size_t) b * p->row;
        good = reserve(out, bytes, (p->row + 1) * SUM_BYTES_MOST);
        if (good) { put_row(out, row, b ? row - p->row : zeros, p->row); }
    }
    for (uint32_t i = 0; i < p->n_marks && good; i++) {
        good = reserve(out, bytes, (pyramid_reads(p) + 2) * TAT_VARINT_MAX);
        if (good) { put_mark(out, &p->marks[i], i ? &p->marks[i - 1] : &nothing, pyramid_reads(p)); }
    }
    free(zeros);
    free(none);
    return good;
}

void * pyramid_to_bytes(const struct pyramid * p, const struct tat_trace * trace, size_t * count) {
    struct sums_header h = header_of(p, trace);
    struct tat_out out = { 0 };
    uint8_t * bytes = NULL;
    if (!reserve(&out, &bytes, sizeof h)) { return NULL; }
    out.at += sizeof h;
    if (!put_all(&out, &bytes, p)) {
        free(bytes);
        return NULL;
    }
    *count = (size_t) (out.at - bytes);
    h.n_marks = p->n_marks;
    h.payload_bytes = *count - sizeof h;
    h.checksum = checksum_of(&h, bytes + sizeof h);
    memcpy(bytes, &h, sizeof h);
    return bytes;
}

/* ---- reading ---- */

static bool get_sum(struct tat_in * in, double before, double * sum) {
    const int64_t difference = tat_get_zigzag(in);
    if (difference) {
        *sum = before + (double) difference;
        return is_whole(before) && is_whole(*sum) && fabs((double) difference) < WHOLE_MOST;
    }
    const void * bytes = tat_get_bytes(in, sizeof *sum);
    if (!bytes) { return false; }
    memcpy(sum, bytes, sizeof *sum);
    return isfinite(*sum) && !signbit(*sum);
}

static bool get_row(struct tat_in * in, double * row, const double * before, size_t count) {
    for (size_t at = 0; at < count;) {
        const uint64_t alike = tat_get_varint(in);
        if (alike > count - at) { return false; }
        memcpy(row + at, before + at, alike * sizeof *row);
        at += alike;
        if (at < count && !get_sum(in, before[at], &row[at])) { return false; }
        at++;
    }
    return !in->bad;
}

/* Marks are in order, and what was read only grows. */
static bool get_mark(struct tat_in * in, struct pyramid * p, const struct pyramid_mark * before) {
    const size_t count = pyramid_reads(p);
    const uint64_t evaluations = tat_get_varint(in), tokens = tat_get_varint(in);
    uint64_t * reads = malloc((count + 1) * sizeof *reads);
    if (!reads) { return false; }
    struct pyramid_mark * mark = &p->marks[p->n_marks++];
    *mark = (struct pyramid_mark){ before->before + (uint32_t) evaluations, before->token + (uint32_t) tokens, reads };
    bool good = evaluations && evaluations <= p->n_evaluations - before->before && tokens &&
                tokens <= p->n_tokens - before->token;
    for (size_t i = 0; i < count && good; i++) {
        const uint64_t more = tat_get_varint(in);
        good = more <= (uint64_t) INT64_MAX / 2 - before->reads[i];
        reads[i] = before->reads[i] + more;
    }
    return good && !in->bad;
}

static bool get_all(struct tat_in * in, struct pyramid * p, uint32_t n_marks) {
    double * zeros = calloc(p->row + 1, sizeof *zeros);
    uint64_t * none = calloc(pyramid_reads(p) + 1, sizeof *none);
    const struct pyramid_mark nothing = { .reads = none };
    bool good = zeros && none && n_marks <= PYRAMID_MARKS_MOST;
    for (uint32_t b = 0; b < p->n_blocks && good; b++) {
        double * row = p->sums + (size_t) b * p->row;
        good = get_row(in, row, b ? row - p->row : zeros, p->row);
    }
    for (uint32_t i = 0; i < n_marks && good; i++) { good = get_mark(in, p, i ? &p->marks[i - 1] : &nothing); }
    free(zeros);
    free(none);
    return good && in->at == in->end;
}

/* Some blocks, made anew, are the same: the rules by which accesses follow from a trace are as they were. */
static bool is_as_made(const struct pyramid * p, const struct subject * subject, const struct token_axis * axis) {
    const uint32_t some[] = { 0, p->n_blocks / 2, p->n_blocks ? p->n_blocks - 1 : 0 };
    double * row = malloc((p->row + 1) * sizeof *row);
    struct tat_error error;
    bool same = row != NULL;
    for (unsigned i = 0; i < sizeof some / sizeof *some && p->n_blocks && same; i++) {
        same = pyramid_sum_block(p, subject, axis, some[i], row, &error) == 0 &&
               memcmp(row, p->sums + (size_t) some[i] * p->row, p->row * sizeof *row) == 0;
    }
    free(row);
    return same;
}

static bool is_of(const struct sums_header * found, const struct pyramid * p, const struct tat_trace * trace) {
    struct sums_header expected = header_of(p, trace);
    expected.n_marks = found->n_marks;
    expected.payload_bytes = found->payload_bytes;
    expected.checksum = found->checksum;
    return memcmp(&expected, found, sizeof expected) == 0;
}

struct pyramid * pyramid_from_bytes(const struct subject * subject, const struct token_axis * axis, const void * bytes,
                                    size_t count) {
    struct sums_header h;
    const uint8_t * payload = (const uint8_t *) bytes + sizeof h;
    if (count < sizeof h) { return NULL; }
    memcpy(&h, bytes, sizeof h);
    if (h.payload_bytes != count - sizeof h || h.checksum != checksum_of(&h, payload)) { return NULL; }
    struct tat_in in = { .at = payload, .end = payload + h.payload_bytes };
    struct pyramid * p = pyramid_new(subject, axis);
    if (p && is_of(&h, p, subject->trace) && get_all(&in, p, h.n_marks) && is_as_made(p, subject, axis)) { return p; }
    pyramid_free(p);
    return NULL;
}
