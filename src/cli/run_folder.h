/* SPDX-License-Identifier: MIT
 *
 * The folders of traces: TAT_DIR or ./traces, and in it run_YYYYMMDD_HHMMSS for each run.
 */
#ifndef TAT_CLI_RUN_FOLDER_H
#define TAT_CLI_RUN_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

#define TRACE_FILE "tensor_access.bin"

/* The folder of this program's file. Returns 0, or -1 with errno. */
int program_folder(char * path, size_t size);

/* TAT_DIR, or "traces". */
const char * traces_folder(void);

struct run {
    char *   path;  /* of the folder */
    uint64_t bytes; /* of all its files */
    bool     has_trace;
};

/* The runs in a folder, oldest first (by name, which begins with the time). *runs is the caller's: runs_free. A folder
 * that is not there has none. Returns their number, or -1 with *error. */
long runs_list(const char * folder, struct run ** runs, struct tat_error * error);
void runs_free(struct run * runs, long count);

/* The run that an argument means: itself, or, where it is NULL, the newest that has a trace. The result is the caller's
 * to free; NULL with *error. */
char * run_resolve(const char * argument, struct tat_error * error);

/* Makes a new folder for a run, mode 0700. The result is an absolute path, the caller's to free; NULL with *error. */
char * run_create(const char * folder, struct tat_error * error);

#endif
