/* SPDX-License-Identifier: MIT
 *
 * Only a command's name can have spaces in it. So columns before it are counted from the left, those after it from the
 * right.
 */
#include "blocktrace/columns.h"

#include <stdlib.h>
#include <string.h>

#include "blocktrace/text.h"
#include "io/requests.h"

enum { COLUMNS_MOST = 24, WORDS_MOST = 64 };

enum column { TIME, COMM, PID, DISK, TYPE, SECTOR, OFFSET, BYTES, LATENCY, COLUMN_COUNT };

struct columns {
    int at[COLUMN_COUNT]; /* from the left, or where COMM is before it, from the right: -1 is the last. 0x7f: none */
    int count;
    uint64_t time_unit, latency_unit; /* nanoseconds */
    bool lacks_place;
};

enum { NONE = 0x7f };

static const char * const names[COLUMN_COUNT] = {
    [TIME] = "TIME",     [COMM] = "COMM",     [PID] = "PID",     [DISK] = "DISK",   [TYPE] = "T",
    [SECTOR] = "SECTOR", [OFFSET] = "OFFSET", [BYTES] = "BYTES", [LATENCY] = "LAT",
};

/* "LAT(ms)" is LAT; a name without a unit is of seconds as TIME, of milliseconds as LAT. */
static int column_of(struct word word, uint64_t * unit) {
    const char * open = memchr(word.at, '(', (size_t) (word.end - word.at));
    const struct word name = { word.at, open ? open : word.end };
    static const struct {
        const char * text;
        uint64_t ns;
    } units[] = { { "(s)", 1000000000 }, { "(ms)", 1000000 }, { "(us)", 1000 }, { "(ns)", 1 } };
    *unit = 0;
    for (size_t i = 0; open && i < sizeof units / sizeof units[0]; i++) {
        if (word_is((struct word){ open, word.end }, units[i].text)) { *unit = units[i].ns; }
    }
    if (word_is(name, "SIZE")) { return BYTES; }
    if (word_is(name, "TYPE")) { return TYPE; }
    for (int c = 0; c < COLUMN_COUNT; c++) {
        if (word_is(name, names[c])) { return c; }
    }
    return COLUMN_COUNT;
}

static bool is_header(const char * line, size_t length) {
    const char * at = line;
    struct word word;
    bool time = false, latency = false, comm = false;
    uint64_t unit;
    while (text_word(&at, line + length, &word)) {
        const int column = column_of(word, &unit);
        time |= column == TIME;
        latency |= column == LATENCY;
        comm |= column == COMM;
    }
    return time && latency && comm;
}

static void set_columns(struct columns * c, const char * line, size_t length) {
    const char * at = line;
    struct word word;
    uint64_t unit;
    bool after_comm = false;
    *c = (struct columns){ .time_unit = 1000000000, .latency_unit = 1000000 };
    for (int i = 0; i < COLUMN_COUNT; i++) { c->at[i] = NONE; }
    while (c->count < COLUMNS_MOST && text_word(&at, line + length, &word)) {
        const int column = column_of(word, &unit);
        if (column < COLUMN_COUNT) { c->at[column] = after_comm ? c->count - 2 * COLUMNS_MOST : c->count; }
        if (column == TIME && unit) { c->time_unit = unit; }
        if (column == LATENCY && unit) { c->latency_unit = unit; }
        after_comm |= column == COMM;
        c->count++;
    }
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (c->at[i] < 0) { c->at[i] += 2 * COLUMNS_MOST - c->count; } /* now from the right */
    }
    c->lacks_place = (c->at[SECTOR] == NONE && c->at[OFFSET] == NONE) || c->at[BYTES] == NONE;
}

struct row {
    struct word words[WORDS_MOST];
    int count;
};

static bool cell(const struct columns * c, const struct row * row, enum column column, struct word * word) {
    const int at = c->at[column];
    if (at == NONE) { return false; }
    *word = row->words[at < 0 ? row->count + at : at];
    return true;
}

static bool read_row(struct block_reader * r, const struct columns * c, const struct row * row) {
    struct tat_io_request q = { 0 };
    struct word word;
    uint64_t latency, place, pid = 0;
    if (!cell(c, row, TIME, &word) || !text_time(word, c->time_unit, &q.end_ns)) { return false; }
    if (!cell(c, row, LATENCY, &word) || !text_time(word, c->latency_unit, &latency)) { return false; }
    if (!cell(c, row, BYTES, &word) || !text_number(word, &q.bytes)) { return false; }
    if (cell(c, row, SECTOR, &word)) {
        if (!text_number(word, &place) || !block_is_sane(place, q.bytes)) { return false; }
        q.disk_offset = place * BLOCK_SECTOR;
    } else if (!cell(c, row, OFFSET, &word) || !text_number(word, &q.disk_offset) ||
               !block_is_sane(q.disk_offset / BLOCK_SECTOR, q.bytes)) {
        return false;
    }
    if (cell(c, row, TYPE, &word) && !request_flags(word.at, (size_t) (word.end - word.at), &q.flags)) {
        r->trace->other_lines++;
        return true;
    }
    if (cell(c, row, PID, &word) && text_number(word, &pid) && pid <= UINT32_MAX) { q.pid = (uint32_t) pid; }
    q.duration_ns = latency ? latency : 1;
    const bool named = cell(c, row, DISK, &word);
    q.disk = block_disk_named(r, named ? word.at : "", named ? (size_t) (word.end - word.at) : 0);
    block_add_request(r, &q);
    return true;
}

/* What bcc's biosnoop prints, where its first line was cut off. */
#define USUAL "TIME(s) COMM PID DISK T SECTOR BYTES LAT(ms)"

bool columns_read(struct block_reader * r, const char * line, size_t length) {
    const bool header = is_header(line, length);
    if (!r->columns && (header || r->options->format == BLOCK_BIOSNOOP)) {
        r->columns = malloc(sizeof *r->columns);
        if (!r->columns) {
            r->memory = false;
            return true;
        }
        set_columns(r->columns, USUAL, strlen(USUAL));
    }
    if (header) {
        set_columns(r->columns, line, length);
        r->trace->other_lines++;
        return true;
    }
    if (!r->columns) { return false; }
    struct row row = { .count = 0 };
    const char * at = line;
    while (row.count < WORDS_MOST && text_word(&at, line + length, &row.words[row.count])) { row.count++; }
    if (r->columns->lacks_place || row.count == 0 || *row.words[0].at < '0' || *row.words[0].at > '9') {
        r->trace->other_lines++;
    } else if (row.count < r->columns->count || !read_row(r, r->columns, &row)) {
        block_damaged(r, r->line);
    }
    return true;
}

bool columns_lack_place(const struct block_reader * r) {
    return r->columns && r->columns->lacks_place;
}

void columns_free(struct block_reader * r) {
    free(r->columns);
    r->columns = NULL;
}
