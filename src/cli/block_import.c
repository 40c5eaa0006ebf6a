/* SPDX-License-Identifier: MIT */
#include "cli/block_import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "blocktrace/align.h"
#include "cli/units.h"
#include "format/list.h"

/* Disks whose number nobody knows get one that no disk has. */
#define NO_NUMBER(index_) (makedev(4095, 0) + (index_) + 1)

const char * anchor_name(enum anchor anchor) {
    static const char * const names[ANCHORS] = {
        [ANCHOR_AUTO] = "auto",     [ANCHOR_NONE] = "none",         [ANCHOR_WALL] = "wall",
        [ANCHOR_FAULTS] = "faults", [ANCHOR_REQUESTS] = "requests", [ANCHOR_FIRST_READ] = "first-read",
    };
    return anchor < ANCHORS ? names[anchor] : NULL;
}

/* ---- files ---- */

/* The model file that the map's file is: of its size, and of its name unless it is the only one of that size. */
static uint32_t model_of(const struct tat_trace * trace, const struct mapped_file * m) {
    uint32_t count, found = 0, of_size = 0;
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (files[i].size != m->bytes) { continue; }
        if (strcmp(last_part(files[i].path), last_part(m->path)) == 0) { return i + 1; }
        if (found && strcmp(files[found - 1].path, files[i].path) != 0) { of_size++; }
        found = found ? found : i + 1;
    }
    return of_size ? 0 : found;
}

static int add_files(struct block_import * b, const struct tat_trace * trace, const struct tat_io * io,
                     struct tat_error * error) {
    uint32_t count;
    const struct tat_model_file * models = tat_trace_model_files(trace, &count);
    struct tat_io_file * files = calloc(io->n_files + b->map.n_files + 1, sizeof *files);
    size_t known = 0;
    if (!files) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    b->io.files = files;
    for (size_t i = 0; i < io->n_files; i++) { /* pages refer to them; the extents are those of the map */
        files[b->io.n_files] = io->files[i];
        files[b->io.n_files].extents = NULL;
        files[b->io.n_files++].n_extents = 0;
    }
    for (size_t i = 0; i < b->map.n_files; i++) {
        const struct mapped_file * m = &b->map.files[i];
        const uint32_t model = model_of(trace, m);
        known += model != 0;
        if (model && m->modified_ns && models[model - 1].mtime_ns && m->modified_ns != models[model - 1].mtime_ns) {
            b->changed = m->path;
        }
        files[b->io.n_files] = (struct tat_io_file){ .number = (uint32_t) b->io.n_files + 1,
                                                     .bytes = m->bytes,
                                                     .path = model ? models[model - 1].path : m->path,
                                                     .file_system = "",
                                                     .no_extents = "",
                                                     .extents = m->extents,
                                                     .n_extents = m->n_extents };
        b->io.n_files++;
    }
    if (known) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT,
                    "%s: the map is of a file of %" PRIu64 " bytes; the trace's model, %s, has %" PRIu64
                    " bytes: make the map of that file",
                    b->map.files[0].path, b->map.files[0].bytes, count ? models[0].path : "which it does not name",
                    count ? models[0].size : 0);
}

/* ---- the disk ---- */

static void describe_disk(const struct block_disk * d, char text[static 64]) {
    if (d->number) {
        snprintf(text, 64, "%u:%u", major(d->number), minor(d->number));
    } else {
        snprintf(text, 64, "%s", *d->name ? d->name : "(no name)");
    }
}

static bool is_disk(const struct block_disk * d, const char * called) {
    char text[64];
    describe_disk(d, text);
    return strcmp(text, called) == 0 || (*d->name && strcmp(d->name, called) == 0);
}

static int fail_disk(const struct block_trace * t, const char * why, struct tat_error * error) {
    char list[512] = "", text[64], bytes[UNITS_SIZE];
    size_t used = 0;
    for (size_t i = 0; i < t->n_disks && used + 128 < sizeof list; i++) {
        describe_disk(&t->disks[i], text);
        used += (size_t) snprintf(list + used, sizeof list - used, "%s%s (%s read)", i ? ", " : "", text,
                                  format_bytes(bytes, t->disks[i].read_bytes));
    }
    return tat_fail(error, TAT_ERROR_INPUT, "%s: the block trace has %s; --disk says which the map is of", why, list);
}

