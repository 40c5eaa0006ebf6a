/* SPDX-License-Identifier: MIT
 *
 * Writes io_events.bin: gathers events to blocks. One thread at a time, one file at a time.
 */
#ifndef TAT_IO_IO_WRITER_H
#define TAT_IO_IO_WRITER_H

#include <sys/types.h>

#include "format/io_events.h"

enum { IO_BLOCK_BYTES = 64 << 10 };

struct io_writer {
    uint64_t unwritten; /* events for which there was no room in the file */

    /* For io_writer.c alone. */
    int fd;
    uint64_t bytes, bytes_most; /* of the file */
    struct tat_out out;
    struct io_state state;
    uint64_t in_block, began_ns;
    uint8_t block[IO_BLOCK_BYTES];
};

/* Creates folder/io_events.bin, of at most so many bytes and a few, for a run whose first process is `pid`. 0, or -1
 * with *error.
 */
int io_writer_open(struct io_writer * writer, const char * folder, pid_t pid, uint64_t bytes_most,
                   struct tat_error * error);

void io_write_fault(struct io_writer * writer, const struct tat_io_fault * fault);
void io_write_file(struct io_writer * writer, const struct tat_io_file * file); /* and its extents */
void io_write_pages(struct io_writer * writer, const struct tat_io_pages * pages);
void io_write_request(struct io_writer * writer, const struct tat_io_request * request);
void io_write_counter(struct io_writer * writer, const struct tat_io_counter_value * value);
void io_write_residency(struct io_writer * writer, const struct tat_io_residency * residency);
void io_write_source(struct io_writer * writer, enum tat_io_source source, const char * missing); /* "": it is not */
void io_write_count(struct io_writer * writer, enum tat_io_type type, uint64_t count);
void io_write_mark(struct io_writer * writer, enum tat_io_type type);

/* Writes what is gathered, if that has waited for a second. Who follows the file sees it then. */
void io_writer_tick(struct io_writer * writer);

/* Writes all, how much was lost besides what could not be written, and END, for which there is room, and closes the
 * file. */
void io_writer_close(struct io_writer * writer, uint64_t lost);

#endif
