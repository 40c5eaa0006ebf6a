/* SPDX-License-Identifier: MIT
 *
 * A process that removes a folder of the kernel's, a cgroup or an instance of tracefs, when its owner has ended, in
 * whatever way, and nobody uses it any more.
 */
#ifndef TAT_LEFTOVER_REAPER_H
#define TAT_LEFTOVER_REAPER_H

#include <stdbool.h>
#include <sys/types.h>

struct reaper {
    pid_t pid;
    int owner; /* the end of a pipe: once it is closed, the reaper removes the folder */
};

struct reaped {
    const char * folder;
    bool is_nested; /* folders that others made in it go first */
    int kept;       /* a descriptor that stays open, as the folder's path goes through it; or -1 */
};

/* Starts it, in a session of its own, with no file open but that pipe and what is kept. 0, or -1 with errno. Call it
 * from a process with one thread. */
int reaper_start(const struct reaped * what, struct reaper * reaper);

/* Lets it do its work, and waits for it if the folder has been removed already. */
void reaper_release(const struct reaper * reaper, bool is_removed);

/* Removes it, if it is not in use: 0, or -1 with errno. */
int reaper_remove(const struct reaped * what);

#endif
