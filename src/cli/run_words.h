/* SPDX-License-Identifier: MIT
 *
 * What the library that manages memory reports, in words for the user of `tat run`.
 */
#ifndef TAT_CLI_RUN_WORDS_H
#define TAT_CLI_RUN_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* What a line (run_line.h) says, in words, with the ends of lines. Its kind is one of "begin", "so_far", "end", "note",
 * "fits", "short", "less", "handed_back" and "refused"; figures that it does not have are left out. `whose` stands
 * before each of the lines. False: it is of another kind. */
bool run_words_print(const json_t * line, const char * whose, FILE * out);

#endif