/* Which of the block trace's disks is the map's: as the user says, as the map says, or the only one. */
static int find_disk(struct block_import * b, const struct import_options * o, struct tat_error * error) {
    const struct block_trace * t = &b->blocks;
    const struct mapped_file * m = &b->map.files[0];
    for (size_t i = 0; i < t->n_disks; i++) {
        const struct block_disk * d = &t->disks[i];
        const bool same = o->disk ? is_disk(d, o->disk)
                                  : (m->disk && d->number == m->disk) || (*m->disk_name && is_disk(d, m->disk_name));
        if (!same) { continue; }
        b->disk = (uint32_t) i;
        return 0;
    }
    if (o->disk) { return fail_disk(t, o->disk, error); }
    if (m->disk) {
        char text[96];
        snprintf(text, sizeof text, "the map is of disk %u:%u (%s), of which there is no request", major(m->disk),
                 minor(m->disk), m->disk_name);
        return fail_disk(t, text, error);
    }
    return t->n_disks == 1 ? 0 : fail_disk(t, "the map does not tell of its disk", error);
}

/* ---- requests ---- */

static uint64_t number_of(const struct block_import * b, uint64_t disk) {
    const uint64_t number = b->blocks.disks[disk].number;
    return number ? number : NO_NUMBER(disk);
}

/* Those of before the clock began are left out: the run did not cause them. */
static int add_requests(struct block_import * b, struct tat_error * error) {
    const struct block_trace * t = &b->blocks;
    struct tat_io_request * requests = malloc((t->n_requests + 1) * sizeof *requests);
    if (!requests) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    b->io.requests = requests;
    b->io.n_requests = 0;
    for (size_t i = 0; i < t->n_requests; i++) {
        struct tat_io_request q = t->requests[i];
        int64_t end;
        if (__builtin_add_overflow((int64_t) q.end_ns, b->offset_ns, &end) || end <= 0) {
            b->before++;
            continue;
        }
        q.end_ns = (uint64_t) end;
        if (q.duration_ns > q.end_ns) { q.duration_ns = q.end_ns; }
        q.disk = number_of(b, q.disk);
        requests[b->io.n_requests++] = q;
    }
    for (size_t i = 0; i < b->io.n_files; i++) {
        if (b->io.files[i].n_extents) { b->io.files[i].disk = number_of(b, b->disk); }
    }
    b->io.missing[TAT_IO_SOURCE_REQUESTS] = NULL;
    b->io.recorded[TAT_IO_SOURCE_REQUESTS] = true;
    return 0;
}

/* ---- clocks ---- */

struct spans {
    struct list faults; /* struct align_span: major ones in the model's files */
    struct list own;    /* requests for the model's bytes that the run recorded itself */
    struct list reads;  /* the block trace's */
};

#define SPANS(list_) LIST(struct align_span, list_)

static bool add_span(struct list * list, const struct tat_placed * p, int64_t start_ns, uint64_t bytes) {
    struct align_span * span = list_add(list, sizeof *span);
    if (span) {
        *span = (struct align_span){ p->file, p->offset, bytes, start_ns + p->begin_ns, start_ns + p->end_ns };
    }
    return span;
}

