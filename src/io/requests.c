/* SPDX-License-Identifier: MIT
 *
 * Open requests stand in a table of lists, by disk and first byte that is not complete, and in the order in which they
 * were issued.
 */
#include "io/requests.h"

#include <string.h>
#include <sys/sysmacros.h>

enum { BUCKETS = 1 << 14 };
#define NONE UINT32_MAX

struct open_request {
    uint64_t disk, offset, bytes;
    uint64_t done; /* bytes */
    uint64_t issued_ns, last_ns;
    uint32_t pid, flags;
    bool requeued;
    uint32_t next; /* in its bucket, or among the free ones */
    uint32_t older, newer;
};

#define OPEN(r) LIST(struct open_request, (r)->open)

/* ---- the table ---- */

static uint32_t bucket_of(uint64_t disk, uint64_t at) {
    uint64_t hash = (disk << 48 ^ disk ^ at) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    return (uint32_t) (hash * 0xd6e8feb86659fd93u >> 40) & (BUCKETS - 1);
}

static uint64_t place_of(const struct open_request * o) {
    return o->offset + o->done;
}

static void enter(struct requests * r, uint32_t number) {
    struct open_request * o = &OPEN(r)[number];
    uint32_t * bucket = &r->buckets[bucket_of(o->disk, place_of(o))];
    o->next = *bucket;
    *bucket = number;
}

static void leave(struct requests * r, uint32_t number) {
    const struct open_request * o = &OPEN(r)[number];
    uint32_t * at = &r->buckets[bucket_of(o->disk, place_of(o))];
    while (*at != number) { at = &OPEN(r)[*at].next; }
    *at = o->next;
}

static uint32_t find(const struct requests * r, const struct request_event * e) {
    uint32_t at = r->buckets ? r->buckets[bucket_of(e->disk, e->offset)] : NONE;
    for (; at != NONE; at = OPEN(r)[at].next) {
        const struct open_request * o = &OPEN(r)[at];
        if (o->disk == e->disk && place_of(o) == e->offset && !((o->flags ^ e->flags) & TAT_IO_WRITE)) { break; }
    }
    return at;
}

/* ---- the order of issue ---- */

static void link_newest(struct requests * r, uint32_t number) {
    struct open_request * o = &OPEN(r)[number];
    o->older = r->newest;
    o->newer = NONE;
    *(r->newest == NONE ? &r->oldest : &OPEN(r)[r->newest].newer) = number;
    r->newest = number;
}

static void unlink_one(struct requests * r, uint32_t number) {
    const struct open_request * o = &OPEN(r)[number];
    *(o->older == NONE ? &r->oldest : &OPEN(r)[o->older].newer) = o->newer;
    *(o->newer == NONE ? &r->newest : &OPEN(r)[o->newer].older) = o->older;
}

static void drop(struct requests * r, uint32_t number) {
    leave(r, number);
    unlink_one(r, number);
    OPEN(r)[number].next = r->free;
    r->free = number;
    r->n_open--;
}

/* ---- what comes of it ---- */

static void give(const struct requests * r, const struct open_request * o) {
    const uint64_t duration = o->last_ns > o->issued_ns ? o->last_ns - o->issued_ns : 1; /* 0 says: not seen */
    r->sink(&(struct tat_io_request){ .end_ns = o->last_ns,
                                      .duration_ns = o->last_ns < duration ? o->last_ns : duration,
                                      .disk = o->disk,
                                      .disk_offset = o->offset,
                                      .bytes = o->done,
                                      .pid = o->pid,
                                      .flags = o->flags },
            r->user);
}

static void give_up(struct requests * r, uint32_t number) {
    const struct open_request * o = &OPEN(r)[number];
    r->unfinished++;
    if (o->done) { give(r, o); }
    drop(r, number);
}

/* The place for one more, or NONE: no memory. */
static uint32_t make_room(struct requests * r) {
    if (!r->buckets) {
        r->buckets = malloc(BUCKETS * sizeof *r->buckets);
        if (!r->buckets) { return NONE; }
        memset(r->buckets, 0xff, BUCKETS * sizeof *r->buckets);
        r->free = r->oldest = r->newest = NONE;
    }
    if (r->n_open == REQUESTS_OPEN_MOST) { give_up(r, r->oldest); }
    if (r->free != NONE) {
        const uint32_t number = r->free;
        r->free = OPEN(r)[number].next;
        return number;
    }
    return list_add(&r->open, sizeof(struct open_request)) ? r->open.count - 1 : NONE;
}

