/* SPDX-License-Identifier: MIT */
#include "analysis/view/file_map.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/slices.h"

struct block {
    uint64_t offset, bytes, accesses, read_bytes;
    uint32_t tensor, file;
    uint16_t expert;
};

struct file_map {
    const struct subject * subject;
    struct slices slices;
    struct block * by_slice;
    const struct pyramid * pyramid;
};

/* ---- reads ---- */

static bool add_reads(const struct tat_tally * t, void * user) {
    struct file_map * m = user;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint32_t at = slice_of_weight(&m->slices, m->subject, a);
        if (!a->bytes || at == NO_SLICE || !is_inference(phase_of(a))) { continue; }
        m->by_slice[at].accesses += t->evaluations;
        m->by_slice[at].read_bytes += t->evaluations * a->bytes;
    }
    return true;
}

/* Takes over what was read before the last mark that is not behind `end`. Returns where to go on. */
static uint32_t begin_at_mark(struct file_map * m, uint32_t end) {
    const struct pyramid * p = m->pyramid;
    uint32_t n = 0;
    while (p && n < p->n_marks && p->marks[n].before <= end) { n++; }
    for (uint32_t s = 0; n && s < m->slices.count; s++) {
        m->by_slice[s].accesses = p->marks[n - 1].reads[2 * (size_t) s];
        m->by_slice[s].read_bytes = p->marks[n - 1].reads[2 * (size_t) s + 1];
    }
    return n ? p->marks[n - 1].before : 0;
}

/* Up to the evaluation that computed the last of these tokens. */
static int find_reads(struct file_map * m, uint64_t tokens, struct tat_error * error) {
    struct token_axis axis;
    if (!token_axis_begin(&axis, m->subject)) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    const uint32_t step = tokens ? token_axis_find(&axis, tokens - 1) : 0;
    const uint32_t end = !tokens || !axis.n_steps ? 0
                         : step < axis.n_steps    ? axis.steps[step].end
                                                  : axis.steps[axis.n_steps - 1].end;
    token_axis_free(&axis);
    const uint32_t first = begin_at_mark(m, end);
    return first < end && tat_trace_tally(m->subject->trace, first, end, add_reads, m, error) < 0 ? -1 : 0;
}

/* ---- blocks ---- */

static void place_slices(struct file_map * m) {
    for (uint32_t s = 0; s < m->slices.count; s++) {
        const uint32_t tensor = m->slices.tensor[s];
        const struct tat_tensor * t = &m->subject->tensors[tensor];
        const uint64_t bytes = slice_bytes(&m->slices, m->subject, s);
        const uint16_t expert = slice_expert(&m->slices, s);
        const uint64_t offset = t->file_offset + (expert == TAT_NO_EXPERT ? 0 : expert * bytes);
        m->by_slice[s] = (struct block){ offset, bytes, 0, 0, tensor, t->weight == tensor ? t->file : 0, expert };
    }
}

static bool is_shown(const struct block * b, const struct file_map_query * q) {
    return b->file && b->offset < q->hi && (b->bytes > q->lo || b->offset > q->lo - b->bytes);
}

static int by_place(const void * a, const void * b) {
    const struct block *x = a, *y = b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    if (x->offset != y->offset) { return x->offset < y->offset ? -1 : 1; }
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/* Keeps those that are shown, sorted. Returns how many. */
static uint32_t choose(struct file_map * m, const struct file_map_query * q) {
    uint32_t n = 0;
    for (uint32_t s = 0; s < m->slices.count; s++) {
        if (is_shown(&m->by_slice[s], q)) { m->by_slice[n++] = m->by_slice[s]; }
    }
    qsort(m->by_slice, n, sizeof *m->by_slice, by_place);
    return n;
}

/* One block for the experts of a stack. */
static uint32_t merge(struct block * blocks, uint32_t n) {
    uint32_t merged = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct block * last = merged ? &blocks[merged - 1] : NULL;
        if (!last || last->tensor != blocks[i].tensor) {
            blocks[merged++] = blocks[i];
            continue;
        }
        last->bytes = blocks[i].offset + blocks[i].bytes - last->offset;
        last->accesses += blocks[i].accesses;
        last->read_bytes += blocks[i].read_bytes;
        last->expert = TAT_NO_EXPERT;
    }
    return merged;
}

/* ---- the answer ---- */

static json_t * tell_files(const struct subject * s) {
    json_t * files = json_array();
    for (uint32_t i = 0; i < s->n_files; i++) {
        const char * slash = strrchr(s->files[i].path, '/');
        json_array_append_new(files, json_pack("{s:o?, s:I}", "name", result_text(slash ? slash + 1 : s->files[i].path),
                                               "bytes", (json_int_t) s->files[i].size));
    }
    return files;
}

static json_t * tell_block(const struct block * b) {
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "tensor", (json_int_t) b->tensor, "expert",
                     b->expert == TAT_NO_EXPERT ? json_null() : json_integer(b->expert), "file",
                     (json_int_t) b->file - 1, "offset", (json_int_t) b->offset, "bytes", (json_int_t) b->bytes,
                     "accesses", (json_int_t) b->accesses, "read_bytes", (json_int_t) b->read_bytes);
}

static json_t * tell(struct file_map * m, const struct file_map_query * q) {
    uint32_t n = choose(m, q), left_out = 0;
    const bool merged = n > FILE_MAP_BLOCKS_MOST;
    json_t * blocks = json_array();
    if (merged) { n = merge(m->by_slice, n); }
    if (n > FILE_MAP_BLOCKS_MOST) {
        left_out = n - FILE_MAP_BLOCKS_MOST;
        n = FILE_MAP_BLOCKS_MOST;
    }
    for (uint32_t i = 0; i < n; i++) { json_array_append_new(blocks, tell_block(&m->by_slice[i])); }
    return json_pack("{s:o, s:o, s:b, s:I}", "files", tell_files(m->subject), "blocks", blocks, "merged", (int) merged,
                     "left_out", (json_int_t) left_out);
}

json_t * view_file_map(const struct subject * subject, const struct file_map_query * query,
                       const struct pyramid * pyramid, struct tat_error * error) {
    struct file_map m = { .subject = subject, .pyramid = pyramid };
    json_t * answer = NULL;
    if (slices_find(&m.slices, subject) &&
        (m.by_slice = calloc((size_t) m.slices.count + 1, sizeof *m.by_slice))) { /* NOLINT: checked at once */
        place_slices(&m);
        if (find_reads(&m, query->tokens, error) == 0 && !(answer = tell(&m, query))) {
            tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    } else {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    slices_free(&m.slices);
    free(m.by_slice);
    return answer;
}
