/* SPDX-License-Identifier: MIT
 *
 * I/O events as rows. What the columns share with access records has their names.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "cli/correlate.h"
#include "cli/table.h"
#include "cli/units.h"

/* First those that all kinds have. */
static const char * const
    names[EVENT_KINDS][32] = {
        [EVENT_FAULTS] = { "event", "start_ns", "duration_ns", "while",     "place",   "matched", "graph", "token",
                           "node",  "op",       "layer",       "tensor_id", "tensor",  "expert",  "file",  "offset",
                           "size",  "pid",      "tid",         "major",     "wait_ns", "address", NULL },
        [EVENT_REQUESTS] = { "event",  "start_ns",   "duration_ns", "while",       "place",     "matched",
                             "graph",  "token",      "node",        "op",          "layer",     "tensor_id",
                             "tensor", "expert",     "file",        "offset",      "size",      "pid",
                             "access", "read_ahead", "disk",        "disk_offset", "disk_size", NULL },
        [EVENT_PAGES] = { "event", "start_ns", "duration_ns", "while", "place",     "matched", "graph",
                          "token", "node",     "op",          "layer", "tensor_id", "tensor",  "expert",
                          "file",  "offset",   "size",        "pid",   "tid",       NULL },
    };

enum { CELLS_MOST = 32 };

static struct cell number_or_none(uint64_t number, uint64_t none) {
    return number == none ? cell_text("") : cell_number(number);
}

static size_t shared_cells(const struct correlated * c, const struct tat_placed * p, uint64_t duration_ns,
                           struct cell * cells) {
    uint32_t n_tensors;
    const struct tat_tensor * tensors = tat_trace_tensors(c->trace, &n_tensors);
    const bool has_tensor = p->tensor < n_tensors, has_op = p->node != TAT_NO_NUMBER;
    size_t n = 0;
    cells[n++] = cell_number(p->event);
    cells[n++] = cell_signed(p->begin_ns);
    cells[n++] = number_or_none(duration_ns, 0); /* 0: the beginning is not known */
    cells[n++] = cell_text(tat_when_name(p->when));
    cells[n++] = cell_text(tat_place_name(p->place));
    cells[n++] = cell_number(place_is_matched(p->place));
    cells[n++] = number_or_none(p->evaluation, TAT_NO_NUMBER);
    cells[n++] = number_or_none(p->token, TAT_NO_NUMBER);
    cells[n++] = number_or_none(p->node, TAT_NO_NUMBER);
    cells[n++] = cell_text(has_op ? tat_trace_op_name(c->trace, p->op) : "");
    cells[n++] = number_or_none(p->layer, TAT_NO_LAYER);
    cells[n++] = number_or_none(p->tensor, TAT_NO_NUMBER);
    cells[n++] = cell_text(has_tensor ? tensors[p->tensor].name : "");
    cells[n++] = number_or_none(p->expert, TAT_NO_EXPERT);
    cells[n++] = number_or_none(p->file, 0);
    cells[n++] = p->file ? cell_number(p->offset) : cell_text("");
    cells[n++] = cell_number(p->bytes);
    return n;
}

static size_t fault_cells(const struct correlated * c, const struct tat_placed * p, struct cell * cells) {
    const struct tat_io_fault * f = &c->io->faults[p->event];
    size_t n = shared_cells(c, p, f->duration_ns, cells);
    cells[n++] = cell_number(f->pid);
    cells[n++] = cell_number(f->tid);
    cells[n++] = cell_number((f->flags & TAT_IO_MAJOR) != 0);
    cells[n++] = f->duration_ns ? cell_number(f->duration_ns - f->preempted_ns) : cell_text("");
    cells[n++] = cell_number(f->address);
    return n;
}

/* `disk` lives as long as the cells. */
static size_t request_cells(const struct correlated * c, const struct tat_placed * p, struct cell * cells,
                            char disk[static 32]) {
    const struct tat_io_request * q = &c->io->requests[p->event];
    size_t n = shared_cells(c, p, q->duration_ns, cells);
    snprintf(disk, 32, "%u:%u", major(q->disk), minor(q->disk));
    cells[n++] = number_or_none(q->pid, 0);
    cells[n++] = cell_text(q->flags & TAT_IO_WRITE ? "write" : "read");
    cells[n++] = cell_number((q->flags & TAT_IO_READ_AHEAD) != 0);
    cells[n++] = cell_text(disk);
    cells[n++] = cell_number(q->disk_offset);
    cells[n++] = cell_number(q->bytes);
    return n;
}

/* Where the page cache was not seen, pages come with requests, and are theirs. */
static size_t page_cells(const struct correlated * c, const struct tat_placed * p, struct cell * cells) {
    const struct tat_io * io = c->io;
    size_t n = shared_cells(c, p, 0, cells);
    if (pages_were_seen(c)) {
        cells[n++] = cell_number(io->pages[p->event].pid);
        cells[n++] = cell_number(io->pages[p->event].tid);
    } else {
        cells[n++] = number_or_none(p->event < io->n_requests ? io->requests[p->event].pid : 0, 0);
        cells[n++] = cell_text("");
    }
    return n;
}

