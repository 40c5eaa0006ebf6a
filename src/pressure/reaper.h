/* SPDX-License-Identifier: MIT
 *
 * A process that removes a cgroup when its owner has ended, in whatever way, and the last process in the group too.
 */
#ifndef TAT_PRESSURE_REAPER_H
#define TAT_PRESSURE_REAPER_H

#include <stdbool.h>
#include <sys/types.h>

struct reaper {
    pid_t pid;
    int owner; /* the end of a pipe: once it is closed, the reaper removes the group */
};

/* Starts it for `folder`, in a session of its own, with no file open but that pipe. 0, or -1 with errno. Call it from a
 * process with one thread. */
int reaper_start(const char * folder, struct reaper * reaper);

/* Lets it do its work, and waits for it if the group has been removed already. */
void reaper_release(const struct reaper * reaper, bool is_removed);

/* Removes a cgroup and those below it, if there are no processes in them: 0, or -1 with errno. */
int reaper_remove(const char * folder);

#endif
