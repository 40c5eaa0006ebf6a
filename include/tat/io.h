/* SPDX-License-Identifier: MIT
 *
 * Reading the I/O events of a run, which `tat record --io` writes beside the trace. doc/format.md describes the file.
 */
#ifndef TAT_IO_H
#define TAT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"
#include "tat/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whatever a file says, offset + bytes is at most 2^62 below, and first + count of pages at most 2^51; neither bytes of
 * an extent or request nor a count of pages is 0. */

/* A page fault of the traced program or of a process that it started. */
struct tat_io_fault {
    uint64_t end_ns;       /* CLOCK_MONOTONIC */
    uint64_t duration_ns;  /* from where the processor reported it; 0: its beginning was lost */
    uint64_t preempted_ns; /* of that, how long others ran in place of its thread, though it could have run */
    uint64_t address;
    uint32_t pid, tid;
    uint32_t flags; /* enum tat_io_flag */
};

/* Bytes of a file that lie side by side on its disk. */
struct tat_io_extent {
    uint64_t file_offset;
    uint64_t disk_offset; /* from the beginning of the whole disk, as the block layer counts, partitions included */
    uint64_t bytes;
};

/* A file that the run read or mapped. */
struct tat_io_file {
    uint32_t number;                /* from 1 */
    uint64_t device, inode;         /* of the page cache: makedev() of the file system; 0: not known */
    uint64_t bytes;                 /* when it was seen first */
    const char * path;              /* never NULL; "": not known */
    const char * file_system;       /* "ext4"; "": not known */
    uint64_t disk;                  /* makedev() of the whole disk that `extents` are on; 0: there are none */
    const char * no_extents;        /* why there are none; "": there are */
    struct tat_io_extent * extents; /* by file_offset, apart from each other; holes have none */
    size_t n_extents;
};

/* Pages of a file that came into the page cache, or left it. */
struct tat_io_pages {
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint64_t first, count;
    uint32_t file;     /* number */
    uint32_t pid, tid; /* that caused it: a fault, a read, or reclaim, which may be anybody's */
    bool left;
};

/* A request to a disk, from when it was given to the driver until it was complete. */
struct tat_io_request {
    uint64_t end_ns;      /* CLOCK_MONOTONIC */
    uint64_t duration_ns; /* 0: its beginning was not seen */
    uint64_t disk;        /* makedev() of the whole disk */
    uint64_t disk_offset, bytes;
    uint32_t pid;   /* that gave it to the driver, which may be the kernel's worker; 0: not known */
    uint32_t flags; /* enum tat_io_request_flag */
};

struct tat_io_counter_value {
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint64_t value;
    uint32_t counter; /* enum tat_io_counter; unknown ones are passed on */
};

/* Pages first to first + count - 1. */
struct tat_io_run {
    uint64_t first, count;
};

/* Of the pages `of`, those of `runs`, and no others, were in memory. */
struct tat_io_residency {
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint32_t file;
    struct tat_io_run of;
    struct tat_io_run * runs; /* apart from each other, in order, within `of` */
    size_t n_runs;
};

struct tat_io {
    struct tat_file_header header;
    struct tat_io_fault * faults; /* by end_ns */
    size_t n_faults;
    struct tat_io_file * files; /* by number, which is the place here + 1 */
    size_t n_files;
    struct tat_io_pages * pages; /* by ns */
    size_t n_pages;
    struct tat_io_request * requests; /* by end_ns; one for each, however often it was requeued */
    size_t n_requests;
    struct tat_io_counter_value * counters; /* by ns */
    size_t n_counters;
    struct tat_io_residency * residency; /* by ns */
    size_t n_residency;
    bool recorded[TAT_IO_SOURCE_COUNT];        /* by enum tat_io_source */
    const char * missing[TAT_IO_SOURCE_COUNT]; /* why it was not; NULL: it was, or nothing says */
    void * memory;                             /* of what the above points to; for tat_io_free alone */
    uint64_t ignored, lost;                    /* what TAT_IO_IGNORED and TAT_IO_LOST come to */
    uint64_t damaged_bytes;                    /* that could not be read */
    bool partial;                              /* TAT_IO_PARTIAL */
    bool ended; /* false: it is still written, or was cut off, and the last faults are missing */
};

/* Reads all of a file of I/O events; `path` is the file or the folder of its run. 0; or -1 with *error: there is no
 * such file, it is of another kind, or memory is short. What tat_io_read has filled, tat_io_free frees. Thread-safe as
 * long as threads do not share *io. */
int tat_io_read(const char * path, struct tat_io * io, struct tat_error * error);
void tat_io_free(struct tat_io * io);

#ifdef __cplusplus
}
#endif

#endif
