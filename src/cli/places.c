/* SPDX-License-Identifier: MIT */
#include "cli/places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool join(char path[static PATH_MAX], const char * folder, size_t length, const char * name) {
    const int n = snprintf(path, PATH_MAX, "%.*s/%s", (int) length, folder, name);
    return n > 0 && n < PATH_MAX;
}

/* The folder that the running program is in. */
static bool own_folder(char path[static PATH_MAX]) {
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0 || n == PATH_MAX - 1) { return false; }
    path[n] = '\0';
    char * slash = strrchr(path, '/');
    if (!slash) { return false; }
    *slash = '\0';
    return true;
}

static bool ends_with(const char * text, const char * end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* `installed` counts from bin, `built` from src/cli in the build tree. */
static bool find_own(const char * installed, const char * built, char path[static PATH_MAX]) {
    char folder[PATH_MAX], relative[PATH_MAX];
    if (!own_folder(folder)) { return false; }
    if (join(relative, folder, strlen(folder), installed) && realpath(relative, path)) { return true; }
    return ends_with(folder, "/src/cli") && join(relative, folder, strlen(folder), built) && realpath(relative, path);
}

bool places_libexec(char path[static PATH_MAX]) {
    return find_own("../libexec/tat", "../../libexec/tat", path);
}

/* A library to be preloaded, and the variable that may name another in its place. */
struct library {
    const char *what, *file, *installed, *built, *variable;
};

static int find_library(const struct library * l, char path[static PATH_MAX], struct tat_error * error) {
    const char * given = getenv(l->variable);
    if (given && *given) {
        if (!realpath(given, path)) {
            return tat_fail_errno(error, "%s not found: %s names %s", l->what, l->variable, given);
        }
    } else if (!find_own(l->installed, l->built, path)) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "%s not found: %s is neither in ../lib/tat, seen from this program's folder, nor in the build "
                        "tree. Install tat completely, or name the file in %s",
                        l->what, l->file, l->variable);
    }
    if (strpbrk(path, ": ")) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "%s: LD_PRELOAD cannot hold a path with a space or a colon. Copy the file to another path and "
                        "name that in %s",
                        path, l->variable);
    }
    return 0;
}

int places_agent(bool exact, char path[static PATH_MAX], struct tat_error * error) {
    static const struct library agents[] = { { "agent", "libtat_agent.so", "../lib/tat/libtat_agent.so",
                                               "../agent/libtat_agent.so", "TAT_AGENT" },
                                             { "agent", "libtat_agent_exact.so", "../lib/tat/libtat_agent_exact.so",
                                               "../agent/libtat_agent_exact.so", "TAT_AGENT" } };
    return find_library(&agents[exact], path, error);
}

int places_manager(char path[static PATH_MAX], struct tat_error * error) {
    static const struct library manager = { "manager", "libtat_manage.so", "../lib/tat/libtat_manage.so",
                                            "../manage/libtat_manage.so", "TAT_MANAGER" };
    return find_library(&manager, path, error);
}

static int check_executable(const char * path) {
    struct stat status;
    if (stat(path, &status) != 0) { return errno; }
    if (S_ISDIR(status.st_mode)) { return EISDIR; }
    return access(path, X_OK) == 0 ? 0 : errno;
}

int places_program(const char * name, char path[static PATH_MAX]) {
    if (!*name) { return ENOENT; }
    if (strchr(name, '/')) {
        if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) { return ENAMETOOLONG; }
        return check_executable(path);
    }
    const char * folders = getenv("PATH");
    int found = ENOENT;
    for (const char * at = folders ? folders : "/bin:/usr/bin";; at++) {
        const size_t length = strcspn(at, ":");
        if (join(path, length ? at : ".", length ? length : 1, name)) {
            const int why = check_executable(path);
            if (why == 0) { return 0; }
            if (why == EACCES) { found = why; }
        }
        at += length;
        if (!*at) { return found; }
    }
}
