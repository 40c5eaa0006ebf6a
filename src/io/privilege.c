/* SPDX-License-Identifier: MIT */
#include "io/privilege.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    bool is_yielded;
    uid_t uid;
    gid_t gid;
} user;

int privilege_yield(uid_t uid, gid_t gid, const char * name, struct tat_error * error) {
    const int groups = name ? initgroups(name, gid) : setgroups(1, &gid);
    if (groups != 0 || setegid(gid) != 0 || seteuid(uid) != 0) {
        return tat_fail_errno(error, "cannot work as user %u, who called sudo", (unsigned) uid);
    }
    user.uid = uid;
    user.gid = gid;
    user.is_yielded = true;
    return 0;
}

/* A process of root's may always become what it was. To go on as root for the user would be worse than to end. */
static void become(uid_t uid, gid_t gid) {
    const int before = errno;
    if (seteuid(0) != 0 || setegid(gid) != 0 || seteuid(uid) != 0) { abort(); }
    errno = before;
}

void privilege_raise(void) {
    if (user.is_yielded) { become(0, 0); }
}

void privilege_lower(void) {
    if (user.is_yielded) { become(user.uid, user.gid); }
}

int privilege_drop(void) {
    if (!user.is_yielded) { return 0; }
    if (seteuid(0) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
        setresuid(user.uid, user.uid, user.uid) != 0) {
        return errno;
    }
    return seteuid(0) == 0 ? EPERM : 0;
}
