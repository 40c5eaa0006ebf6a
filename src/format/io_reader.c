/* SPDX-License-Identifier: MIT
 *
 * Reads a file of I/O events, which nobody trusts: what makes no sense is passed over and counted as damage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "format/file_names.h"
#include "format/io_events.h"
#include "format/list.h"
#include "gguf/arena.h"
#include "tat/trace.h"

struct reading {
    struct tat_io * io;
    struct list faults, files, pages, requests, counters, residency;
    struct list extents; /* a list for each file */
    struct arena * arena;
    bool memory;
};

/* ---- events ---- */

/* Keeps a copy, if it makes sense. */
static void keep(struct reading * r, const struct tat_in * in, struct list * list, const void * element, size_t size) {
    if (in->bad) { return; }
    void * at = list_add(list, size);
    if (at) { memcpy(at, element, size); }
    r->memory &= at != NULL;
}

static void get_fault(struct reading * r, struct tat_in * in, struct io_state * state) {
    struct tat_io_fault f = { .end_ns = state->ns + (uint64_t) tat_get_zigzag(in) };
    f.duration_ns = tat_get_varint(in);
    f.preempted_ns = tat_get_varint(in);
    f.address = state->address + (uint64_t) tat_get_zigzag(in);
    f.pid = (uint32_t) tat_get_varint(in);
    f.tid = (uint32_t) (f.pid + (uint64_t) tat_get_zigzag(in));
    f.flags = (uint32_t) tat_get_varint(in);
    if (f.duration_ns > f.end_ns || f.preempted_ns > f.duration_ns) { in->bad = true; }
    state->ns = f.end_ns;
    state->address = f.address;
    keep(r, in, &r->faults, &f, sizeof f);
}

static const char * get_text(struct reading * r, struct tat_in * in) {
    const uint64_t length = tat_get_varint(in);
    const char * text = length > IO_TEXT_MAX ? NULL : tat_get_bytes(in, length);
    if (!text) {
        in->bad = true;
        return "";
    }
    const char * copy = length ? arena_string(r->arena, text, length) : "";
    r->memory &= copy != NULL;
    return copy ? copy : "";
}

#define FILES(r)   LIST(struct tat_io_file, (r)->files)
#define EXTENTS(r) LIST(struct list, (r)->extents)

/* The file of a number. Those that were lost before it are there, with nothing known of them. NULL: no memory. */
static struct tat_io_file * file_of(struct reading * r, uint32_t number) {
    while (r->files.count < number) {
        struct tat_io_file * file =
            list_add(&r->extents, sizeof(struct list)) ? list_add(&r->files, sizeof *file) : NULL;
        if (!file) {
            r->memory = false;
            return NULL;
        }
        *file = (struct tat_io_file){ .number = r->files.count, .path = "", .file_system = "", .no_extents = "" };
    }
    return &FILES(r)[number - 1];
}

static uint32_t get_number(struct tat_in * in) {
    const uint64_t number = tat_get_varint(in);
    if (number == 0 || number > IO_FILES_MAX) { in->bad = true; }
    return in->bad ? 0 : (uint32_t) number;
}

/* What is said later of a number counts. */
static void get_file(struct reading * r, struct tat_in * in) {
    struct tat_io_file f = { .number = get_number(in) };
    f.device = tat_get_varint(in);
    f.inode = tat_get_varint(in);
    f.bytes = tat_get_varint(in);
    f.disk = tat_get_varint(in);
    f.path = get_text(r, in);
    f.file_system = get_text(r, in);
    f.no_extents = get_text(r, in);
    struct tat_io_file * file = in->bad || f.bytes > IO_BYTES_MAX ? NULL : file_of(r, f.number);
    if (file) { *file = f; }
    in->bad |= f.bytes > IO_BYTES_MAX;
}

static bool is_beyond(uint64_t first, uint64_t count, uint64_t most) {
    return count == 0 || first > most || count > most - first;
}

