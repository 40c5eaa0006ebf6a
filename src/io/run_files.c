/* SPDX-License-Identifier: MIT */
#include "io/run_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "format/file_names.h"
#include "system/page_cache.h"

#define FILES(f) LIST(struct run_file, (f)->all)

/* ---- finding ---- */

static uint32_t slot_of(const struct run_files * f, uint64_t device, uint64_t inode) {
    const uint64_t mixed = (inode ^ device << 40) * 0x9e3779b97f4a7c15u;
    return (uint32_t) (mixed >> 32) & (f->n_slots - 1);
}

/* A slot has the place in `all`, plus 1. */
static uint32_t * find_slot(const struct run_files * f, uint64_t device, uint64_t inode) {
    uint32_t at = slot_of(f, device, inode);
    for (; f->slots[at]; at = (at + 1) & (f->n_slots - 1)) {
        const struct run_file * file = &FILES(f)[f->slots[at] - 1];
        if (file->inode == inode && file->device == device) { break; }
    }
    return &f->slots[at];
}

/* At most half of the slots are taken. */
static bool make_slots(struct run_files * f) {
    if (f->all.count < f->n_slots / 2) { return true; }
    const uint32_t n = f->n_slots ? 2 * f->n_slots : 256;
    uint32_t * slots = calloc(n, sizeof *slots);
    if (!slots) { return false; }
    free(f->slots);
    f->slots = slots;
    f->n_slots = n;
    for (uint32_t i = 0; i < f->all.count; i++) { *find_slot(f, FILES(f)[i].device, FILES(f)[i].inode) = i + 1; }
    return true;
}

struct run_file * run_files_find(struct run_files * f, uint64_t device, uint64_t inode) {
    if (f->last < f->all.count && FILES(f)[f->last].inode == inode && FILES(f)[f->last].device == device) {
        return &FILES(f)[f->last];
    }
    const uint32_t * slot = f->n_slots ? find_slot(f, device, inode) : NULL;
    if (!slot || !*slot) { return NULL; }
    f->last = *slot - 1;
    return &FILES(f)[f->last];
}

/* ---- opening ---- */

/* For system calls that need a descriptor; nothing is read. A device could take it as a sign, so it is not opened. */
static int open_quietly(const char * path) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) { return -1; }
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int open_mapped(uint64_t inode, const char * path) {
    struct stat status;
    const int fd = open_quietly(path);
    if (fd < 0 || (fstat(fd, &status) == 0 && status.st_ino == inode)) { return fd; }
    close(fd); /* another file has its name now */
    return -1;
}

static int open_of_process(pid_t pid, uint64_t inode, char path[static PATH_MAX]) {
    char folder[64], name[sizeof folder + NAME_MAX + 2];
    struct stat status;
    int fd = -1;
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int) pid);
    DIR * open_files = opendir(folder);
    for (struct dirent * d; open_files && fd < 0 && (d = readdir(open_files));) {
        snprintf(name, sizeof name, "%s/%s", folder, d->d_name);
        if (stat(name, &status) != 0 || status.st_ino != inode) { continue; }
        const ssize_t length = readlink(name, path, PATH_MAX - 1);
        path[length > 0 ? length : 0] = '\0';
        fd = open_quietly(name);
    }
    if (open_files) { closedir(open_files); }
    return fd;
}

/* ---- telling ---- */

static const char * shown_path(const struct run_files * f, char path[static PATH_MAX]) {
    const char * home = f->is_private ? getenv("HOME") : NULL;
    const size_t length = home ? strlen(home) : 0;
    if (length > 1 && strncmp(path, home, length) == 0 && path[length] == '/') {
        path += length - 1;
        *path = '~';
    }
    return path;
}

static void add_disk(struct run_files * f, uint64_t disk) {
    uint64_t * at = disk && !run_files_on(f, disk) ? list_add(&f->disks, sizeof *at) : NULL;
    if (at) { *at = disk; }
}

static void tell(struct run_files * f, struct run_file * file, char path[static PATH_MAX]) {
    struct extents extents = { 0 };
    struct tat_error error;
    const bool known = file->fd >= 0 && extents_of(file->fd, &extents, &error) == 0;
    const struct tat_io_file told = { .number = file->number,
                                      .device = file->device,
                                      .inode = file->inode,
                                      .bytes = file->bytes,
                                      .path = shown_path(f, path),
                                      .file_system = extents.file_system,
                                      .disk = extents.disk,
                                      .no_extents = known ? extents.missing : "the file could not be opened",
                                      .extents = extents.at,
                                      .n_extents = extents.count };
    file->disk = extents.disk;
    add_disk(f, extents.disk);
    file->has_extents = extents.count > 0;
    io_write_file(f->writer, &told);
    extents_free(&extents);
}

