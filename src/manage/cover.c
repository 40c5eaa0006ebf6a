/* SPDX-License-Identifier: MIT */
#include "manage/cover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "manage/advice.h"

static size_t page_bytes(void) {
    return (size_t) sysconf(_SC_PAGESIZE);
}

/* The program may have lowered its limit of address space below what it uses. The kernel then refuses to double a
 * mapping, but only after it has unmapped what was there. It would refuse to map the file there, too, and that in time.
 */
static bool is_within_limit(void) {
    struct rlimit most;
    char text[32];
    if (getrlimit(RLIMIT_AS, &most) != 0 || most.rlim_cur == RLIM_INFINITY) { return true; }
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) { close(fd); }
    if (n <= 0) { return true; }
    text[n] = '\0';
    return strtoull(text, NULL, 10) <= most.rlim_cur / page_bytes();
}

static bool double_mapping(char * from, char * to, size_t bytes) {
    if (!is_within_limit()) {
        errno = ENOMEM;
        return false;
    }
    return mremap(from, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

static bool is_same_file(const struct mapped_file * file) {
    struct stat now;
    return file->fd >= 0 && fstat(file->fd, &now) == 0 && now.st_dev == file->device && now.st_ino == file->inode;
}

/* Close to the limit of mappings, the kernel refuses to double one but still replaces one. */
static bool map_file(const struct mapped_file * file, char * at, size_t bytes) {
    const size_t from = (size_t) (at - file->at);
    if (double_mapping(file->again + from, at, bytes)) { return true; }
    const int error = errno;
    if (!is_same_file(file)) {
        errno = error;
        return false;
    }
    const off_t offset = (off_t) (file->offset + from);
    if (mmap(at, bytes, file->protection, MAP_SHARED | MAP_FIXED, file->fd, offset) != at) { return false; }
    madvise(at, bytes, MADV_RANDOM);
    return true;
}

/* A read fault also maps the pages around it that are in memory, so this is a few faults. */
static void make_present(const char * at, size_t bytes, size_t page) {
    if (madvise((void *) at, bytes, MADV_POPULATE_READ) == 0) { return; }
    for (size_t i = 0; i < bytes; i += page) { (void) *(const volatile char *) (at + i); } /* before Linux 5.14 */
}

bool cover_put(const struct mapped_file * file, char * at, uint32_t pages, const struct pool * pool,
               const struct pool_place * place, uint32_t skip) {
    const size_t page = page_bytes();
    uint32_t done = 0;
    for (unsigned i = 0; i < place->n_runs && done < pages; i++) {
        const struct pool_run run = place->run[i];
        if (skip >= run.count) {
            skip -= run.count;
            continue;
        }
        const uint32_t here = run.count - skip, n = here < pages - done ? here : pages - done;
        char * to = at + (size_t) done * page;
        if (!double_mapping(pool_read_only_at(pool, run.page + skip), to, n * page)) {
            const int error = errno;
            map_file(file, to, n * page); /* a kernel that ran out of memory halfway has left a hole */
            errno = error;
            return false;
        }
        done += n;
        skip = 0;
    }
    make_present(at, done * page, page);
    if (done < pages) { errno = EINVAL; }
    return done == pages;
}

bool cover_remove(const struct mapped_file * file, char * at, uint32_t pages) {
    return map_file(file, at, pages * page_bytes());
}

bool cover_remove_all(const struct mapped_file * file) {
    return map_file(file, file->at, file->bytes);
}

bool cover_begin(struct mapped_file * file) {
    struct stat status;
    if (!file->is_shared || file->protection != PROT_READ) {
        errno = ENOTSUP; /* the kernel cannot double private mappings; writes have to reach the file */
        return false;
    }
    if (madvise(file->at, file->bytes, MADV_DONTNEED) != 0) {
        errno = ENOTSUP; /* locked: the double would be locked too, and the whole file read for it */
        return false;
    }
    file->again = mremap(file->at, 0, file->bytes, MREMAP_MAYMOVE);
    if (file->again == MAP_FAILED) {
        file->again = NULL;
        return false;
    }
    madvise(file->again, file->bytes, MADV_RANDOM);
    madvise(file->at, file->bytes, MADV_RANDOM);
    if (file->fd >= 0 && fstat(file->fd, &status) == 0) {
        file->device = status.st_dev;
        file->inode = status.st_ino;
        posix_fadvise(file->fd, (off_t) file->offset, (off_t) file->bytes, POSIX_FADV_DONTNEED);
    } else {
        file->fd = -1;
    }
    return true;
}

void cover_end(struct mapped_file * file) {
    if (!file->again) { return; }
    madvise(file->at, file->bytes, file->advice);
    syscall(SYS_munmap, file->again, file->bytes); /* munmap is ours, and asks whether a model goes: one does already */
    file->again = NULL;
}
