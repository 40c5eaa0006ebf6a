/* SPDX-License-Identifier: MIT
 *
 * Sizes, times, counts and names for people.
 */
#ifndef TAT_ANALYSIS_UNITS_H
#define TAT_ANALYSIS_UNITS_H

#include <stdint.h>

#define UNITS_SIZE 32

/* "512 B", "93.8 MiB", "1.20 GiB": three digits. Returns `text`. */
const char * format_bytes(char text[static UNITS_SIZE], uint64_t bytes);

/* Of a mean, rounded: 297.95 bytes are "298 B". Returns `text`. */
const char * format_mean_bytes(char text[static UNITS_SIZE], double bytes);

/* "850 ns", "12.3 us", "1.50 s", "2 min 05 s", "3 h 07 min". Returns `text`. */
const char * format_duration(char text[static UNITS_SIZE], uint64_t nanoseconds);

/* "180,489". Returns `text`. */
const char * format_count(char text[static UNITS_SIZE], uint64_t count);

/* A share from 0 to 1: "12.5 %"; more than zero never shows as 0.0. Returns `text`. */
const char * format_share(char text[static UNITS_SIZE], double share);

/* A change, as a share of what was before: "+12.5 %". From ten times on "24,000 times", and below a tenth "1/24,000".
 * Returns `text`. */
const char * format_change(char text[static UNITS_SIZE], double change);

/* A rate: "17.3", and with two digits below 0.1, as for a model that is read from disk: "0.034". Returns `text`. */
const char * format_rate(char text[static UNITS_SIZE], double rate);

/* The last part of a path; points into it. */
const char * last_part(const char * path);

#endif
