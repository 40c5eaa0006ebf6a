/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/block.h"
#include "format/trace.h"

/* ---- the header ---- */

/* Each field that can be wrong, by name and byte. */
static int check_header(const struct tat_trace * trace, struct tat_error * error) {
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
    if (h->file_kind != TAT_FILE_TENSOR_ACCESS) {
        return BAD(file_kind, "%" PRIu32 " is no tensor access trace (%d)", h->file_kind, TAT_FILE_TENSOR_ACCESS);
    }
    if (h->features & ~(uint64_t) TAT_FEATURE_PRIVATE) {
        return BAD(features, "0x%" PRIx64 " has bits this tat does not know: a newer one wrote it", h->features);
    }
    if (h->clock > TAT_CLOCK_CNTVCT) { return BAD(clock, "%" PRIu32 " is unknown", h->clock); }
    if (h->stamp_shift > 16) { return BAD(stamp_shift, "%" PRIu32 " is over 16", h->stamp_shift); }
    if (h->ticks_per_second < 1000 || h->ticks_per_second > 1000000000000u) {
        return BAD(ticks_per_second, "%" PRIu64 " is no rate of a clock", h->ticks_per_second);
    }
    if (!memchr(h->producer, 0, sizeof h->producer)) { return BAD(producer, "%s", "does not end"); }
    if (!memchr(h->program, 0, sizeof h->program)) { return BAD(program, "%s", "does not end"); }
    if (!memchr(h->ggml_path, 0, sizeof h->ggml_path)) { return BAD(ggml_path, "%s", "does not end"); }
    if (!memchr(h->ggml_version, 0, sizeof h->ggml_version)) { return BAD(ggml_version, "%s", "does not end"); }
#undef BAD
    return 0;
}

static int map_file(struct tat_trace * trace, struct tat_error * error) {
    const int fd = open(trace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return tat_fail_errno(error, "%s", trace->path); }
    struct stat status;
    int result = -1;
    if (fstat(fd, &status) != 0) {
        tat_fail_errno(error, "%s", trace->path);
    } else if (!S_ISREG(status.st_mode)) {
        tat_fail(error, TAT_ERROR_INPUT, "%s: not a regular file", trace->path);
    } else if ((uint64_t) status.st_size < TAT_HEADER_BYTES) {
        tat_fail(error, TAT_ERROR_INPUT, "%s: %" PRIu64 " bytes, but a trace begins with a header of %d", trace->path,
                 (uint64_t) status.st_size, TAT_HEADER_BYTES);
    } else {
        void * map = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
            tat_fail_errno(error, "%s: cannot map %" PRIu64 " bytes", trace->path, (uint64_t) status.st_size);
        } else {
            trace->map = map;
            trace->size = (uint64_t) status.st_size;
            result = 0;
        }
    }
    close(fd);
    return result;
}

/* ---- the blocks ---- */

/* A file made to look like blocks everywhere would be summed up again from every one of them: after so many times its
 * size in vain, the rest of it is damage. */
enum { VAIN_SUMS = 16 };

/* Payload bytes of the block at scan->at, or -1 if there is none that is whole. */
static int64_t block_at(const struct tat_trace * trace, struct scan * scan) {
    struct tat_block_header * header = &scan->header;
    const uint64_t at = scan->at;
    if (trace->size - at < sizeof *header || scan->vain / VAIN_SUMS > trace->size) { return -1; }
    memcpy(header, trace->map + at, sizeof *header);
    if (header->magic != TAT_BLOCK_MAGIC || header->payload_bytes > TAT_BLOCK_MAX ||
        header->payload_bytes > trace->size - at - sizeof *header) {
        return -1;
    }
    const uint64_t sum = tat_block_checksum(at, (enum tat_block_type) header->type, trace->map + at + sizeof *header,
                                            header->payload_bytes);
    if (sum == header->checksum) { return (int64_t) header->payload_bytes; }
    scan->vain += header->payload_bytes;
    return -1;
}

enum decoded { DECODED, SENSELESS, UNKNOWN };

static enum decoded decode_block(struct tat_trace * trace, const struct tat_block_header * header, uint64_t at) {
    const uint8_t * payload = trace->map + at + sizeof *header;
    const struct tat_in in = { .at = payload, .end = payload + header->payload_bytes };
    bool good = false;
    switch (header->type) {
        case TAT_BLOCK_STRING: good = decode_strings(trace, in); break;
        case TAT_BLOCK_TENSOR: good = decode_tensors(trace, in); break;
        case TAT_BLOCK_TEMPLATE: good = decode_template(trace, in); break;
        case TAT_BLOCK_EVALUATION: good = decode_evaluation(trace, in); break;
        case TAT_BLOCK_EVENT:
            if (!event_is_known(in)) { return UNKNOWN; }
            good = decode_event(trace, in);
            break;
        case TAT_BLOCK_LOSS: good = decode_loss(trace, in); break;
        case TAT_BLOCK_END: good = decode_end(trace, in); break;
        default: return UNKNOWN;
    }
    return good ? DECODED : SENSELESS;
}

