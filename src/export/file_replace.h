/* SPDX-License-Identifier: MIT
 *
 * A file that is written whole or not at all: beside its place first, then renamed.
 */
#ifndef TAT_EXPORT_FILE_REPLACE_H
#define TAT_EXPORT_FILE_REPLACE_H

#include <stdio.h>

#include "tat/error.h"

struct file_replace {
    char * path;
    char * beside;
    FILE * file;
};

/* Opens folder/name for replacing; mode 0600. Returns 0, or -1 with *error. */
int file_replace_begin(struct file_replace * r, const char * folder, const char * name, struct tat_error * error);

/* Puts it in place, or, where `good` is false or writing failed, takes it away again. Returns 0 or -1. */
int file_replace_end(struct file_replace * r, int good, struct tat_error * error);

#endif