static void get_extents(struct reading * r, struct tat_in * in) {
    const uint32_t number = get_number(in);
    struct tat_io_extent before = { 0 };
    if (in->bad || !file_of(r, number)) { return; }
    while (in->at < in->end && !in->bad) {
        struct tat_io_extent e = { .file_offset = before.file_offset + before.bytes };
        const uint64_t gap = tat_get_varint(in);
        e.disk_offset = before.disk_offset + before.bytes + (uint64_t) tat_get_zigzag(in);
        e.bytes = tat_get_varint(in);
        in->bad |= gap > IO_BYTES_MAX;
        e.file_offset += gap;
        in->bad |= is_beyond(e.file_offset, e.bytes, IO_BYTES_MAX) || is_beyond(e.disk_offset, e.bytes, IO_BYTES_MAX);
        keep(r, in, &EXTENTS(r)[number - 1], &e, sizeof e);
        before = e;
    }
}

static void get_pages(struct reading * r, struct tat_in * in, struct io_state * state) {
    struct tat_io_pages p = { .ns = state->pages_ns + (uint64_t) tat_get_zigzag(in) };
    p.file = get_number(in);
    p.first = state->page + (uint64_t) tat_get_zigzag(in);
    p.count = tat_get_varint(in);
    p.pid = (uint32_t) tat_get_varint(in);
    p.tid = (uint32_t) (p.pid + (uint64_t) tat_get_zigzag(in));
    p.left = tat_get_varint(in) & 1;
    in->bad |= is_beyond(p.first, p.count, IO_PAGES_MAX);
    if (in->bad || !file_of(r, p.file)) { return; }
    keep(r, in, &r->pages, &p, sizeof p);
    state->pages_ns = p.ns;
    state->page = p.first + p.count;
}

static void get_request(struct reading * r, struct tat_in * in, struct io_state * state) {
    struct tat_io_request q = { .end_ns = state->request_ns + (uint64_t) tat_get_zigzag(in) };
    q.duration_ns = tat_get_varint(in);
    q.disk = tat_get_varint(in);
    q.disk_offset = state->disk_offset + (uint64_t) tat_get_zigzag(in);
    q.bytes = tat_get_varint(in);
    q.pid = (uint32_t) tat_get_varint(in);
    q.flags = (uint32_t) tat_get_varint(in);
    in->bad |= q.duration_ns > q.end_ns || is_beyond(q.disk_offset, q.bytes, IO_BYTES_MAX);
    keep(r, in, &r->requests, &q, sizeof q);
    state->request_ns = q.end_ns;
    state->disk_offset = q.disk_offset + q.bytes;
}

static void get_counter(struct reading * r, struct tat_in * in, struct io_state * state) {
    struct tat_io_counter_value v = { .ns = state->counter_ns + (uint64_t) tat_get_zigzag(in) };
    v.counter = (uint32_t) tat_get_varint(in);
    v.value = tat_get_varint(in);
    keep(r, in, &r->counters, &v, sizeof v);
    state->counter_ns = v.ns;
}

static void get_residency(struct reading * r, struct tat_in * in) {
    struct tat_io_residency s = { .ns = (uint64_t) tat_get_zigzag(in) };
    s.file = get_number(in);
    s.of.first = tat_get_varint(in);
    s.of.count = tat_get_varint(in);
    in->bad |= is_beyond(s.of.first, s.of.count, IO_PAGES_MAX);
    const size_t most = (size_t) (in->end - in->at) / 2; /* runs: two varints each */
    if (in->bad || !file_of(r, s.file)) { return; }
    s.runs = arena_alloc(r->arena, (most + 1) * sizeof *s.runs);
    r->memory &= s.runs != NULL;
    uint64_t at = s.of.first, end = s.of.first + s.of.count;
    while (s.runs && in->at < in->end && !in->bad) {
        const uint64_t gap = tat_get_varint(in), count = tat_get_varint(in);
        in->bad |= count == 0 || gap > end - at || count > end - at - gap;
        if (in->bad) { break; }
        s.runs[s.n_runs++] = (struct tat_io_run){ at + gap, count };
        at += gap + count;
    }
    if (s.runs) { keep(r, in, &r->residency, &s, sizeof s); }
}

