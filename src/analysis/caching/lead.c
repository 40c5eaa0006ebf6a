/* SPDX-License-Identifier: MIT */
#include "analysis/caching/lead.h"

#include <stdlib.h>

#include "policy/heap.h"

struct disk {
    const struct lead_read * reads;
    uint32_t * order; /* by `from` */
    uint32_t n, next; /* in `order` */
    double * left;    /* by read: ns */
    struct heap may;  /* what it may read now */
    uint64_t bytes, most;
};

struct from {
    uint64_t from;
    uint32_t read;
};

static int compare(const void * a, const void * b) {
    const struct from *x = a, *y = b;
    return x->from != y->from ? (x->from > y->from) - (x->from < y->from) : (x->read > y->read) - (x->read < y->read);
}

static bool sort(struct disk * d) {
    struct from * from = malloc(((size_t) d->n + 1) * sizeof *from);
    if (!from) { return false; }
    for (uint32_t i = 0; i < d->n; i++) { from[i] = (struct from){ d->reads[i].from, i }; }
    qsort(from, d->n, sizeof *from, compare);
    for (uint32_t i = 0; i < d->n; i++) { d->order[i] = from[i].read; }
    free(from);
    return true;
}

static bool begin(struct disk * d, const struct lead_read * reads, uint32_t n) {
    *d = (struct disk){ .reads = reads, .n = n };
    d->order = malloc(((size_t) n + 1) * sizeof *d->order);
    d->left = malloc(((size_t) n + 1) * sizeof *d->left);
    if (!heap_begin(&d->may, n) || !d->order || !d->left || !sort(d)) { return false; }
    for (uint32_t i = 0; i < n; i++) { d->left[i] = reads[i].ns; }
    return true;
}

static void end(struct disk * d) {
    free(d->order);
    free(d->left);
    heap_end(&d->may);
}

static void admit(struct disk * d, uint64_t now) {
    for (; d->next < d->n && d->reads[d->order[d->next]].from <= now; d->next++) {
        const uint32_t i = d->order[d->next];
        if (d->left[i] > 0) { heap_add(&d->may, i, (struct rank){ i, 0 }); }
    }
}

/* Reads for some time. */
static void work(struct disk * d, double time) {
    while (time > 0 && d->may.count) {
        const uint32_t i = heap_first(&d->may).item;
        const bool fresh = d->left[i] == d->reads[i].ns;
        if (fresh) { d->bytes += d->reads[i].bytes; }
        if (d->left[i] > time) {
            d->left[i] -= time;
            break;
        }
        time -= d->left[i];
        d->left[i] = 0;
        heap_pop(&d->may);
    }
    if (d->bytes > d->most) { d->most = d->bytes; }
}

/* Computing goes on from one time to another. */
static void compute(struct disk * d, uint64_t now, uint64_t until) {
    admit(d, now);
    while (now < until) {
        uint64_t next = d->next < d->n ? d->reads[d->order[d->next]].from : until;
        next = next < until ? next : until;
        work(d, (double) (next - now));
        now = next;
        admit(d, now);
    }
}

bool lead_find_stalls(const struct lead_read * reads, uint32_t n, double * stall, uint64_t * ahead) {
    struct disk d;
    const bool good = begin(&d, reads, n);
    uint64_t now = 0;
    for (uint32_t i = 0; i < n && good; i++) {
        compute(&d, now, reads[i].at);
        now = reads[i].at;
        stall[i] = d.left[i];
        if (d.left[i] < reads[i].ns) { d.bytes -= reads[i].bytes; }
        if (d.left[i] > 0) { heap_remove(&d.may, i); }
        d.left[i] = 0;
    }
    *ahead = d.most;
    end(&d);
    return good;
}
