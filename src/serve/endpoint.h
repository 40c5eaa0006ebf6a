/* SPDX-License-Identifier: MIT
 *
 * What can be asked about a trace: one table for each group of questions, in the file of its name. doc/view.md
 * describes the answers.
 */
#ifndef TAT_SERVE_ENDPOINT_H
#define TAT_SERVE_ENDPOINT_H

#include "serve/answer.h"
#include "serve/request.h"
#include "serve/served.h"
#include "serve/workers.h"

enum { SERVE_SCHEMA = 1 }; /* of the answers in JSON */

struct endpoint {
    const char * name;       /* as in "api/traces/0/NAME" */
    const char * parameters; /* that it takes, with a space between them */
    enum pace pace;          /* answers that are not quick are kept while the trace does not change */
    /* Called between served_begin and served_end, by several threads. */
    struct answer (*answer)(struct served * served, const struct request * request);
};

/* Each ends with an endpoint without a name. */
extern const struct endpoint about_endpoints[];
extern const struct endpoint section_endpoints[];
extern const struct endpoint graph_endpoints[];
extern const struct endpoint io_endpoints[];
extern const struct endpoint records_endpoints[];
extern const struct endpoint picture_endpoints[];
extern const struct endpoint plan_endpoints[];

#endif