static void get_source(struct reading * r, struct tat_in * in) {
    const uint64_t source = tat_get_varint(in);
    const char * missing = get_text(r, in);
    if (in->bad || source == 0 || source >= TAT_IO_SOURCE_COUNT) { return; }
    r->io->recorded[source] = !*missing;
    r->io->missing[source] = *missing ? missing : NULL;
}

/* An event that says how long it is: what is not known, or makes no sense, is passed over alone. */
static void get_long_event(struct reading * r, struct tat_in * in, uint64_t type, struct io_state * state) {
    const uint64_t bytes = tat_get_varint(in);
    const uint8_t * payload = tat_get_bytes(in, bytes);
    if (in->bad) { return; }
    struct tat_in event = { payload, payload + bytes, false };
    switch (type) {
        case TAT_IO_FILE: get_file(r, &event); break;
        case TAT_IO_EXTENTS: get_extents(r, &event); break;
        case TAT_IO_PAGES: get_pages(r, &event, state); break;
        case TAT_IO_REQUEST: get_request(r, &event, state); break;
        case TAT_IO_COUNTER: get_counter(r, &event, state); break;
        case TAT_IO_RESIDENCY: get_residency(r, &event); break;
        case TAT_IO_SOURCE: get_source(r, &event); break;
        default: break;
    }
    if (event.bad) { r->io->damaged_bytes += bytes; }
}

/* ---- blocks ---- */

/* A type that is not known, and has no length, ends the block. */
static bool read_events(struct reading * r, struct tat_in * in) {
    struct io_state state = { 0 };
    while (in->at < in->end && !in->bad) {
        const uint64_t type = tat_get_varint(in);
        if (type == TAT_IO_FAULT) {
            get_fault(r, in, &state);
        } else if (type == TAT_IO_IGNORED) {
            r->io->ignored += tat_get_varint(in);
        } else if (type == TAT_IO_LOST) {
            r->io->lost += tat_get_varint(in);
        } else if (type == TAT_IO_PARTIAL || type == TAT_IO_END) {
            *(type == TAT_IO_END ? &r->io->ended : &r->io->partial) = true;
        } else if (type >= TAT_IO_FILE) {
            get_long_event(r, in, type, &state);
        } else {
            return false;
        }
    }
    return !in->bad;
}

static bool see_block(const struct tat_block * block, void * user) {
    struct reading * r = user;
    if (block->type == TAT_BLOCK_IO) {
        struct tat_in in = { block->payload, block->payload + block->payload_bytes, false };
        if (!read_events(r, &in)) { r->io->damaged_bytes += (uint64_t) (in.end - in.at); }
    } else if (!block->payload) {
        r->io->damaged_bytes += block->bytes;
    }
    return r->memory;
}

static bool is_known(const struct reading * r, enum tat_io_source source, const struct list * events) {
    return r->io->recorded[source] || r->io->missing[source] || events->count;
}

static bool see_beginning(const struct tat_block * block, void * user) {
    struct reading * r = user;
    return see_block(block, r) && !(is_known(r, TAT_IO_SOURCE_FAULTS, &r->faults) &&
                                    is_known(r, TAT_IO_SOURCE_REQUESTS, &r->requests));
}

/* ---- all ---- */

#define BY(name, type, field)                                                                                          \
    static int name(const void * a, const void * b) {                                                                  \
        const type *x = a, *y = b;                                                                                     \
        return x->field < y->field ? -1 : x->field > y->field;                                                         \
    }
