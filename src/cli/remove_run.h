/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_REMOVE_RUN_H
#define TAT_CLI_REMOVE_RUN_H

#include <stdint.h>

#include "tat/error.h"

struct removed {
    unsigned runs;
    uint64_t bytes; /* of disk space; files that other links keep count too */
};

/* Deletes a run's folder with all in it, and adds what that freed to *total. Refuses what is not named like a run, is a
 * link, or holds files but no trace. Never follows a link and never leaves the folder's file system. 0 or -1. */
int remove_run(const char * path, struct removed * total, struct tat_error * error);

/* Deletes a folder that tat made, with all in it; follows no link either. */
void remove_tree(const char * path);

#endif