/* Its path now, which may have changed, or be of a file that was deleted. */
static void tell_again(struct run_files * f, struct run_file * file) {
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file->fd);
    const ssize_t length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    tell(f, file, path);
}

void run_files_tell_late(struct run_files * f) {
    for (uint32_t i = 0; i < f->all.count; i++) {
        struct run_file * file = &FILES(f)[i];
        if (file->number && file->fd >= 0 && !file->has_extents) { tell_again(f, file); }
    }
}

/* ---- adding ---- */

/* Further processes of the run have folders of that name with a number appended. */
static bool is_tracers(const struct run_files * f, const char * path) {
    const size_t length = strlen(f->folder);
    return strncmp(path, f->folder, length) == 0 && (path[length] == '/' || path[length] == '_') &&
           is_named_as_ours(path);
}

/* `fd` is the file's from here on; -1: it could not be opened. */
static struct run_file * add(struct run_files * f, uint64_t device, uint64_t inode, int fd, char * path) {
    struct stat status = { 0 };
    struct run_file * file = make_slots(f) ? list_add(&f->all, sizeof *file) : NULL;
    if (!file) {
        if (fd >= 0) { close(fd); }
        return NULL;
    }
    *file = (struct run_file){ .device = device, .inode = inode, .fd = fd };
    *find_slot(f, device, inode) = f->all.count;
    const bool is_known = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    file->bytes = is_known ? (uint64_t) status.st_size : 0;
    file->is_tracers = is_tracers(f, path);
    if ((!is_known || file->bytes >= RUN_FILE_BYTES_LEAST) && f->numbers < IO_FILES_MAX) {
        file->number = ++f->numbers;
        file->tells_residency = is_known && page_cache_may_ask(fd, &status);
        const struct run_file * largest = run_files_largest(f);
        if (!file->is_tracers && (!largest || file->bytes > largest->bytes)) { f->largest = f->all.count; }
        tell(f, file, path);
        run_file_tell_residency(file, f->writer);
    }
    if (!file->number && fd >= 0) {
        close(fd);
        file->fd = -1;
    }
    return file;
}

struct run_file * run_files_add_mapped(struct run_files * f, uint64_t device, uint64_t inode, const char * path) {
    struct run_file * file = run_files_find(f, device, inode);
    char copy[PATH_MAX] = "";
    if (file) { return file; }
    if (path) { snprintf(copy, sizeof copy, "%s", path); }
    return add(f, device, inode, open_mapped(inode, copy), copy);
}

struct run_file * run_files_add_read(struct run_files * f, uint64_t device, uint64_t inode, pid_t pid) {
    struct run_file * file = run_files_find(f, device, inode);
    char path[PATH_MAX] = "";
    return file ? file : add(f, device, inode, open_of_process(pid, inode, path), path);
}

struct run_file * run_files_expect(struct run_files * f, const char * path) {
    struct stat status;
    char full[PATH_MAX];
    const int fd = open_quietly(path);
    if (fd < 0) { return NULL; }
    /* Where the file system has no disk of its own, the page cache may know the file by another device. */
    if (fstat(fd, &status) != 0 || major(status.st_dev) == 0 || !realpath(path, full)) {
        close(fd);
        return NULL;
    }
    struct run_file * file = run_files_find(f, status.st_dev, status.st_ino);
    if (!file) { return add(f, status.st_dev, status.st_ino, fd, full); }
    close(fd);
    return file;
}

bool run_files_on(const struct run_files * f, uint64_t disk) {
    for (uint32_t i = 0; i < f->disks.count; i++) {
        if (LIST(uint64_t, f->disks)[i] == disk) { return true; }
    }
    return false;
}

struct run_file * run_files_largest(const struct run_files * f) {
    return f->largest ? &FILES(f)[f->largest - 1] : NULL;
}

void run_files_free(struct run_files * f) {
    for (uint32_t i = 0; i < f->all.count; i++) {
        if (FILES(f)[i].fd >= 0) { close(FILES(f)[i].fd); }
    }
    free(f->all.data);
    free(f->disks.data);
    free(f->slots);
    *f = (struct run_files){ 0 };
}
