/* SPDX-License-Identifier: MIT */
#include "format/number_set.h"

#include <ctype.h>
#include <errno.h>

/* ---- reading ---- */

bool number_read(const char ** text, uint64_t * number) {
    char * end;
    if (!isdigit((unsigned char) **text)) { return false; }
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

bool number_read_offset(const char ** text, uint64_t * number) {
    const char * at = *text;
    char * end;
    if (at[0] != '0' || (at[1] | 32) != 'x' || !isxdigit((unsigned char) at[2])) { return number_read(text, number); }
    errno = 0;
    *number = strtoull(at + 2, &end, 16);
    *text = end;
    return errno == 0;
}

bool number_read_time(const char ** text, uint64_t * number) {
    static const struct {
        const char * name;
        uint64_t ns;
    } units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "min", 60000000000 }, { "s", 1000000000 } };
    enum { DIGITS = 9 }; /* behind the point; a second has no more nanoseconds */
    uint64_t whole, unit = 1, part = 0, of = 1;
    if (!number_read(text, &whole)) { return false; }
    if (**text == '.') {
        const char * at = ++*text;
        for (; isdigit((unsigned char) **text); ++*text) {
            if (*text - at >= DIGITS) { continue; }
            part = part * 10 + (uint64_t) (**text - '0');
            of *= 10;
        }
        if (*text == at) { return false; }
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t length = strlen(units[i].name);
        if (strncmp(*text, units[i].name, length) != 0) { continue; }
        unit = units[i].ns;
        *text += length;
        break;
    }
    if (whole > UINT64_MAX / unit - 1) { return false; }
    *number = whole * unit + (uint64_t) ((double) part / (double) of * (double) unit + 0.5);
    return true;
}

bool number_range_read(const char * text, number_reader read, struct number_range * range) {
    struct number_range r = { 0, UINT64_MAX - 1 }; /* nothing has the number UINT64_MAX */
    if (strcmp(text, ":") == 0) { return false; }
    if (*text != ':' && !read(&text, &r.first)) { return false; }
    if (*text == '\0') {
        r.last = r.first;
    } else if (*text++ != ':' || (*text && !read(&text, &r.last)) || *text) {
        return false;
    }
    *range = r;
    return true;
}

/* ---- sets ---- */

/* The first range that does not end before the number. */
static uint32_t find(const struct number_set * set, uint64_t number) {
    const struct number_range * r = set->ranges.data;
    uint32_t low = 0, high = set->ranges.count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (r[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool number_set_meets(const struct number_set * set, struct number_range range) {
    const uint32_t at = find(set, range.first);
    return at < set->ranges.count && LIST(struct number_range, set->ranges)[at].first <= range.last;
}

bool number_set_add(struct number_set * set, struct number_range range) {
    const uint32_t at = find(set, range.first);
    struct number_range * r = set->ranges.data;
    uint32_t end = at; /* behind those that the range meets */
    for (; end < set->ranges.count && r[end].first <= range.last; end++) {
        if (r[end].first < range.first) { range.first = r[end].first; }
        if (r[end].last > range.last) { range.last = r[end].last; }
    }
    if (end == at && !list_add(&set->ranges, sizeof *r)) { return false; }
    r = set->ranges.data;
    if (end == at) {
        memmove(r + at + 1, r + at, (set->ranges.count - 1 - at) * sizeof *r);
    } else {
        memmove(r + at + 1, r + end, (set->ranges.count - end) * sizeof *r);
        set->ranges.count -= end - at - 1;
    }
    r[at] = range;
    return true;
}

void number_set_free(struct number_set * set) {
    free(set->ranges.data);
}