BY(by_pages_ns, struct tat_io_pages, ns)
BY(by_request_end, struct tat_io_request, end_ns)
BY(by_counter_ns, struct tat_io_counter_value, ns)
BY(by_residency_ns, struct tat_io_residency, ns)
BY(by_file_offset, struct tat_io_extent, file_offset)

static int by_fault_end(const void * a, const void * b) {
    const struct tat_io_fault *x = a, *y = b;
    return x->end_ns != y->end_ns ? (x->end_ns < y->end_ns ? -1 : 1) : x->tid < y->tid ? -1 : x->tid > y->tid;
}

/* Hands a list over, in order; things of one moment stay in the order of the file (glibc's qsort merges). */
static void * hand_over(struct list * list, size_t * count, size_t size, int (*compare)(const void *, const void *)) {
    void * data = list->data;
    *count = list->count;
    if (list->count > 1) { qsort(data, list->count, size, compare); }
    *list = (struct list){ 0 };
    return data;
}

/* A byte of a file is in one place. Of two that say where, the first counts. */
static size_t drop_overlaps(struct tat_io_extent * extents, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n == 0 || extents[i].file_offset >= extents[n - 1].file_offset + extents[n - 1].bytes) {
            extents[n++] = extents[i];
        }
    }
    return n;
}

static void finish(struct reading * r) {
    struct tat_io * io = r->io;
    for (uint32_t i = 0; i < r->files.count; i++) {
        struct tat_io_file * f = &FILES(r)[i];
        f->extents = hand_over(&EXTENTS(r)[i], &f->n_extents, sizeof *f->extents, by_file_offset);
        f->n_extents = drop_overlaps(f->extents, f->n_extents);
    }
    io->n_files = r->files.count;
    io->files = r->files.data;
    io->faults = hand_over(&r->faults, &io->n_faults, sizeof *io->faults, by_fault_end);
    io->pages = hand_over(&r->pages, &io->n_pages, sizeof *io->pages, by_pages_ns);
    io->requests = hand_over(&r->requests, &io->n_requests, sizeof *io->requests, by_request_end);
    io->counters = hand_over(&r->counters, &io->n_counters, sizeof *io->counters, by_counter_ns);
    io->residency = hand_over(&r->residency, &io->n_residency, sizeof *io->residency, by_residency_ns);
    free(r->extents.data);
}

static int read_file(const char * path, struct tat_io * io, tat_block_sink see, struct tat_error * error) {
    struct reading r = { .io = io, .memory = true };
    struct stat status;
    char * file = NULL;
    *io = (struct tat_io){ 0 };
    const bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (asprintf(&file, "%s%s", path, folder ? "/" IO_EVENTS_FILE : "") < 0) {
        return tat_fail_errno(error, "%s", path);
    }
    io->memory = r.arena = calloc(1, sizeof *r.arena);
    r.memory = r.arena != NULL;
    const int failed = r.memory ? tat_file_each_block(file, TAT_FILE_IO_EVENTS, &io->header, see, &r, error) : 0;
    if (!failed && !r.memory) { tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", file); }
    free(file);
    finish(&r);
    if (failed || !r.memory) {
        tat_io_free(io);
        return -1;
    }
    return 0;
}

int tat_io_read(const char * path, struct tat_io * io, struct tat_error * error) {
    return read_file(path, io, see_block, error);
}

int io_read_beginning(const char * path, struct tat_io * io, struct tat_error * error) {
    return read_file(path, io, see_beginning, error);
}

void tat_io_free(struct tat_io * io) {
    for (size_t i = 0; i < io->n_files; i++) { free(io->files[i].extents); }
    free(io->faults);
    free(io->files);
    free(io->pages);
    free(io->requests);
    free(io->counters);
    free(io->residency);
    if (io->memory) { arena_free(io->memory); }
    free(io->memory);
    *io = (struct tat_io){ 0 };
}
