/* SPDX-License-Identifier: MIT
 *
 * The formats that are lines. A line counts as damaged if it begins like an event of a kind that we want and does not
 * go on so; all others are passed over, as these formats are full of headers, summaries and events of other kinds.
 */
#include <stdio.h>
#include <string.h>

#include "blocktrace/columns.h"
#include "blocktrace/events.h"
#include "blocktrace/line_format.h"
#include "blocktrace/text.h"
#include "io/requests.h"

enum { WORDS_BEFORE_TIME = 16, WORDS_BEFORE_EVENT = 4 };

/* ---- what all have: a sector, a number of sectors, and words in brackets ---- */

/* "20482 + 128 [dd]" somewhere in the rest; *at moves behind it. False: there is none. */
static bool find_sectors(const char ** at, const char * end, struct block_event * e) {
    struct word before = { NULL, NULL }, word;
    uint64_t sector, count;
    while (text_word(at, end, &word)) {
        if (!word_is(word, "+") || !before.at) {
            before = word;
            continue;
        }
        if (!text_number(before, &sector) || !text_word(at, end, &word) || !text_number(word, &count)) { return false; }
        if (count > UINT32_MAX || !block_is_sane(sector, count * BLOCK_SECTOR)) { return false; }
        e->offset = sector * BLOCK_SECTOR;
        e->bytes = count * BLOCK_SECTOR;
        return true;
    }
    return false;
}

/* The last of what is in brackets. */
static void find_error(const char * at, const char * end, struct block_event * e) {
    struct word word;
    int error = 0;
    while (text_word(&at, end, &word)) { text_error(word, &error); }
    if (error) { e->flags |= TAT_IO_FAILED; }
}

static bool has_plus(const char * at, const char * end) {
    struct word word;
    while (text_word(&at, end, &word)) {
        if (word_is(word, "+")) { return true; }
    }
    return false;
}

/* Behind the action: letters, sectors, the rest. What moves no bytes has no sectors, and is passed over. */
static void take(struct block_reader * r, struct block_event * e, const char * at, const char * end, uint64_t disk) {
    struct word letters;
    uint32_t flags = 0;
    if (!text_word(&at, end, &letters)) {
        block_damaged(r, r->line);
        return;
    }
    if (!request_flags(letters.at, (size_t) (letters.end - letters.at), &flags) || !has_plus(at, end)) {
        r->trace->other_lines++;
        return;
    }
    e->flags = (uint8_t) flags;
    if (!find_sectors(&at, end, e)) {
        block_damaged(r, r->line);
        return;
    }
    if (e->kind == BLOCK_COMPLETE || e->kind == BLOCK_DONE) { find_error(at, end, e); }
    e->disk = block_disk_numbered(r, disk);
    block_add(r, e);
}

/* ---- blktrace's letters ---- */

static int kind_of_action(struct word action) {
    if (action.end - action.at != 1) { return -1; }
    switch (*action.at) {
        case 'Q': return BLOCK_QUEUE;
        case 'D': return BLOCK_ISSUE;
        case 'R': return BLOCK_REQUEUE;
        case 'C': return BLOCK_COMPLETE;
        default: return -1;
    }
}

static bool is_action(struct word word) {
    static const char letters[] = "QCDIGPUTMFXARBSm";
    const size_t length = (size_t) (word.end - word.at);
    return (length == 1 && strchr(letters, *word.at)) || word_is(word, "UT");
}

/* "8,0 1 17 0.000482 697 D R 223490 + 8 [kjournald]": behind the disk. */
static void read_blkparse(struct block_reader * r, uint64_t disk, const char * at, const char * end) {
    struct block_event e = { 0 };
    struct word cpu, sequence, time, pid, action;
    uint64_t number;
    const bool good = text_word(&at, end, &cpu) && text_number(cpu, &number) && text_word(&at, end, &sequence) &&
                      text_number(sequence, &number) && text_word(&at, end, &time) &&
                      memchr(time.at, '.', (size_t) (time.end - time.at)) && text_time(time, 1000000000, &e.ns) &&
                      text_word(&at, end, &pid) && text_number(pid, &number) && text_word(&at, end, &action) &&
                      is_action(action);
    if (!good) {
        block_damaged(r, r->line);
        return;
    }
    r->trace->seen[BLOCK_BLKPARSE] = true;
    const int kind = kind_of_action(action);
    if (kind < 0) {
        r->trace->other_lines++;
        return;
    }
    e.kind = (uint8_t) kind;
    e.pid = (uint32_t) number;
    take(r, &e, at, end, disk);
}

/* "7,0 D RS 20482 + 128 [dd]", perhaps with a cgroup behind the disk: behind the disk. */
static void read_blk(struct block_reader * r, struct block_event * e, uint64_t disk, const char * at,
                     const char * end) {
    struct word action;
    bool found = text_word(&at, end, &action) && is_action(action);
    if (!found) { found = text_word(&at, end, &action) && is_action(action); }
    if (!found) {
        block_damaged(r, r->line);
        return;
    }
    r->trace->seen[BLOCK_BLK] = true;
    const int kind = kind_of_action(action);
    if (kind < 0) {
        r->trace->other_lines++;
        return;
    }
    e->kind = (uint8_t) kind;
    take(r, e, at, end, disk);
}

/* ---- trace events ---- */

static int kind_of_event(struct word name) {
    static const struct {
        const char * name;
        enum block_kind kind;
    } kinds[] = {
        { "block_rq_issue:", BLOCK_ISSUE },     { "block_rq_complete:", BLOCK_COMPLETE },
        { "block_rq_requeue:", BLOCK_REQUEUE }, { "block_io_start:", BLOCK_QUEUE },
        { "block_io_done:", BLOCK_DONE },       { "block_bio_queue:", BLOCK_QUEUE },
        { "block_bio_complete:", BLOCK_DONE },
    };
    if (word_begins(name, "block:")) { name.at += strlen("block:"); }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (word_is(name, kinds[i].name)) { return kinds[i].kind; }
    }
    return -1;
}