/* What the run saw itself. */
static int find_own(struct spans * s, const struct tat_trace * trace, const struct tat_io * io,
                    struct tat_error * error) {
    const int64_t start = (int64_t) tat_trace_header(trace)->start_monotonic_ns;
    struct tat_storage placed;
    if (tat_storage_join(trace, io, false, &placed, error) != 0) { return -1; }
    bool good = true;
    for (size_t i = 0; i < placed.n_faults && good; i++) {
        const struct tat_placed * p = &placed.faults[i];
        if (p->file && io->faults[i].flags & TAT_IO_MAJOR) { good = add_span(&s->faults, p, start, 1); }
    }
    for (size_t i = 0; i < placed.n_requests && good; i++) {
        const struct tat_placed * p = &placed.requests[i];
        const bool again = i && placed.requests[i - 1].event == p->event; /* one part of each */
        if (p->file && !again && io->requests[p->event].duration_ns) { good = add_span(&s->own, p, start, 1); }
    }
    tat_storage_free(&placed);
    return good ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

static int by_disk(const void * a, const void * b) {
    const struct tat_io_extent *x = a, *y = b;
    return x->disk_offset < y->disk_offset ? -1 : x->disk_offset > y->disk_offset;
}

/* The last extent that begins no later, or the first. `extents` are by place on the disk. */
static size_t extent_at(const struct tat_io_extent * extents, size_t n, uint64_t disk_offset) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (extents[middle].disk_offset <= disk_offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? low - 1 : 0;
}

/* The parts of a request that are in a file. */
static bool add_reads(struct spans * s, const struct tat_io_request * q, const struct tat_io_extent * extents, size_t n,
                      uint32_t file) {
    const uint64_t q_end = q->disk_offset + q->bytes;
    for (size_t i = extent_at(extents, n, q->disk_offset); i < n && extents[i].disk_offset < q_end; i++) {
        const struct tat_io_extent * e = &extents[i];
        const uint64_t begin = q->disk_offset > e->disk_offset ? q->disk_offset : e->disk_offset;
        const uint64_t e_end = e->disk_offset + e->bytes, end = q_end < e_end ? q_end : e_end;
        if (begin >= end) { continue; }
        struct align_span * span = list_add(&s->reads, sizeof *span);
        if (!span) { return false; }
        *span = (struct align_span){ file, e->file_offset + begin - e->disk_offset, end - begin,
                                     (int64_t) (q->end_ns - q->duration_ns), (int64_t) q->end_ns };
    }
    return true;
}

static bool reads_of_file(struct spans * s, const struct block_import * b, const struct mapped_file * m,
                          uint32_t file) {
    struct tat_io_extent * extents = malloc((m->n_extents + 1) * sizeof *extents);
    bool good = extents;
    if (good && m->n_extents) {
        memcpy(extents, m->extents, m->n_extents * sizeof *extents);
        qsort(extents, m->n_extents, sizeof *extents, by_disk);
    }
    for (size_t i = 0; i < b->blocks.n_requests && good; i++) {
        const struct tat_io_request * q = &b->blocks.requests[i];
        if (q->disk != b->disk || q->flags & (TAT_IO_WRITE | TAT_IO_FAILED)) { continue; }
        good = add_reads(s, q, extents, m->n_extents, file);
    }
    free(extents);
    return good;
}

static int find_reads(struct spans * s, const struct block_import * b, const struct tat_trace * trace,
                      struct tat_error * error) {
    for (size_t f = 0; f < b->map.n_files; f++) {
        const uint32_t file = model_of(trace, &b->map.files[f]);
        if (file && !reads_of_file(s, b, &b->map.files[f], file)) {
            return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    }
    return 0;
}

static bool first_of(const struct list * spans, int64_t * begin_ns) {
    *begin_ns = INT64_MAX;
    for (uint32_t i = 0; i < spans->count; i++) {
        if (SPANS(*spans)[i].begin_ns < *begin_ns) { *begin_ns = SPANS(*spans)[i].begin_ns; }
    }
    return spans->count;
}

/* When the run read the model first: when it began to load or map it, or at its first fault that waited. */
static bool first_read(const struct spans * s, const struct tat_trace * trace, int64_t * ns) {
    uint32_t count;
    const struct tat_event * events = tat_trace_events(trace, &count);
    const int64_t start = (int64_t) tat_trace_header(trace)->start_monotonic_ns;
    bool found = first_of(&s->faults, ns);
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].type != TAT_EVENT_LOAD_BEGIN && events[i].type != TAT_EVENT_MAPPING) { continue; }
        if (!found || start + events[i].at_ns < *ns) { *ns = start + events[i].at_ns; }
        found = true;
    }
    return found;
}

