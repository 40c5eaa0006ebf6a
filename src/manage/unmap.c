/* SPDX-License-Identifier: MIT
 *
 * The functions that change mappings, as the program calls them. Where a model was, other memory may soon be: nothing
 * of ours may be mapped there any more. System calls that pass by libc are not seen.
 */
#undef _FILE_OFFSET_BITS /* with it, mmap is a name for mmap64, and there would be one of two */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/hook.h"
#include "manage/manager.h"

#ifndef MREMAP_DONTUNMAP
enum { MREMAP_DONTUNMAP = 4 };
#endif

static void goes(const void * at, size_t bytes) {
    const int error = errno;
    manager_unmaps(at, bytes);
    errno = error;
}

static void * map(void * at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (flags & MAP_FIXED) { goes(at, bytes); }
    return (void *) syscall(SYS_mmap, at, bytes, protection, flags, fd, offset); /* NOLINT: an address */
}

TAT_EXPORT int munmap(void * at, size_t bytes) {
    goes(at, bytes);
    return (int) syscall(SYS_munmap, at, bytes);
}

TAT_EXPORT void * mmap(void * at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    return map(at, bytes, protection, flags, fd, offset);
}

TAT_EXPORT void * mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset);

void * mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    return map(at, bytes, protection, flags, fd, offset);
}

/* A part of the model that is moved away, or something that is moved over it. */
TAT_EXPORT void * mremap(void * from, size_t bytes, size_t new_bytes, int flags, ...) {
    va_list more;
    va_start(more, flags);
    void * to = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? va_arg(more, void *) : NULL;
    va_end(more);
    if (bytes) { goes(from, bytes); }
    if (flags & MREMAP_FIXED) { goes(to, new_bytes); }
    return (void *) syscall(SYS_mremap, from, bytes, new_bytes, flags, to); /* NOLINT: an address */
}

TAT_EXPORT void * shmat(int id, const void * at, int flags) {
    struct shmid_ds segment;
    if (at && (flags & SHM_REMAP) && shmctl(id, IPC_STAT, &segment) == 0) { goes(at, segment.shm_segsz); }
    return (void *) syscall(SYS_shmat, id, at, flags); /* NOLINT: an address */
}
