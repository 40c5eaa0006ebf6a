/* SPDX-License-Identifier: MIT
 *
 * Where the order of `tat reorder` comes from: a trace of the model, or the names of its tensors.
 */
#ifndef TAT_CLI_REORDER_SOURCE_H
#define TAT_CLI_REORDER_SOURCE_H

#include <limits.h>
#include <stdbool.h>

#include "analysis/order/file_order.h"

struct reorder_source {
    struct file_order order;
    const struct tat_trace * trace; /* what it has of the model; NULL: the order is by name */
    struct tat_trace *whole, *part; /* of which `trace` is one */
    char path[PATH_MAX];            /* of the trace */
};

/* `argument`: the trace that a user names, which must be of this model; NULL: the newest one that is, or the names if
 * there is none. `by_name`: no trace at all. Returns 0, or -1 with *error. Call reorder_source_close in either case. */
int reorder_source_open(struct reorder_source * s, const struct tat_gguf * gguf, const char * argument, bool by_name,
                        struct tat_error * error);
void reorder_source_close(struct reorder_source * s);

#endif
