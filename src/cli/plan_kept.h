/* SPDX-License-Identifier: MIT
 *
 * Plans that tat keeps in the user's cache, so that the next run of the same model has one. They are what `tat plan`
 * writes without its pieces, and what they were made for.
 */
#ifndef TAT_CLI_PLAN_KEPT_H
#define TAT_CLI_PLAN_KEPT_H

#include <jansson.h>
#include <stdint.h>

#include "tat/error.h"

/* What a command's plan depends on, as JSON; the caller owns it: the model's files (path, size, time of change, inode),
 * the program, its options that change what a token needs or how fast it is computed, the memory, and when the disk was
 * measured or the rate that was given (0: none was). NULL: the command names no model, or no memory. */
json_t * plan_kept_key(char ** command, uint64_t memory, uint64_t disk_rate);

/* The plan that was kept for it; the caller owns it. NULL: there is none, or what is there is broken. */
json_t * plan_kept_find(const json_t * key);

/* The one for the nearest memory and whatever context, if all else is the same. */
json_t * plan_kept_find_alike(const json_t * key);

/* Keeps a plan, in place of the one that was kept for the same, and drops the oldest where there are many. `plan` is
 * not changed. 0, or -1 with *error. */
int plan_kept_put(const json_t * key, const json_t * plan, struct tat_error * error);

/* Tokens a second that a plan expects with so many bytes for the model, between two for which it says it. 0: it does
 * not say. */
double plan_kept_rate(const json_t * plan, uint64_t budget);

#endif
