/* SPDX-License-Identifier: MIT */
#include "cli/external.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/places.h"

static const char prefix[] = "tat-";

static bool find(const char * name, char path[static PATH_MAX]) {
    char folder[PATH_MAX], program[NAME_MAX + 1];
    if (strchr(name, '/') || snprintf(program, sizeof program, "%s%s", prefix, name) >= (int) sizeof program) {
        return false;
    }
    if (places_libexec(folder)) {
        const int n = snprintf(path, PATH_MAX, "%s/%s", folder, program);
        if (n < PATH_MAX && access(path, X_OK) == 0) { return true; }
    }
    return places_program(program, path) == 0;
}

void external_run(char ** argv) {
    char path[PATH_MAX];
    const char * name = argv[0];
    if (!find(name, path)) { return; }
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "tat %s: cannot run %s: %s\n", name, path, strerror(errno));
    exit(TAT_ERROR_SYSTEM);
}

static int is_external(const struct dirent * entry) {
    return strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0;
}

void external_each(void (*each)(const char * name, void * state), void * state) {
    char folder[PATH_MAX];
    struct dirent ** entries;
    const int count = places_libexec(folder) ? scandir(folder, &entries, is_external, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        each(entries[i]->d_name + sizeof prefix - 1, state);
        free(entries[i]);
    }
    if (count >= 0) { free(entries); }
}
