/* SPDX-License-Identifier: MIT
 *
 * Which answer belongs to which path. It knows nothing of HTTP, so files are made of the same answers.
 */
#ifndef TAT_SERVE_ROUTING_H
#define TAT_SERVE_ROUTING_H

#include "serve/endpoint.h"

enum route_kind {
    ROUTE_READY, /* the answer is there, or takes no time to make */
    ROUTE_QUICK, /* needs a look at the trace */
    ROUTE_SLOW,  /* may take seconds */
};

/* `path` is what follows the token. */
enum route_kind route_kind(const char * path);

/* The answer, whatever kind it is. */
struct answer route_answer(struct served_list * list, const char * path, const struct request * request);

#endif