/* False: this anchor says nothing here. */
static bool offset_of(struct block_import * b, enum anchor anchor, const struct import_options * o, struct spans * s,
                      const struct tat_trace * trace, int64_t * offset) {
    const struct tat_file_header * h = tat_trace_header(trace);
    int64_t in_run, in_blocks;
    switch (anchor) {
        case ANCHOR_NONE: *offset = 0; return true;
        case ANCHOR_TIMES: *offset = o->offset_ns + (o->from_start ? (int64_t) h->start_monotonic_ns : 0); return true;
        case ANCHOR_WALL:
            *offset = b->blocks.wall_ns + (int64_t) h->start_monotonic_ns - (int64_t) h->start_realtime_ns;
            return b->blocks.wall_ns != 0;
        case ANCHOR_REQUESTS:
            return align_by_faults(s->own.data, s->own.count, s->reads.data, s->reads.count, offset, &b->votes,
                                   &b->rivals);
        case ANCHOR_FAULTS:
            return align_by_faults(s->faults.data, s->faults.count, s->reads.data, s->reads.count, offset, &b->votes,
                                   &b->rivals);
        case ANCHOR_FIRST_READ:
            if (!first_of(&s->reads, &in_blocks) || !first_read(s, trace, &in_run)) { return false; }
            *offset = in_run - in_blocks;
            return true;
        default: return false;
    }
}

static uint64_t overlaps(struct list * own, struct spans * s, int64_t offset) {
    return align_overlaps(own->data, own->count, s->reads.data, s->reads.count, offset);
}

/* Of all that say something, the one by which most faults and requests of the run overlap a read of their bytes; the
 * simplest of equal ones. Where neither was recorded, the first that is likely. */
static bool choose_anchor(struct block_import * b, const struct import_options * o, struct spans * s,
                          const struct tat_trace * trace) {
    static const enum anchor all[] = { ANCHOR_NONE, ANCHOR_WALL, ANCHOR_REQUESTS, ANCHOR_FAULTS, ANCHOR_FIRST_READ };
    bool found = false;
    uint64_t best = 0, votes = 0, rivals = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int64_t offset;
        if (all[i] == ANCHOR_NONE && !s->faults.count && !s->own.count && !b->blocks.monotonic) { continue; }
        if (!offset_of(b, all[i], o, s, trace, &offset)) { continue; }
        const uint64_t count = overlaps(&s->faults, s, offset) + overlaps(&s->own, s, offset);
        if (found && count <= best + best / 20) { continue; }
        found = true;
        best = count;
        votes = b->votes;
        rivals = b->rivals;
        b->anchor = all[i];
        b->offset_ns = offset;
    }
    b->votes = votes;
    b->rivals = rivals;
    return found;
}

static int fail_anchor(enum anchor anchor, struct tat_error * error) {
    const char * why = anchor == ANCHOR_WALL       ? "only binary files of blktrace tell the time of day"
                       : anchor == ANCHOR_REQUESTS ? "the run has no recorded request that the block trace has too"
                       : anchor == ANCHOR_FAULTS
                           ? "no page that a recorded fault waited for was read in the block trace"
                           : "the block trace has no read of the model's bytes, or the trace no load of a model";
    return tat_fail(error, TAT_ERROR_INPUT, "--anchor %s: %s", anchor_name(anchor), why);
}

/* Faults whose page was read at any time: their reads reach from the beginning to the end. */
static uint64_t covered(struct spans * s) {
    for (uint32_t i = 0; i < s->faults.count; i++) {
        SPANS(s->faults)[i].begin_ns = INT64_MIN;
        SPANS(s->faults)[i].end_ns = INT64_MAX;
    }
    return overlaps(&s->faults, s, 0);
}

static void count_in_run(struct block_import * b, const struct spans * s, const struct tat_trace * trace) {
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const int64_t start = (int64_t) tat_trace_header(trace)->start_monotonic_ns;
    int64_t begin = start, end = start + (n ? (int64_t) e[n - 1].end_ns : 0);
    first_read(s, trace, &begin);
    b->reads = s->reads.count;
    for (uint32_t i = 0; i < s->reads.count; i++) {
        const struct align_span * r = &SPANS(s->reads)[i];
        b->reads_in_run += r->end_ns + b->offset_ns >= begin && r->begin_ns + b->offset_ns <= end;
    }
}

