/* SPDX-License-Identifier: MIT
 *
 * What the library that manages memory reports, in words for the user of `tat run`.
 */
#ifndef TAT_CLI_RUN_WORDS_H
#define TAT_CLI_RUN_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a line says, in words, with the ends of lines: "begin KEY=VALUE...", "end KEY=VALUE...", "note TEXT", or one of
 * "fits", "short", "less", "handed_back" and "refused" with their figures. Figures that the line does not have are left
 * out. `whose` stands before each of its lines. False: it is none of these. */
bool run_words_print(const char * line, const char * whose, FILE * out);

/* The number behind " KEY=" in a line; 0: there is none. */
uint64_t run_words_figure(const char * line, const char * key);

#endif
