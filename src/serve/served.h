/* SPDX-License-Identifier: MIT
 *
 * A trace that is served: opened, followed while it grows, with what was found out about it.
 */
#ifndef TAT_SERVE_SERVED_H
#define TAT_SERVE_SERVED_H

#include <pthread.h>
#include <sys/stat.h>

#include "analysis/analysis.h"
#include "analysis/view/file_reads.h"
#include "analysis/view/pyramid.h"
#include "analysis/view/records.h"
#include "analysis/view/token_text.h"
#include "serve/kept.h"
#include "serve/serve.h"

struct served {
    const struct served_options * options; /* the list's */
    char *path, *name;
    pthread_rwlock_t lock; /* who asks holds it to read; who takes in what the program wrote, to write */
    const struct tat_trace * trace;
    struct tat_trace * whole; /* that has ended, or: */
    struct stat file;         /* of that, when it was opened */
    struct follow * follow;   /* that may grow */
    struct kept * kept;
    struct vocabularies * vocabularies;
    struct subject subject;        /* of the trace as it is now */
    struct joined_io * io;         /* made when it is first asked for */
    struct view_records * records; /* the last that is learned; NULL: no memory, so nothing is answered */
    pthread_mutex_t summing;       /* over the next one, while it is made */
    struct pyramid * pyramid;      /* of long traces, for their pictures; NULL: not asked for yet */
    pthread_mutex_t reading;       /* likewise */
    struct file_reads * reads;     /* NULL: not asked for yet */
    pthread_mutex_t asking;        /* the same section is not made twice at once */
    _Atomic uint64_t looked_ns;    /* when somebody last went to look for more; UINT64_MAX: there will be none */
    uint32_t revision;
    bool running;
    _Atomic bool pictured; /* a picture of it as a long trace that has ended was asked for */
    _Atomic bool prepared;
    bool outgrown; /* the pyramid is of the trace before it grew */
};

struct served_list {
    struct served_options options;
    struct served ** at;
    size_t count;
};

/* Takes in what was written since, if a look is due and nobody is reading. A trace that cannot be read any further
 * stays as it was. */
void served_look(const struct served_list * list, struct served * served);

/* io.c: the run's I/O events, joined with the trace; NULL is allowed. */
struct joined_io;
void joined_io_free(struct joined_io * io);

/* Sums by blocks of tokens: made when they are first asked for, while others who ask for them wait. NULL if the trace
 * is short, which costs less without them, or if there is no memory. Call it between served_begin and served_end, for
 * as long as the answer is used. */
const struct pyramid * served_pyramid(struct served * served);

/* What was read of the model's files, likewise; of short traces too. */
const struct file_reads * served_reads(struct served * served);

/* Whether a picture of a long trace that has ended was asked for, and it was not prepared yet. */
bool served_is_to_prepare(const struct served * served);

/* Finds out what is needed once for offsets over time and for records, so that who asks for them first does not wait.
 * Takes a second for a hundred million records. For one thread at a time. */
void served_prepare(struct served * served);

/* 0, or -1 with *error: the file of a trace that has ended was written to since, and what is read of it from now on is
 * not what is known of it. A trace that was deleted or renamed is still open, and good. */
int served_check(const struct served * served, struct tat_error * error);

/* Between these two the trace does not change. */
void served_begin(struct served * served);
void served_end(struct served * served);

#endif
