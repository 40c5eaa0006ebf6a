/* SPDX-License-Identifier: MIT
 *
 * Sizes as people write them.
 */
#ifndef TAT_ANALYSIS_SIZE_TEXT_H
#define TAT_ANALYSIS_SIZE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* "500000", "64K", "1.5G", "2GiB" (powers of 1024, as the unit is written or not) or "500MB" (of 1000). False if it is
 * none, is not above zero, or does not fit. */
bool parse_bytes(const char * text, uint64_t * bytes);

/* Bytes a second: such a size, with "/s" behind it or without. */
bool parse_rate(const char * text, uint64_t * per_second);

/* What a cache keeps as one, as cache_unit of struct tat_analysis_options: "slice", "expert", "page" (4 KiB), or a size
 * that is a power of two from 512 to 16M. False if it is none. */
bool parse_cache_unit(const char * text, uint64_t * unit);
#define CACHE_UNITS "not slice, expert, page or a power of two from 512 to 16M"

#endif
