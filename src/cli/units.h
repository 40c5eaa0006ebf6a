/* SPDX-License-Identifier: MIT
 *
 * Sizes and times for people.
 */
#ifndef TAT_CLI_UNITS_H
#define TAT_CLI_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define UNITS_SIZE 32

/* "512 B", "93.8 MiB", "1.20 GiB": three digits. Returns `text`. */
const char * format_bytes(char text[static UNITS_SIZE], uint64_t bytes);

/* "850 ns", "12.3 us", "1.50 s", "2 min 05 s", "3 h 07 min". Returns `text`. */
const char * format_duration(char text[static UNITS_SIZE], uint64_t nanoseconds);

/* "180,489". Returns `text`. */
const char * format_count(char text[static UNITS_SIZE], uint64_t count);

/* "500000", "64K", "1.5G", "2GiB" (powers of 1024, as the unit is written or not) or "500MB" (of 1000). False if it is
 * none, is not above zero, or does not fit. */
bool parse_bytes(const char * text, uint64_t * bytes);

#endif
