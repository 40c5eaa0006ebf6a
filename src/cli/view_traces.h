/* SPDX-License-Identifier: MIT
 *
 * The traces that a page is about: `tat view`, and `tat export --format html`.
 */
#ifndef TAT_CLI_VIEW_TRACES_H
#define TAT_CLI_VIEW_TRACES_H

#include "cli/terminal.h"
#include "serve/serve.h"

struct view_traces {
    struct served_list * list;
    struct progress progress;
    bool (*is_to_end)(void); /* asked while a trace is looked at for the first time; NULL: never */
    bool ended;              /* it said so */
};

/* Opens the traces that a user means, or the newest if `count` is 0, with a bar for what takes long. The list is
 * traces->list, for served_free whatever happens. 0, or -1 with *error. */
int view_traces_open(struct view_traces * traces, const char * const * names, size_t count, struct tat_error * error);

#endif
