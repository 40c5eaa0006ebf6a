/* SPDX-License-Identifier: MIT
 *
 * What the thread opens. All of it is in a table of descriptors of its own: the program can neither close it nor give
 * its numbers to other files, whose bytes would then be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manage/descriptors.h"
#include "manage/resident_state.h"

/* The device and inode of what is mapped at an address, as /proc/self/maps has them: stat may tell others (btrfs,
 * overlayfs), but two mappings of one file agree there. */
struct mapped_as {
    unsigned major, minor;
    unsigned long long inode;
};

static bool find_mapped(const void * at, struct mapped_as * as) {
    FILE * maps = fopen("/proc/self/maps", "re");
    char * line = NULL;
    size_t size = 0;
    bool found = false;
    while (maps && !found && getline(&line, &size, maps) > 0) {
        unsigned long long from, to;
        found = sscanf(line, "%llx-%llx %*s %*s %x:%x %llu", &from, &to, &as->major, &as->minor, &as->inode) == 5 &&
                from <= (uintptr_t) at && (uintptr_t) at < to;
    }
    free(line);
    if (maps) { fclose(maps); }
    return found;
}

/* By now another file may be at the path, even one with the same number on another device. */
static bool is_mapped_at(int fd, const void * at) {
    struct mapped_as model, probed;
    void * probe = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (probe == MAP_FAILED) { return false; }
    const bool same = find_mapped(at, &model) && find_mapped(probe, &probed) && model.inode == probed.inode &&
                      model.major == probed.major && model.minor == probed.minor;
    munmap(probe, 1);
    return same;
}

static int open_file(struct resident * r, struct resident_file * f) {
    struct stat direct;
    f->mapped.fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->mapped.fd < 0 || fstat(f->mapped.fd, &f->opened) != 0) { return errno; }
    if (!is_mapped_at(f->mapped.fd, f->mapped.at)) { return ESTALE; }
    posix_fadvise(f->mapped.fd, 0, 0, POSIX_FADV_RANDOM);
    if (r->is_direct) { f->direct = open(f->path, O_RDONLY | O_CLOEXEC | O_DIRECT); }
    r->is_direct = r->is_direct && f->direct >= 0 && fstat(f->direct, &direct) == 0 &&
                   direct.st_dev == f->opened.st_dev && direct.st_ino == f->opened.st_ino;
    return r->by->begin_file(r, &f->mapped);
}

bool resident_files_are_same(const struct resident * r) {
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct resident_file * f = &r->files[i];
        struct stat now;
        if (fstat(f->mapped.fd, &now) != 0 || now.st_size != f->opened.st_size ||
            now.st_mtim.tv_sec != f->opened.st_mtim.tv_sec || now.st_mtim.tv_nsec != f->opened.st_mtim.tv_nsec) {
            return false;
        }
    }
    return true;
}

/* Past the page cache only if all files can be read so. */
static int open_files(struct resident * r) {
    r->is_direct = r->how == READ_INTO;
    for (uint32_t i = 0; i < r->n_files; i++) { r->files[i].direct = r->files[i].mapped.fd = -1; }
    for (uint32_t i = 0; i < r->n_files; i++) {
        const int error = open_file(r, &r->files[i]);
        if (error) { return error; }
    }
    for (uint32_t i = 0; i < r->n_files && !r->is_direct; i++) {
        struct resident_file * f = &r->files[i];
        if (f->direct >= 0) { close(f->direct); }
        f->direct = f->mapped.fd;
    }
    return 0;
}

int resident_open(struct resident * r) {
    if (!descriptors_leave()) { return errno; }
    int error = open_files(r);
    if (!error) { error = r->by->begin(r); }
    if (error) { return error; }
    r->reader = reader_new(r->reader_wanted, r->depth);
    if (!r->reader) { return errno; }
    r->reader_used = reader_kind_of(r->reader);
    return 0;
}

void resident_close(struct resident * r) {
    reader_free(r->reader);
    r->by->end(r);
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct resident_file * f = &r->files[i];
        if (f->direct >= 0 && f->direct != f->mapped.fd) { close(f->direct); }
        if (f->mapped.fd >= 0) { close(f->mapped.fd); }
    }
}
