/* SPDX-License-Identifier: MIT
 *
 * The options of llama.cpp's programs by name, whichever of their spellings a command line has.
 */
#ifndef TAT_ANALYSIS_COMMAND_OPTIONS_H
#define TAT_ANALYSIS_COMMAND_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>

struct command_option {
    const char * name; /* as in requests to llama-server and in llama_context_params; NULL: it is not listed */
    enum { OPTION_NUMBER, OPTION_WORD, OPTION_TEXT, OPTION_ON, OPTION_OFF } takes; /* text may also start with - */
    bool tells; /* its value says what was asked, or where things are, or lets somebody in */
    const char * spellings[4];
};

/* The option that an argument is, alone or with =VALUE; NULL: it is none of those known here. */
const struct command_option * command_option(const char * argument);

/* Name to value, of the program that computed; the last of equal ones counts, as in llama.cpp. Empty if that program is
 * not one of llama.cpp's. `metadata` is trace_metadata.json. The caller owns the result; NULL: out of memory. */
json_t * command_options(const json_t * metadata);

#endif
