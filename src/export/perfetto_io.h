/* SPDX-License-Identifier: MIT
 *
 * The I/O events beside a trace, as tracks of its Perfetto trace: page faults by thread, requests to disks, what is in
 * memory, counters.
 */
#ifndef TAT_EXPORT_PERFETTO_IO_H
#define TAT_EXPORT_PERFETTO_IO_H

#include "export/perfetto_tracks.h"
#include "tat/storage.h"

/* From when to when, in ns since the trace began. Nothing has a place before its beginning. */
struct io_span {
    uint64_t begin_ns, end_ns;
};

/* Puts what there is in that time. `knows_tensor`: by number, whose names were said before. Errors are in the tracks. A
 * run without I/O events has none of the tracks. 0, or -1 with *error: the events cannot be read. */
int perfetto_io_put(struct tracks * tracks, struct text_out * out, struct io_span span, bool * knows_tensor,
                    struct tat_error * error);

/* About how many bytes that takes. `io` is of the trace that began at `start_ns` of CLOCK_MONOTONIC. */
uint64_t perfetto_io_bytes(const struct tat_io * io, uint64_t start_ns, struct io_span span);

#endif
