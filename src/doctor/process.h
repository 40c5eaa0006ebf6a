/* SPDX-License-Identifier: MIT
 *
 * The files that a running process has mapped.
 */
#ifndef TAT_DOCTOR_PROCESS_H
#define TAT_DOCTOR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tat/error.h"

struct process {
    char ** files; /* as the process names them, each once */
    size_t n_files;
};

/* 0 or -1. The caller frees what is in *process by process_free, in either case. */
int process_read(pid_t pid, struct process * process, struct tat_error * error);
void process_free(struct process * process);

/* `file` as this process reaches it, in a container too, in `path` of `size` bytes. False if it is too long. */
bool process_path(pid_t pid, const char * file, char * path, size_t size);

#endif
