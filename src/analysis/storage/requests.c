/* SPDX-License-Identifier: MIT
 *
 * Bytes of a disk are bytes of a file by the file's extents, and bytes of a file are a slice's by the table of tensors.
 */
#include <stdlib.h>

#include "analysis/storage/storage.h"
#include "format/list.h"

enum { PARTS_LEAST = 1 << 16, PARTS_EACH = 256 }; /* of one trace and of a request: far beyond what a program causes */

/* Bytes on a disk; none of two pieces overlap. */
struct piece {
    uint64_t disk, begin, end, file_offset;
    uint32_t file;    /* the model's, or 0: of another file of the run */
    uint32_t io_file; /* its place in io->files */
};

struct pieces {
    struct piece * at; /* by disk and place */
    size_t count;
};

static int by_place(const void * a, const void * b) {
    const struct piece *x = a, *y = b;
    if (x->disk != y->disk) { return x->disk < y->disk ? -1 : 1; }
    if (x->begin != y->begin) { return x->begin < y->begin ? -1 : 1; }
    return (y->file != 0) - (x->file != 0); /* where files share bytes, the model's come first */
}

/* Of bytes that several pieces have, as copies of a file can, the first keeps them. */
static void part_pieces(struct pieces * p) {
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct piece piece = p->at[i];
        const struct piece * last = n ? &p->at[n - 1] : NULL;
        if (last && last->disk == piece.disk && last->end > piece.begin) {
            if (piece.end <= last->end) { continue; }
            piece.file_offset += last->end - piece.begin;
            piece.begin = last->end;
        }
        p->at[n++] = piece;
    }
    p->count = n;
}

/* False: no memory. */
static bool find_pieces(struct pieces * p, const struct joined * j) {
    const struct tat_io * io = j->io;
    size_t all = 0;
    for (size_t f = 0; f < io->n_files; f++) { all += io->files[f].n_extents; }
    p->at = malloc((all + 1) * sizeof *p->at);
    if (!p->at) { return false; }
    for (size_t f = 0; f < io->n_files; f++) {
        for (size_t i = 0; i < io->files[f].n_extents; i++) {
            const struct tat_io_extent * e = &io->files[f].extents[i];
            p->at[p->count++] = (struct piece){ io->files[f].disk, e->disk_offset,      e->disk_offset + e->bytes,
                                                e->file_offset,    j->bytes.file_of[f], (uint32_t) f };
        }
    }
    qsort(p->at, p->count, sizeof *p->at, by_place);
    part_pieces(p);
    return true;
}

/* The first piece that ends after the byte. */
static size_t first_after(const struct pieces * p, uint64_t disk, uint64_t offset) {
    size_t low = 0, high = p->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct piece * x = &p->at[middle];
        if (x->disk != disk ? x->disk < disk : x->end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- parts ---- */

struct making {
    struct joined * joined;
    struct pieces pieces;
    struct list parts; /* struct tat_placed */
    size_t parts_max;
    bool memory;
};

static void add(struct making * m, const struct tat_placed * part) {
    struct tat_placed * p = m->parts.count < m->parts_max ? list_add(&m->parts, sizeof *p) : NULL;
    if (p) { *p = *part; }
    m->joined->cut |= m->parts.count == m->parts_max;
    m->memory &= p || m->joined->cut;
}

/* What a model's file has there, slice by slice. */
static void add_model(struct making * m, struct tat_placed part, uint64_t bytes) {
    while (bytes && m->memory && !m->joined->cut) {
        struct tat_placed p = part;
        const struct stretch s = stretch_at(&m->joined->bytes, part.file, part.offset);
        p.bytes = s.end - part.offset < bytes ? s.end - part.offset : bytes;
        placed_in(m->joined, &p, &s);
        if (p.place == TAT_PLACE_OUTSIDE) { p.place = TAT_PLACE_UNKNOWN; }
        add(m, &p);
        part.offset += p.bytes;
        bytes -= p.bytes;
    }
}

static void add_bytes(struct making * m, struct tat_placed part, uint64_t from, uint64_t to, enum tat_place place) {
    part.offset = from;
    part.bytes = to - from;
    part.place = (uint8_t) place;
    if (to > from) { add(m, &part); }
}

static void add_read(struct making * m, const struct tat_io_request * r, const struct tat_placed * part) {
    const uint64_t end = r->disk_offset + r->bytes;
    uint64_t at = r->disk_offset;
    size_t i = first_after(&m->pieces, r->disk, at);
    for (; i < m->pieces.count && m->memory && !m->joined->cut; i++) {
        const struct piece * x = &m->pieces.at[i];
        if (x->disk != r->disk || x->begin >= end) { break; }
        const uint64_t from = x->begin > at ? x->begin : at, to = x->end < end ? x->end : end;
        struct tat_placed p = *part;
        add_bytes(m, p, at, from, TAT_PLACE_ELSEWHERE);
        m->joined->read_of[x->io_file] += to - from;
        p.file = x->file;
        p.offset = x->file_offset + (from - x->begin);
        if (p.file) {
            add_model(m, p, to - from);
        } else {
            add_bytes(m, p, p.offset, p.offset + (to - from), TAT_PLACE_OTHER_FILE);
        }
        at = to;
    }
    add_bytes(m, *part, at, end, TAT_PLACE_ELSEWHERE);
}

static bool has_disk(const struct tat_io * io, uint64_t disk) {
    for (size_t f = 0; f < io->n_files; f++) {
        if (io->files[f].n_extents && io->files[f].disk == disk) { return true; }
    }
    return false;
}

static void add_request(struct making * m, const struct tat_io_request * r) {
    struct tat_placed p = placed_at(m->joined, r->end_ns, r->duration_ns);
    p.event = (uint32_t) (r - m->joined->io->requests);
    const enum tat_place place = r->flags & TAT_IO_FAILED            ? TAT_PLACE_FAILED
                                 : r->flags & TAT_IO_WRITE           ? TAT_PLACE_WRITE
                                 : r->flags & TAT_IO_METADATA        ? TAT_PLACE_METADATA
                                 : !has_disk(m->joined->io, r->disk) ? TAT_PLACE_OTHER_DISK
                                                                     : TAT_PLACE_UNKNOWN;
    if (place == TAT_PLACE_UNKNOWN) {
        add_read(m, r, &p);
    } else {
        add_bytes(m, p, r->disk_offset, r->disk_offset + r->bytes, place);
    }
}

bool place_requests(struct joined * j) {
    struct making m = { .joined = j, .parts_max = PARTS_LEAST + PARTS_EACH * j->io->n_requests };
    j->read_of = calloc(j->io->n_files + 1, sizeof *j->read_of);
    m.memory = j->read_of && find_pieces(&m.pieces, j);
    for (size_t i = 0; i < j->io->n_requests && m.memory && !j->cut; i++) { add_request(&m, &j->io->requests[i]); }
    free(m.pieces.at);
    j->requests = m.parts.data;
    j->n_requests = m.parts.count;
    return m.memory;
}
