/* SPDX-License-Identifier: MIT
 *
 * flat TRACE: all access records of a trace as the library makes them, to stdout: struct tat_access, then its layout's
 * two u64. To stderr what is wrong with the trace, and what was lost.
 *
 * flat --waits TRACE: in their place each struct tat_wait.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tat/trace.h"

struct user {
    const struct tat_trace * trace;
    bool failed;
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

static int put_waits(const struct tat_trace * trace, struct tat_error * error) {
    size_t count;
    if (tat_trace_waits(trace, 0, UINT32_MAX, NULL, 0, &count, error) != 0) { return -1; }
    struct tat_wait * waits = calloc(count + 1, sizeof *waits);
    const bool good = waits && tat_trace_waits(trace, 0, UINT32_MAX, waits, count, &count, error) == 0 &&
                      fwrite(waits, sizeof *waits, count, stdout) == count;
    free(waits);
    return good ? 0 : -1;
}

int main(int argc, char ** argv) {
    const bool waits = argc == 3 && strcmp(argv[1], "--waits") == 0;
    struct tat_error error = { 0 };
    struct tat_trace * trace = argc == 2 + waits ? tat_trace_open(argv[1 + waits], &error) : NULL;
    if (!trace) {
        fprintf(stderr, "flat [--waits] TRACE: %s\n", error.message);
        return 2;
    }
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    fprintf(stderr, "%" PRIu64 " bytes damaged, %" PRIu32 " blocks without sense, %" PRIu32 " orphans\n",
            s->damaged_bytes, s->undecodable_blocks, s->orphan_evaluations);
    fprintf(stderr,
            "evaluations: %" PRIu64 " emitted, %" PRIu64 " stored, %" PRIu64 " filtered, lost:", s->evaluations_emitted,
            s->evaluations_stored, s->evaluations_filtered);
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) { fprintf(stderr, " %" PRIu64, s->lost[reason]); }
    fprintf(stderr, "; events: %" PRIu64 " emitted, %" PRIu64 " stored, %" PRIu64 " lost\n", s->events_emitted,
            s->events_stored, s->events_lost);
    struct user user = { .trace = trace };
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    const int result = waits ? put_waits(trace, &error) : tat_trace_expand(trace, 0, count, put, &user, &error);
    tat_trace_close(trace);
    return result != 0 || fflush(stdout) != 0;
}
