/* SPDX-License-Identifier: MIT
 *
 * Which layers, which experts: numbers in words.
 */
#ifndef TAT_ANALYSIS_NUMBERS_H
#define TAT_ANALYSIS_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

enum { NUMBERS_SIZE = 160 };

/* "0 to 3, 7 and 12" of ascending numbers; of more than fit "0, 2, 4 and 12 more". Returns `text`. */
const char * format_numbers(char text[static NUMBERS_SIZE], const uint32_t * numbers, size_t count);

#endif
