/* SPDX-License-Identifier: MIT
 *
 * The disk that a block device is, or is a partition of.
 */
#ifndef TAT_SYSTEM_WHOLE_DISK_H
#define TAT_SYSTEM_WHOLE_DISK_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct whole_disk {
    char name[64]; /* as in /sys/block: "nvme0n1"; empty: /sys knows no such block device */
    uint64_t device;
    uint64_t partition;    /* where the given device begins on it, in bytes; 0 for the disk itself */
    const char * missing;  /* what /sys does not tell of this partition: "where it begins"; NULL: nothing */
    char folder[PATH_MAX]; /* of the disk, in /sys */
};

/* Of a device number, as in `st_dev`. */
struct whole_disk whole_disk_of(uint64_t device);

/* The same with another folder for /sys. */
struct whole_disk whole_disk_below(const char * sys, uint64_t device);

/* The first line of one of the disk's files, as "device/model", without spaces at its end. Empty: there is none. */
void whole_disk_read(const struct whole_disk * disk, const char * name, char * line, size_t size);

#endif
