/* SPDX-License-Identifier: MIT
 *
 * What `tat record` cannot see from outside: why no trace could be written. It holds a pipe with a name in the run's
 * folder, to which this process can write even where it may write no file.
 */
#ifndef TAT_AGENT_REPORT_H
#define TAT_AGENT_REPORT_H

#define REPORT_NAME ".reports" /* in TAT_RUN_DIR; a line a report: process id, errno, what failed */
#define REPORT_MAX  256        /* bytes of a line; a pipe takes them whole */

/* Never waits; does nothing where nobody holds such a pipe. */
void report_failure(const char * what, int error);

#endif
