/* SPDX-License-Identifier: MIT
 *
 * The folders of traces: run_YYYYMMDD_HHMMSS, "-N" appended where several start in one second, "_PID" for a further
 * process of the same run, and "_N" to that where a program replaced itself and computed again.
 */
#ifndef TAT_CLI_RUN_FOLDER_H
#define TAT_CLI_RUN_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "tat/error.h"

#define RUN_STAMP_SIZE    sizeof "YYYYMMDD_HHMMSS"

struct run {
    char path[PATH_MAX];
    size_t name; /* where in it begins what a user calls it: 0, or behind the folder of traces */
    char stamp[RUN_STAMP_SIZE];
    unsigned number;   /* N of "-N", or 0 */
    uint64_t pid;      /* of "_PID", or 0 for the run's first process */
    bool has_trace;    /* there is a tensor_access.bin in it */
    bool is_elsewhere; /* recorded beside the folder of traces, into one of the user's choice */
};

/* Reads a name; false if it is none of a run's. Fills stamp, number and pid. */
bool run_parse(const char * name, struct run * run);

/* What a user calls it. */
const char * run_name(const struct run * run);

/* Where traces are kept: $TAT_DIR or "traces". */
const char * run_parent(void);

/* All runs there and those that `tat record -o` wrote elsewhere meanwhile, the newest first, a run's first process
 * before its others. With `folder`, the traces in that one, whatever they are called, and itself if it is one. A folder
 * that is not there has none. The caller frees *runs. 0 or -1. */
int run_list(const char * folder, struct run ** runs, size_t * count, struct tat_error * error);

/* Disk space that its files take. */
uint64_t run_bytes(const struct run * run);

/* The folder of the newest trace. 0 or -1. */
int run_newest(char path[static PATH_MAX], struct tat_error * error);

/* The folder that a user means: NULL is the newest; a path of a folder or of its tensor_access.bin; a name among the
 * traces; or else a file, which is then the answer in place of a folder. 0 or -1. */
int run_resolve(const char * argument, char path[static PATH_MAX], struct tat_error * error);

/* Remembers a run, by its absolute path, that is not among the traces, so that it is listed with them. */
void run_remember(const char * path);

/* Makes an empty folder, mode 0700, for a run that starts now, and its parents: `wanted` if not NULL, which must not be
 * in use; else a new one among the traces. `path` is absolute. 0 or -1. */
int run_create(const char * wanted, char path[static PATH_MAX], struct tat_error * error);

/* `path` as run_create gave it: calls `each` with the folder at `path` and with those that further processes of its run
 * made beside it since it began, by CLOCK_REALTIME_COARSE, which file systems go by. */
void run_each_process(const char * path, const struct timespec * began, void (*each)(const char * path, void * state),
                      void * state);

#endif
