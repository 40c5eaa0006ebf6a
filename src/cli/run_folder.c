/* SPDX-License-Identifier: MIT */
#include "cli/run_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/agent_reports.h"
#include "cli/run_open.h"
#include "format/file_names.h"
#include "tat/format.h"

enum { PREFIX = sizeof "run_" - 1, STAMP = PREFIX + RUN_STAMP_SIZE - 1 };

const char * run_parent(void) {
    const char * folder = getenv("TAT_DIR");
    return folder && *folder ? folder : "traces";
}

/* ---- names ---- */

static bool has_stamp(const char * name) {
    static const char pattern[] = "run_dddddddd_dddddd";
    for (size_t i = 0; i < STAMP; i++) {
        if (pattern[i] == 'd' ? !isdigit((unsigned char) name[i]) : name[i] != pattern[i]) { return false; }
    }
    return true;
}

/* Reads "-N" or "_N", if it is there. */
static const char * read_suffix(const char * at, char mark, uint64_t * value) {
    *value = 0;
    if (at[0] != mark || !isdigit((unsigned char) at[1])) { return at; }
    char * end;
    errno = 0;
    *value = strtoull(at + 1, &end, 10);
    return errno || *value > UINT32_MAX ? at : end;
}

/* "_PID", or "_PID_N" where a program that replaced itself kept its number. */
static const char * read_pid(const char * at, uint64_t * pid) {
    uint64_t again;
    const char * end = read_suffix(at, '_', pid);
    return end == at ? at : read_suffix(end, '_', &again);
}

bool run_parse(const char * name, struct run * run) {
    if (!has_stamp(name)) { return false; }
    uint64_t number;
    const char * end = read_suffix(name + STAMP, '-', &number);
    end = read_pid(end, &run->pid);
    run->number = (unsigned) number;
    memcpy(run->stamp, name + PREFIX, RUN_STAMP_SIZE - 1);
    run->stamp[RUN_STAMP_SIZE - 1] = '\0';
    return *end == '\0';
}

const char * run_name(const struct run * run) {
    return run->path + run->name;
}

/* ---- resolve ---- */

static int join(char path[static PATH_MAX], const char * folder, const char * name, struct tat_error * error) {
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX) { return 0; }
    return tat_fail(error, TAT_ERROR_USAGE, "the path %.200s... is too long", folder);
}

/* `path` names a folder, or the trace in one: then it is shortened to the folder. */
static bool is_run(char path[static PATH_MAX]) {
    struct stat status;
    if (stat(path, &status) != 0) { return false; }
    if (S_ISDIR(status.st_mode)) { return true; }
    char * slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, TRACE_FILE) != 0) { return false; }
    if (slash) {
        slash[slash == path] = '\0'; /* "/tensor_access.bin" is in "/" */
    } else {
        strcpy(path, ".");
    }
    return true;
}

/* A trace is complete in itself, so it may have been moved out of its folder and be called anything. */
static bool is_file(const char * path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

int run_resolve(const char * argument, char path[static PATH_MAX], struct tat_error * error) {
    if (!argument) { return run_newest(path, error); }
    if (snprintf(path, PATH_MAX, "%s", argument) < PATH_MAX && is_run(path)) { return 0; }
    if (!strchr(argument, '/') && join(path, run_parent(), argument, error) == 0 && is_run(path)) { return 0; }
    if (snprintf(path, PATH_MAX, "%s", argument) < PATH_MAX && is_file(path)) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT,
                    "trace %s not found: it is not a file, a folder or a name in %s (see `tat list`)", argument,
                    run_parent());
}

/* ---- create ---- */

/* Makes the folders above `path`, for the user alone. */
static int make_parents(const char * path, struct tat_error * error) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    for (char * slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(parent, 0700) != 0 && errno != EEXIST) {
            return tat_fail_errno(error, "cannot create the folder %s", parent);
        }
        *slash = '/';
    }
    return 0;
}

