/* SPDX-License-Identifier: MIT
 *
 * Ranges of numbers, as people write them and as a set.
 */
#ifndef TAT_FORMAT_NUMBER_SET_H
#define TAT_FORMAT_NUMBER_SET_H

#include <stdbool.h>

#include "format/list.h"

/* From `first` to `last`, both included. */
struct number_range {
    uint64_t first, last;
};

/* Reads a number at *text and moves past it. False: there is none. */
typedef bool (*number_reader)(const char ** text, uint64_t * number);
bool number_read(const char ** text, uint64_t * number);        /* "5" */
bool number_read_offset(const char ** text, uint64_t * number); /* "5", "0x1f" */
bool number_read_time(const char ** text, uint64_t * number);   /* nanoseconds: "5", "1.5ms", "2s" */

/* "5", "3:8", "3:", ":8". False: it is none, and *range is untouched. A range may end before it begins. */
bool number_range_read(const char * text, number_reader read, struct number_range * range);

/* Sorted, and apart from each other. Begins zeroed. */
struct number_set {
    struct list ranges; /* struct number_range */
};

bool number_set_add(struct number_set * set, struct number_range range); /* false: no memory */
bool number_set_meets(const struct number_set * set, struct number_range range);
void number_set_free(struct number_set * set);

#endif
