/* SPDX-License-Identifier: MIT
 *
 * tracefs: the kernel's trace events as files. What is switched on is so in an instance, a buffer of the run's own.
 */
#ifndef TAT_IO_TRACEFS_H
#define TAT_IO_TRACEFS_H

#include <sys/types.h>

#include "leftover/owner.h"
#include "leftover/reaper.h"
#include "tat/error.h"

/* A descriptor of tracefs' folder, wherever it is mounted; where it is not, of a mount that is in no folder and ends
 * with the descriptor. -1 with *error. The caller closes it. All of this needs root. */
int tracefs_open(struct tat_error * error);

enum { TRACE_PATH_SIZE = 64 + OWNER_NAME_SIZE };

/* The fields are for tracefs.c, but `folder`. */
struct trace_instance {
    int folder, tracefs; /* descriptors; -1: there is none */
    char name[OWNER_NAME_SIZE];
    struct reaper reaper;
};

/* Makes one, and removes those whose owners were killed together with what was to clean up after them. It starts
 * another process, which removes the instance whatever becomes of this one: call it from a process with one thread. 0,
 * or -1 with *error; then *instance has none. */
int trace_instance_make(struct trace_instance * instance, struct tat_error * error);

/* Writes a text to one of its files. 0, or -1 with errno. */
int trace_instance_set(const struct trace_instance * instance, const char * file, const char * text);

/* Whoever reads its files must have closed them. */
void trace_instance_remove(struct trace_instance * instance);

#endif
