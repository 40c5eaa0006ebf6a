/* SPDX-License-Identifier: MIT */
#include "doctor/script.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE = 256 }; /* as much as the kernel reads */

static bool on_path(const char * name, char path[static PATH_MAX]) {
    const char * folders = getenv("PATH");
    for (const char * at = folders ? folders : "/usr/bin:/bin"; *at;) {
        const size_t length = strcspn(at, ":");
        const int n = snprintf(path, PATH_MAX, "%.*s/%s", (int) length, at, name);
        if (n > 0 && n < PATH_MAX && access(path, X_OK) == 0) { return true; }
        at += length + (at[length] == ':');
    }
    return false;
}

static bool read_line(const char * file, char line[static LINE + 1]) {
    struct stat status;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return false; }
    const ssize_t length = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? read(fd, line, LINE) : -1;
    close(fd);
    line[length > 0 ? length : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return strncmp(line, "#!", 2) == 0;
}

bool script_interpreter(const char * script, char path[static PATH_MAX]) {
    char line[LINE + 1];
    char * rest;
    if (!read_line(script, line)) { return false; }
    const char * program = strtok_r(line + 2, " \t", &rest);
    if (!program) { return false; }
    const char * slash = strrchr(program, '/');
    const char * name = slash && strcmp(slash, "/env") == 0 ? strtok_r(NULL, " \t", &rest) : NULL;
    while (name && (*name == '-' || strchr(name, '='))) { name = strtok_r(NULL, " \t", &rest); }
    if (name && !strchr(name, '/')) { return on_path(name, path); }
    return snprintf(path, PATH_MAX, "%s", name ? name : program) < PATH_MAX;
}
