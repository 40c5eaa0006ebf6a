/* SPDX-License-Identifier: MIT
 *
 * What the thread opens. All of it is in a table of descriptors of its own: the program can neither close it nor give
 * its numbers to other files, whose bytes would then be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apart.h"
#include "manage/resident_state.h"

static int open_one(const struct resident_file * f, int flags, int * fd) {
    struct stat is;
    *fd = open(f->path, O_RDONLY | O_CLOEXEC | flags);
    if (*fd < 0) { return errno; }
    if (fstat(*fd, &is) != 0) { return errno; }
    return is.st_dev == f->device && is.st_ino == f->inode ? 0 : ESTALE;
}

static int open_file(struct resident * r, struct resident_file * f) {
    int error = open_one(f, 0, &f->mapped.fd);
    if (error) { return error; }
    posix_fadvise(f->mapped.fd, 0, 0, POSIX_FADV_RANDOM);
    if (r->is_direct && open_one(f, O_DIRECT, &f->direct) != 0) { r->is_direct = false; }
    return cover_begin(&f->mapped) ? 0 : errno;
}

/* Past the page cache only if all files can be read so. */
static int open_files(struct resident * r) {
    r->is_direct = true;
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
    if (!apart_leave_descriptors()) { return errno; }
    const int error = open_files(r);
    if (error) { return error; }
    r->pool = pool_new_growing(r->pool_bytes, r->pool_most);
    if (!r->pool) { return errno; }
    r->reader = reader_new(r->reader_wanted, r->depth);
    if (!r->reader) { return errno; }
    r->reader_used = reader_kind_of(r->reader);
    return 0;
}

/* The pool is unmapped with it; what covers a model stays. */
void resident_close(struct resident * r) {
    reader_free(r->reader);
    pool_free(r->pool);
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct resident_file * f = &r->files[i];
        if (f->direct >= 0 && f->direct != f->mapped.fd) { close(f->direct); }
        if (f->mapped.fd >= 0) { close(f->mapped.fd); }
    }
}
