/* SPDX-License-Identifier: MIT
 *
 * From FILE on, an event's type is followed by its length: a reader can pass over what it does not know.
 */
#include "format/io_events.h"

/* What stands before the payload of one. */
enum { HEAD_MAX = 2 * TAT_VARINT_MAX, FIELDS_MAX = 8 * TAT_VARINT_MAX };

static bool keep(struct tat_out * out, uint8_t * before) {
    if (!out->overflow) { return true; }
    out->at = before;
    out->overflow = false;
    return false;
}

static bool put_event(struct tat_out * out, enum tat_io_type type, const struct tat_out * payload,
                      const uint8_t * begin) {
    uint8_t * before = out->at;
    tat_put_varint(out, type);
    tat_put_string(out, (const char *) begin, (size_t) (payload->at - begin));
    return keep(out, before);
}

/* ---- as the file's first events were ---- */

bool io_put_fault(struct tat_out * out, struct io_state * state, const struct tat_io_fault * fault) {
    uint8_t * before = out->at;
    tat_put_varint(out, TAT_IO_FAULT);
    tat_put_zigzag(out, (int64_t) (fault->end_ns - state->ns));
    tat_put_varint(out, fault->duration_ns);
    tat_put_varint(out, fault->preempted_ns);
    tat_put_zigzag(out, (int64_t) (fault->address - state->address));
    tat_put_varint(out, fault->pid);
    tat_put_zigzag(out, (int64_t) fault->tid - (int64_t) fault->pid);
    tat_put_varint(out, fault->flags);
    if (!keep(out, before)) { return false; }
    state->ns = fault->end_ns;
    state->address = fault->address;
    return true;
}

bool io_put_count(struct tat_out * out, enum tat_io_type type, uint64_t count) {
    uint8_t * before = out->at;
    tat_put_varint(out, type);
    tat_put_varint(out, count);
    return keep(out, before);
}

bool io_put_mark(struct tat_out * out, enum tat_io_type type) {
    uint8_t * before = out->at;
    tat_put_varint(out, type);
    return keep(out, before);
}

/* ---- with a length ---- */

bool io_put_file(struct tat_out * out, const struct tat_io_file * file) {
    uint8_t bytes[5 * TAT_VARINT_MAX + 3 * (TAT_VARINT_MAX + IO_TEXT_MAX)];
    struct tat_out p = { bytes, bytes + sizeof bytes, false };
    const uint64_t numbers[] = { file->number, file->device, file->inode, file->bytes, file->disk };
    const char * const texts[] = { file->path, file->file_system, file->no_extents };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) { tat_put_varint(&p, numbers[i]); }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tat_put_string(&p, texts[i], strnlen(texts[i], IO_TEXT_MAX));
    }
    return put_event(out, TAT_IO_FILE, &p, bytes);
}

bool io_put_pages(struct tat_out * out, struct io_state * state, const struct tat_io_pages * pages) {
    uint8_t bytes[FIELDS_MAX];
    struct tat_out p = { bytes, bytes + sizeof bytes, false };
    tat_put_zigzag(&p, (int64_t) (pages->ns - state->pages_ns));
    tat_put_varint(&p, pages->file);
    tat_put_zigzag(&p, (int64_t) (pages->first - state->page));
    tat_put_varint(&p, pages->count);
    tat_put_varint(&p, pages->pid);
    tat_put_zigzag(&p, (int64_t) pages->tid - (int64_t) pages->pid);
    tat_put_varint(&p, pages->left);
    if (!put_event(out, TAT_IO_PAGES, &p, bytes)) { return false; }
    state->pages_ns = pages->ns;
    state->page = pages->first + pages->count;
    return true;
}

bool io_put_request(struct tat_out * out, struct io_state * state, const struct tat_io_request * request) {
    uint8_t bytes[FIELDS_MAX];
    struct tat_out p = { bytes, bytes + sizeof bytes, false };
    tat_put_zigzag(&p, (int64_t) (request->end_ns - state->request_ns));
    tat_put_varint(&p, request->duration_ns);
    tat_put_varint(&p, request->disk);
    tat_put_zigzag(&p, (int64_t) (request->disk_offset - state->disk_offset));
    tat_put_varint(&p, request->bytes);
    tat_put_varint(&p, request->pid);
    tat_put_varint(&p, request->flags);
    if (!put_event(out, TAT_IO_REQUEST, &p, bytes)) { return false; }
    state->request_ns = request->end_ns;
    state->disk_offset = request->disk_offset + request->bytes;
    return true;
}

