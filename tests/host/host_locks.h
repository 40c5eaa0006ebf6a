/* SPDX-License-Identifier: MIT
 *
 * What a host has of its own beside ggml: record locks on files that it maps, and no right to a table of descriptors.
 */
#ifndef HOST_LOCKS_H
#define HOST_LOCKS_H

/* Locks the model and another file, both mapped, as SQLite and LMDB map and lock their databases. */
void locks_take(const char * model, const char * other);

/* Prints whether another process still finds them locked. */
void locks_print(void);

/* From now on the system refuses a thread a table of descriptors of its own, as some containers' rules do. */
void refuse_own_descriptors(void);

#endif