/* The last byte that is not zero: a process that was killed leaves reserved space behind. */
static uint64_t written_end(const struct tat_trace * trace) {
    uint64_t at = trace->size & ~(uint64_t) 7;
    for (uint64_t i = at; i < trace->size; i++) {
        if (trace->map[i]) { return trace->size; }
    }
    for (uint64_t word; at > TAT_HEADER_BYTES; at -= 8) {
        memcpy(&word, trace->map + at - 8, 8);
        if (word) { break; }
    }
    return at;
}

static struct scan scan_begin(const struct tat_trace * trace) {
    return (struct scan){ .end = written_end(trace), .at = TAT_HEADER_BYTES };
}

bool scan_read(struct tat_trace * trace, struct scan * scan) {
    struct tat_trace_summary * s = &trace->summary;
    const int64_t payload = block_at(trace, scan);
    if (payload < 0) { return false; }
    const uint64_t bytes = tat_block_bytes((uint64_t) payload);
    const enum decoded decoded = decode_block(trace, &scan->header, scan->at);
    s->used_bytes += bytes;
    if (scan->header.type >= TAT_BLOCK_STRING && scan->header.type <= TAT_BLOCK_END) {
        s->n_blocks[scan->header.type]++;
        s->block_bytes[scan->header.type] += bytes;
    }
    s->undecodable_blocks += decoded == SENSELESS;
    s->unknown_blocks += decoded == UNKNOWN;
    scan->at += bytes;
    return true;
}

/* A block that does not check out is skipped: the next one is found by its magic and checksum. */
static void read_blocks(struct tat_trace * trace) {
    struct scan scan = scan_begin(trace);
    while (scan.at < scan.end) {
        if (!scan_read(trace, &scan)) {
            scan.at += TAT_BLOCK_ALIGN;
            trace->summary.damaged_bytes += TAT_BLOCK_ALIGN;
        }
    }
}

void tat_trace_each_block(const struct tat_trace * trace, tat_block_sink sink, void * user) {
    struct scan scan = scan_begin(trace);
    struct tat_block damage = { 0 };
    for (uint64_t bytes; scan.at < scan.end; scan.at += bytes) {
        const int64_t payload = block_at(trace, &scan);
        bytes = payload < 0 ? TAT_BLOCK_ALIGN : tat_block_bytes((uint64_t) payload);
        if (payload < 0) {
            if (!damage.bytes) { damage.file_offset = scan.at; }
            damage.bytes += bytes;
            continue;
        }
        const struct tat_block block = { scan.at, bytes, (enum tat_block_type) scan.header.type,
                                         trace->map + scan.at + sizeof scan.header, scan.header.payload_bytes };
        if ((damage.bytes && !sink(&damage, user)) || !sink(&block, user)) { return; }
        damage.bytes = 0;
    }
    if (damage.bytes) { sink(&damage, user); }
}

/* ---- open and close ---- */

char * trace_file_path(const char * path) {
    struct stat status;
    char * file = NULL;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return asprintf(&file, "%s/tensor_access.bin", path) < 0 ? NULL : file;
    }
    return strdup(path);
}

int trace_begin(struct tat_trace * trace, struct tat_error * error) {
    memcpy(&trace->header, trace->map, sizeof trace->header);
    if (check_header(trace, error) != 0) { return -1; }
    struct tat_layout * contiguous = list_add(&trace->layouts, sizeof *contiguous);
    bool memory = contiguous != NULL;
    for (int i = 0; i < 16 && memory; i++) { memory = list_add(&trace->params, sizeof(int32_t)) != NULL; }
    if (!memory) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    trace->summary.file_bytes = trace->size;
    trace->summary.used_bytes = TAT_HEADER_BYTES;
    return 0;
}

static int read_trace(struct tat_trace * trace, struct tat_error * error) {
    if (map_file(trace, error) != 0 || trace_begin(trace, error) != 0) { return -1; }
    read_blocks(trace);
    if (!timeline_build(trace) || !models_build(trace)) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path);
    }
    return 0;
}

struct tat_trace * tat_trace_open(const char * path, struct tat_error * error) {
    struct tat_trace * trace = calloc(1, sizeof *trace);
    if (!trace) {
        tat_fail_errno(error, "%s", path);
        return NULL;
    }
    pthread_mutex_init(&trace->lock, NULL);
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
    struct list * lists[] = { &part->tensors,     &part->templates, &part->models,
                              &part->evaluations, &part->bodies,    &part->layouts };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) { free(lists[i]->data); }
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
    if (trace->map) { munmap((void *) trace->map, trace->size); }
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
    static const char * const names[] = { "",          "no room was ready",    "--max-size", "too many graphs at once",
                                          "no memory", "unknown struct layout" };
    return (unsigned) reason < TAT_LOSS_COUNT ? names[reason] : "";
}
