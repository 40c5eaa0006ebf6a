/* SPDX-License-Identifier: MIT */
#include "export/perfetto_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "export/perfetto_names.h"

/* Tracks have numbers above all those of lanes. */
#define IO_GROUP UINT64_C(0x10000000000)
enum { IO_DEPTH = 1, IO_CACHE, IO_RESIDENT, IO_LEFT_OUT, IO_COUNTERS = 16, IO_THREADS = 1 << 20, IO_LANES = 1 << 21 };
enum { RANK_GROUP = 1 << 20, RANK_LANES = 1 << 10, RANK_COUNTERS = 1 << 11 };
enum { THREADS_MAX = 4096, SLOTS = 2 * THREADS_MAX };
/* A disk may have hundreds of requests at once: more tracks than a reader can follow say less, not more. */
enum { LANES_OF_DISK_MAX = 16 };
enum { EVENT_BYTES = 110 }; /* of a slice, about */

/* Slices of one track, none of which overlap: a thread's, or requests that were never there at once. */
struct row {
    uint32_t pid, tid;
    uint64_t end_ns;
};

struct io_tracks {
    struct tracks * tracks;
    struct text_out * out;
    struct io_span span;
    bool * knows_tensor;
    uint32_t pid; /* of the traced process */
    uint64_t start_ns;
    struct list threads, lanes; /* struct row */
    uint64_t left_out;          /* requests that found no lane */
    uint32_t slots[SLOTS];      /* numbers of threads + 1, where their ids lead or the next free one; 0: none */
    bool described;
};

static uint64_t io_track(uint64_t number) {
    return IO_GROUP + number;
}

static void describe(struct io_tracks * t, uint64_t number, const char * name, int rank, unsigned unit) {
    if (!t->described) {
        t->described = true;
        tracks_describe(t->tracks, t->out,
                        &(struct track_descriptor){ IO_GROUP, TRACK_PROCESS_UUID, "storage",
                                                    "What storage did for the program.", RANK_GROUP, 0 });
    }
    tracks_describe(t->tracks, t->out,
                    &(struct track_descriptor){ io_track(number), IO_GROUP, name, NULL, rank, unit });
}

/* A time of CLOCK_MONOTONIC since the trace began; false: it is not in the span. */
static bool is_within(const struct io_tracks * t, uint64_t ns, uint64_t * since) {
    *since = ns - t->start_ns;
    return ns >= t->start_ns && *since >= t->span.begin_ns && *since <= t->span.end_ns;
}

/* ---- slices ---- */

/* Where it is, or the name of an argument's place for another. */
static void annotate_place(struct io_tracks * t, const struct tat_placed * p) {
    struct protobuf * b = &t->tracks->packet.bytes;
    annotate_string(b, EVENT_ANNOTATION, A_PLACE, STRING_PLACES + (uint64_t) p->place);
    if (p->tensor != TAT_NO_NUMBER) {
        annotate_string(b, EVENT_ANNOTATION, A_TENSOR, STRING_TENSORS + (uint64_t) p->tensor);
    }
    if (p->expert != TAT_NO_EXPERT) { annotate(b, EVENT_ANNOTATION, A_EXPERT, p->expert); }
    if (p->file) { annotate(b, EVENT_ANNOTATION, A_OFFSET, p->offset); }
    if (p->evaluation != TAT_NO_NUMBER) { annotate(b, EVENT_ANNOTATION, A_GRAPH, p->evaluation); }
    if (p->node != TAT_NO_NUMBER) { annotate(b, EVENT_ANNOTATION, A_NODE, p->node); }
}

