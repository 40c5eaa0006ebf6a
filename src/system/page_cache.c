/* SPDX-License-Identifier: MIT */
#include "system/page_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE_PAGES = 1 << 18 };

bool page_cache_may_ask(int fd, const struct stat * file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return geteuid() == 0 || file->st_uid == geteuid() || eaccess(path, W_OK) == 0;
}

static bool look_at(int fd, uint64_t first, size_t pages, page_cache_sink sink, void * user) {
    static unsigned char resident[PIECE_PAGES];
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    void * at = mmap(NULL, pages * page, PROT_NONE, MAP_SHARED, fd, (off_t) (first * page));
    if (at == MAP_FAILED) { return false; }
    const bool known = mincore(at, pages * page, resident) == 0;
    munmap(at, pages * page);
    return known && sink(first, resident, pages, user);
}

bool page_cache_look(int fd, uint64_t bytes, page_cache_sink sink, void * user) {
    const uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
    for (uint64_t first = 0; first < pages; first += PIECE_PAGES) {
        const uint64_t n = pages - first < PIECE_PAGES ? pages - first : PIECE_PAGES;
        if (!look_at(fd, first, (size_t) n, sink, user)) { return false; }
    }
    return true;
}

static bool count(uint64_t first, const unsigned char * resident, size_t pages, void * user) {
    (void) first;
    for (size_t i = 0; i < pages; i++) { *(uint64_t *) user += resident[i] & 1; }
    return true;
}

bool page_cache_count(int fd, uint64_t bytes, uint64_t * pages) {
    *pages = 0;
    return page_cache_look(fd, bytes, count, pages);
}
