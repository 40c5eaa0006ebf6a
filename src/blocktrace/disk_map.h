/* SPDX-License-Identifier: MIT
 *
 * Where model files are on the disk that a block trace is of: a map, taken on the machine where the trace was recorded.
 * tat writes one as JSON; what `filefrag -v` prints is read too, but does not tell of the disk.
 */
#ifndef TAT_BLOCKTRACE_DISK_MAP_H
#define TAT_BLOCKTRACE_DISK_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tat/error.h"
#include "tat/io.h"

struct mapped_file {
    char * path;
    uint64_t bytes;
    int64_t modified_ns;            /* since 1970; 0: not known */
    uint64_t disk;                  /* makedev() of the whole disk; 0: not known */
    char disk_name[32];             /* "": not known */
    struct tat_io_extent * extents; /* by file offset; on the whole disk */
    size_t n_extents;
};

struct disk_map {
    struct mapped_file * files;
    size_t n_files;
};

/* Adds the files of one map to those that *map has. Where the map is filefrag's, its file system begins so many bytes
 * from the disk's beginning. 0; or -1 with *error. Free *map in any case. */
int disk_map_read(struct disk_map * map, const char * path, uint64_t partition_bytes, struct tat_error * error);
void disk_map_free(struct disk_map * map);

/* Writes the map of these files, as they are on this machine. 0; or -1 with *error: one of them has no extents, which
 * the message explains. What makes a map of less use goes to `warnings`. */
int disk_map_write(const char * const * paths, size_t n_paths, FILE * out, FILE * warnings, struct tat_error * error);

#endif
