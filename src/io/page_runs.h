/* SPDX-License-Identifier: MIT
 *
 * The kernel tells of each page that comes or leaves, one after the other. Those that lie side by side, and come in one
 * go, are told as one run: a tenth of the bytes, and the same answers.
 */
#ifndef TAT_IO_PAGE_RUNS_H
#define TAT_IO_PAGE_RUNS_H

#include "tat/io.h"

/* A run's last page came at most that long after its first, whose time is the run's. */
enum { PAGE_RUN_NS = 100000, PAGE_RUNS_OPEN = 4 };

typedef void (*page_runs_sink)(const struct tat_io_pages * pages, void * user);

struct page_runs {
    page_runs_sink sink; /* gets the runs in the order of their times */
    void * user;

    /* For page_runs.c alone: all of them come, or all leave, so that no run hides a change of a page. */
    struct tat_io_pages open[PAGE_RUNS_OPEN]; /* by time */
    int n_open;
};

/* In the order of time. */
void page_runs_add(struct page_runs * runs, const struct tat_io_pages * pages);

/* The thread begins another fault: what it brings in from here on is another run, so that a page has no time from
 * before it was waited for. */
void page_runs_break(struct page_runs * runs, uint32_t tid);

/* Passes on what is open, if its time is before `until_ns` less PAGE_RUN_NS: nothing can be added to it then. */
void page_runs_flush(struct page_runs * runs, uint64_t until_ns);

#endif
