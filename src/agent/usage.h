/* SPDX-License-Identifier: MIT
 *
 * What the process used and what the machine did meanwhile: read when the trace begins, when it ends, and every ten
 * seconds by the keeper; never by a thread that computes a graph.
 */
#ifndef TAT_AGENT_USAGE_H
#define TAT_AGENT_USAGE_H

/* Notes a USAGE and a MACHINE event. It opens files of /proc and /sys for reading; what they do not tell counts as 0.
 */
void usage_note(void);

#endif
