/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_STATE_JSON_H
#define TAT_CLI_STATE_JSON_H

#include <jansson.h>

#include "tat/error.h"

/* Writes `json` as a file that tat keeps for its user (analysis/state_file.h), whole or not at all. 0, or -1 with
 * *error. `path` NULL: there is no folder for it, which is the error. */
int state_json_keep(const char * path, const json_t * json, struct tat_error * error);

#endif