/* Says the name of a tensor before it is used. */
static void say_tensor(struct io_tracks * t, const struct tat_placed * p) {
    struct packet * packet = &t->tracks->packet;
    if (p->tensor == TAT_NO_NUMBER || t->knows_tensor[p->tensor]) { return; }
    t->knows_tensor[p->tensor] = true;
    packet_begin(packet, NULL, SEQUENCE_NEEDS_STATE);
    const size_t interned = protobuf_begin(&packet->bytes, PACKET_INTERNED_DATA);
    intern(&packet->bytes, INTERNED_ANNOTATION_STRINGS, STRING_TENSORS + (uint64_t) p->tensor,
           t->tracks->context->tensors[p->tensor].name);
    protobuf_end(&packet->bytes, interned);
    packet_end(packet, t->out);
}

static size_t begin_slice(struct io_tracks * t, uint64_t at, uint64_t track, enum category category, uint64_t name) {
    struct packet * packet = &t->tracks->packet;
    const size_t event = event_begin(packet, at, TYPE_BEGIN, track);
    protobuf_uint(&packet->bytes, EVENT_CATEGORY, category);
    protobuf_uint(&packet->bytes, EVENT_NAME_IID, name);
    return event;
}

/* The number of a row, described if it is new; UINT32_MAX: there is none. */
static uint32_t add_row(struct io_tracks * t, struct list * rows, struct row row, uint32_t most) {
    struct row * added = rows->count < most ? list_add(rows, sizeof *added) : NULL;
    if (!added) {
        if (rows->count < most) { t->tracks->error = ENOMEM; }
        return UINT32_MAX;
    }
    *added = row;
    return rows->count - 1;
}

/* ---- faults ---- */

static uint32_t thread_of(struct io_tracks * t, const struct tat_io_fault * f) {
    char name[64];
    uint32_t slot = (f->tid * 2654435761u) % SLOTS;
    for (; t->slots[slot]; slot = (slot + 1) % SLOTS) {
        const struct row * row = &LIST(struct row, t->threads)[t->slots[slot] - 1];
        if (row->pid == f->pid && row->tid == f->tid) { return t->slots[slot] - 1; }
    }
    const uint32_t number = add_row(t, &t->threads, (struct row){ .pid = f->pid, .tid = f->tid }, THREADS_MAX);
    if (number == UINT32_MAX) { return number; }
    t->slots[slot] = number + 1;
    if (f->pid == t->pid) {
        snprintf(name, sizeof name, "page faults of thread %" PRIu32, f->tid);
    } else {
        snprintf(name, sizeof name, "page faults of process %" PRIu32 ", thread %" PRIu32, f->pid, f->tid);
    }
    describe(t, IO_THREADS + number, name, (int) number, 0);
    return number;
}

/* Faults come by their ends. One whose beginning was lost takes no time. */
static void put_fault(struct io_tracks * t, const struct tat_io_fault * f, const struct tat_placed * p) {
    uint64_t end;
    if (!is_within(t, f->end_ns, &end)) { return; }
    const uint32_t thread = thread_of(t, f);
    if (thread == UINT32_MAX) { return; }
    struct row * row = &LIST(struct row, t->threads)[thread];
    uint64_t begin = f->duration_ns < end ? end - f->duration_ns : 0;
    if (begin < row->end_ns) { begin = row->end_ns < end ? row->end_ns : end; }
    row->end_ns = end;
    say_tensor(t, p);
    const uint64_t track = io_track(IO_THREADS + (uint64_t) thread);
    const size_t event =
        begin_slice(t, begin, track, CATEGORY_FAULT, f->flags & TAT_IO_MAJOR ? NAME_MAJOR : NAME_MINOR);
    annotate_place(t, p);
    annotate(&t->tracks->packet.bytes, EVENT_ANNOTATION, A_STALL, f->duration_ns - f->preempted_ns);
    event_end(&t->tracks->packet, t->out, event);
    put_slice_end(&t->tracks->packet, t->out, end, track);
}

/* ---- requests ---- */

struct request {
    uint64_t begin, end; /* since the trace began */
    const struct tat_io_request * r;
};

