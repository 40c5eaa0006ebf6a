/* SPDX-License-Identifier: MIT
 *
 * Brings pages of a file into memory and puts them out of it, at a given rate: page_churn FILE EVENTS_PER_SECOND
 * SECONDS. The file is made, and is all holes, so that no disk is in the way. Prints how many pages it brought in and
 * in how many seconds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BATCH = 64, PAGES = 1 << 14 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Each page comes, and leaves with its batch: two events. */
static int churn(int fd, uint64_t first) {
    char byte;
    for (uint64_t i = 0; i < BATCH; i++) {
        if (pread(fd, &byte, 1, (off_t) ((first + i) % PAGES * PAGE)) != 1) { return -1; }
    }
    return posix_fadvise(fd, (off_t) (first % PAGES * PAGE), BATCH * PAGE, POSIX_FADV_DONTNEED);
}

int main(int argc, char ** argv) {
    if (argc != 4) {
        fprintf(stderr, "page_churn FILE EVENTS_PER_SECOND SECONDS\n");
        return 2;
    }
    const double rate = atof(argv[2]), seconds = atof(argv[3]), begin = now();
    const int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t) PAGES * PAGE) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0) {
        perror(argv[1]);
        return 1;
    }
    uint64_t pages = 0;
    for (double t; (t = now() - begin) < seconds;) {
        if (2.0 * (double) pages >= rate * t) {
            nanosleep(&(struct timespec){ 0, 200000 }, NULL);
        } else if (churn(fd, pages) != 0) {
            perror(argv[1]);
            return 1;
        } else {
            pages += BATCH;
        }
    }
    printf("%llu pages in %.3f s\n", (unsigned long long) pages, now() - begin);
    return 0;
}
