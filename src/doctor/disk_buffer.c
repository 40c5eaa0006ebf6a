/* SPDX-License-Identifier: MIT */
#include "doctor/disk_buffer.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "system/large_pages.h"

/* The mapping itself has to begin where a large page can, not only what is used of it. */
int disk_buffer_make(struct disk_buffer * b, size_t bytes) {
    const size_t whole = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    *b = (struct disk_buffer){ .mapped_bytes = whole + LARGE_PAGE, .page_bytes = (size_t) sysconf(_SC_PAGESIZE) };
    void * place = mmap(NULL, b->mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) { return errno; }
    b->mapping = place;
    void * at = (void *) (((uintptr_t) place + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (mmap(at, whole, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) { return errno; }
    b->at = at;
    if (large_pages_make((char *) b->at, whole)) { b->page_bytes = LARGE_PAGE; }
    return 0;
}

void disk_buffer_free(struct disk_buffer * b) {
    if (b->mapping) { munmap(b->mapping, b->mapped_bytes); }
    *b = (struct disk_buffer){ 0 };
}
