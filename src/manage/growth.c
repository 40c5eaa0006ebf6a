/* SPDX-License-Identifier: MIT */
#include "manage/growth.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int by_begin(const void * a, const void * b) {
    const struct memory_range *x = a, *y = b;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : 0;
}

/* Bytes of a range of whole pages; 0 where there is no memory of this process. */
static uint64_t absent(const struct memory_range * r, uintptr_t page) {
    enum { PAGES = 4096 };
    unsigned char is_in[PAGES];
    uint64_t bytes = 0;
    for (uintptr_t at = r->from; at < r->to; at += PAGES * page) {
        const size_t here = r->to - at < PAGES * page ? r->to - at : PAGES * page;
        if (mincore((void *) at, here, is_in) != 0) { continue; }
        for (size_t i = 0; i < here / page; i++) { bytes += is_in[i] & 1 ? 0 : page; }
    }
    return bytes;
}

uint64_t growth_of(struct memory_range * ranges, uint32_t count) {
    const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    uint64_t bytes = 0;
    if (count) { qsort(ranges, count, sizeof *ranges, by_begin); }
    for (uint32_t i = 0; i < count;) {
        struct memory_range all = { ranges[i].from / page * page, ranges[i].to };
        while (++i < count && ranges[i].from <= all.to) {
            if (ranges[i].to > all.to) { all.to = ranges[i].to; }
        }
        all.to = (all.to + page - 1) / page * page;
        bytes += absent(&all, page);
    }
    return bytes;
}
