/* SPDX-License-Identifier: MIT */
#include "paged_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t word_at(uint64_t offset) {
    uint64_t x = offset / sizeof x + 1;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

void paged_fill(char * at, uint64_t offset, size_t bytes) {
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(offset + i);
        memcpy(at + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word);
    }
}

bool paged_is_right(const char * at, uint64_t offset, size_t bytes) {
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(offset + i);
        if (memcmp(at + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word) != 0) { return false; }
    }
    return true;
}

int paged_file(size_t bytes, int * direct) {
    char path[] = "/var/tmp/tat-paged-XXXXXX";
    const int fd = mkostemp(path, O_CLOEXEC);
    char * content = malloc(bytes + 1);
    if (fd < 0 || !content) { abort(); }
    paged_fill(content, 0, bytes);
    if (write(fd, content, bytes) != (ssize_t) bytes || fsync(fd) != 0) { abort(); }
    free(content);
    if (direct) {
        *direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
        if (*direct < 0) { *direct = open(path, O_RDONLY | O_CLOEXEC); }
    }
    unlink(path);
    return fd;
}
