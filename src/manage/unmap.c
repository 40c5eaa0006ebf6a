/* SPDX-License-Identifier: MIT
 *
 * munmap, as the program calls it. Where a model was, other memory may soon be: nothing of ours may be mapped there any
 * more.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/hook.h"
#include "manage/manager.h"

TAT_EXPORT int munmap(void * at, size_t bytes) {
    const int error = errno;
    manager_unmaps(at, bytes);
    errno = error;
    return (int) syscall(SYS_munmap, at, bytes);
}
