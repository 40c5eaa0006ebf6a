/* SPDX-License-Identifier: MIT
 *
 * JSON in a file that is written whole or not at all.
 */
#ifndef TAT_CLI_JSON_FILE_H
#define TAT_CLI_JSON_FILE_H

#include <jansson.h>

#include "export/file_replace.h"

/* Writes all of it, each level indented by so many blanks, and ends the file, whatever happens. NULL: memory was short.
 * 0, or -1 with *error. */
int json_file_end(struct file_replace * file, const json_t * json, size_t indent, struct tat_error * error);

#endif