static int align(struct block_import * b, const struct import_options * o, const struct tat_trace * trace,
                 const struct tat_io * io, struct tat_error * error) {
    struct spans s = { 0 };
    int failed = find_own(&s, trace, io, error);
    if (!failed) { failed = find_reads(&s, b, trace, error); }
    if (!failed) {
        b->anchor = o->anchor;
        const bool found = o->anchor == ANCHOR_AUTO ? choose_anchor(b, o, &s, trace)
                                                    : offset_of(b, o->anchor, o, &s, trace, &b->offset_ns);
        if (!found && o->anchor != ANCHOR_AUTO) { failed = fail_anchor(o->anchor, error); }
        b->faults = s.faults.count;
        b->faults_overlapping = overlaps(&s.faults, &s, b->offset_ns);
        b->own = s.own.count;
        b->own_overlapping = overlaps(&s.own, &s, b->offset_ns);
        count_in_run(b, &s, trace);
        b->faults_covered = covered(&s);
    }
    free(s.faults.data);
    free(s.own.data);
    free(s.reads.data);
    return failed;
}

/* ---- all ---- */

int block_import(struct block_import * b, const struct import_options * o, const struct tat_trace * trace,
                 const struct tat_io * io, struct tat_error * error) {
    *b = (struct block_import){ .io = *io };
    b->io.files = NULL;
    b->io.requests = NULL;
    b->io.n_files = b->io.n_requests = 0;
    for (size_t i = 0; i < o->n_maps; i++) {
        if (disk_map_read(&b->map, o->maps[i], o->partition_bytes, error) != 0) { return -1; }
    }
    if (block_trace_read(&b->blocks, o->traces, o->n_traces, &o->block, error) != 0) { return -1; }
    if (find_disk(b, o, error) != 0 || add_files(b, trace, io, error) != 0) { return -1; }
    return align(b, o, trace, io, error) == 0 ? add_requests(b, error) : -1;
}

void block_import_free(struct block_import * b) {
    free(b->io.files);
    free(b->io.requests);
    disk_map_free(&b->map);
    block_trace_free(&b->blocks);
    *b = (struct block_import){ 0 };
}

#define WARN(...) fprintf(stderr, "tat correlate: " __VA_ARGS__)

static void warn_of_trace(const struct block_trace * t) {
    const bool binary = t->seen[BLOCK_BLKTRACE];
    if (t->damaged) {
        WARN("%s: %s left out as damaged: %" PRIu64 ", the first at %s %" PRIu64 "\n", t->damaged_file,
             binary ? "records" : "lines", t->damaged, binary ? "byte" : "line", t->damaged_line);
    }
    if (t->lost) { WARN("events that the block trace says it lost: %" PRIu64 ". Requests are missing\n", t->lost); }
    if (t->unbegun || t->unfinished) {
        WARN("requests whose beginning is not in the block trace: %" PRIu64
             ", which count without a time; whose end is not: %" PRIu64 ", which do not count\n",
             t->unbegun, t->unfinished);
    }
}

void block_import_warn(const struct block_import * b) {
    warn_of_trace(&b->blocks);
    if (b->changed) {
        WARN("%s was written between the run and the making of the map: it may lie elsewhere now\n", b->changed);
    }
    if (!b->reads) {
        WARN("the block trace has no read of the model's bytes: is the map of this disk and file, with its "
             "partition?\n");
    } else if ((b->faults || b->own) && !b->faults_overlapping && !b->own_overlapping) {
        WARN("no page fault overlaps a read of its page: the clocks differ, or the trace is of another run; --anchor "
             "and "
             "--clock-offset align them\n");
    } else if (!b->faults && !b->own) {
        WARN("the run recorded no request, and no page fault that waited in its model, so nothing tells whether the "
             "clocks "
             "agree\n");
    }
    if (b->reads && !b->reads_in_run) {
        WARN("none of the block trace's reads of the model was while the run loaded or computed\n");
    }
}
