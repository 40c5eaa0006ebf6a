/* SPDX-License-Identifier: MIT
 *
 * The files of a run: those that it maps as data, and those of which it brings pages into memory. Each has a number, a
 * path where one can be found, and the places of its bytes on the disk.
 */
#ifndef TAT_IO_RUN_FILES_H
#define TAT_IO_RUN_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "format/list.h"
#include "io/extents.h"
#include "io/io_writer.h"

/* Files below this are not worth a number: configurations, scripts. No model is so small. */
enum { RUN_FILE_BYTES_LEAST = 64 << 10 };

struct run_file {
    uint64_t device, inode; /* of the page cache: makedev() of the file system */
    uint32_t number;        /* 0: it is too small, or none of ours to watch */
    int fd;                 /* to ask which of its pages are in memory; -1: it cannot be opened */
    uint64_t bytes, disk;   /* disk: 0, not known */
    bool is_tracers;        /* the trace, or these events */
    bool has_extents;       /* they were told */
    bool tells_residency;   /* the kernel tells us which of its pages are in memory */
};

struct run_files {
    struct io_writer * writer; /* is told of each file that gets a number */
    bool is_private;           /* the home folder is ~ in paths */
    const char * folder;       /* the run's, as realpath gives it: what is written there is the tracer's */

    /* For run_files.c alone. */
    struct list all;
    struct list disks; /* uint64_t: those that files lie on */
    uint32_t *slots, n_slots, last, numbers;
    uint32_t largest; /* its place in `all`, plus 1 */
};

/* NULL: none such. */
struct run_file * run_files_find(struct run_files * files, uint64_t device, uint64_t inode);

/* A file that was mapped by this path, which may be NULL, or one that a process reads: it is looked for among those
 * that it has open. NULL: no memory. The pointer is good until the next is added. */
struct run_file * run_files_add_mapped(struct run_files * files, uint64_t device, uint64_t inode, const char * path);
struct run_file * run_files_add_read(struct run_files * files, uint64_t device, uint64_t inode, pid_t pid);

/* A file that the run is expected to use, before it does. NULL: it is not to be had before it is used. */
struct run_file * run_files_expect(struct run_files * files, const char * path);

/* Whether a file of the run lies on this disk. */
bool run_files_on(const struct run_files * files, uint64_t disk);

/* Tells once more of files that were on no disk yet when they were seen first. */
void run_files_tell_late(struct run_files * files);

/* The one with the most bytes that has a number, or NULL: most likely the model. */
struct run_file * run_files_largest(const struct run_files * files);

/* Tells which pages of a file, or of all that have a number, are in memory now. */
void run_file_tell_residency(const struct run_file * file, struct io_writer * writer);
void run_files_tell_residency(const struct run_files * files);

void run_files_free(struct run_files * files);

#endif
