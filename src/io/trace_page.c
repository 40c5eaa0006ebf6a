/* SPDX-License-Identifier: MIT */
#include "io/trace_page.h"

#include <stdbool.h>
#include <string.h>

/* Of the word that says how many bytes are used. */
#define MISSED       (1u << 31) /* entries before this page are lost */
#define MISSED_KNOWN (1u << 30) /* how many stands behind the last one */
#define USED         ((1u << 27) - 1)

/* What an entry's lowest five bits say: its length in words, or one of these. */
enum { LONG = 0, PADDING = 29, TIME_EXTENDS = 30, TIME_STAMP = 31 };
enum { TYPE_BITS = 5, DELTA_BITS = 27, STAMP_BITS = 59 };

static uint32_t word(const uint8_t * at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t missed(const uint8_t * page, size_t bytes, uint32_t commit) {
    const size_t end = TRACE_PAGE_HEADER + (commit & USED);
    uint64_t count = 0;
    if (!(commit & MISSED)) { return 0; }
    if (commit & MISSED_KNOWN && end + sizeof count <= bytes) { memcpy(&count, page + end, sizeof count); }
    return count ? count : 1;
}

uint64_t trace_page_read(const uint8_t * page, size_t bytes, trace_entry_sink sink, void * user) {
    uint64_t ns;
    if (bytes < TRACE_PAGE_HEADER) { return 0; }
    const uint32_t commit = word(page + sizeof ns);
    const uint8_t * at = page + TRACE_PAGE_HEADER;
    const uint8_t * end = (commit & USED) < bytes - TRACE_PAGE_HEADER ? at + (commit & USED) : page + bytes;
    memcpy(&ns, page, sizeof ns);
    while (end - at >= 8) { /* a word and what it speaks of */
        const uint32_t head = word(at), type = head & ((1u << TYPE_BITS) - 1), delta = head >> TYPE_BITS;
        const uint64_t further = (uint64_t) word(at + 4) << DELTA_BITS | delta;
        uint64_t length = type == LONG || type == PADDING ? word(at + 4) : 4 * type;
        if (type == TIME_EXTENDS || type == TIME_STAMP) {
            ns = type == TIME_EXTENDS ? ns + further : (ns >> STAMP_BITS << STAMP_BITS | further);
            at += 8;
            continue;
        }
        if (length == 0 || length > (uint64_t) (end - at) - 4) { break; } /* the page's rest is empty */
        if (type != PADDING) {
            const uint32_t skip = type == LONG ? 4 : 0;
            ns += delta;
            if (length > skip) { sink(ns, at + 4 + skip, (uint32_t) length - skip, user); }
        }
        at += 4 + length;
    }
    return missed(page, bytes, commit);
}
