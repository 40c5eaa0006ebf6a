/* SPDX-License-Identifier: MIT
 *
 * The values that were read while an evaluation ran.
 */
#ifndef TAT_FORMAT_CAPTURES_H
#define TAT_FORMAT_CAPTURES_H

#include "format/trace.h"

enum {
    CAPTURE_VALUES_MAX = 1 << 24,
    VALUES_LEAST = 1 << 18,  /* allowed for all series of an evaluation */
    VALUES_A_BYTE = 1 << 12, /* and for each byte of its captures, more */
};

/* The captures of one evaluation, read one after the other. */
struct capture_reader {
    struct tat_in in;
    uint64_t values_left; /* that series may still have: a few bytes stand for any number */
};

struct capture_reader captures_begin(struct tat_in captures);

/* Reads the next capture: the number of its values, and up to `capacity` of them into `values` (NULL with 0: none).
 * False: the bytes make no sense. */
bool capture_next(struct capture_reader * reader, enum tat_capture_kind kind, int64_t * values, size_t capacity,
                  size_t * count);

struct bodies;

/* Like tat_trace_each_capture, with a reader of bodies that serves many evaluations. */
int each_capture(struct bodies * bodies, uint32_t evaluation, tat_capture_sink sink, void * user,
                 struct tat_error * error);

#endif
