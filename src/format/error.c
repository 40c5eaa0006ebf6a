/* SPDX-License-Identifier: MIT */
#include "tat/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int tat_fail(struct tat_error * error, enum tat_error_kind kind, const char * format, ...) {
    if (error) {
        va_list args;
        va_start(args, format);
        error->kind = kind;
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    return -1;
}

int tat_fail_errno(struct tat_error * error, const char * format, ...) {
    const int number = errno;
    if (error) {
        va_list args;
        va_start(args, format);
        error->kind = TAT_ERROR_SYSTEM;
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        const size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(number));
    }
    return -1;
}
