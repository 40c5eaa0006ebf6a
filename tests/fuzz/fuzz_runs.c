/* SPDX-License-Identifier: MIT
 *
 * Any blocks as a trace that is compared with itself, which must find nothing, and followed while it grows. Run as
 *
 *     fuzz_runs -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "analysis/live.h"
#include "blocks.h"
#include "format/follow.h"
#include "short.h"
#include "tat/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static void compare(const struct tat_trace * trace) {
    static const char * const sections[] = { "tensors", "experts", "order" };
    const struct tat_trace * const traces[] = { trace, trace, trace };
    struct tat_error error = { 0 };
    char * text = tat_diff(traces, 3, NULL, 0, &error);
    json_t * all = text ? json_loads(text, 0, NULL) : NULL;
    if (!all) { abort(); }
    for (size_t i = 0; i < 3; i++) {
        const json_t * values = json_object_get(json_object_get(all, sections[i]), "values");
        if (json_is_true(json_object_get(values, "differs"))) { abort(); }
    }
    json_decref(all);
    free(text);
}

static void look(struct follow * follow, struct live * live) {
    struct tat_error error;
    bool revised;
    if (follow_read(follow, &revised, &error) != 0 || !live_update(live, follow_trace(follow), revised)) { abort(); }
    json_t * frame = live_result(live, follow_trace(follow), 1000000, true);
    if (!frame) { abort(); }
    json_decref(frame);
}

/* First half of the file, then all of it, then what a patient reader makes of gaps. */
static void follow(const struct trace_builder * b) {
    struct tat_error error;
    char path[64];
    const int fd = memfd_create("trace", MFD_CLOEXEC);
    const size_t half = TAT_HEADER_BYTES + (b->size - TAT_HEADER_BYTES) / 2;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, b->bytes, half) != (ssize_t) half) { abort(); }
    struct follow * follow = follow_open(path, &error);
    struct live * live = live_new();
    if (!follow || !live) { abort(); }
    look(follow, live);
    if (write(fd, b->bytes + half, b->size - half) != (ssize_t) (b->size - half)) { abort(); }
    for (int i = 0; i < 4; i++) { look(follow, live); }
    follow_close(follow);
    live_free(live);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_trace * trace = open_blocks(&b, data, size);
    if (is_short(trace)) {
        compare(trace);
        follow(&b);
    }
    tat_trace_close(trace);
    tb_free(&b);
    return 0;
}
