/* SPDX-License-Identifier: MIT */
#include "cli/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int program_folder(char * path, size_t size) {
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length < 0) { return -1; }
    path[length] = '\0';
    char * slash = strrchr(path, '/');
    if (slash) { *slash = '\0'; }
    return 0;
}

const char * traces_folder(void) {
    const char * folder = getenv("TAT_DIR");
    return folder && *folder ? folder : "traces";
}

static int is_run(const struct dirent * entry) {
    return strncmp(entry->d_name, "run_", 4) == 0;
}

/* Bytes of the files in a run's folder and in its analysis/, links not followed. */
static uint64_t folder_bytes(const char * path, int depth) {
    uint64_t bytes = 0;
    DIR *    dir   = opendir(path);
    if (!dir) { return 0; }
    for (struct dirent * entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) { continue; }
        char        inner[PATH_MAX];
        struct stat status;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int) sizeof inner ||
            lstat(inner, &status) != 0) {
            continue;
        }
        if (S_ISREG(status.st_mode)) { bytes += (uint64_t) status.st_size; }
        if (S_ISDIR(status.st_mode) && depth > 0) { bytes += folder_bytes(inner, depth - 1); }
    }
    closedir(dir);
    return bytes;
}

static bool has_trace(const char * path) {
    char file[PATH_MAX];
    return snprintf(file, sizeof file, "%s/" TRACE_FILE, path) < (int) sizeof file && access(file, F_OK) == 0;
}

static struct run describe(const char * folder, const char * name) {
    struct run  run = { 0 };
    struct stat status;
    if (asprintf(&run.path, "%s/%s", folder, name) < 0) { return (struct run){ 0 }; }
    if (lstat(run.path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        free(run.path);
        return (struct run){ 0 };
    }
    run.bytes     = folder_bytes(run.path, 1);
    run.has_trace = has_trace(run.path);
    return run;
}

long runs_list(const char * folder, struct run ** runs, struct tat_error * error) {
    struct dirent ** entries;
    *runs           = NULL;
    const int found = scandir(folder, &entries, is_run, alphasort);
    if (found < 0 && errno == ENOENT) { return 0; }
    if (found < 0) { return tat_fail_errno(error, "%s", folder); }
    struct run * list  = calloc((size_t) found + 1, sizeof *list);
    long         count = 0;
    for (int i = 0; i < found; i++) {
        if (list) { list[count] = describe(folder, entries[i]->d_name); }
        count += list && list[count].path;
        free(entries[i]);
    }
    free(entries);
    if (!list) { return tat_fail_errno(error, "%s", folder); }
    *runs = list;
    return count;
}

void runs_free(struct run * runs, long count) {
    for (long i = 0; i < count; i++) { free(runs[i].path); }
    free(runs);
}

static char * newest(struct tat_error * error) {
    struct run * runs;
    const long   count = runs_list(traces_folder(), &runs, error);
    if (count < 0) { return NULL; }
    char * path = NULL;
    for (long i = count; i-- > 0 && !path;) {
        if (runs[i].has_trace) { path = strdup(runs[i].path); }
    }
    runs_free(runs, count);
    if (!path) {
        tat_fail(error, TAT_ERROR_INPUT, "no trace under %s: record one with `tat record -- COMMAND`, or name one",
                 traces_folder());
    }
    return path;
}

char * run_resolve(const char * argument, struct tat_error * error) {
    if (!argument) { return newest(error); }
    char * path = NULL;
    if (access(argument, F_OK) == 0) {
        path = strdup(argument);
    } else if (!strchr(argument, '/') && asprintf(&path, "%s/%s", traces_folder(), argument) >= 0 &&
               access(path, F_OK) != 0) {
        free(path);
        path = NULL;
    }
    if (!path) { tat_fail(error, TAT_ERROR_INPUT, "%s: no such trace; `tat list` names them", argument); }
    return path;
}

static int make_folders(const char * folder) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", folder) >= (int) sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char * slash = path; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) { return -1; }
        *slash = '/';
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

char * run_create(const char * folder, struct tat_error * error) {
    enum { TRIES = 1000 };
    const time_t now = time(NULL);
    struct tm    local;
    char         when[32], path[PATH_MAX];
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d_%H%M%S", &local);
    if (make_folders(folder) != 0) {
        tat_fail_errno(error, "%s: cannot make the folder for traces", folder);
        return NULL;
    }
    for (int i = 0; i < TRIES; i++) {
        snprintf(path, sizeof path, i ? "%s/run_%s.%d" : "%s/run_%s", folder, when, i);
        if (mkdir(path, 0700) == 0) {
            char * real = realpath(path, NULL);
            if (!real) { tat_fail_errno(error, "%s", path); }
            return real;
        }
        if (errno != EEXIST) { break; }
    }
    tat_fail_errno(error, "%s: cannot make the run's folder", path);
    return NULL;
}
