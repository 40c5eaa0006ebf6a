/* SPDX-License-Identifier: MIT */
#include "manage/map_count.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/clock.h"

enum { TEXT = 16 << 10, DEFAULT_MOST = 65530, COUNT_NS = 1000000000 };

static uint64_t most_of_system(void) {
    char text[32];
    const int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) { close(fd); }
    text[n > 0 ? n : 0] = '\0';
    const uint64_t most = strtoull(text, NULL, 10);
    return most ? most : DEFAULT_MOST;
}

static uint64_t count_lines(const char * text, size_t length) {
    uint64_t lines = 0;
    for (const char *at = text, *end; (end = memchr(at, '\n', length - (size_t) (at - text))); at = end + 1) {
        lines++;
    }
    return lines;
}

/* 0: it cannot be known. */
static uint64_t mappings(void) {
    char text[TEXT];
    uint64_t lines = 0;
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, text, sizeof text)) > 0;) { lines += count_lines(text, (size_t) n); }
    if (fd >= 0) { close(fd); }
    return lines;
}

void map_count_begin(struct map_count * c) {
    const uint64_t all = most_of_system();
    c->now = mappings();
    c->most = c->now + (all > c->now ? all - c->now : 0) / 2;
    c->counted_ns = clock_monotonic_ns();
}

bool map_count_add(struct map_count * c, uint64_t more) {
    if (c->now + more > c->most) {
        const uint64_t ns = clock_monotonic_ns();
        if (ns - c->counted_ns < COUNT_NS) { return false; }
        c->counted_ns = ns;
        c->now = mappings();
        if (c->now + more > c->most) { return false; }
    }
    c->now += more;
    return true;
}
