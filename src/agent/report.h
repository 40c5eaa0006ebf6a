/* SPDX-License-Identifier: MIT
 *
 * Tells `tat record` what it cannot see from outside: why no trace could be written. `tat record` holds a named pipe in
 * the run's folder, to which this process can write even where it may not create files.
 */
#ifndef TAT_AGENT_REPORT_H
#define TAT_AGENT_REPORT_H

#define REPORT_NAME ".reports" /* in TAT_RUN_DIR; one line per report: process id, errno, what failed */
#define REPORT_MAX  256        /* bytes of a line, which a pipe takes whole */

/* Never waits. Does nothing if nobody holds such a pipe. */
void report_failure(const char * what, int error);

#endif
