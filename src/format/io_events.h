/* SPDX-License-Identifier: MIT
 *
 * The payload of a block of I/O events. Each tells what differs from the one before.
 */
#ifndef TAT_FORMAT_IO_EVENTS_H
#define TAT_FORMAT_IO_EVENTS_H

#include "format/buffer.h"
#include "tat/io.h"

enum { IO_EVENT_MAX = 8 * TAT_VARINT_MAX }; /* bytes of one */

/* What an event's differences are against: all zeros at the beginning of a block. */
struct io_state {
    uint64_t ns, address;
};

void io_put_fault(struct tat_out * out, struct io_state * state, const struct tat_io_fault * fault);
void io_put_count(struct tat_out * out, enum tat_io_type type, uint64_t count);
void io_put_mark(struct tat_out * out, enum tat_io_type type); /* PARTIAL, END */

#endif
