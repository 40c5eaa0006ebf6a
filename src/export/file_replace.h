/* SPDX-License-Identifier: MIT
 *
 * A file that is written whole or not at all: beside its place first, then renamed.
 */
#ifndef TAT_EXPORT_FILE_REPLACE_H
#define TAT_EXPORT_FILE_REPLACE_H

#include <stdbool.h>
#include <stdio.h>

#include "tat/error.h"

struct file_replace {
    char * path;
    char * beside; /* NULL: written in place */
    FILE * file;
    bool nameless; /* `beside` is made at the end */
    /* The caller may set these after opening. */
    bool only_new; /* fail (errno EEXIST) if another file took the place meanwhile */
    bool durable;  /* at the end, wait until the disk has the file */
};

/* Opens folder/name for replacing; mode 0600. Returns 0, or -1 with *error. */
int file_replace_begin(struct file_replace * r, const char * folder, const char * name, struct tat_error * error);

/* Opens a file that a user named: with the mode that the umask leaves, through links, and nothing stays if the program
 * is killed. What is not a regular file (a device, a pipe) is written in place. Returns 0, or -1 with *error. */
int file_replace_open(struct file_replace * r, const char * path, struct tat_error * error);

/* Puts it in place, or, where `good` is false or writing failed, takes it away again. Returns 0, or -1; *error is then
 * what failed here, or untouched where `good` was false. */
int file_replace_end(struct file_replace * r, int good, struct tat_error * error);

#endif
