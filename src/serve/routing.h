/* SPDX-License-Identifier: MIT
 *
 * Which answer belongs to which path. It knows nothing of HTTP, so files are made of the same answers.
 */
#ifndef TAT_SERVE_ROUTING_H
#define TAT_SERVE_ROUTING_H

#include "serve/endpoint.h"

/* Sets how long an answer takes that needs a look at a trace. `path` is what follows the token. False: the answer is
 * there. */
bool route_pace(const char * path, enum pace * pace);

/* The answer, whatever kind it is. */
struct answer route_answer(struct served_list * list, const char * path, const struct request * request);

#endif
