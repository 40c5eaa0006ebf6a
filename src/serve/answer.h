/* SPDX-License-Identifier: MIT
 *
 * What the server answers, apart from how it is sent.
 */
#ifndef TAT_SERVE_ANSWER_H
#define TAT_SERVE_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

/* By their numbers in HTTP. */
enum answer_status {
    ANSWER_OK = 200,
    ANSWER_FOUND = 302,
    ANSWER_BAD_REQUEST = 400,
    ANSWER_FORBIDDEN = 403,
    ANSWER_NOT_FOUND = 404,
    ANSWER_BAD_METHOD = 405,
    ANSWER_TOO_LARGE = 413,
    ANSWER_FAILED = 500,
    ANSWER_BUSY = 503,
};

struct answer {
    enum answer_status status;
    const char * type; /* Content-Type */
    const void * body;
    size_t bytes;
    void * owned; /* the body, if it is for free(); NULL: it is static */
};

#define ANSWER_JSON   "application/json"
#define ANSWER_BINARY "application/octet-stream"
#define ANSWER_TEXT   "text/plain; charset=utf-8"

/* A number; null if there is none. */
static inline json_t * number_or_null(bool there, uint64_t number) {
    return there ? json_integer((json_int_t) number) : json_null();
}

/* Takes over `value`; NULL stands for no memory. */
struct answer answer_json(json_t * value);

/* Takes over `text`, which is JSON already; NULL likewise. */
struct answer answer_json_text(char * text);

/* Takes over `bytes`. */
struct answer answer_binary(void * bytes, size_t count);

/* One line of text, which is static. */
struct answer answer_line(enum answer_status status, const char * text);

/* {"error": message}, with the status that the kind of error stands for. */
struct answer answer_error(const struct tat_error * error);
struct answer answer_error_as(enum answer_status status, const struct tat_error * error);

void answer_free(struct answer * answer);

#endif
