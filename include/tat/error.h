/* SPDX-License-Identifier: MIT
 *
 * How every part of tat reports failure. The caller owns a struct tat_error; the callee fills it and returns a negative
 * value or NULL. Nothing below src/cli prints or exits.
 */
#ifndef TAT_ERROR_H
#define TAT_ERROR_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The values are the exit statuses of the command line. */
enum tat_error_kind {
    TAT_OK = 0,
    TAT_ERROR_NO = 1,     /* the answer is no */
    TAT_ERROR_USAGE = 2,  /* wrong usage */
    TAT_ERROR_INPUT = 3,  /* bad input */
    TAT_ERROR_SYSTEM = 4, /* the operating system refused */
};

struct tat_error {
    enum tat_error_kind kind;
    char message[1024]; /* what is wrong, where (file, byte, field) and what to do; no newline at the end */
};

/* Fills *error and returns -1, so that a function can end with `return tat_fail(...)`. `error` may be NULL: then it
 * only returns. Thread-safe as long as threads do not share *error. A message that is too long is cut. */
int tat_fail(struct tat_error * error, enum tat_error_kind kind, const char * format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": strerror(errno)" appended and kind TAT_ERROR_SYSTEM. */
int tat_fail_errno(struct tat_error * error, const char * format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