bool io_put_counter(struct tat_out * out, struct io_state * state, const struct tat_io_counter_value * value) {
    uint8_t bytes[FIELDS_MAX];
    struct tat_out p = { bytes, bytes + sizeof bytes, false };
    tat_put_zigzag(&p, (int64_t) (value->ns - state->counter_ns));
    tat_put_varint(&p, value->counter);
    tat_put_varint(&p, value->value);
    if (!put_event(out, TAT_IO_COUNTER, &p, bytes)) { return false; }
    state->counter_ns = value->ns;
    return true;
}

bool io_put_source(struct tat_out * out, enum tat_io_source source, const char * missing) {
    uint8_t bytes[2 * TAT_VARINT_MAX + IO_TEXT_MAX];
    struct tat_out p = { bytes, bytes + sizeof bytes, false };
    tat_put_varint(&p, source);
    tat_put_string(&p, missing ? missing : "", missing ? strnlen(missing, IO_TEXT_MAX) : 0);
    return put_event(out, TAT_IO_SOURCE, &p, bytes);
}

/* ---- lists, in pieces ---- */

enum { PIECE_BYTES = 4096 };

/* Room for a piece, in the event that is to be put and in `bytes`. */
static struct tat_out begin_piece(const struct tat_out * out, uint8_t bytes[static PIECE_BYTES]) {
    const size_t room = (size_t) (out->end - out->at), most = room > HEAD_MAX ? room - HEAD_MAX : 0;
    return (struct tat_out){ bytes, bytes + (most < PIECE_BYTES ? most : PIECE_BYTES), false };
}

static size_t put_some_extents(struct tat_out * out, uint32_t file, const struct tat_io_extent * extents,
                               size_t count) {
    uint8_t bytes[PIECE_BYTES];
    struct tat_out p = begin_piece(out, bytes);
    struct tat_io_extent before = { 0 };
    size_t n = 0;
    tat_put_varint(&p, file);
    for (; n < count; n++) {
        uint8_t * at = p.at;
        tat_put_varint(&p, extents[n].file_offset - before.file_offset - before.bytes);
        tat_put_zigzag(&p, (int64_t) (extents[n].disk_offset - before.disk_offset - before.bytes));
        tat_put_varint(&p, extents[n].bytes);
        if (!keep(&p, at)) { break; }
        before = extents[n];
    }
    return n && put_event(out, TAT_IO_EXTENTS, &p, bytes) ? n : 0;
}

size_t io_put_extents(struct tat_out * out, uint32_t file, const struct tat_io_extent * extents, size_t count) {
    size_t done = 0;
    for (size_t n; done < count && (n = put_some_extents(out, file, extents + done, count - done)) > 0;) { done += n; }
    return done;
}

/* A piece tells of the pages up to the end of the last run that fits, or of all. */
static uint64_t put_some_residency(struct tat_out * out, const struct tat_io_residency * r) {
    uint8_t bytes[PIECE_BYTES], runs[PIECE_BYTES - 4 * TAT_VARINT_MAX];
    struct tat_out p = begin_piece(out, bytes), list = { runs, runs + sizeof runs, false };
    if (p.end - p.at <= 4 * TAT_VARINT_MAX) { return 0; }
    if (p.end - p.at < PIECE_BYTES) { list.end = runs + (p.end - p.at - 4 * TAT_VARINT_MAX); }
    const uint64_t end = r->of.first + r->of.count;
    uint64_t told = r->of.first;
    size_t i = 0;
    for (; i < r->n_runs; i++) {
        uint8_t * at = list.at;
        const uint64_t run_end = r->runs[i].first + r->runs[i].count;
        const uint64_t first = r->runs[i].first > told ? r->runs[i].first : told, last = run_end < end ? run_end : end;
        if (first >= last) { continue; }
        tat_put_varint(&list, first - told);
        tat_put_varint(&list, last - first);
        if (!keep(&list, at)) { break; }
        told = last;
    }
    if (i == r->n_runs) { told = end; }
    if (told == r->of.first) { return 0; }
    tat_put_zigzag(&p, (int64_t) r->ns);
    tat_put_varint(&p, r->file);
    tat_put_varint(&p, r->of.first);
    tat_put_varint(&p, told - r->of.first);
    tat_put_bytes(&p, runs, (size_t) (list.at - runs));
    return put_event(out, TAT_IO_RESIDENCY, &p, bytes) ? told - r->of.first : 0;
}

uint64_t io_put_residency(struct tat_out * out, const struct tat_io_residency * residency) {
    struct tat_io_residency rest = *residency;
    for (uint64_t n; rest.of.count && (n = put_some_residency(out, &rest)) > 0;) {
        rest.of.first += n;
        rest.of.count -= n;
        for (; rest.n_runs && rest.runs->first + rest.runs->count <= rest.of.first; rest.n_runs--) { rest.runs++; }
    }
    return rest.of.first - residency->of.first;
}
