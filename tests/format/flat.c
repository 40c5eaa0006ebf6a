/* SPDX-License-Identifier: MIT
 *
 * All access records of a trace as the library makes them, to stdout: struct tat_access, then its layout's two u64. To
 * stderr what is wrong with the trace.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tat/trace.h"

struct user {
    const struct tat_trace * trace;
    bool                     failed;
};

static bool put(const struct tat_access * records, size_t count, void * data) {
    struct user * user = data;
    for (size_t i = 0; i < count && !user->failed; i++) {
        const struct tat_layout layout = tat_trace_layout(user->trace, records[i].layout);
        user->failed =
            fwrite(&records[i], sizeof records[i], 1, stdout) != 1 || fwrite(&layout, sizeof layout, 1, stdout) != 1;
    }
    return !user->failed;
}

int main(int argc, char ** argv) {
    struct tat_error   error = { 0 };
    struct tat_trace * trace = argc == 2 ? tat_trace_open(argv[1], &error) : NULL;
    if (!trace) {
        fprintf(stderr, "flat TRACE: %s\n", error.message);
        return 2;
    }
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    fprintf(stderr, "%" PRIu64 " bytes damaged, %" PRIu32 " blocks without sense, %" PRIu32 " orphans\n",
            s->damaged_bytes, s->undecodable_blocks, s->orphan_evaluations);
    struct user user = { .trace = trace };
    uint32_t    count;
    tat_trace_evaluations(trace, &count);
    const int result = tat_trace_expand(trace, 0, count, put, &user, &error);
    tat_trace_close(trace);
    return result != 0 || fflush(stdout) != 0;
}
