/* SPDX-License-Identifier: MIT */
#include "format/window.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { AHEAD = 128 << 10 }; /* with what is made of it, this fits the second-level cache */

static bool reserve(struct window * w, size_t count) {
    if (count <= w->capacity) { return true; }
    free(w->bytes); /* its contents are read again */
    w->bytes = malloc(count);
    w->capacity = w->bytes ? count : 0;
    if (!w->bytes) { w->error = ENOMEM; }
    return w->bytes != NULL;
}

static bool fill(struct window * w, uint64_t at, size_t least, size_t most) {
    w->count = 0;
    if (!reserve(w, most)) { return false; }
    w->at = at;
    while (w->count < least) {
        const ssize_t n = pread(w->fd, w->bytes + w->count, most - w->count, (off_t) (at + w->count));
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) { w->error = errno; }
        if (n <= 0) { return false; }
        w->count += (size_t) n;
    }
    return true;
}

const uint8_t * window_get(struct window * w, uint64_t at, size_t count) {
    const bool behind = w->count && at >= w->at;
    if (behind && at - w->at <= w->count && count <= w->count - (at - w->at)) { return w->bytes + (at - w->at); }
    w->error = 0;
    if (at > INT64_MAX - count) { return NULL; }
    const bool goes_on = behind && at - w->at <= w->count + AHEAD;
    if (!fill(w, at, count, !goes_on ? count : count < AHEAD ? AHEAD : count + AHEAD)) { return NULL; }
    return w->bytes;
}

void window_forget(struct window * w) {
    w->count = 0;
}

void window_free(struct window * w) {
    free(w->bytes);
    w->bytes = NULL;
    w->capacity = w->count = 0;
}

uint64_t window_skip_hole(const struct window * w, uint64_t at, uint64_t end) {
    const off_t data = lseek(w->fd, (off_t) at, SEEK_DATA);
    if (data < 0) { return errno == ENXIO ? end : at; }
    const uint64_t next = (uint64_t) data & ~(uint64_t) 7;
    return next < at ? at : next < end ? next : end;
}
