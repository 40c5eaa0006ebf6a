/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/block.h"
#include "format/contents.h"
#include "format/file_names.h"
#include "format/trace.h"

/* ---- the header ---- */

static const char * kind_name(enum tat_file_kind kind) {
    return kind == TAT_FILE_IO_EVENTS ? "I/O events" : "tensor accesses";
}

/* Checks each field that can be wrong, by name and byte. */
static int check_header(const struct tat_trace * trace, enum tat_file_kind kind, struct tat_error * error) {
    const struct tat_file_header * h = &trace->header;
    const char * path = trace->path;
#define BAD(field, text, ...)                                                                                          \
    tat_fail(error, TAT_ERROR_INPUT, "%s: byte %zu, %s: " text, path, offsetof(struct tat_file_header, field), #field, \
             __VA_ARGS__)
    if (memcmp(h->magic, TAT_MAGIC, sizeof h->magic) != 0) { return BAD(magic, "not a %s file", TAT_MAGIC); }
    if (h->byte_order != TAT_BYTE_ORDER) {
        return BAD(byte_order, "0x%08" PRIx32 ", expected 0x%08x (written on a big-endian machine, or damaged)",
                   h->byte_order, TAT_BYTE_ORDER);
    }
    if (h->version != TAT_FORMAT_VERSION) {
        return BAD(version, "%" PRIu32 ", this tat reads version %d", h->version, TAT_FORMAT_VERSION);
    }
    if (h->header_bytes != TAT_HEADER_BYTES) {
        return BAD(header_bytes, "%" PRIu32 ", expected %d", h->header_bytes, TAT_HEADER_BYTES);
    }
    const uint64_t sum = tat_checksum(h, offsetof(struct tat_file_header, checksum), 0);
    if (sum != h->checksum) {
        return BAD(checksum, "0x%016" PRIx64 " does not match the header's bytes (0x%016" PRIx64 "): it is damaged",
                   h->checksum, sum);
    }
    if (h->file_kind != (uint32_t) kind) {
        return BAD(file_kind, "%" PRIu32 ", expected %d (%s)", h->file_kind, kind, kind_name(kind));
    }
    if (h->features & ~(uint64_t) TAT_FEATURE_PRIVATE) {
        return BAD(features, "0x%" PRIx64 " has bits this tat does not know: a newer one wrote it", h->features);
    }
    if (h->clock > TAT_CLOCK_CNTVCT) { return BAD(clock, "%" PRIu32 " is unknown", h->clock); }
    if (h->stamp_shift > 16) { return BAD(stamp_shift, "%" PRIu32 " is over 16", h->stamp_shift); }
    if (h->ticks_per_second < 1000 || h->ticks_per_second > 1000000000000u) {
        return BAD(ticks_per_second, "%" PRIu64 " is not a clock rate", h->ticks_per_second);
    }
    if (!memchr(h->producer, 0, sizeof h->producer)) { return BAD(producer, "%s", "does not end"); }
    if (!memchr(h->program, 0, sizeof h->program)) { return BAD(program, "%s", "does not end"); }
    if (!memchr(h->ggml_path, 0, sizeof h->ggml_path)) { return BAD(ggml_path, "%s", "does not end"); }
    if (!memchr(h->ggml_version, 0, sizeof h->ggml_version)) { return BAD(ggml_version, "%s", "does not end"); }
#undef BAD
    return 0;
}

static int open_file(struct tat_trace * trace, enum tat_file_kind kind, struct tat_error * error) {
    struct stat status;
    trace->fd = open(trace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (trace->fd < 0 || fstat(trace->fd, &status) != 0) { return tat_fail_errno(error, "%s", trace->path); }
    if (!S_ISREG(status.st_mode)) { return tat_fail(error, TAT_ERROR_INPUT, "%s: not a regular file", trace->path); }
    trace->size = (uint64_t) status.st_size;
    const ssize_t n = pread(trace->fd, &trace->header, sizeof trace->header, 0);
    if (n < 0) { return tat_fail_errno(error, "%s", trace->path); }
    if (n >= 4 && memcmp(trace->header.magic, "GGUF", 4) == 0) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: a model file, not a trace; `tat gguf` shows what it holds",
                        trace->path);
    }
    if (n < TAT_HEADER_BYTES) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: has %zd bytes, but a trace begins with a header of %d",
                        trace->path, n, TAT_HEADER_BYTES);
    }
    return check_header(trace, kind, error);
}

/* ---- the blocks ---- */