static void open_new(struct requests * r, const struct request_event * e) {
    const uint32_t number = make_room(r);
    if (number == NONE) {
        r->lost++;
        return;
    }
    OPEN(r)
    [number] = (struct open_request){ .disk = e->disk,
                                      .offset = e->offset,
                                      .bytes = e->bytes,
                                      .issued_ns = e->ns,
                                      .last_ns = e->ns,
                                      .pid = e->pid,
                                      .flags = e->flags };
    enter(r, number);
    link_newest(r, number);
    r->n_open++;
}

/* ---- events ---- */

static bool has_bytes(const struct request_event * e) {
    return e->bytes && e->offset <= UINT64_MAX - e->bytes;
}

void requests_issue(struct requests * r, const struct request_event * e) {
    if (!has_bytes(e)) { return; }
    const uint32_t number = find(r, e);
    if (number == NONE) {
        open_new(r, e);
        return;
    }
    struct open_request * o = &OPEN(r)[number];
    if (!o->requeued && o->done) { /* another request, whose beginning is where a part of this one ended */
        give_up(r, number);
        open_new(r, e);
        return;
    }
    if (!o->requeued) {
        o->issued_ns = e->ns;
        r->reissued++;
        unlink_one(r, number);
        link_newest(r, number);
    }
    o->requeued = false;
    o->bytes = o->done + e->bytes; /* more than before, where others were merged into it meanwhile */
}

void requests_requeue(struct requests * r, const struct request_event * e) {
    const uint32_t number = find(r, e);
    r->requeued++;
    if (number != NONE) { OPEN(r)[number].requeued = true; }
}

void requests_complete(struct requests * r, const struct request_event * e) {
    if (!has_bytes(e)) { return; }
    const uint32_t number = find(r, e);
    if (number == NONE) {
        r->unbegun++;
        r->sink(&(struct tat_io_request){ .end_ns = e->ns,
                                          .disk = e->disk,
                                          .disk_offset = e->offset,
                                          .bytes = e->bytes,
                                          .pid = e->pid,
                                          .flags = e->flags },
                r->user);
        return;
    }
    struct open_request * o = &OPEN(r)[number];
    const bool partial = e->bytes < o->bytes - o->done;
    leave(r, number);
    o->done += e->bytes;
    o->last_ns = e->ns;
    o->flags |= e->flags & (TAT_IO_FAILED | TAT_IO_READ_AHEAD | TAT_IO_METADATA);
    enter(r, number);
    if (partial) {
        r->parts++;
        return;
    }
    r->complete++;
    give(r, o);
    drop(r, number);
}

void requests_forget(struct requests * r) {
    while (r->n_open) { give_up(r, r->oldest); }
}

void requests_end(struct requests * r) {
    requests_forget(r);
    free(r->buckets);
    free(r->open.data);
    r->buckets = NULL;
    r->open = (struct list){ 0 };
}

/* ---- letters and numbers ---- */

bool request_flags(const char * letters, size_t length, uint32_t * flags) {
    bool reads = false, writes = false, other = false;
    *flags = 0;
    for (size_t i = 0; i < length && letters[i]; i++) {
        reads |= letters[i] == 'R';
        writes |= letters[i] == 'W';
        other |= letters[i] == 'D' || letters[i] == 'Z'; /* discards; what is done to zones */
        if (letters[i] == 'A') { *flags |= TAT_IO_READ_AHEAD; }
        if (letters[i] == 'M') { *flags |= TAT_IO_METADATA; }
    }
    if (writes) { *flags |= TAT_IO_WRITE; }
    return reads != writes && !other;
}

uint64_t disk_of_kernel(uint32_t device) {
    enum { MINOR_BITS = 20 };
    return makedev(device >> MINOR_BITS, device & ((1u << MINOR_BITS) - 1));
}