static bool is_empty(const char * path) {
    struct dirent ** entries;
    const int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) { free(entries[i]); }
    if (count >= 0) { free(entries); }
    return count == 2; /* . and .. */
}

static int create_wanted(const char * path, struct tat_error * error) {
    agent_reports_forget(path);
    if (mkdir(path, 0700) == 0 || (errno == EEXIST && is_empty(path))) { return 0; }
    if (errno != EEXIST && errno != ENOTDIR) { return tat_fail_errno(error, "cannot create the folder %s", path); }
    return tat_fail(error, TAT_ERROR_USAGE, "%s already exists and is not an empty folder: name another one", path);
}

static int create_new(char path[static PATH_MAX], struct tat_error * error) {
    char name[64];
    const time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    const size_t length = strftime(name, sizeof name, "run_%Y%m%d_%H%M%S", &local);
    for (unsigned number = 1; number < 10000; number++) {
        if (number > 1) { snprintf(name + length, sizeof name - length, "-%u", number); }
        if (join(path, run_parent(), name, error) != 0) { return -1; }
        if (mkdir(path, 0700) == 0) { return 0; }
        if (errno != EEXIST) { break; }
    }
    return tat_fail_errno(error, "cannot create the folder %s", path);
}

int run_create(const char * wanted, char path[static PATH_MAX], struct tat_error * error) {
    char made[PATH_MAX];
    if (join(made, wanted ? wanted : run_parent(), "", error) != 0 || make_parents(made, error) != 0) { return -1; }
    if ((wanted ? create_wanted(wanted, error) : create_new(made, error)) != 0) { return -1; }
    return realpath(wanted ? wanted : made, path) ? 0 : tat_fail_errno(error, "%s", made);
}

/* ---- its processes ---- */

static uint64_t nanoseconds(const struct timespec * t) {
    return (uint64_t) t->tv_sec * 1000000000u + (uint64_t) t->tv_nsec;
}

/* As the agent names the folder of a further process. */
static bool is_further(const char * name, const char * base, uint64_t * pid) {
    const size_t n = strlen(base);
    if (strncmp(name, base, n) != 0) { return false; }
    const char * end = read_pid(name + n, pid);
    return end != name + n && *end == '\0';
}

/* A folder of the user's, or one of another recording, may be called so too: "-o out" and "-o out_2". */
static bool was_made_since(const char * path, uint64_t pid, const struct timespec * began) {
    char file[PATH_MAX + NAME_MAX + sizeof "/" TRACE_FILE];
    struct tat_file_header header;
    struct stat status;
    if (run_is_locked(path) || stat(path, &status) != 0) { return false; }
    snprintf(file, sizeof file, "%s/" TRACE_FILE, path);
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const bool is_trace = fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t) sizeof header &&
                          memcmp(header.magic, TAT_MAGIC, sizeof header.magic) == 0;
    if (fd >= 0) { close(fd); }
    if (is_trace) { return header.pid == pid && header.start_realtime_ns >= nanoseconds(began); }
    return nanoseconds(&status.st_mtim) >= nanoseconds(began);
}

void run_each_process(const char * path, const struct timespec * began, void (*each)(const char * path, void * state),
                      void * state) {
    each(path, state);
    char parent[PATH_MAX];
    const char * base = strrchr(path, '/') + 1; /* the path is absolute */
    const int length = (int) (base - path);
    snprintf(parent, sizeof parent, "%.*s", length, path);
    struct dirent ** entries;
    const int count = scandir(parent, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char further[PATH_MAX + NAME_MAX];
        uint64_t pid;
        snprintf(further, sizeof further, "%s%s", parent, entries[i]->d_name);
        if (is_further(entries[i]->d_name, base, &pid) && was_made_since(further, pid, began)) { each(further, state); }
        free(entries[i]);
    }
    if (count >= 0) { free(entries); }
}
