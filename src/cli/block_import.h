/* SPDX-License-Identifier: MIT
 *
 * A block trace of another tool in place of a run's own requests: its disk is found in the map, and its clock set.
 */
#ifndef TAT_CLI_BLOCK_IMPORT_H
#define TAT_CLI_BLOCK_IMPORT_H

#include "blocktrace/block_trace.h"
#include "blocktrace/disk_map.h"
#include "tat/storage.h"
#include "tat/trace.h"

enum { IMPORT_FILES_MOST = 1024 };

enum anchor {
    ANCHOR_AUTO,
    ANCHOR_NONE,
    ANCHOR_WALL,
    ANCHOR_REQUESTS,
    ANCHOR_FAULTS,
    ANCHOR_FIRST_READ,
    ANCHOR_TIMES,
    ANCHORS
};

/* "auto", "none", ...; ANCHOR_TIMES has no name. */
const char * anchor_name(enum anchor anchor);

struct import_options {
    const char * traces[IMPORT_FILES_MOST];
    size_t n_traces;
    const char * maps[IMPORT_FILES_MOST];
    size_t n_maps;
    struct block_options block;
    const char * disk;        /* "nvme0n1", "259:0", or NULL: by the map */
    uint64_t partition_bytes; /* for maps of filefrag */
    enum anchor anchor;
    int64_t offset_ns; /* of ANCHOR_TIMES: to be added to the block trace's times for those of the trace */
    bool from_start;   /* ... which count from the beginning of the trace, else they are CLOCK_MONOTONIC */
};

struct block_import {
    struct block_trace blocks;
    struct disk_map map;
    uint32_t disk;           /* index of the model's disk in blocks.disks */
    struct tat_io io;        /* the run's, with the block trace's requests and the map's files. Not for tat_io_free */
    enum anchor anchor;      /* that was taken */
    int64_t offset_ns;       /* that was added */
    uint64_t faults;         /* major ones in the model's files */
    uint64_t faults_covered; /* of these, whose page the block trace read at any time */
    uint64_t faults_overlapping;   /* of these, while it was waited for */
    uint64_t own, own_overlapping; /* requests for the model's bytes that the run recorded itself; those that overlap */
    uint64_t votes, rivals;        /* of ANCHOR_FAULTS and ANCHOR_REQUESTS */
    const char * changed;          /* path of a file that was changed between the run and the map; NULL: none */
    uint64_t before;               /* requests that were before the clock began */
    uint64_t reads, reads_in_run;  /* of the model's bytes; those while the run's graphs were computed or it loaded */
};

/* `io`: the run's own, which must live longer. 0, or -1 with *error. Free it in any case. */
int block_import(struct block_import * import, const struct import_options * options, const struct tat_trace * trace,
                 const struct tat_io * io, struct tat_error * error);
void block_import_free(struct block_import * import);

/* What to know before one believes the result, to stderr. */
void block_import_warn(const struct block_import * import);

#endif
