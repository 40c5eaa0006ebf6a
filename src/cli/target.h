/* SPDX-License-Identifier: MIT
 *
 * Can a library be preloaded into this program? A cheap look at the file, before it runs.
 */
#ifndef TAT_CLI_TARGET_H
#define TAT_CLI_TARGET_H

/* NULL if nothing speaks against it (scripts too), or what does and what to do about it. */
const char * target_obstacle(const char * program);

#endif
