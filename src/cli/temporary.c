/* SPDX-License-Identifier: MIT */
#include "cli/temporary.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool may_be_left(const char * folder) {
    enum { YOUNG = 60 };
    struct stat status;
    return lstat(folder, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           status.st_mtime < time(NULL) - YOUNG;
}

static void sweep(const char * parent, const char * prefix, temporary_remove * remove_if_left) {
    DIR * entries = opendir(parent);
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) < PATH_MAX && may_be_left(path)) {
            remove_if_left(path);
        }
    }
    if (entries) { closedir(entries); }
}

int temporary_make(const char * prefix, char forbidden, temporary_remove * remove_if_left, char path[static PATH_MAX],
                   struct tat_error * error) {
    const char * parent = getenv("TMPDIR");
    if (!parent || *parent != '/' || (forbidden && strchr(parent, forbidden)) || strlen(parent) > PATH_MAX - 64) {
        parent = "/tmp";
    }
    sweep(parent, prefix, remove_if_left);
    snprintf(path, PATH_MAX, "%s/%sXXXXXX", parent, prefix);
    if (mkdtemp(path)) { return 0; }
    *path = '\0';
    return tat_fail_errno(error, "%s: cannot make a folder there", parent);
}
