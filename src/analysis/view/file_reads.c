/* SPDX-License-Identifier: MIT */
#include "analysis/view/file_reads.h"

#include <stdlib.h>

#include "format/file_walk.h"

enum { READS_MOST = 1 << 20, VARYING_MOST = 1 << 24 }; /* 32 MiB and 64 MiB */

struct making {
    const struct subject * subject;
    struct file_reads * r;
    struct list * numbers; /* what is found goes there */
    uint32_t * slots;      /* by hash: 1 + the number of a read */
    uint32_t n_slots;      /* a power of two, more than twice as many as reads */
    bool failed;
};

/* From the first byte that is touched to the last. */
static uint64_t extent_of(const struct subject * s, const struct tat_access * a) {
    if (!(a->flags & TAT_ACCESS_STRIDED) || a->rows < 2) { return a->bytes; }
    const struct tat_layout layout = tat_trace_layout(s->trace, a->layout);
    const uint64_t gaps = a->rows - 1;
    return layout.stride > UINT64_MAX / 2 / gaps ? a->bytes : gaps * layout.stride + layout.run_bytes;
}

bool file_read_of(const struct subject * s, const struct tat_access * a, struct file_read * read) {
    const struct tat_tensor * t = &s->tensors[a->tensor];
    if (!a->bytes || !t->file || (a->flags & TAT_ACCESS_WRITE) || a->offset < t->file_offset) { return false; }
    *read = (struct file_read){ a->offset, a->bytes, extent_of(s, a), a->tensor };
    return true;
}

/* ---- each read once ---- */

static uint64_t hash_of(const struct file_read * read) {
    uint64_t hash = read->offset;
    hash = (hash ^ read->bytes) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32 ^ read->extent ^ (uint64_t) read->tensor << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static bool is_same(const struct file_read * a, const struct file_read * b) {
    return a->offset == b->offset && a->bytes == b->bytes && a->extent == b->extent && a->tensor == b->tensor;
}

/* Where a read is, or would be. */
static uint32_t * slot_of(const struct making * m, const struct file_read * read) {
    const struct file_read * reads = m->r->reads.data;
    uint32_t at = (uint32_t) hash_of(read) & (m->n_slots - 1);
    while (m->slots[at] && !is_same(&reads[m->slots[at] - 1], read)) { at = (at + 1) & (m->n_slots - 1); }
    return &m->slots[at];
}

/* False: no memory. */
static bool make_room(struct making * m) {
    if (m->n_slots > 2 * m->r->reads.count) { return true; }
    uint32_t * slots = calloc((size_t) m->n_slots * 4, sizeof *slots);
    if (!slots) { return false; }
    free(m->slots);
    m->slots = slots;
    m->n_slots *= 4;
    for (uint32_t i = 0; i < m->r->reads.count; i++) {
        *slot_of(m, &LIST(struct file_read, m->r->reads)[i]) = i + 1;
    }
    return true;
}

/* Adds the number of a read. False: no memory, or no room. */
static bool add_read(struct making * m, const struct file_read * read) {
    if (!make_room(m)) { return false; }
    uint32_t * slot = slot_of(m, read);
    if (!*slot) {
        struct file_read * fresh = m->r->reads.count < READS_MOST ? list_add(&m->r->reads, sizeof *fresh) : NULL;
        if (!fresh) { return false; }
        *fresh = *read;
        *slot = m->r->reads.count;
    }
    uint32_t * number = m->numbers->count < VARYING_MOST ? list_add(m->numbers, sizeof *number) : NULL;
    if (number) { *number = *slot - 1; }
    return number;
}

static bool add_records(const struct tat_access * records, size_t count, void * user) {
    struct making * m = user;
    struct file_read read;
    for (size_t i = 0; i < count && !m->failed; i++) {
        if (file_read_of(m->subject, &records[i], &read)) { m->failed = !add_read(m, &read); }
    }
    return true;
}

/* ---- evaluations ---- */

static int keep_common(struct making * m, struct file_walk * walk, uint32_t number, struct tat_error * error) {
    struct file_reads_list * common = &m->r->common[file_reads_graph(&m->subject->evaluations[number])];
    struct list numbers = { 0 };
    if (common->numbers) { return 0; }
    m->numbers = &numbers;
    const int status = file_walk_common(walk, number, error);
    common->count = m->failed ? 0 : numbers.count;
    common->numbers = numbers.data ? numbers.data : calloc(1, sizeof *common->numbers);
    m->failed |= !common->numbers;
    return status;
}

/* What does not fit is left out: it is read from the trace when it is needed. */
static int keep(struct making * m, struct file_walk * walk, uint32_t number, struct tat_error * error) {
    struct file_reads * r = m->r;
    r->varying_at[number] = r->varying.count;
    if (m->failed || !is_inference(m->subject->evaluations[number].phase) || !file_walk_is_whole(walk, number)) {
        return 0;
    }
    int status = keep_common(m, walk, number, error);
    m->numbers = &r->varying;
    if (status == 0) { status = file_walk_varying(walk, number, error); }
    r->is_kept[number] = !m->failed;
    if (m->failed) { r->varying.count = r->varying_at[number]; }
    return status;
}

static struct file_reads * new_reads(const struct subject * s) {
    struct file_reads * r = calloc(1, sizeof *r);
    if (!r) { return NULL; }
    r->common = calloc((size_t) s->n_templates * TAT_RULE_COUNT + 1, sizeof *r->common);
    r->varying_at = calloc((size_t) s->n_evaluations + 1, sizeof *r->varying_at);
    r->is_kept = calloc((size_t) s->n_evaluations + 1, sizeof *r->is_kept);
    r->n_common = (size_t) s->n_templates * TAT_RULE_COUNT;
    if (r->common && r->varying_at && r->is_kept) { return r; }
    file_reads_free(r);
    return NULL;
}

struct file_reads * file_reads_make(const struct subject * s, struct tat_error * error) {
    struct making m = { .subject = s, .r = new_reads(s), .n_slots = 1024 };
    struct file_walk * walk = m.r ? file_walk_new(s->trace, add_records, &m) : NULL;
    m.slots = calloc(m.n_slots, sizeof *m.slots);
    int status = walk && m.slots ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < s->n_evaluations && status == 0; i++) { status = keep(&m, walk, i, error); }
    if (status == 0) { m.r->varying_at[s->n_evaluations] = m.r->varying.count; }
    file_walk_free(walk);
    free(m.slots);
    if (status == 0) { return m.r; }
    file_reads_free(m.r);
    return NULL;
}

void file_reads_free(struct file_reads * r) {
    if (!r) { return; }
    for (size_t i = 0; r->common && i < r->n_common; i++) { free(r->common[i].numbers); }
    free(r->common);
    free(r->reads.data);
    free(r->varying.data);
    free(r->varying_at);
    free(r->is_kept);
    free(r);
}
