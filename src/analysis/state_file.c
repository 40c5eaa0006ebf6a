/* SPDX-License-Identifier: MIT */
#include "analysis/state_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char * user_file(const char * variable, const char * otherwise, const char * name) {
    const char *given = getenv(variable), *home = getenv("HOME");
    char * path = NULL;
    const bool is_given = given && *given == '/'; /* a relative one is to be ignored, says the specification */
    if (!is_given && !(home && *home == '/')) { return NULL; }
    const int length =
        is_given ? asprintf(&path, "%s/tat/%s", given, name) : asprintf(&path, "%s/%s/tat/%s", home, otherwise, name);
    return length < 0 ? NULL : path;
}

char * state_file(const char * name) {
    return user_file("XDG_STATE_HOME", ".local/state", name);
}

char * cache_file(const char * name) {
    return user_file("XDG_CACHE_HOME", ".cache", name);
}

void state_file_folders(char * path) {
    for (char * slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}
