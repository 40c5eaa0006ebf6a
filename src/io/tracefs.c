/* SPDX-License-Identifier: MIT */
#include "io/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "leftover/owner.h"
#include "leftover/reaper.h"

/* Of <linux/mount.h>, which C libraries before 2.36 and their kernel headers do not have. */
enum { CONFIG_CREATE = 6 };

static int open_folder(const char * path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_mounted(void) {
    FILE * mounts = setmntent("/proc/self/mounts", "re");
    int folder = -1;
    for (struct mntent * m; mounts && folder < 0 && (m = getmntent(mounts));) {
        if (strcmp(m->mnt_type, "tracefs") == 0) { folder = open_folder(m->mnt_dir); }
    }
    if (mounts) { endmntent(mounts); }
    return folder >= 0 ? folder : open_folder("/sys/kernel/debug/tracing/events/.."); /* mounts itself there */
}

static int open_unmounted(void) {
#if defined SYS_fsopen && defined SYS_fsconfig && defined SYS_fsmount
    const int system = (int) syscall(SYS_fsopen, "tracefs", 1 /* FSOPEN_CLOEXEC */);
    if (system < 0) { return -1; }
    const long made = syscall(SYS_fsconfig, system, CONFIG_CREATE, NULL, NULL, 0);
    const int folder = made == 0 ? (int) syscall(SYS_fsmount, system, 1 /* FSMOUNT_CLOEXEC */, 0) : -1;
    const int why = errno;
    close(system);
    errno = why;
    return folder;
#else
    errno = ENOSYS;
    return -1;
#endif
}

int tracefs_open(struct tat_error * error) {
    int folder = open_mounted();
    if (folder < 0) { folder = open_unmounted(); }
    if (folder >= 0) { return folder; }
    if (errno == EPERM || errno == EACCES) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "the kernel's trace events need root");
    }
    if (errno == ENODEV) { return tat_fail(error, TAT_ERROR_SYSTEM, "this kernel has no tracefs"); }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "tracefs is not mounted, and cannot be (%s): "
                    "mount -t tracefs none /sys/kernel/tracing",
                    strerror(errno));
}

/* ---- an instance ---- */

/* By a path, which the reaper can use too: it keeps the descriptor. */
static void instances_path(const struct trace_instance * i, const char * name, char path[static TRACE_PATH_SIZE]) {
    snprintf(path, TRACE_PATH_SIZE, "/proc/self/fd/%d/instances/%s", i->tracefs, name);
}

static struct reaped reaped_instance(const struct trace_instance * i, const char * path) {
    return (struct reaped){ .folder = path, .kept = i->tracefs };
}

static int make(struct trace_instance * i, struct tat_error * error) {
    char path[TRACE_PATH_SIZE];
    instances_path(i, "", path);
    owner_sweep(path, false);
    if (owner_name(i->name) != 0) { return tat_fail_errno(error, "/proc/self"); }
    instances_path(i, i->name, path);
    if (mkdir(path, 0700) != 0) { return tat_fail_errno(error, "cannot make the tracefs instance %s", i->name); }
    const struct reaped reaped = reaped_instance(i, path);
    if (reaper_start(&reaped, &i->reaper) != 0) {
        tat_fail_errno(error, "cannot start the process that removes the tracefs instance");
        reaper_remove(&reaped);
        return -1;
    }
    i->folder = open_folder(path);
    if (i->folder >= 0) { return 0; }
    tat_fail_errno(error, "tracefs: instances/%s", i->name);
    trace_instance_remove(i);
    return -1;
}

int trace_instance_make(struct trace_instance * i, struct tat_error * error) {
    *i = (struct trace_instance){ .folder = -1, .tracefs = tracefs_open(error) };
    if (i->tracefs < 0) { return -1; }
    if (make(i, error) == 0) { return 0; }
    if (i->tracefs >= 0) { close(i->tracefs); }
    *i = (struct trace_instance){ .folder = -1, .tracefs = -1 };
    return -1;
}

int trace_instance_set(const struct trace_instance * i, const char * file, const char * text) {
    const int fd = openat(i->folder, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) { return -1; }
    const ssize_t n = write(fd, text, strlen(text));
    const int why = errno;
    close(fd);
    errno = why;
    return n == (ssize_t) strlen(text) ? 0 : -1;
}

void trace_instance_remove(struct trace_instance * i) {
    char path[TRACE_PATH_SIZE];
    if (i->tracefs < 0) { return; }
    if (i->folder >= 0) { close(i->folder); }
    instances_path(i, i->name, path);
    const struct reaped reaped = reaped_instance(i, path);
    reaper_release(&i->reaper, reaper_remove(&reaped) == 0);
    close(i->tracefs);
    *i = (struct trace_instance){ .folder = -1, .tracefs = -1 };
}
