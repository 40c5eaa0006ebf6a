/* SPDX-License-Identifier: MIT */
#include "manage/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/apart.h"

static void leave_output(void) {
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (nothing >= 0) {
            dup2(nothing, fd);
        } else {
            close(fd);
        }
    }
    if (nothing > STDERR_FILENO) { close(nothing); }
}

bool descriptors_leave(void) {
    if (!apart_leave_descriptors()) { return false; }
    leave_output();
    return true;
}
