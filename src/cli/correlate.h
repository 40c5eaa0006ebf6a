/* SPDX-License-Identifier: MIT
 *
 * What tat correlate has to show: I/O events, joined with the accesses of a trace.
 */
#ifndef TAT_CLI_CORRELATE_H
#define TAT_CLI_CORRELATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/block_import.h"
#include "export/text_row.h"
#include "tat/storage.h"

enum event_kind { EVENT_FAULTS, EVENT_REQUESTS, EVENT_PAGES, EVENT_KINDS };

struct correlated {
    const struct tat_trace * trace;
    const char * path; /* of the run's folder */
    const struct tat_io * io;
    bool recorded; /* the run has a file of I/O events */
    struct tat_storage storage;
    const struct block_import * import; /* NULL: none */
    bool * chosen[EVENT_KINDS];         /* NULL: all */
    const char * mismatch;              /* why the events cannot be of this run; NULL: they can */
};

/* "faults", "requests", "pages" */
const char * event_kind_name(enum event_kind kind);

/* The events of a kind, or their parts; those that were not chosen are among them. */
const struct tat_placed * events_of(const struct correlated * c, enum event_kind kind, size_t * count);

static inline bool is_chosen(const struct correlated * c, enum event_kind kind, size_t i) {
    return !c->chosen[kind] || c->chosen[kind][i];
}

/* The run recorded what came into the page cache; else pages are those that requests read. */
static inline bool pages_were_seen(const struct correlated * c) {
    return c->io->n_pages;
}

/* It is known what the event was for. */
bool place_is_matched(enum tat_place place);

/* How long a thread waited in a fault; 0 for other events. */
uint64_t wait_of(const struct correlated * c, enum event_kind kind, const struct tat_placed * p);

/* Sums by place and by when. NULL: no memory. */
json_t * correlate_json(const struct correlated * c);

/* The same for people. 0, or -1: no memory. */
int correlate_text(const struct correlated * c, FILE * out);

/* Each event of a kind as a row, at most `limit` (0: all). Returns how many, or -1 with *error. */
enum correlate_format { CORRELATE_TABLE, CORRELATE_TSV, CORRELATE_CSV, CORRELATE_JSON };
int64_t correlate_rows(const struct correlated * c, enum event_kind kind, enum correlate_format format, uint64_t limit,
                       FILE * out, struct tat_error * error);

#endif
