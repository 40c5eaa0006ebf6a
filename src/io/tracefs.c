/* SPDX-License-Identifier: MIT */
#include "io/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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