static size_t cells_of(const struct correlated * c, enum event_kind kind, const struct tat_placed * p,
                       struct cell cells[static CELLS_MOST], char disk[static 32]) {
    switch (kind) {
        case EVENT_FAULTS: return fault_cells(c, p, cells);
        case EVENT_REQUESTS: return request_cells(c, p, cells, disk);
        default: return page_cells(c, p, cells);
    }
}

/* ---- the formats ---- */

static void put_line(struct text_out * out, enum event_kind kind, enum correlate_format format,
                     const struct cell * cells, size_t n) {
    switch (format) {
        case CORRELATE_CSV: row_csv(out, cells, n); break;
        case CORRELATE_JSON: row_json(out, names[kind], cells, n); break;
        default: row_tsv(out, cells, n); break;
    }
}

static void put_names(struct text_out * out, enum event_kind kind, enum correlate_format format) {
    size_t n = 0;
    while (names[kind][n]) { n++; }
    if (format != CORRELATE_JSON) { row_names(out, names[kind], n, format == CORRELATE_CSV ? ',' : '\t'); }
}

static int64_t stream(const struct correlated * c, enum event_kind kind, enum correlate_format format, uint64_t limit,
                      FILE * file, struct tat_error * error) {
    static struct text_out out;
    size_t n;
    uint64_t count = 0;
    const struct tat_placed * events = events_of(c, kind, &n);
    text_out_begin(&out, file);
    for (size_t i = 0; i < n && (!limit || count < limit) && !out.error; i++) {
        struct cell cells[CELLS_MOST];
        char disk[32];
        if (!is_chosen(c, kind, i)) { continue; }
        if (!count++) { put_names(&out, kind, format); }
        put_line(&out, kind, format, cells, cells_of(c, kind, &events[i], cells, disk));
    }
    errno = text_out_end(&out);
    return errno ? tat_fail_errno(error, "cannot write to standard output") : (int64_t) count;
}

static const char * text_of(char text[static 32], struct cell cell) {
    if (cell.kind == CELL_EMPTY) { return NULL; }
    if (cell.kind == CELL_NUMBER) { snprintf(text, 32, "%" PRIu64, cell.number); }
    return cell.kind == CELL_TEXT ? cell.text : text;
}

/* For people: what fits a line. */
static void put_table_row(struct table * table, const struct correlated * c, enum event_kind kind,
                          const struct tat_placed * p) {
    struct cell cells[CELLS_MOST];
    char disk[32], text[6][32], at[32], took[UNITS_SIZE], bytes[UNITS_SIZE];
    enum { TOOK = 2, WHILE, PLACE, TOKEN = 7, OP = 9, LAYER, TENSOR = 12, EXPERT, OFFSET = 15 };
    cells_of(c, kind, p, cells, disk);
    snprintf(at, sizeof at, "%.6f", (double) p->begin_ns / 1e9);
    table_row(table,
              (const char *[]){ at, cells[TOOK].kind == CELL_NUMBER ? format_duration(took, cells[TOOK].number) : NULL,
                                cells[WHILE].text, text_of(text[0], cells[TOKEN]), text_of(text[1], cells[OP]),
                                text_of(text[2], cells[LAYER]), text_of(text[3], cells[TENSOR]),
                                text_of(text[4], cells[EXPERT]), text_of(text[5], cells[OFFSET]),
                                format_bytes(bytes, p->bytes), cells[PLACE].text });
}

static int64_t tabulate(const struct correlated * c, enum event_kind kind, uint64_t limit, FILE * out,
                        struct tat_error * error) {
    static const struct column columns[] = {
        { .name = "AT (s)", .right = true },
        { .name = "TOOK", .right = true },
        { .name = "WHILE" },
        { .name = "TOKEN", .right = true },
        { .name = "OP", .spare = true },
        { .name = "LAYER", .right = true, .spare = true },
        { .name = "TENSOR" },
        { .name = "EXPERT", .right = true },
        { .name = "OFFSET", .right = true },
        { .name = "BYTES", .right = true },
        { .name = "FOR", .wrap = true },
    };
    size_t n;
    uint64_t count = 0;
    const struct tat_placed * events = events_of(c, kind, &n);
    struct table * table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && (!limit || count < limit); i++) {
        if (!is_chosen(c, kind, i)) { continue; }
        put_table_row(table, c, kind, &events[i]);
        count++;
    }
    return table_print(table, out) == 0 ? (int64_t) count : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

int64_t correlate_rows(const struct correlated * c, enum event_kind kind, enum correlate_format format, uint64_t limit,
                       FILE * out, struct tat_error * error) {
    return format == CORRELATE_TABLE ? tabulate(c, kind, limit, out, error)
                                     : stream(c, kind, format, limit, out, error);
}
