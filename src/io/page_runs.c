/* SPDX-License-Identifier: MIT */
#include "io/page_runs.h"

#include <string.h>

static void pass_on(struct page_runs * r, int count) {
    for (int i = 0; i < count; i++) { r->sink(&r->open[i], r->user); }
    r->n_open -= count;
    memmove(r->open, r->open + count, (size_t) r->n_open * sizeof *r->open);
}

static bool continues(const struct tat_io_pages * run, const struct tat_io_pages * p) {
    return run->file == p->file && run->tid == p->tid && run->pid == p->pid && run->first + run->count == p->first;
}

void page_runs_break(struct page_runs * r, uint32_t tid) {
    int last = r->n_open;
    while (last > 0 && r->open[last - 1].tid != tid) { last--; }
    pass_on(r, last);
}

void page_runs_flush(struct page_runs * r, uint64_t until_ns) {
    int n = 0;
    while (n < r->n_open && (until_ns == UINT64_MAX || until_ns > r->open[n].ns + PAGE_RUN_NS)) { n++; }
    pass_on(r, n);
}

void page_runs_add(struct page_runs * r, const struct tat_io_pages * p) {
    page_runs_flush(r, p->ns);
    if (r->n_open && r->open[0].left != p->left) { pass_on(r, r->n_open); }
    for (int i = 0; i < r->n_open; i++) {
        if (continues(&r->open[i], p)) {
            r->open[i].count += p->count;
            return;
        }
    }
    if (r->n_open == PAGE_RUNS_OPEN) { pass_on(r, 1); }
    r->open[r->n_open++] = *p;
}
