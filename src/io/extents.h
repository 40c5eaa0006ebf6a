/* SPDX-License-Identifier: MIT
 *
 * Where a file's bytes are on its disk, as the file system tells (FIEMAP). Offsets count from the beginning of the
 * whole disk, partitions included, because that is how the block layer counts.
 */
#ifndef TAT_IO_EXTENTS_H
#define TAT_IO_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"
#include "tat/io.h"

struct extents {
    uint64_t device, inode; /* of the file system: st_dev, st_ino */
    uint64_t bytes;         /* of the file */
    int64_t modified_ns;    /* since 1970 */
    char file_system[24];   /* "ext4"; "": none that we know */
    uint64_t disk;          /* makedev() of the whole disk; 0: there are no extents */
    char disk_name[32];     /* as in /sys/block: "nvme0n1" */
    uint64_t partition;     /* where the file system's partition begins on the disk, in bytes */
    struct tat_io_extent *
        at; /* by file offset, neighbours as one. The last may reach past the file's end: disks have blocks */
    size_t count;
    uint64_t unplaced; /* bytes in extents that are in no certain place: inside metadata, compressed, not written yet */
    char missing[200]; /* why there are none, in words; "": there are */
    char doubt[200];   /* what makes them of less use, in words; "": nothing */
};

/* 0, also where there are none and *missing says why; or -1 with *error: the file cannot be opened or looked at, or
 * memory is short. Nothing is read, but a file that is not on the disk yet is written to it. Free it in any case. */
int extents_of_path(const char * path, struct extents * extents, struct tat_error * error);
int extents_of(int fd, struct extents * extents, struct tat_error * error);
void extents_free(struct extents * extents);

#endif
