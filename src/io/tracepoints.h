/* SPDX-License-Identifier: MIT
 *
 * The kernel's trace events for the page cache and for requests to disks: their numbers, and where each field of what
 * they tell is. Both differ from kernel to kernel, and tracefs says them.
 */
#ifndef TAT_IO_TRACEPOINTS_H
#define TAT_IO_TRACEPOINTS_H

#include "io/perf_events.h"

enum { TRACEPOINTS = 5 };

struct tracepoints;

/* From the events/ of `tracefs`, a folder. NULL with *error: the kernel has no such events. The caller frees it. */
struct tracepoints * tracepoints_find(int tracefs, struct tat_error * error);
void tracepoints_free(struct tracepoints * tracepoints); /* NULL is allowed */

/* The folder of the one numbered `which`, below TRACEPOINTS, in events/. */
const char * tracepoint_folder(int which);

/* What an entry of a trace buffer tells: fills in kind, tid and what belongs to the kind. False: nothing to pass on, as
 * a flush, or another event. */
bool tracepoint_read(const struct tracepoints * tracepoints, const uint8_t * entry, uint32_t bytes,
                     struct perf_event * event);

#endif
