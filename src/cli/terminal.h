/* SPDX-License-Identifier: MIT
 *
 * What all commands print alike: numbers with units, colour, tables.
 */
#ifndef TAT_CLI_TERMINAL_H
#define TAT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct libscols_table;

/* Colour only on a terminal, and not where NO_COLOR is set. */
bool terminal_has_colour(int fd);

/* "98.4 MB", "1.2 kB", "812 B": powers of 1000. Returns `buffer`. */
const char * format_bytes(uint64_t bytes, char * buffer, size_t size);

/* "812 us", "5.4 ms", "1.23 s". */
const char * format_duration(uint64_t ns, char * buffer, size_t size);

/* "180,489". */
const char * format_count(uint64_t count, char * buffer, size_t size);

/* Reads "64M", "2G", "1000000": powers of 1000, or of 1024 with "Mi". False where it is no size. */
bool parse_size(const char * text, uint64_t * bytes);

#endif
