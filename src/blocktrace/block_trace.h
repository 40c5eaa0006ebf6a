/* SPDX-License-Identifier: MIT
 *
 * Block traces that other tools recorded, whatever their format, as one list of requests to disks:
 *
 *   blktrace    binary files, one for each processor or merged, of either byte order
 *   blkparse    the text of them, in blkparse's default format or in one given as for its option -f
 *   blk         the kernel's tracer of that name: tracefs' files trace and trace_pipe
 *   events      block:block_rq_issue and so on, as tracefs, perf script and trace-cmd report print them
 *   biosnoop    a line for each request, under a line of names of columns: bcc's biosnoop, and scripts like it
 */
#ifndef TAT_BLOCKTRACE_BLOCK_TRACE_H
#define TAT_BLOCKTRACE_BLOCK_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"
#include "tat/io.h"

enum block_format {
    BLOCK_ANY, /* by content */
    BLOCK_BLKTRACE,
    BLOCK_BLKPARSE,
    BLOCK_BLK,
    BLOCK_EVENTS,
    BLOCK_BIOSNOOP,
    BLOCK_FORMATS
};

/* "blktrace"; NULL beyond the last. */
const char * block_format_name(enum block_format format);

/* A disk that the traces name. */
struct block_disk {
    uint64_t number; /* makedev(); 0: only its name is known */
    char name[32];   /* "": only its number is known */
    uint64_t requests, read_bytes;
};

struct block_trace {
    struct tat_io_request * requests; /* by end_ns, which is on the traces' clock; `disk` is an index of `disks` */
    size_t n_requests;
    struct block_disk * disks;
    size_t n_disks;

    bool seen[BLOCK_FORMATS];  /* which formats there were */
    uint64_t events;           /* of the kinds that make requests */
    uint64_t other_lines;      /* lines and records of other kinds: headers, comments, merges, other events */
    uint64_t damaged;          /* that begin like such events, but do not go on so */
    uint64_t damaged_line;     /* the first of them: its line, or for binary files its byte; 0: none */
    const char * damaged_file; /* its file, one of the paths given; NULL: none */
    uint64_t lost;             /* events that the trace says it lost */
    uint64_t unbegun, unfinished, requeued, reissued, parts; /* as in struct requests */
    int64_t wall_ns; /* of binary files: what to add to times for nanoseconds since 1970; 0: not known */
    bool monotonic;  /* times are those of CLOCK_MONOTONIC of the machine, as far as the format tells */
};

struct block_options {
    enum block_format format;
    const char * line_format; /* of blkparse -f, or NULL. Then `format` is BLOCK_BLKPARSE */
};

/* Reads all files as one trace; "-" is standard input. 0; or -1 with *error: a file cannot be read, is of no format
 * that is known, has no event that makes a request, or has too many, or memory is short. The options' format is wrong:
 * TAT_ERROR_USAGE. Free it in any case. */
int block_trace_read(struct block_trace * trace, const char * const * paths, size_t n_paths,
                     const struct block_options * options, struct tat_error * error);
void block_trace_free(struct block_trace * trace);

#endif
