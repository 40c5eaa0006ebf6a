/* SPDX-License-Identifier: MIT */
#include "analysis/storage/model_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/units.h"
#include "tat/storage.h"

/* ---- files ---- */

static bool same_file(const struct tat_model_file * x, const struct tat_model_file * y) {
    return x->size == y->size && x->mtime_ns == y->mtime_ns && strcmp(x->path, y->path) == 0;
}

/* A private trace has no home folder in its paths: then the name has to do. */
static bool same_path(const struct tat_model_file * x, const struct tat_io_file * y) {
    return strcmp(x->path, y->path) == 0 ||
           (*y->path && x->path[0] == '~' && strcmp(last_part(x->path), last_part(y->path)) == 0);
}

static const struct tat_event * event_of_file(const struct subject * s, uint32_t number) {
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].type == TAT_EVENT_MODEL_FILE && s->events[i].value[0] == number) { return &s->events[i]; }
    }
    return NULL;
}

/* By device and inode: another file may have taken the path. overlayfs and btrfs tell stat() of a device of their own,
 * and overlayfs may put a layer's number above the 32 bits of the inode: then size and path have to agree, too. */
static bool is_file(const struct subject * s, uint32_t number, const struct tat_io_file * y) {
    const struct tat_model_file * x = &s->files[number - 1];
    const struct tat_event * e = event_of_file(s, number);
    const uint64_t device = e ? e->value[5] : 0, inode = e ? e->value[6] : 0;
    if (inode && y->inode) {
        if (device == y->device) { return inode == y->inode; }
        if ((uint32_t) inode != (uint32_t) y->inode) { return false; }
    }
    return (x->size == y->bytes || !y->bytes) && same_path(x, y);
}

static void find_files(struct model_bytes * b, const struct tat_io * io) {
    const struct subject * s = b->subject;
    for (uint32_t i = 1; i <= s->n_files; i++) {
        b->same[i] = i;
        b->begins[i] = UINT64_MAX;
        for (uint32_t k = 1; k < i && b->same[i] == i; k++) {
            if (same_file(&s->files[k - 1], &s->files[i - 1])) { b->same[i] = k; }
        }
    }
    for (size_t f = 0; f < io->n_files; f++) {
        for (uint32_t i = 1; i <= s->n_files && !b->file_of[f]; i++) {
            if (is_file(s, i, &io->files[f])) { b->file_of[f] = b->same[i]; }
        }
    }
}

/* ---- weights ---- */

static uint32_t file_of_tensor(const struct model_bytes * b, const struct tat_tensor * t) {
    return t->file <= b->subject->n_files ? b->same[t->file] : 0;
}

static int by_place(const void * p, const void * q, void * user) {
    const struct model_bytes * b = user;
    const struct tat_tensor *x = &b->subject->tensors[*(const uint32_t *) p],
                            *y = &b->subject->tensors[*(const uint32_t *) q];
    const uint32_t f = file_of_tensor(b, x), g = file_of_tensor(b, y);
    if (f != g) { return f < g ? -1 : 1; }
    return x->file_offset < y->file_offset ? -1 : x->file_offset > y->file_offset;
}

static void find_weights(struct model_bytes * b) {
    const struct subject * s = b->subject;
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        const uint32_t file = file_of_tensor(b, t);
        if (t->memory == TAT_MEMORY_FILE) { b->mapped[t->weight] = true; }
        if (!file || !slices_of(&b->slices, i) || !counts_once(s, i)) { continue; }
        b->weights[b->n_weights++] = i;
        if (t->file_offset < b->begins[file]) { b->begins[file] = t->file_offset; }
    }
    qsort_r(b->weights, b->n_weights, sizeof *b->weights, by_place, b);
}

/* ---- all ---- */

bool model_bytes_find(struct model_bytes * b, const struct subject * s, const struct tat_io * io) {
    const struct tat_file_header * header = tat_trace_header(s->trace);
    *b = (struct model_bytes){ .subject = s, .page_bytes = header->page_bytes ? header->page_bytes : 4096 };
    b->same = calloc((size_t) s->n_files + 1, sizeof *b->same);
    b->begins = calloc((size_t) s->n_files + 1, sizeof *b->begins);
    b->file_of = calloc(io->n_files + 1, sizeof *b->file_of);
    b->weights = malloc(((size_t) s->n_tensors + 1) * sizeof *b->weights);
    b->mapped = calloc((size_t) s->n_tensors + 1, sizeof *b->mapped);
    b->mappings = malloc(((size_t) s->n_events + 1) * sizeof *b->mappings);
    if (!slices_find(&b->slices, s) || !b->same || !b->begins || !b->file_of || !b->weights || !b->mapped ||
        !b->mappings) {
        return false;
    }
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].type == TAT_EVENT_MAPPING) { b->mappings[b->n_mappings++] = &s->events[i]; }
    }
    find_files(b, io);
    find_weights(b);
    return true;
}

void model_bytes_free(struct model_bytes * b) {
    free(b->same);
    free(b->begins);
    free(b->file_of);
    free(b->weights);
    free(b->mapped);
    free(b->mappings);
    slices_free(&b->slices);
}

/* ---- look-up ---- */

/* How many weights begin no later than the byte. */
static uint32_t count_before(const struct model_bytes * b, uint32_t file, uint64_t offset) {
    uint32_t low = 0, high = b->n_weights;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct tat_tensor * t = &b->subject->tensors[b->weights[middle]];
        const uint32_t f = file_of_tensor(b, t);
        if (f != file ? f > file : t->file_offset > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct stretch stretch_at(const struct model_bytes * b, uint32_t file, uint64_t offset) {
    const struct tat_tensor * tensors = b->subject->tensors;
    const uint32_t n = count_before(b, file, offset);
    struct stretch s = { UINT64_MAX, TAT_NO_NUMBER, TAT_NO_EXPERT };
    if (n < b->n_weights && file_of_tensor(b, &tensors[b->weights[n]]) == file) {
        s.end = tensors[b->weights[n]].file_offset;
    }
    const struct tat_tensor * t = n ? &tensors[b->weights[n - 1]] : NULL;
    if (!t || file_of_tensor(b, t) != file || offset - t->file_offset >= t->bytes) { return s; }
    s.tensor = b->weights[n - 1];
    const uint64_t in = offset - t->file_offset, slices = slices_of(&b->slices, s.tensor);
    const uint64_t each = slices > 1 ? t->bytes / slices : 0;
    uint64_t end = t->bytes;
    if (each && in / each < slices) {
        s.expert = (uint16_t) (in / each);
        if (in / each + 1 < slices) { end = (in / each + 1) * each; }
    }
    if (end - in < s.end - offset) { s.end = offset + (end - in); }
    return s;
}

uint32_t stretch_slice(const struct model_bytes * b, const struct stretch * s) {
    return b->slices.first[s->tensor] + (s->expert == TAT_NO_EXPERT ? 0 : s->expert);
}

/* The later of two mappings counts. */
bool byte_at_address(const struct model_bytes * b, uint64_t address, uint32_t * file, uint64_t * offset) {
    for (uint32_t i = b->n_mappings; i-- > 0;) {
        const uint64_t * value = b->mappings[i]->value; /* file, address, bytes, file offset */
        if (address - value[1] >= value[2] || !value[0] || value[0] > b->subject->n_files) { continue; }
        *file = b->same[value[0]];
        *offset = address - value[1] + value[3];
        return true;
    }
    return false;
}
