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

/* The argument that names the program which computed, one of llama.cpp's; -1 where there is none, as in sh -c "...". */
int command_program(const json_t * metadata);

/* Does argument i, an option, take the one behind it as its value? Which options of which version do is not known, but
 * what looks like an option itself is the value of none but those that take text. */
bool command_takes_value(const json_t * command, size_t i);

/* Argument i as text; "nothing" behind the end, and "" where it is none. */
const char * command_argument(const json_t * command, size_t i);

#endif
