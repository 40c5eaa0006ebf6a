/* SPDX-License-Identifier: MIT
 *
 * The graphs seen before, each by its template.
 *
 * A template never changes once published (release store, acquire load), but for the steps of a rule, which are added
 * the same way, and `last_used`. When there are too many, as of a server with ever new lengths of prompts, those that
 * were not used for longest are freed (evaluation.c says when that is safe); a graph that comes again is written again.
 */
#ifndef TAT_AGENT_TEMPLATE_CACHE_H
#define TAT_AGENT_TEMPLATE_CACHE_H

#include "agent/graph_template.h"

/* With the registry's lock held: gives up a guess at a template, and says whether nobody holds it, so that it can be
 * freed. */
typedef bool template_let_go(const struct graph_template * t);

/* The template of a graph, found or made and written, and *holder set to it. Takes the registry's lock. Where there are
 * too many, `let_go` is asked for those that were not used for longest. NULL: no memory, or no room in the trace for it
 * yet. */
const struct graph_template * template_of(const struct graph * graph, const struct graph_template ** holder,
                                          template_let_go * let_go);

/* Any thread that holds it. False: what it was made for may be gone, as a buffer that was freed; template_of knows. */
bool template_is_current(const struct graph_template * t);

/* Any thread that holds it. */
void template_used(const struct graph_template * t);

/* Never NULL but for lack of memory. */
const struct steps * template_steps(const struct graph_template * t, uint32_t rule);

/* The rule to try on a host's first graph where it could not be probed. */
uint32_t template_first_rule(const struct graph_template * t);

void templates_after_fork(void);

#endif
