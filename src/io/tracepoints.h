/* SPDX-License-Identifier: MIT
 *
 * The kernel's trace events for the page cache and for requests to disks: their numbers, and where each field of what
 * they tell is. Both differ from kernel to kernel, and tracefs says them. Nothing is switched on there.
 */
#ifndef TAT_IO_TRACEPOINTS_H
#define TAT_IO_TRACEPOINTS_H

#include <linux/perf_event.h>

#include "io/perf_events.h"

enum { TRACEPOINTS = 5 };

struct tracepoints;

/* NULL with *error: this needs root, or the kernel has no such events. The caller frees it. */
struct tracepoints * tracepoints_find(struct tat_error * error);
void tracepoints_free(struct tracepoints * tracepoints); /* NULL is allowed */

/* Of the one numbered `which`, below TRACEPOINTS, for all that happens on a processor. */
struct perf_event_attr tracepoint_attributes(const struct tracepoints * tracepoints, int which);

/* What it told in a sample: `raw` is its length, 32 bits, and so many bytes. Fills in kind and what belongs to it.
 * False: nothing to pass on, as a flush. */
bool tracepoint_read(const struct tracepoints * tracepoints, int which, const uint8_t * raw, struct perf_event * event);

#endif
