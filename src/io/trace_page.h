/* SPDX-License-Identifier: MIT
 *
 * A page of the kernel's trace buffer, as trace_pipe_raw gives it: times as differences, then entries. Its layout is
 * that of events/header_page and events/header_event in tracefs, and the same in all kernels since 2.6.30.
 */
#ifndef TAT_IO_TRACE_PAGE_H
#define TAT_IO_TRACE_PAGE_H

#include <stddef.h>
#include <stdint.h>

enum { TRACE_PAGE_HEADER = 16 }; /* bytes before the first entry; larger by none on any machine of 64 bits */

/* `ns`: when it was written, on the buffer's clock. `entry`: so many bytes, good until the call returns. */
typedef void (*trace_entry_sink)(uint64_t ns, const uint8_t * entry, uint32_t bytes, void * user);

/* Passes on each entry. Returns how many had been overwritten before this page for want of room; at least 1 if nobody
 * counted them. */
uint64_t trace_page_read(const uint8_t * page, size_t bytes, trace_entry_sink sink, void * user);

#endif