/* In a file made to look like blocks everywhere, each of them would be summed up again. After so many times its size in
 * vain, the rest counts as damage. */
enum { VAIN_SUMS = 16 };

/* The payload of the block at scan->at; sets its header. NULL: there is no whole block. */
static const uint8_t * block_at(const struct tat_trace * trace, struct scan * scan) {
    struct tat_block_header * header = &scan->header;
    const uint64_t at = scan->at;
    const uint8_t * bytes = window_get(&scan->window, at, sizeof *header);
    if (!bytes) { /* the file has less, at least by now */
        const uint64_t end = at + ((scan->window.count + TAT_BLOCK_ALIGN - 1) & ~(uint64_t) (TAT_BLOCK_ALIGN - 1));
        if (end < scan->end) { scan->end = end; }
        return NULL;
    }
    memcpy(header, bytes, sizeof *header);
    if (header->magic != TAT_BLOCK_MAGIC || header->payload_bytes > TAT_BLOCK_MAX ||
        scan->vain / VAIN_SUMS > trace->size || trace->size - at < sizeof *header ||
        header->payload_bytes > trace->size - at - sizeof *header) {
        return NULL;
    }
    bytes = window_get(&scan->window, at, sizeof *header + header->payload_bytes);
    if (!bytes) { return NULL; }
    const uint8_t * payload = bytes + sizeof *header;
    const uint64_t sum = tat_block_checksum(at, (enum tat_block_type) header->type, payload, header->payload_bytes);
    if (sum == header->checksum) { return payload; }
    scan->vain += header->payload_bytes;
    return NULL;
}

enum decoded { DECODED, SENSELESS, UNKNOWN };

static enum decoded decode_block(struct tat_trace * trace, const struct tat_block_header * header,
                                 const uint8_t * payload, uint64_t at) {
    const struct tat_in in = { .at = payload, .end = payload + header->payload_bytes };
    bool good = false;
    switch (header->type) {
        case TAT_BLOCK_STRING: good = decode_strings(trace, in); break;
        case TAT_BLOCK_TENSOR: good = decode_tensors(trace, in); break;
        case TAT_BLOCK_TEMPLATE: good = decode_template(trace, in); break;
        case TAT_BLOCK_EVALUATION: good = decode_evaluation(trace, in, at + sizeof *header); break;
        case TAT_BLOCK_EVENT:
            if (!event_is_known(in)) { return UNKNOWN; }
            good = decode_event(trace, in);
            break;
        case TAT_BLOCK_LOSS: good = decode_loss(trace, in); break;
        case TAT_BLOCK_END: good = decode_end(trace, in); break;
        case TAT_BLOCK_EVENTS: good = decode_events(trace, in); break;
        default: return UNKNOWN;
    }
    return good ? DECODED : SENSELESS;
}

/* A file may be almost one hole: there is no data at this place or after it. */
static uint64_t data_end(const struct tat_trace * trace) {
    uint64_t low = 0, high = trace->size;
    while (high - low > TAT_HEADER_BYTES) {
        const uint64_t middle = low + (high - low) / 2;
        *(lseek(trace->fd, (off_t) middle, SEEK_DATA) < 0 && errno == ENXIO ? &high : &low) = middle;
    }
    return high;
}

static uint64_t last_not_zero(const uint8_t * bytes, size_t count) {
    static const uint8_t zeros[64];
    while (count >= sizeof zeros && memcmp(bytes + count - sizeof zeros, zeros, sizeof zeros) == 0) {
        count -= sizeof zeros;
    }
    while (count && bytes[count - 1] == 0) { count--; }
    return count;
}

/* The end of the last byte that is not zero, up to a multiple of 8. A process that was killed leaves reserved space
 * after it. The writer may be cutting that off right now. */
static uint64_t written_end(const struct tat_trace * trace, struct window * window) {
    enum { PIECE = 64 << 10 };
    uint64_t end = data_end(trace);
    while (end > TAT_HEADER_BYTES) {
        const uint64_t from = (end - 1) & ~(uint64_t) (PIECE - 1);
        const uint8_t * bytes = window_get(window, from, end - from);
        const uint64_t count = last_not_zero(bytes ? bytes : window->bytes, bytes ? end - from : window->count);
        if (window->error) { return end; }
        if (count) { return from + ((count + 7) & ~(uint64_t) 7); }
        end = from;
    }
    return TAT_HEADER_BYTES;
}

