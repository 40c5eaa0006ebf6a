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

/* From the events/ of `tracefs`, a folder. NULL with *error: memory is short. The caller frees it. */
struct tracepoints * tracepoints_find(int tracefs, struct tat_error * error);
void tracepoints_free(struct tracepoints * tracepoints); /* NULL is allowed */

/* Why there are none of PAGES or REQUESTS; "": there are. Good as long as *tracepoints. */
const char * tracepoints_missing(const struct tracepoints * tracepoints, enum tat_io_source source);

/* The folder of the one numbered `which`, below TRACEPOINTS, in events/. NULL: this kernel does not have all of its
 * kind. */
const char * tracepoint_folder(const struct tracepoints * tracepoints, int which);

/* What an entry of a trace buffer tells: fills in kind, tid and what belongs to the kind. False: nothing to pass on, as
 * a flush, or another event. */
bool tracepoint_read(const struct tracepoints * tracepoints, const uint8_t * entry, uint32_t bytes,
                     struct perf_event * event);

#endif
