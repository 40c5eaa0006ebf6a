/* SPDX-License-Identifier: MIT */
#include "io/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/list.h"
#include "system/file_system.h"
#include "system/whole_disk.h"

enum { ASKED = 512, EXTENTS_MOST = 1 << 24 };

/* Why extents are of no use; NULL: they are. */
static const char * const useless[] = {
    [FILE_SYSTEM_OWN_SPACE] = "the addresses that it tells are its own, and not those of a disk",
    [FILE_SYSTEM_IN_MEMORY] = "it is in memory, and on no disk",
    [FILE_SYSTEM_LAYERED] = "it does not tell on which file system below it a file is",
    [FILE_SYSTEM_REMOTE] = "its disk is another machine's, or another program's",
};

#define MISSING(e_, ...) ((void) snprintf((e_)->missing, sizeof(e_)->missing, __VA_ARGS__))
#define DOUBT(e_, ...)   ((void) snprintf((e_)->doubt, sizeof(e_)->doubt, __VA_ARGS__))

static void name_file_system(int fd, struct extents * e) {
    const struct file_system fs = file_system_of(fd);
    if (!fs.name) { return; }
    snprintf(e->file_system, sizeof e->file_system, "%s", fs.name);
    if (useless[fs.kind]) { MISSING(e, "the file is on %s: %s", fs.name, useless[fs.kind]); }
}

/* ---- the disk ---- */

static bool exists(const struct whole_disk * disk, const char * name) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", disk->folder, name);
    return access(path, F_OK) == 0;
}

/* What stands in for several disks, or for others. */
static void doubt_stacked(const struct whole_disk * disk, struct extents * e) {
    if (exists(disk, "dm") || exists(disk, "md")) {
        DOUBT(e,
              "the file is on %s, which passes requests on to other disks, at other places: only requests that were "
              "traced on %s itself can be placed",
              e->disk_name, e->disk_name);
    }
}

static void find_disk(struct extents * e) {
    const struct whole_disk disk = whole_disk_of(e->device);
    if (!*disk.name) {
        MISSING(e, "the file system %s%sis on no single block device that /sys tells of", e->file_system,
                *e->file_system ? " " : "");
    } else if (disk.missing) {
        MISSING(e, "of the partition that its file system is on, /sys does not tell %s", disk.missing);
    } else {
        snprintf(e->disk_name, sizeof e->disk_name, "%.*s", (int) sizeof e->disk_name - 1, disk.name);
        e->partition = disk.partition;
        e->disk = disk.device;
        doubt_stacked(&disk, e);
    }
}

/* ---- extents ---- */

static bool add(struct extents * e, struct list * list, const struct fiemap_extent * f) {
    const uint32_t nowhere = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE |
                             FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_NOT_ALIGNED;
    const bool compressed = f->fe_flags & FIEMAP_EXTENT_ENCODED && !(f->fe_flags & FIEMAP_EXTENT_DATA_ENCRYPTED);
    if (f->fe_flags & FIEMAP_EXTENT_UNWRITTEN || !f->fe_length) { return true; } /* zeros, which no disk is asked for */
    if (f->fe_flags & nowhere || compressed) {
        e->unplaced += f->fe_length;
        return true;
    }
    const uint64_t disk_offset = e->partition + f->fe_physical;
    struct tat_io_extent * last = list->count ? &LIST(struct tat_io_extent, *list)[list->count - 1] : NULL;
    if (last && last->file_offset + last->bytes == f->fe_logical && last->disk_offset + last->bytes == disk_offset) {
        last->bytes += f->fe_length;
        return true;
    }
    struct tat_io_extent * one = list_add(list, sizeof *one);
    if (one) { *one = (struct tat_io_extent){ f->fe_logical, disk_offset, f->fe_length }; }
    return one;
}

/* 0, an errno, or -1: memory. */
static int ask(int fd, uint32_t flags, struct extents * e, struct list * list) {
    struct fiemap * asked = malloc(sizeof *asked + ASKED * sizeof asked->fm_extents[0]);
    bool more = true;
    int why = asked ? 0 : -1;
    e->unplaced = 0;
    list->count = 0;
    for (uint64_t from = 0; more && why == 0 && list->count < EXTENTS_MOST;) {
        *asked = (struct fiemap){
            .fm_start = from, .fm_length = FIEMAP_MAX_OFFSET - from, .fm_flags = flags, .fm_extent_count = ASKED
        };
        if (ioctl(fd, FS_IOC_FIEMAP, asked) != 0) {
            why = errno;
            break;
        }
        more = asked->fm_mapped_extents != 0;
        for (uint32_t i = 0; i < asked->fm_mapped_extents && i < ASKED && why == 0; i++) {
            const struct fiemap_extent * f = &asked->fm_extents[i];
            if (f->fe_logical < from) { continue; } /* told once already */
            if (!add(e, list, f)) { why = -1; }
            from = f->fe_logical + f->fe_length;
            more = !(f->fe_flags & FIEMAP_EXTENT_LAST);
        }
    }
    free(asked);
    return why;
}

static bool is_realtime(int fd) {
    struct fsxattr attributes = { 0 };
    return ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 && attributes.fsx_xflags & FS_XFLAG_REALTIME;
}

static void say_none(struct extents * e, int why) {
    const char * name = *e->file_system ? e->file_system : "its file system";
    if (why == EOPNOTSUPP || why == ENOTTY || why == ENOSYS) {
        MISSING(e, "%s does not tell where a file's bytes are (FIEMAP)", name);
    } else if (why) {
        MISSING(e, "%s does not tell where the file's bytes are: %s", name, strerror(why));
    } else if (e->unplaced) {
        MISSING(e, "%s keeps the file inside its metadata, or compressed", name);
    } else {
        MISSING(e, "the file has no bytes on its disk");
    }
}

static int find_extents(int fd, struct extents * e, struct tat_error * error) {
    struct list list = { 0 };
    int why = ask(fd, 0, e, &list);
    if (why == 0 && e->unplaced) { why = ask(fd, FIEMAP_FLAG_SYNC, e, &list); }
    e->at = list.data;
    e->count = why ? 0 : list.count;
    if (why < 0) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (!e->count) { say_none(e, why); }
    return 0;
}

int extents_of(int fd, struct extents * e, struct tat_error * error) {
    struct stat status;
    *e = (struct extents){ 0 };
    if (fstat(fd, &status) != 0) { return tat_fail_errno(error, "a model file"); }
    e->device = status.st_dev;
    e->inode = status.st_ino;
    e->bytes = (uint64_t) status.st_size;
    e->modified_ns = (int64_t) status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    if (!S_ISREG(status.st_mode)) {
        MISSING(e, "it is not a regular file");
        return 0;
    }
    name_file_system(fd, e);
    if (!*e->missing) { find_disk(e); }
    if (!*e->missing && is_realtime(fd)) { MISSING(e, "the file is on the real-time device of its file system"); }
    const int failed = *e->missing ? 0 : find_extents(fd, e, error);
    if (!e->count) { e->disk = 0; }
    return failed;
}

int extents_of_path(const char * path, struct extents * e, struct tat_error * error) {
    *e = (struct extents){ 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) { return tat_fail_errno(error, "%s", path); }
    const int status = extents_of(fd, e, error);
    close(fd);
    return status;
}

void extents_free(struct extents * e) {
    free(e->at);
    e->at = NULL;
    e->count = 0;
}