static struct scan scan_begin(const struct tat_trace * trace) {
    struct scan scan = { .window = { .fd = trace->fd }, .at = TAT_HEADER_BYTES };
    scan.end = written_end(trace, &scan.window);
    if (scan.end > trace->size) { scan.end = trace->size; }
    return scan;
}

bool scan_read(struct tat_trace * trace, struct scan * scan) {
    struct tat_trace_summary * s = &trace->summary;
    const uint8_t * payload = block_at(trace, scan);
    if (!payload) { return false; }
    const uint64_t bytes = tat_block_bytes(scan->header.payload_bytes);
    const enum decoded decoded = decode_block(trace, &scan->header, payload, scan->at);
    s->used_bytes += bytes;
    trace->contents = tat_checksum(&scan->header.checksum, sizeof scan->header.checksum, trace->contents);
    if (scan->header.type < TAT_BLOCK_ROOM) {
        s->n_blocks[scan->header.type]++;
        s->block_bytes[scan->header.type] += bytes;
    }
    s->undecodable_blocks += decoded == SENSELESS;
    s->unknown_blocks += decoded == UNKNOWN;
    scan->at += bytes;
    return true;
}

/* At a place without a block: moves to where the next may be. Returns how many bytes that is. */
static uint64_t scan_skip(struct scan * scan) {
    enum { STEPS = 64 << 10 }; /* a hole may begin anywhere, so the file is asked now and then */
    const uint64_t from = scan->at;
    scan->at += TAT_BLOCK_ALIGN;
    if (scan->at % STEPS == 0) { scan->at = window_skip_hole(&scan->window, scan->at, scan->end); }
    return scan->at - from;
}

/* Skips a block that does not check out. The next one is found by its magic and checksum. */
static int read_blocks(struct tat_trace * trace, struct tat_error * error) {
    struct scan scan = scan_begin(trace);
    while (scan.at < scan.end && !scan.window.error) {
        if (!scan_read(trace, &scan)) { trace->summary.damaged_bytes += scan_skip(&scan); }
    }
    window_free(&scan.window);
    errno = scan.window.error;
    return errno ? tat_fail_errno(error, "%s: byte %" PRIu64, trace->path, scan.at) : 0;
}

void tat_trace_each_block(const struct tat_trace * trace, tat_block_sink sink, void * user) {
    struct scan scan = scan_begin(trace);
    struct tat_block damage = { 0 };
    bool going = true;
    while (going && scan.at < scan.end) {
        const uint64_t at = scan.at;
        const uint8_t * payload = block_at(trace, &scan);
        if (!payload) {
            if (!damage.bytes) { damage.file_offset = at; }
            damage.bytes += scan_skip(&scan);
            continue;
        }
        const struct tat_block block = { at, tat_block_bytes(scan.header.payload_bytes),
                                         (enum tat_block_type) scan.header.type, payload, scan.header.payload_bytes };
        going = (!damage.bytes || sink(&damage, user)) && sink(&block, user);
        scan.at += block.bytes;
        damage.bytes = 0;
    }
    if (going && damage.bytes) { sink(&damage, user); }
    window_free(&scan.window);
}

int tat_file_each_block(const char * path, enum tat_file_kind kind, struct tat_file_header * header,
                        tat_block_sink sink, void * user, struct tat_error * error) {
    struct tat_trace file = { .path = (char *) path, .fd = -1 };
    const int status = open_file(&file, kind, error);
    if (status == 0 && header) { *header = file.header; }
    if (status == 0) { tat_trace_each_block(&file, sink, user); }
    if (file.fd >= 0) { close(file.fd); }
    return status;
}

/* ---- open and close ---- */

char * trace_file_path(const char * path) {
    struct stat status;
    char * file = NULL;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return asprintf(&file, "%s/" TRACE_FILE, path) < 0 ? NULL : file;
    }
    return strdup(path);
}

int trace_begin(struct tat_trace * trace, struct tat_error * error) {
    if (open_file(trace, TAT_FILE_TENSOR_ACCESS, error) != 0) { return -1; }
    struct tat_layout * contiguous = list_add(&trace->layouts, sizeof *contiguous);
    bool memory = contiguous != NULL;
    for (int i = 0; i < 16 && memory; i++) { memory = list_add(&trace->params, sizeof(int32_t)) != NULL; }
    if (!memory) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    trace->summary.file_bytes = trace->size;
    trace->summary.used_bytes = TAT_HEADER_BYTES;
    return 0;
}

