/* SPDX-License-Identifier: MIT
 *
 * What storage did for a run, joined with the accesses of its trace: which tensor, operation and token each page fault,
 * block request and page that came into the page cache was for.
 */
#ifndef TAT_STORAGE_H
#define TAT_STORAGE_H

#include "tat/io.h"
#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whom an event was for, or the reason why that is unknown. What was read has the first that is true. */
enum tat_place {
    /* An operation waited for it: of a fault, one that ran when it ended and that touches the page; of what was read,
     * the one whose fault waited for it. */
    TAT_PLACE_OPERATION = 0,
    TAT_PLACE_AHEAD,     /* read before anything waited for it; the operation is the first that touched it afterwards */
    TAT_PLACE_OUTSIDE,   /* a weight's page that a fault wanted while no graph was computed: loading, between graphs */
    TAT_PLACE_UNWANTED,  /* of faults: a weight's page, while no operation of the graph that was computed touches it */
    TAT_PLACE_LOADED,    /* read for a weight that is copied out of the file, which no operation reads there */
    TAT_PLACE_HEADER,    /* in the model's file before its first weight: hyper-parameters, vocabulary */
    TAT_PLACE_IN_VAIN,   /* read, and not touched before it left memory or the run ended */
    TAT_PLACE_UNKNOWN,   /* a weight's bytes, but the trace has not all that would tell who wanted them */
    TAT_PLACE_NO_WEIGHT, /* in the model's file, but in no tensor that the trace has */
    TAT_PLACE_OTHER_FILE,    /* in a file that is not a model's */
    TAT_PLACE_NO_FILE,       /* of faults: in code, or memory that is no file's */
    TAT_PLACE_OTHER_PROCESS, /* of faults */
    TAT_PLACE_ELSEWHERE,     /* of requests, as the rest: on the model's disk, but in no file of this run */
    TAT_PLACE_OTHER_DISK,
    TAT_PLACE_METADATA, /* of the file system */
    TAT_PLACE_WRITE,
    TAT_PLACE_FAILED,
    TAT_PLACES
};

/* "an operation waited for it", ...; for a value that a later tat may add, "unknown". */
const char * tat_place_name(enum tat_place place);

/* When something happened: a phase of the graph that was computed then, or one of these. */
enum tat_when { TAT_WHEN_LOADING = TAT_PHASE_COUNT, TAT_WHEN_BETWEEN, TAT_WHENS };
const char * tat_when_name(enum tat_when when);

#define TAT_NO_NUMBER UINT32_MAX

/* An event, or a part of one: a request can cover several slices, of which each has its part. */
struct tat_placed {
    int64_t begin_ns, end_ns; /* since the trace began */
    uint64_t offset, bytes;   /* in the file; where it is in none, on the disk */
    uint64_t in_vain;         /* of these bytes, those not touched afterwards; of requests and pages */
    uint32_t event;           /* place in the array of struct tat_io */
    uint32_t file;            /* of the trace's model files; 0: none of them */
    uint32_t tensor;          /* or TAT_NO_NUMBER */
    uint32_t evaluation;      /* that wanted it, of an operation or a graph; or TAT_NO_NUMBER */
    uint32_t node;            /* of PLACE_OPERATION and PLACE_AHEAD, else TAT_NO_NUMBER */
    uint32_t token;           /* the first of the evaluation, or TAT_NO_NUMBER */
    uint16_t layer;           /* of the tensor, or TAT_NO_LAYER */
    uint16_t expert;          /* of a stack, or TAT_NO_EXPERT */
    uint16_t op;              /* where there is a node: a number for tat_trace_op_name */
    uint8_t place;            /* enum tat_place */
    uint8_t when;             /* enum tat_when, of its end */
};
static_assert(sizeof(struct tat_placed) == 72, "as bindings declare it");

struct tat_storage {
    struct tat_placed * faults; /* one for each of struct tat_io, in their order */
    size_t n_faults;
    struct tat_placed * requests; /* parts, in the order of the requests and of their bytes */
    size_t n_requests;
    struct tat_placed * pages; /* that came into the page cache: pieces of a fate, in the order of the events */
    size_t n_pages;
    bool cut; /* the file has more than a program can cause; who wanted the rest is unknown */
};

/* Reads the I/O events beside a trace, or beside that of the run's first process. 0, and tat_io_free frees *io; or -1
 * with *error: TAT_ERROR_NO if there are none, else as tat_io_read. */
int tat_storage_read(const struct tat_trace * trace, struct tat_io * io, struct tat_error * error);

/* Joins a trace with the I/O events of its run. `pages`: whether to fill in those too, which may be many. 0, or -1 with
 * *error (memory, or the trace's file was cut). Free it with tat_storage_free in any case. Thread-safe as long as
 * threads do not share *storage. */
int tat_storage_join(const struct tat_trace * trace, const struct tat_io * io, bool pages, struct tat_storage * storage,
                     struct tat_error * error);
void tat_storage_free(struct tat_storage * storage);

/* Why the I/O events cannot be of the trace's run; NULL: they can. All there is to know it by are process numbers,
 * which differ in a namespace, and times. */
const char * tat_storage_mismatch(const struct tat_trace * trace, const struct tat_io * io);

#ifdef __cplusplus
}
#endif
#endif
