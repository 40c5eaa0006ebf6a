/* SPDX-License-Identifier: MIT
 *
 * A command line as trace_metadata.json has it: arguments of llama.cpp's programs, maybe behind those of others that
 * start them (nice -n 15 llama-cli -n 100).
 */
#ifndef TAT_ANALYSIS_COMMAND_LINE_H
#define TAT_ANALYSIS_COMMAND_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The argument that names the program that computed, one of llama.cpp's; -1: there is none, as in sh -c "...". */
int command_program(const json_t * metadata);

/* Does argument i, an option, take the next one as its value? The options of all versions are not known. But what looks
 * like an option itself is a value only of options that take text. */
bool command_takes_value(const json_t * command, size_t i);

/* Argument i as text; "nothing" after the last, "" if it is not text. */
const char * command_argument(const json_t * command, size_t i);

#endif
