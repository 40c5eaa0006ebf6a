/* SPDX-License-Identifier: MIT
 *
 * The graphs seen before, each by its template.
 *
 * Once published (release store, acquire load), a template does not change, except for `last_used`, `epoch` and the
 * steps of a rule, which are published the same way. Templates of a context or a model that was freed are freed when
 * the next new graph comes. If there are still too many, as in a server whose prompts differ in length, so are the
 * least recently used. A graph that comes again is then written again. evaluation.c says when freeing is safe.
 */
#ifndef TAT_AGENT_TEMPLATE_CACHE_H
#define TAT_AGENT_TEMPLATE_CACHE_H

#include "agent/graph_template.h"

/* Gives up all guesses at a template. True: nobody holds it, so it can be freed. The registry's lock must be held. */
typedef bool template_let_go(const struct graph_template * t);

/* Finds a graph's template, or makes and writes it, and sets *holder to it. Takes the registry's lock. Asks `let_go`
 * about each template that is to be freed. NULL: no memory, or no room in the trace yet. */
const struct graph_template * template_of(const struct graph * graph, const struct graph_template ** holder,
                                          template_let_go * let_go);

/* Any thread that holds it. False: what it was made for may be gone, such as a buffer; template_of finds out. */
bool template_is_current(const struct graph_template * t);

/* Any thread that holds it. */
void template_used(const struct graph_template * t);

/* The template's steps under a rule. NULL: no memory. */
const struct steps * template_steps(const struct graph_template * t, uint32_t rule);

/* The rule to try on the first graph of a host that could not be probed. */
uint32_t template_first_rule(const struct graph_template * t);

void templates_after_fork(void);

#endif
