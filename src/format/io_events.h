/* SPDX-License-Identifier: MIT
 *
 * The payload of a block of I/O events. Each tells what differs from the one of its type before.
 */
#ifndef TAT_FORMAT_IO_EVENTS_H
#define TAT_FORMAT_IO_EVENTS_H

#include "format/buffer.h"
#include "tat/io.h"

/* Bounds of what a reader accepts, so that sums and products of them do not wrap. */
#define IO_FILES_MAX 65536u
#define IO_PAGES_MAX (1ull << 51)
#define IO_BYTES_MAX (1ull << 62)

enum { IO_TEXT_MAX = 4096 };

/* What an event's differences are against: all zeros at the beginning of a block. */
struct io_state {
    uint64_t ns, address;             /* of a fault */
    uint64_t pages_ns, page;          /* when pages came or left, and the one after them */
    uint64_t request_ns, disk_offset; /* of a request, and the end of it */
    uint64_t counter_ns;
};

/* False, of all of these: it does not fit; nothing was written, and the state is as before. */
bool io_put_fault(struct tat_out * out, struct io_state * state, const struct tat_io_fault * fault);
bool io_put_count(struct tat_out * out, enum tat_io_type type, uint64_t count); /* IGNORED, LOST */
bool io_put_mark(struct tat_out * out, enum tat_io_type type);                  /* PARTIAL, END */
bool io_put_file(struct tat_out * out, const struct tat_io_file * file);        /* without its extents */
bool io_put_pages(struct tat_out * out, struct io_state * state, const struct tat_io_pages * pages);
bool io_put_request(struct tat_out * out, struct io_state * state, const struct tat_io_request * request);
bool io_put_counter(struct tat_out * out, struct io_state * state, const struct tat_io_counter_value * value);
bool io_put_source(struct tat_out * out, enum tat_io_source source, const char * missing); /* NULL, "": it is not */

/* Reads on, from the beginning, until it is known of faults and of requests whether the file has them: whether they were
 * recorded, or how many there are so far. What else is in *io says nothing. As tat_io_read otherwise. */
int io_read_beginning(const char * path, struct tat_io * io, struct tat_error * error);

/* These write as many as fit, and return how many. */
size_t io_put_extents(struct tat_out * out, uint32_t file, const struct tat_io_extent * extents, size_t count);
/* Of the pages `of`: runs may begin before them and end behind. Returns how many of the pages were told of. */
uint64_t io_put_residency(struct tat_out * out, const struct tat_io_residency * residency);

#endif
