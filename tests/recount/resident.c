/* SPDX-License-Identifier: MIT
 *
 *     resident FILE            prints "pages FIRST LAST" for each run of pages that are in the page cache
 *     resident --evict FILE    lets go of all of them first
 *
 * Exit status 0; 1: some could not be let go; 3: bad input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t page;

struct file {
    int fd;
    size_t size, n_pages;
    unsigned char * map;
    unsigned char * there; /* by page */
};

static bool open_file(struct file * f, const char * path) {
    struct stat status;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &status) != 0) { return false; }
    f->size = (size_t) status.st_size;
    f->n_pages = (f->size + page - 1) / page;
    f->there = malloc(f->n_pages + 1);
    f->map = mmap(NULL, f->size, PROT_NONE, MAP_SHARED, f->fd, 0);
    return f->there && f->map != MAP_FAILED;
}

/* How many there are. */
static size_t look(struct file * f) {
    size_t count = 0;
    if (mincore(f->map, f->size, f->there) != 0) { memset(f->there, 1, f->n_pages); }
    for (size_t i = 0; i < f->n_pages; i++) { count += f->there[i] &= 1; }
    return count;
}

/* What is on its way in, or not written yet, takes a moment. */
static bool evict(struct file * f) {
    for (int tries = 0; tries < 1000; tries++) {
        posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
        if (look(f) == 0) { return true; }
        usleep(1000);
    }
    return false;
}

int main(int argc, char ** argv) {
    const bool evicts = argc == 3 && strcmp(argv[1], "--evict") == 0;
    struct file f;
    page = (size_t) sysconf(_SC_PAGESIZE);
    if (!evicts && argc != 2) { return 2; }
    if (!open_file(&f, argv[argc - 1])) {
        fprintf(stderr, "resident: %s: %s\n", argv[argc - 1], strerror(errno));
        return 3;
    }
    if (evicts) { return evict(&f) ? 0 : 1; }
    look(&f);
    for (size_t i = 0; i < f.n_pages; i++) {
        const size_t first = i;
        while (i < f.n_pages && f.there[i]) { i++; }
        if (i > first) { printf("pages %zu %zu\n", first, i - 1); }
    }
    return 0;
}