static int read_trace(struct tat_trace * trace, struct tat_error * error) {
    struct stat status;
    if (trace_begin(trace, error) != 0 || read_blocks(trace, error) != 0) { return -1; }
    if (!timeline_build(trace) || !models_build(trace) || !weights_build(trace)) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
    }
    if (fstat(trace->fd, &status) == 0 && (uint64_t) status.st_size < trace->size) {
        trace->summary.file_bytes = (uint64_t) status.st_size; /* the writer has cut off what it had reserved */
    }
    return tat_trace_trouble(trace, error);
}

struct tat_trace * tat_trace_open(const char * path, struct tat_error * error) {
    struct tat_trace * trace = calloc(1, sizeof *trace);
    if (!trace) {
        tat_fail_errno(error, "%s", path);
        return NULL;
    }
    pthread_mutex_init(&trace->lock, NULL);
    trace->fd = -1;
    trace->path = trace_file_path(path);
    if (!trace->path) {
        tat_fail_errno(error, "%s", path);
    } else if (read_trace(trace, error) == 0) {
        return trace;
    }
    tat_trace_close(trace);
    return NULL;
}

/* All else belongs to the whole. */
static void close_part(struct tat_trace * part) {
    struct list * lists[] = { &part->tensors, &part->templates, &part->models, &part->evaluations,
                              &part->bodies,  &part->layouts,   &part->numbers };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) { free(lists[i]->data); }
    free(part->layout_of);
    free(part->layers);
    window_free(&part->window);
    pthread_mutex_destroy(&part->lock);
    free(part);
}

void tat_trace_close(struct tat_trace * trace) {
    if (!trace) { return; }
    plans_free(trace);
    if (trace->of) {
        close_part(trace);
        return;
    }
    struct list * lists[] = { &trace->strings,   &trace->types,   &trace->op_of,       &trace->ops,    &trace->tensors,
                              &trace->templates, &trace->params,  &trace->evaluations, &trace->bodies, &trace->events,
                              &trace->files,     &trace->anchors, &trace->layouts,     &trace->models };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) { free(lists[i]->data); }
    arena_free(&trace->arena);
    free(trace->layout_of);
    window_free(&trace->window);
    if (trace->fd >= 0) { close(trace->fd); }
    pthread_mutex_destroy(&trace->lock);
    free(trace->path);
    free(trace);
}

/* ---- accessors ---- */

#define ACCESSOR(type_, function, list_)                                                                               \
    const type_ * function(const struct tat_trace * trace, uint32_t * count) {                                         \
        *count = trace->list_.count;                                                                                   \
        return LIST(const type_, trace->list_);                                                                        \
    }

ACCESSOR(struct tat_tensor, tat_trace_tensors, tensors)
ACCESSOR(struct tat_template, tat_trace_templates, templates)
ACCESSOR(struct tat_evaluation, tat_trace_evaluations, evaluations)
ACCESSOR(struct tat_event, tat_trace_events, events)
ACCESSOR(struct tat_model_file, tat_trace_model_files, files)
ACCESSOR(struct tat_model, tat_trace_models, models)

const struct tat_file_header * tat_trace_header(const struct tat_trace * trace) {
    return &trace->header;
}

const char * tat_trace_path(const struct tat_trace * trace) {
    return trace->path;
}

const struct tat_trace_summary * tat_trace_summary(const struct tat_trace * trace) {
    return &trace->summary;
}

uint64_t trace_contents(const struct tat_trace * trace) {
    return trace->contents;
}

uint16_t tat_trace_n_ops(const struct tat_trace * trace) {
    return (uint16_t) trace->ops.count;
}

const char * tat_trace_op_name(const struct tat_trace * trace, uint16_t op_index) {
    return op_index < trace->ops.count ? LIST(const char *, trace->ops)[op_index] : "";
}

const char * tat_phase_name(enum tat_phase phase) {
    static const char * const names[] = { "warmup", "prompt", "generate", "mixed", "other", "verify", "unknown" };
    static_assert(sizeof names / sizeof names[0] == TAT_PHASE_COUNT, "each has a name");
    return (unsigned) phase < TAT_PHASE_COUNT ? names[phase] : "";
}

const char * tat_loss_name(enum tat_loss_reason reason) {
    static const char * const names[] = { "",          "could not be written", "--max-size", "too many graphs at once",
                                          "no memory", "unknown struct layout" };
    return (unsigned) reason < TAT_LOSS_COUNT ? names[reason] : "";
}
