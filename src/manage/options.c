/* SPDX-License-Identifier: MIT */
#include "manage/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "manage/report.h"
#include "plan/placement.h"

enum { MAY_ALL = PLACE_MAY_PIN | PLACE_MAY_STREAM | PLACE_MAY_CACHE };

/* A part of the text, which is not ended by a zero. */
struct part {
    const char * at;
    size_t length;
};

static bool is(struct part part, const char * word) {
    return part.length == strlen(word) && memcmp(part.at, word, part.length) == 0;
}

static bool read_number(struct part part, uint64_t * number) {
    uint64_t value = 0;
    for (size_t i = 0; i < part.length; i++) {
        const unsigned digit = (unsigned) part.at[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) { return false; }
        value = 10 * value + digit;
    }
    if (part.length) { *number = value; }
    return part.length > 0;
}

/* The part up to the separator; `rest` is then what follows it. */
static struct part take(struct part * rest, char separator) {
    const char * end = memchr(rest->at, separator, rest->length);
    const struct part first = { rest->at, end ? (size_t) (end - rest->at) : rest->length };
    const size_t skipped = first.length + (end != NULL);
    *rest = (struct part){ rest->at + skipped, rest->length - skipped };
    return first;
}

/* Locking reads what it locks, and nothing ahead of its use. */
static bool is_complete(unsigned * may, enum read_how * ahead, bool locks) {
    if (locks && *ahead == READ_INTO) {
        if (*may & ~(unsigned) PLACE_MAY_PIN) { return false; }
        *may = PLACE_MAY_PIN;
        *ahead = READ_POPULATE;
    }
    if (!*may) { *may = MAY_ALL; }
    return true;
}

static bool read_strategies(struct part part, struct manage_options * options) {
    static const struct {
        const char * word;
        unsigned may;
        enum read_how ahead;
    } words[] = { { "pin", PLACE_MAY_PIN, READ_INTO },
                  { "stream", PLACE_MAY_STREAM, READ_INTO },
                  { "cache", PLACE_MAY_CACHE, READ_INTO },
                  { "lock", 0, READ_INTO },
                  { "demand", 0, READ_INTO },
                  { "populate", 0, READ_POPULATE },
                  { "willneed", 0, READ_WILLNEED },
                  { "pread", 0, READ_THROUGH } };
    unsigned may = 0;
    enum read_how ahead = READ_INTO;
    bool locks = false, on_demand = false;
    if (!part.length) { return false; }
    while (part.length) {
        const struct part word = take(&part, '+');
        size_t i = 0;
        while (i < sizeof words / sizeof *words && !is(word, words[i].word)) { i++; }
        if (i == sizeof words / sizeof *words) { return false; }
        if (words[i].ahead != READ_INTO) {
            if (ahead != READ_INTO && ahead != words[i].ahead) { return false; }
            ahead = words[i].ahead;
        }
        may |= words[i].may;
        locks |= is(word, "lock");
        on_demand |= is(word, "demand");
    }
    if (!is_complete(&may, &ahead, locks)) { return false; }
    options->may = may;
    options->ahead = ahead;
    options->locks = locks;
    options->on_demand = on_demand;
    return true;
}

static bool read_reader(struct part part, enum reader_kind * reader) {
    static const char * const names[] = {
        [READER_ANY] = "any", [READER_URING] = "uring", [READER_THREADS] = "threads"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!is(part, names[i])) { continue; }
        *reader = (enum reader_kind) i;
        return true;
    }
    return false;
}

static bool read_method(struct part part, enum foresee_method * method) {
    static const char * const names[] = { [FORESEE_NONE] = "none",
                                          [FORESEE_ROUTER] = "router",
                                          [FORESEE_PREVIOUS] = "previous",
                                          [FORESEE_MARKOV] = "markov" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!is(part, names[i])) { continue; }
        *method = (enum foresee_method) i;
        return true;
    }
    return false;
}

static bool read_path(struct part part, char path[static PATH_MAX]) {
    if (part.length == 0 || part.length >= PATH_MAX || *part.at != '/') { return false; }
    memcpy(path, part.at, part.length);
    path[part.length] = '\0';
    return true;
}

static bool read_part(struct part value, struct manage_options * options) {
    const struct part key = take(&value, '=');
    uint64_t number;
    if (is(key, "memory")) { return read_number(value, &options->memory); }
    if (is(key, "disk")) { return read_number(value, &options->disk); }
    if (is(key, "plain")) { return read_number(value, &options->plain); }
    if (is(key, "predicted")) { return read_number(value, &options->predicted); }
    if (is(key, "strategy")) { return read_strategies(value, options); }
    if (is(key, "reader")) { return read_reader(value, &options->reader); }
    if (is(key, "foresee")) { return read_method(value, &options->foresee); }
    if (is(key, "report")) { return read_path(value, options->report); }
    if (!read_number(value, &number) || number > 1) { return false; }
    if (is(key, "check")) {
        options->check = number == 1;
    } else if (is(key, "gain")) {
        options->no_gain = number == 0;
    } else {
        return false;
    }
    return true;
}

bool manage_options_read(const char * text, struct manage_options * options) {
    enum { SHOWN = 64 }; /* bytes of what is ignored */
    struct part ignored = { NULL, 0 };
    *options = (struct manage_options){ .may = MAY_ALL, .foresee = FORESEE_ROUTER };
    if (!text || !*text) { return false; }
    for (struct part rest = { text, strlen(text) }; rest.length;) {
        const struct part part = take(&rest, ';');
        if (part.length && !read_part(part, options) && !ignored.at) { ignored = part; }
    }
    if (ignored.at) {
        char note[2 * SHOWN];
        snprintf(note, sizeof note, "note ignored in " MANAGE_VARIABLE ": %.*s",
                 (int) (ignored.length < SHOWN ? ignored.length : SHOWN), ignored.at);
        manage_report(options->report, note);
    }
    return true;
}