/* "dd-8247" of tracefs, "8247" or "8247/8248" of perf. */
static uint32_t pid_of(struct word word) {
    uint64_t pid;
    const char * slash = memchr(word.at, '/', (size_t) (word.end - word.at));
    if (slash && text_number((struct word){ word.at, slash }, &pid)) { return (uint32_t) pid; }
    for (const char * at = word.end; at > word.at; at--) {
        if (at[-1] == '-') {
            word.at = at;
            break;
        }
    }
    return text_number(word, &pid) && pid <= UINT32_MAX ? (uint32_t) pid : 0;
}

static bool is_cpu(struct word word) {
    uint64_t number;
    return word.end - word.at > 2 && *word.at == '[' && word.end[-1] == ']' &&
           text_number((struct word){ word.at + 1, word.end - 1 }, &number);
}

static void read_event(struct block_reader * r, struct block_event * e, const char * at, const char * end) {
    struct word word;
    for (int i = 0; i < WORDS_BEFORE_EVENT && text_word(&at, end, &word); i++) {
        const int kind = kind_of_event(word);
        uint64_t disk;
        if (kind < 0) { continue; }
        if (!text_word(&at, end, &word) || !text_disk(word, &disk)) {
            block_damaged(r, r->line);
            return;
        }
        r->trace->seen[BLOCK_EVENTS] = true;
        e->kind = (uint8_t) kind;
        take(r, e, at, end, disk);
        return;
    }
    r->trace->other_lines++;
}

/* What tracefs and perf print begins with the task and the processor, then the time with a colon. */
static void read_stamped(struct block_reader * r, const char * line, const char * end) {
    const char * at = line;
    struct block_event e = { 0 };
    struct word word, before = { NULL, NULL }, task = { NULL, NULL };
    uint64_t disk;
    for (int i = 0; i < WORDS_BEFORE_TIME && text_word(&at, end, &word); i++, before = word) {
        if (is_cpu(word) && before.at) { task = before; }
        if (!text_is_stamp(word)) { continue; }
        if (!text_time(word, 1000000000, &e.ns)) {
            block_damaged(r, r->line);
            return;
        }
        if (!task.at) { task = before; }
        e.pid = task.at ? pid_of(task) : 0;
        const char * from = at;
        const enum block_format wanted = r->options->format;
        if (text_word(&from, end, &word) && text_disk(word, &disk)) {
            if (wanted == BLOCK_ANY || wanted == BLOCK_BLK) { read_blk(r, &e, disk, from, end); }
        } else if (wanted == BLOCK_ANY || wanted == BLOCK_EVENTS) {
            read_event(r, &e, at, end);
        }
        return;
    }
    if (memmem(line, (size_t) (end - line), "block_rq_", strlen("block_rq_"))) { /* an event without a time */
        block_damaged(r, r->line);
    } else {
        r->trace->other_lines++;
    }
}

/* ---- any line ---- */

/* "CPU:1 [LOST 123 EVENTS]" of tracefs; "PERF_RECORD_LOST lost 5" of perf; how many were overwritten, in tracefs'
 * header, which were the first. */
static void find_loss(struct block_reader * r, const char * line, size_t length) {
    char text[256];
    unsigned long long lost, kept;
    const size_t n = length < sizeof text - 1 ? length : sizeof text - 1;
    if (!n || (*line != '#' && !memmem(line, n, "LOST", 4))) { return; }
    memcpy(text, line, n);
    text[n] = '\0';
    const char * at = strstr(text, "[LOST ");
    const char * perf = strstr(text, "PERF_RECORD_LOST");
    struct block_event e = { .kind = BLOCK_LOST };
    if ((at && sscanf(at, "[LOST %llu EVENTS]", &lost) == 1) ||
        (perf && (perf = strstr(perf, "lost ")) && sscanf(perf, "lost %llu", &lost) == 1)) {
        const size_t count = r->events.count; /* happened after the one before, whatever its time */
        e.ns = count ? LIST(struct block_event, r->events)[count - 1].ns : 0;
        e.bytes = lost;
        block_add(r, &e);
    } else if (sscanf(text, "# entries-in-buffer/entries-written: %llu/%llu", &kept, &lost) == 2 && lost > kept) {
        r->trace->lost += lost - kept;
    }
}

/* The summary that blkparse appends has such lines; the first word of an event's line is a disk. */
void block_read_line(struct block_reader * r, const char * line, size_t length) {
    const char *at = line, *end = line + length;
    const enum block_format wanted = r->options->format;
    struct word word;
    uint64_t disk;
    if (r->options->line_format) {
        line_format_read(r, line, length);
        return;
    }
    find_loss(r, line, length);
    if (!text_word(&at, end, &word)) {
        r->trace->other_lines++;
    } else if ((wanted == BLOCK_ANY || wanted == BLOCK_BIOSNOOP) && columns_read(r, line, length)) {
        r->trace->seen[BLOCK_BIOSNOOP] = true;
    } else if (text_disk(word, &disk) && (wanted == BLOCK_ANY || wanted == BLOCK_BLKPARSE)) {
        read_blkparse(r, disk, at, end);
    } else if (wanted != BLOCK_BLKPARSE && wanted != BLOCK_BIOSNOOP) {
        read_stamped(r, line, end);
    } else {
        r->trace->other_lines++;
    }
}
