/* SPDX-License-Identifier: MIT
 *
 * Processors that compute as those of a program do that generates tokens: they read memory.
 */
#ifndef TAT_DOCTOR_BUSY_H
#define TAT_DOCTOR_BUSY_H

struct busy;

/* A thread for each processor, until busy_end. NULL: memory, or the system has no more threads. */
struct busy * busy_begin(void);
void busy_end(struct busy * busy); /* NULL is allowed */

#endif
