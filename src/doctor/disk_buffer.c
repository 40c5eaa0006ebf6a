/* SPDX-License-Identifier: MIT */
#include "doctor/disk_buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
enum { MADV_COLLAPSE = 25 };
#endif

enum { LARGE = 2 << 20 }; /* where pages have 4 KiB; with other pages the kernel makes none of this size */

/* The kernel makes a large page only where there is a small one. */
static bool make_large(uint8_t * at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += LARGE) {
        *(volatile uint8_t *) (at + i) = 0;
        if (madvise(at + i, LARGE, MADV_COLLAPSE) != 0) { return false; }
    }
    return true;
}

/* The mapping itself has to begin where a large page can, not only what is used of it. */
int disk_buffer_make(struct disk_buffer * b, size_t bytes) {
    const size_t whole = (bytes + LARGE - 1) / LARGE * LARGE;
    *b = (struct disk_buffer){ .mapped_bytes = whole + LARGE, .page_bytes = (size_t) sysconf(_SC_PAGESIZE) };
    void * place = mmap(NULL, b->mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) { return errno; }
    b->mapping = place;
    void * at = (void *) (((uintptr_t) place + LARGE - 1) / LARGE * LARGE);
    const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (mmap(at, whole, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) { return errno; }
    b->at = at;
    if (make_large(b->at, whole)) { b->page_bytes = LARGE; }
    return 0;
}

void disk_buffer_free(struct disk_buffer * b) {
    if (b->mapping) { munmap(b->mapping, b->mapped_bytes); }
    *b = (struct disk_buffer){ 0 };
}
