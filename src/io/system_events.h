/* SPDX-License-Identifier: MIT
 *
 * What the kernel does anywhere: page-cache fills and evictions, requests to disks. They come through a tracefs
 * instance: perf's rings, which would need no cleaning up, lose some of what happens in interrupts without a word
 * (ARCHITECTURE.md).
 */
#ifndef TAT_IO_SYSTEM_EVENTS_H
#define TAT_IO_SYSTEM_EVENTS_H

#include "io/perf_events.h"

struct system_events;

/* Needs root, for this call alone, and a process with one thread. NULL with *error. The caller closes it. */
struct system_events * system_events_open(struct tat_error * error);

/* Why there are none of PAGES or REQUESTS, as this kernel lacks such events; "": there are. Good as long as *events. */
const char * system_events_missing(const struct system_events * events, enum tat_io_source source);

/* Passes on what has come, in no order. The pid is 0: the kernel tells the thread alone. */
void system_events_read(struct system_events * events, perf_sink sink, void * user);

void system_events_close(struct system_events * events); /* needs root too; NULL is allowed */

#endif
