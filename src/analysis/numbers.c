/* SPDX-License-Identifier: MIT */
#include "analysis/numbers.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROOM = 48 /* for one more range and the end */ };

/* How many numbers from `at` on follow each other and are said as a range: two are said one by one. */
static size_t range_at(const uint32_t * numbers, size_t count, size_t at) {
    size_t n = 1;
    while (at + n < count && numbers[at + n] == numbers[at] + n) { n++; }
    return n > 2 ? n : 1;
}

const char * format_numbers(char text[static NUMBERS_SIZE], const uint32_t * numbers, size_t count) {
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0, n; i < count; i += n) {
        n = range_at(numbers, count, i);
        const size_t left = NUMBERS_SIZE - used;
        const char * before = i == 0 ? "" : i + n == count ? " and " : ", ";
        if (left < ROOM) {
            snprintf(text + used, left, " and %zu more", count - i);
            return text;
        }
        used += (size_t) (n > 1 ? snprintf(text + used, left, "%s%" PRIu32 " to %" PRIu32, before, numbers[i],
                                           numbers[i + n - 1])
                                : snprintf(text + used, left, "%s%" PRIu32, before, numbers[i]));
    }
    return text;
}
