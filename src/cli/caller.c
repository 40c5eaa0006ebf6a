/* SPDX-License-Identifier: MIT */
#include "cli/caller.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/privilege.h"

/* Of the user or the group; -1 and all above would stand for something else. */
static bool read_id(const char * text, unsigned * id) {
    char * end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    *id = (unsigned) value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value < UINT_MAX;
}

/* What sudo was told to keep is the user's already; what is root's is not. */
static void set_home(const struct passwd * user) {
    const struct passwd * root;
    char was_root[PATH_MAX] = "";
    const char * home = getenv("HOME");
    char own[PATH_MAX];
    snprintf(own, sizeof own, "%s", user->pw_dir);
    if ((root = getpwuid(0))) { snprintf(was_root, sizeof was_root, "%s", root->pw_dir); }
    if (!home || !*home || strcmp(home, was_root) == 0) { setenv("HOME", own, 1); }
}

/* Sockets and the like of the user's, where a session of the user's has made it. */
static void set_runtime(unsigned uid) {
    char folder[64];
    struct stat status;
    snprintf(folder, sizeof folder, "/run/user/%u", uid);
    if (stat(folder, &status) == 0 && status.st_uid == uid) {
        setenv("XDG_RUNTIME_DIR", folder, 1);
    } else {
        unsetenv("XDG_RUNTIME_DIR");
    }
}

static void set_environment(unsigned uid, const struct passwd * user) {
    static const char * const of_sudo[] = { "SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND" };
    if (user) {
        setenv("USER", user->pw_name, 1);
        setenv("LOGNAME", user->pw_name, 1);
        setenv("SHELL", *user->pw_shell ? user->pw_shell : "/bin/sh", 1);
        unsetenv("MAIL");
        set_home(user); /* last: it asks for another user */
    }
    set_runtime(uid);
    for (size_t i = 0; i < sizeof of_sudo / sizeof *of_sudo; i++) { unsetenv(of_sudo[i]); }
}

int caller_become(struct tat_error * error) {
    const char *uid_text = getenv("SUDO_UID"), *gid_text = getenv("SUDO_GID");
    unsigned uid, gid;
    if (geteuid() != 0 || !uid_text) { return 0; }
    if (!read_id(uid_text, &uid) || (gid_text && !read_id(gid_text, &gid))) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "SUDO_UID=%s and SUDO_GID=%s do not say whose program this is: set them as sudo does, or unset "
                        "SUDO_UID to run it as root",
                        uid_text, gid_text ? gid_text : "");
    }
    if (uid == 0) { return 0; }
    const struct passwd * user = getpwuid(uid);
    if (!user && !gid_text) {
        return tat_fail(error, TAT_ERROR_USAGE, "user %u, who called sudo, is not known here: set SUDO_GID", uid);
    }
    if (!gid_text) { gid = user->pw_gid; }
    char name[LOGIN_NAME_MAX + 1];
    if (user) { snprintf(name, sizeof name, "%s", user->pw_name); }
    set_environment(uid, user);
    return privilege_yield(uid, gid, user ? name : NULL, error);
}
