/* SPDX-License-Identifier: MIT
 *
 * What a client asks for: the path and the parameters of a request's target. Every byte of it is hostile.
 */
#ifndef TAT_SERVE_REQUEST_H
#define TAT_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

enum { REQUEST_BYTES = 8192, REQUEST_PARAMETERS = 32 };

struct parameter {
    const char *name, *value;
};

struct request {
    const char * path; /* "TOKEN/api/traces/0/about", decoded, without the first slash */
    struct parameter parameters[REQUEST_PARAMETERS];
    size_t n_parameters;
    char text[REQUEST_BYTES]; /* what the pointers above point to */
};

/* Reads "/path?name=value&name=value", with %XX decoded; and + as a space, in values. Returns 0, or -1 with *error
 * (TAT_ERROR_USAGE): too long, an escape that is none, a control character, a part ".." of the path, a parameter that
 * is given twice. */
int request_parse(struct request * request, const char * target, struct tat_error * error);

/* NULL: not given. */
const char * request_text(const struct request * request, const char * name);

/* The values below stay as they are if the parameter is not given. 0, or -1 with *error, which names the parameter and
 * what it may be. */
int request_count(const struct request * request, const char * name, uint64_t least, uint64_t most, uint64_t * value,
                  struct tat_error * error);
int request_real(const struct request * request, const char * name, double least, double most, double * value,
                 struct tat_error * error);

/* One of `count` words; *chosen is its number. */
int request_word(const struct request * request, const char * name, const char * const * words, size_t count,
                 unsigned * chosen, struct tat_error * error);

/* Whether all parameters are among those of `known`, words with a space between them; else -1 with *error. */
int request_only(const struct request * request, const char * known, struct tat_error * error);

#endif
