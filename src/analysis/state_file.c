/* SPDX-License-Identifier: MIT */
#include "analysis/state_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char * state_file(const char * name) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char * path = NULL;
    const bool given = state && *state == '/'; /* a relative one is to be ignored, says the specification */
    if (!given && !(home && *home == '/')) { return NULL; }
    const int length = asprintf(&path, "%s%s/tat/%s", given ? state : home, given ? "" : "/.local/state", name);
    return length < 0 ? NULL : path;
}

void state_file_folders(char * path) {
    for (char * slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}
