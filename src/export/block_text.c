/* SPDX-License-Identifier: MIT */
#include "export/block_text.h"

#include <errno.h>
#include <inttypes.h>

#include "export/text_row.h"
#include "format/buffer.h"

enum { FIELDS_MAX = 10, FIXED = 4 };

/* Fields that a payload begins with, all varints; "~" before those that are zigzag. doc/format.md has the rest. */
static const struct {
    const char * name;
    const char * fields[FIELDS_MAX + 1];
} shapes[] = {
    [0] = { "damage", { 0 } },
    [TAT_BLOCK_STRING] = { "string", { "first", "strings" } },
    [TAT_BLOCK_TENSOR] = { "tensor", { "first", "tensors" } },
    [TAT_BLOCK_TEMPLATE] = { "template", { "template", "context", "leaves", "nodes" } },
    [TAT_BLOCK_EVALUATION] = { "evaluation",
                               { "template", "flags", "rule", "~status", "threads", "thread", "begin_tick", "ticks",
                                 "callbacks", "stamps" } },
    [TAT_BLOCK_EVENT] = { "event", { "event", "tick", "thread" } },
    [TAT_BLOCK_LOSS] = { "loss", { "reason", "evaluations", "events" } },
    [TAT_BLOCK_EVENTS] = { "events", { "count" } },
    [TAT_BLOCK_END] = { "end",
                        { "evaluations_emitted", "evaluations_stored", "evaluations_filtered", "callbacks_emitted",
                          "callbacks_stored", "events_emitted", "events_stored" } },
};

static const char * const events[] = {
    [TAT_EVENT_CLOCK] = "clock",
    [TAT_EVENT_MAPPING] = "mapping",
    [TAT_EVENT_MODEL_FILE] = "model_file",
    [TAT_EVENT_LOAD_BEGIN] = "load_begin",
    [TAT_EVENT_LOAD_END] = "load_end",
    [TAT_EVENT_OPEN_MODEL] = "open_model",
    [TAT_EVENT_MEMORY_CLEAR] = "memory_clear",
    [TAT_EVENT_PERF_RESET] = "perf_reset",
    [TAT_EVENT_WARMUP] = "warmup",
    [TAT_EVENT_CALL_BEGIN] = "call_begin",
    [TAT_EVENT_CALL_END] = "call_end",
    [TAT_EVENT_CONTEXT] = "context",
    [TAT_EVENT_NOTE] = "note",
    [TAT_EVENT_MEMORY_SET] = "memory_set",
    [TAT_EVENT_BUFFER_ALLOC] = "buffer_alloc",
    [TAT_EVENT_BUFFER_FREE] = "buffer_free",
    [TAT_EVENT_OWN_READ] = "own_read",
    [TAT_EVENT_USAGE] = "usage",
    [TAT_EVENT_MACHINE] = "machine",
};
static const size_t n_shapes = sizeof shapes / sizeof shapes[0];

struct listing {
    struct text_out out;
    enum text_format format;
};

static struct cell event_name(uint64_t event) {
    const bool known = event > 0 && event < sizeof events / sizeof events[0];
    return known ? cell_text(events[event]) : cell_number(event);
}

/* The names and values at the beginning of the payload. Returns how many. */
static size_t read_fields(const struct tat_block * block, const char ** names, struct cell * cells) {
    size_t n = 0;
    if (!block->payload || (size_t) block->type >= n_shapes) { return 0; }
    struct tat_in in = { .at = block->payload, .end = block->payload + block->payload_bytes };
    for (const char * const * field = shapes[block->type].fields; *field; field++) {
        const bool is_signed = **field == '~';
        struct cell cell = is_signed ? cell_signed(tat_get_zigzag(&in)) : cell_number(tat_get_varint(&in));
        if (in.bad) { break; }
        if (block->type == TAT_BLOCK_EVENT && n == 0) { cell = event_name(cell.number); }
        names[n] = *field + is_signed;
        cells[n++] = cell;
    }
    return n;
}

static void put_fields(char * text, size_t size, const char * const * names, const struct cell * cells, size_t n) {
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        const struct cell c = cells[i];
        used += (size_t) snprintf(text + used, size - used, "%s%s=", i ? " " : "", names[i]);
        if (used >= size) { return; }
        used += (size_t) (c.kind == CELL_TEXT     ? snprintf(text + used, size - used, "%s", c.text)
                          : c.kind == CELL_SIGNED ? snprintf(text + used, size - used, "%" PRId64, c.negative)
                                                  : snprintf(text + used, size - used, "%" PRIu64, c.number));
    }
}

static bool put_block(const struct tat_block * block, void * user) {
    struct listing * listing = user;
    const char * names[FIXED + FIELDS_MAX] = { "offset", "type", "bytes", "payload_bytes" };
    struct cell cells[FIXED + FIELDS_MAX];
    char type[32], text[512], line[640];
    snprintf(type, sizeof type, "type %u", (unsigned) block->type);
    if ((size_t) block->type < n_shapes) { snprintf(type, sizeof type, "%s", shapes[block->type].name); }
    cells[0] = cell_number(block->file_offset);
    cells[1] = cell_text(type);
    cells[2] = cell_number(block->bytes);
    cells[3] = cell_number(block->payload_bytes);
    const size_t n = read_fields(block, names + FIXED, cells + FIXED);
    put_fields(text, sizeof text, names + FIXED, cells + FIXED, n);
    if (listing->format == TEXT_JSON) {
        row_json(&listing->out, names, cells, FIXED + n);
    } else if (listing->format == TEXT_TSV) {
        cells[FIXED] = cell_text(text);
        row_tsv(&listing->out, cells, FIXED + 1);
    } else {
        snprintf(line, sizeof line, "%12" PRIu64 "  %-10s %10" PRIu64 "  %s\n", block->file_offset, type, block->bytes,
                 text);
        text_out_string(&listing->out, line);
    }
    return !listing->out.error;
}

int blocks_text(const struct tat_trace * trace, enum text_format format, FILE * out, struct tat_error * error) {
    struct listing listing = { .format = format };
    text_out_begin(&listing.out, out);
    if (format == TEXT_TSV) { text_out_string(&listing.out, "offset\ttype\tbytes\tpayload_bytes\tfields\n"); }
    if (format == TEXT_TABLE) { text_out_string(&listing.out, "      OFFSET  TYPE            BYTES  FIELDS\n"); }
    tat_trace_each_block(trace, put_block, &listing);
    errno = text_out_end(&listing.out);
    return errno ? tat_fail_errno(error, "cannot write the blocks") : 0;
}
