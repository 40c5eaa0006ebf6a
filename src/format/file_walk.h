/* SPDX-License-Identifier: MIT
 *
 * The access records of tensors that are in the model's files, evaluation by evaluation; those of other tensors are not
 * made. Most are the same in all evaluations of a graph.
 */
#ifndef TAT_FORMAT_FILE_WALK_H
#define TAT_FORMAT_FILE_WALK_H

#include "tat/trace.h"

struct file_walk;

/* The trace must live longer. NULL: no memory. For one thread. */
struct file_walk * file_walk_new(const struct tat_trace * trace, tat_access_sink sink, void * user);
void file_walk_free(struct file_walk * walk); /* NULL is allowed */

/* Whether an evaluation has all records of its graph: it came to its end, and what it touched is known. */
bool file_walk_is_whole(struct file_walk * walk, uint32_t evaluation);

/* Each gives the sink records of one evaluation. 0, or -1 with *error. What the sink returns does not matter. */
int file_walk_all(struct file_walk * walk, uint32_t evaluation, struct tat_error * error);
/* Only of a whole evaluation, and without times: what all whole evaluations of its template and rule have in common;
 * and what they have not. */
int file_walk_common(struct file_walk * walk, uint32_t evaluation, struct tat_error * error);
int file_walk_varying(struct file_walk * walk, uint32_t evaluation, struct tat_error * error);

#endif