static int by_begin(const void * a, const void * b) {
    const struct request *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

static int by_number(const void * a, const void * b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* The first lane in which nothing is at that time. */
static uint32_t lane_at(struct io_tracks * t, uint64_t begin) {
    char name[64];
    for (uint32_t i = 0; i < t->lanes.count; i++) {
        if (LIST(struct row, t->lanes)[i].end_ns <= begin) { return i; }
    }
    const uint32_t number = add_row(t, &t->lanes, (struct row){ 0 }, LANES_OF_DISK_MAX);
    if (number == UINT32_MAX) { return number; }
    snprintf(name, sizeof name, number ? "disk requests, %" PRIu32 " more at once" : "disk requests", number);
    describe(t, IO_LANES + number, name, RANK_LANES + (int) number, 0);
    return number;
}

static void put_request(struct io_tracks * t, const struct request * one) {
    struct protobuf * b = &t->tracks->packet.bytes;
    const uint32_t lane = lane_at(t, one->begin);
    if (lane == UINT32_MAX) {
        if (!t->left_out++) { describe(t, IO_LEFT_OUT, "requests without a track", RANK_COUNTERS + 1, UNIT_COUNT); }
        put_counter(&t->tracks->packet, t->out, one->begin, io_track(IO_LEFT_OUT), t->left_out);
        return;
    }
    LIST(struct row, t->lanes)[lane].end_ns = one->end;
    const uint64_t track = io_track(IO_LANES + (uint64_t) lane);
    const size_t event =
        begin_slice(t, one->begin, track, CATEGORY_REQUEST, one->r->flags & TAT_IO_WRITE ? NAME_WRITE : NAME_READ);
    annotate(b, EVENT_ANNOTATION, A_DISK, one->r->disk);
    annotate(b, EVENT_ANNOTATION, A_DISK_OFFSET, one->r->disk_offset);
    annotate(b, EVENT_ANNOTATION, A_BYTES, one->r->bytes);
    event_end(&t->tracks->packet, t->out, event);
    put_slice_end(&t->tracks->packet, t->out, one->end, track);
}

/* How many requests are on their way at once: it changes where one begins, and where one ends. */
static void put_depth(struct io_tracks * t, const struct request * requests, size_t count, uint64_t * ends) {
    size_t begun = 0, ended = 0;
    for (size_t i = 0; i < count; i++) { ends[i] = requests[i].end; }
    qsort(ends, count, sizeof *ends, by_number);
    describe(t, IO_DEPTH, "requests at once", RANK_COUNTERS, UNIT_COUNT);
    while (ended < count) {
        const bool begins = begun < count && requests[begun].begin <= ends[ended];
        const uint64_t at = begins ? requests[begun].begin : ends[ended];
        while (begun < count && requests[begun].begin == at) { begun++; }
        while (ended < begun && ends[ended] == at) { ended++; }
        put_counter(&t->tracks->packet, t->out, at, io_track(IO_DEPTH), begun - ended);
    }
}

static void put_requests(struct io_tracks * t, const struct tat_io * io) {
    struct request * requests = malloc((io->n_requests + 1) * sizeof *requests);
    uint64_t * ends = malloc((io->n_requests + 1) * sizeof *ends);
    size_t n = 0;
    if (!requests || !ends) { t->tracks->error = ENOMEM; }
    for (size_t i = 0; requests && ends && i < io->n_requests; i++) {
        const struct tat_io_request * r = &io->requests[i];
        uint64_t end;
        if (!is_within(t, r->end_ns, &end)) { continue; }
        requests[n++] = (struct request){ r->duration_ns < end ? end - r->duration_ns : 0, end, r };
    }
    if (n) {
        qsort(requests, n, sizeof *requests, by_begin);
        for (size_t i = 0; i < n; i++) { put_request(t, &requests[i]); }
        put_depth(t, requests, n, ends);
    }
    free(requests);
    free(ends);
}

/* ---- what is in memory ---- */

/* Bytes that came into the page cache less those that left it, from the beginning of the recording. */
static void put_cache(struct io_tracks * t, const struct tat_io * io, uint64_t page_bytes) {
    uint64_t pages = 0, at;
    bool described = false;
    for (size_t i = 0; i < io->n_pages; i++) {
        const struct tat_io_pages * p = &io->pages[i];
        pages = !p->left ? pages + p->count : pages > p->count ? pages - p->count : 0;
        if (!is_within(t, p->ns, &at)) { continue; }
        if (!described) { describe(t, IO_CACHE, "page cache growth, the run's files", RANK_COUNTERS + 2, UNIT_BYTES); }
        described = true;
        put_counter(&t->tracks->packet, t->out, at, io_track(IO_CACHE), pages * page_bytes);
    }
}

/* Of the samples of one moment, which may be several for a file. */
static void put_residency(struct io_tracks * t, const struct tat_io * io, uint64_t page_bytes) {
    bool described = false;
    for (size_t i = 0, next; i < io->n_residency; i = next) {
        uint64_t pages = 0, at;
        for (next = i; next < io->n_residency && io->residency[next].ns == io->residency[i].ns; next++) {
            for (size_t k = 0; k < io->residency[next].n_runs; k++) { pages += io->residency[next].runs[k].count; }
        }
        if (!is_within(t, io->residency[i].ns, &at)) { continue; }
        if (!described) { describe(t, IO_RESIDENT, "in memory, sampled", RANK_COUNTERS + 3, UNIT_BYTES); }
        described = true;
        put_counter(&t->tracks->packet, t->out, at, io_track(IO_RESIDENT), pages * page_bytes);
    }
}

/* ---- counters ---- */

static const struct {
    const char * name;
    unsigned unit;
} counters[TAT_IO_COUNTER_COUNT] = {
    [TAT_IO_READ_BYTES] = { "read_bytes", UNIT_BYTES },
    [TAT_IO_READ_CALL_BYTES] = { "read_call_bytes", UNIT_BYTES },
    [TAT_IO_MAJOR_FAULTS] = { "major_faults", UNIT_COUNT },
    [TAT_IO_MINOR_FAULTS] = { "minor_faults", UNIT_COUNT },
    [TAT_IO_DELAY_NS] = { "delay_ns", UNIT_TIME_NS },
    [TAT_IO_FILE_RESIDENT_BYTES] = { "file_resident_bytes", UNIT_BYTES },
    [TAT_IO_ANON_RESIDENT_BYTES] = { "anon_resident_bytes", UNIT_BYTES },
    [TAT_IO_LOCKED_BYTES] = { "locked_bytes", UNIT_BYTES },
    [TAT_IO_SWAP_BYTES] = { "swap_bytes", UNIT_BYTES },
    [TAT_IO_PRESSURE_IO_NS] = { "pressure_io_ns", UNIT_TIME_NS },
    [TAT_IO_PRESSURE_MEMORY_NS] = { "pressure_memory_ns", UNIT_TIME_NS },
    [TAT_IO_GROUP_BYTES] = { "group_bytes", UNIT_BYTES },
    [TAT_IO_GROUP_LIMIT_BYTES] = { "group_limit_bytes", UNIT_BYTES },
    [TAT_IO_GROUP_FILLED_BYTES] = { "group_filled_bytes", UNIT_BYTES },
    [TAT_IO_GROUP_MAJOR_FAULTS] = { "group_major_faults", UNIT_COUNT },
    [TAT_IO_GROUP_READ_BYTES] = { "group_read_bytes", UNIT_BYTES },
    [TAT_IO_DISK_READ_BYTES] = { "disk_read_bytes", UNIT_BYTES },
    [TAT_IO_TRACER_READ_BYTES] = { "tracer_read_bytes", UNIT_BYTES },
    [TAT_IO_RUN_READ_BYTES] = { "run_read_bytes", UNIT_BYTES },
    [TAT_IO_RUN_MAJOR_FAULTS] = { "run_major_faults", UNIT_COUNT },
    [TAT_IO_RUN_MINOR_FAULTS] = { "run_minor_faults", UNIT_COUNT },
};

static_assert(sizeof counters / sizeof *counters == TAT_IO_RUN_MINOR_FAULTS + 1, "each has a name");

static void put_counters(struct io_tracks * t, const struct tat_io * io) {
    bool described[TAT_IO_COUNTER_COUNT] = { false };
    uint64_t at;
    for (size_t i = 0; i < io->n_counters; i++) {
        const struct tat_io_counter_value * v = &io->counters[i];
        if (v->counter >= TAT_IO_COUNTER_COUNT || !counters[v->counter].name || !is_within(t, v->ns, &at)) { continue; }
        if (!described[v->counter]) {
            describe(t, IO_COUNTERS + v->counter, counters[v->counter].name,
                     RANK_COUNTERS + IO_COUNTERS + (int) v->counter, counters[v->counter].unit);
        }
        described[v->counter] = true;
        put_counter(&t->tracks->packet, t->out, at, io_track(IO_COUNTERS + (uint64_t) v->counter), v->value);
    }
}

/* ---- all ---- */

static int put_all(struct io_tracks * t, const struct tat_io * io, struct tat_error * error) {
    const struct tat_trace * trace = t->tracks->context->trace;
    const uint32_t page = tat_trace_header(trace)->page_bytes;
    struct tat_storage storage;
    const int status = tat_storage_join(trace, io, false, &storage, error);
    for (size_t i = 0; status == 0 && i < storage.n_faults; i++) {
        put_fault(t, &io->faults[storage.faults[i].event], &storage.faults[i]);
    }
    if (status == 0) {
        put_requests(t, io);
        put_cache(t, io, page ? page : 4096);
        put_residency(t, io, page ? page : 4096);
        put_counters(t, io);
    }
    tat_storage_free(&storage);
    free(t->threads.data);
    free(t->lanes.data);
    return status;
}

int perfetto_io_put(struct tracks * tracks, struct text_out * out, struct io_span span, bool * knows_tensor,
                    struct tat_error * error) {
    const struct tat_file_header * header = tat_trace_header(tracks->context->trace);
    struct tat_io io;
    struct io_tracks t = { .tracks = tracks,
                           .out = out,
                           .span = span,
                           .knows_tensor = knows_tensor,
                           .pid = header->pid,
                           .start_ns = header->start_monotonic_ns };
    struct tat_error none = { 0 };
    if (tat_storage_read(tracks->context->trace, &io, &none) != 0) {
        if (none.kind == TAT_ERROR_NO) { return 0; }
        *error = none;
        return -1;
    }
    const int status = put_all(&t, &io, error);
    tat_io_free(&io);
    return status;
}

/* Of times that ascend, each `size` bytes after the one before: how many are before `ns`. */
static size_t count_before(const void * times, size_t count, size_t size, uint64_t ns) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        uint64_t at;
        memcpy(&at, (const char *) times + middle * size, sizeof at);
        if (at < ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t count_in(const void * times, size_t count, size_t size, uint64_t begin, uint64_t end) {
    return count_before(times, count, size, end) - count_before(times, count, size, begin);
}

uint64_t perfetto_io_bytes(const struct tat_io * io, uint64_t start_ns, struct io_span span) {
    const uint64_t begin = start_ns + span.begin_ns, last = start_ns + span.end_ns;
    const uint64_t end = last < start_ns ? UINT64_MAX : last;
    const uint64_t slices = count_in(io->faults, io->n_faults, sizeof *io->faults, begin, end) +
                            count_in(io->requests, io->n_requests, sizeof *io->requests, begin, end);
    const uint64_t values = count_in(io->pages, io->n_pages, sizeof *io->pages, begin, end) +
                            count_in(io->counters, io->n_counters, sizeof *io->counters, begin, end);
    return slices * EVENT_BYTES + values * EVENT_BYTES / 4;
}
