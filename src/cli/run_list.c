/* SPDX-License-Identifier: MIT
 *
 * The runs that there are: those in the folder of traces, and those that were recorded elsewhere.
 */
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
#include "cli/run_folder.h"
#include "cli/run_open.h"
#include "cli/run_registry.h"
#include "format/file_names.h"
#include "tat/format.h"

/* By the stamp; then, of one second, by the number. */
static int newest_first(const void * left, const void * right) {
    const struct run *a = left, *b = right;
    const int stamps = strcmp(b->stamp, a->stamp);
    if (stamps) { return stamps; }
    if (a->number != b->number) { return a->number < b->number ? 1 : -1; }
    if (a->pid != b->pid) { return a->pid > b->pid ? 1 : -1; }
    return strcmp(a->path, b->path);
}

/* A link to a folder is not a run: tat makes no such links. */
static bool is_folder(const char * path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool holds_trace(const char * path) {
    char file[PATH_MAX];
    struct stat status;
    return snprintf(file, sizeof file, "%s/" TRACE_FILE, path) < PATH_MAX && lstat(file, &status) == 0 &&
           S_ISREG(status.st_mode);
}

/* When a trace began, or else when its folder was last changed: for folders whose names do not say it. */
static void read_stamp(struct run * run) {
    char file[PATH_MAX + sizeof "/" TRACE_FILE];
    struct tat_file_header header = { 0 };
    struct stat status = { 0 };
    struct tm parts = { 0 };
    snprintf(file, sizeof file, "%s/" TRACE_FILE, run->path);
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const bool is_trace = fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t) sizeof header &&
                          memcmp(header.magic, TAT_MAGIC, sizeof header.magic) == 0;
    if (fd >= 0) { close(fd); }
    stat(run->path, &status);
    const time_t seconds = is_trace ? (time_t) (header.start_realtime_ns / 1000000000u) : status.st_mtime;
    localtime_r(&seconds, &parts);
    if (strftime(run->stamp, sizeof run->stamp, "%Y%m%d_%H%M%S", &parts) == 0) { *run->stamp = '\0'; }
}

struct list {
    struct run * at;
    size_t count;
    bool failed;
};

static struct run * add(struct list * list) {
    if ((list->count & (list->count - 1)) == 0) { /* full at each power of two */
        struct run * more = reallocarray(list->at, list->count ? list->count * 2 : 1, sizeof *list->at);
        list->failed |= !more;
        if (!more) { return NULL; }
        list->at = more;
    }
    struct run * run = &list->at[list->count++];
    memset(run, 0, sizeof *run);
    return run;
}

/* A folder that is called like a run's, or, if `any`, holds a trace. */
static void add_entry(struct list * list, const char * parent, const char * name, bool any) {
    struct run parsed = { 0 };
    char path[PATH_MAX];
    const bool is_named = run_parse(name, &parsed);
    if (snprintf(path, sizeof path, "%s/%s", parent, name) >= PATH_MAX || name[0] == '.' || !(is_named || any) ||
        !is_folder(path) || (any && !holds_trace(path))) {
        return;
    }
    struct run * run = add(list);
    if (!run) { return; }
    if (is_named) { *run = parsed; }
    strcpy(run->path, path);
    run->name = any ? 0 : strlen(parent) + 1;
    agent_reports_forget(path);
    run->has_trace = holds_trace(path);
    run->is_elsewhere = any;
    if (!is_named) { read_stamp(run); }
}

static void add_path(struct list * list, const char * path) {
    if (!is_folder(path) || strlen(path) >= PATH_MAX) { return; }
    struct run * run = add(list);
    if (!run) { return; }
    strcpy(run->path, path);
    agent_reports_forget(path);
    run->has_trace = holds_trace(path);
    run->is_elsewhere = true;
    read_stamp(run);
}

/* Unless something else stands there by now. */
static void add_remembered(const char * path, void * state) {
    if (holds_trace(path) || (is_folder(path) && run_is_locked(path))) { add_path(state, path); }
}

/* The folder of traces with an absolute path, there or not: by this, runs elsewhere are remembered. */
static bool absolute_parent(char path[static PATH_MAX]) {
    const char * parent = run_parent();
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here)) { return false; }
    const bool is_absolute = *parent == '/';
    while (strncmp(parent, "./", 2) == 0) { parent += 2; }
    const int n = snprintf(path, PATH_MAX, "%s%s%s", is_absolute ? "" : here, is_absolute ? "" : "/", parent);
    if (n < 0 || n >= PATH_MAX) { return false; }
    for (size_t length = (size_t) n; length > 1 && path[length - 1] == '/';) { path[--length] = '\0'; }
    return true;
}

void run_remember(const char * path) {
    char traces[PATH_MAX], real[PATH_MAX];
    struct run unused;
    const char * slash = strrchr(path, '/');
    if (!slash || !absolute_parent(traces)) { return; }
    const size_t length = (size_t) (slash - path);
    const bool is_there = realpath(traces, real) && strlen(real) == length && strncmp(real, path, length) == 0;
    if (!is_there || !run_parse(slash + 1, &unused)) { registry_add(traces, path); }
}

static int list_folder(struct list * list, const char * parent, bool any, struct tat_error * error) {
    DIR * folder = opendir(parent);
    if (!folder) { return errno == ENOENT && !any ? 0 : tat_fail_errno(error, "cannot read the folder %s", parent); }
    for (const struct dirent * entry; !list->failed && (entry = readdir(folder));) {
        add_entry(list, parent, entry->d_name, any);
    }
    closedir(folder);
    return 0;
}

int run_list(const char * folder, struct run ** runs, size_t * count, struct tat_error * error) {
    struct list list = { 0 };
    char traces[PATH_MAX];
    int result = list_folder(&list, folder ? folder : run_parent(), folder != NULL, error);
    if (folder && holds_trace(folder)) {
        add_path(&list, folder);
    } else if (!folder && absolute_parent(traces)) {
        registry_each(traces, add_remembered, &list);
    }
    if (result == 0 && list.failed) { result = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (list.count) { qsort(list.at, list.count, sizeof *list.at, newest_first); }
    *runs = list.at;
    *count = list.count;
    return result;
}

int run_newest(char path[static PATH_MAX], struct tat_error * error) {
    struct run * runs;
    size_t count;
    int result = run_list(NULL, &runs, &count, error);
    if (result == 0) {
        size_t i = 0;
        while (i < count && !runs[i].has_trace) { i++; }
        if (i < count) { memcpy(path, runs[i].path, sizeof runs[i].path); }
        result = i < count ? 0
                           : tat_fail(error, TAT_ERROR_INPUT,
                                      "there is no trace in %s: make one with `tat record -- COMMAND`, or name a trace",
                                      run_parent());
    }
    free(runs);
    return result;
}

static uint64_t folder_bytes(int parent, const char * name, int depth) {
    uint64_t bytes = 0;
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR * folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder && fd >= 0) { close(fd); }
    for (const struct dirent * entry; folder && (entry = readdir(folder));) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        bytes += (uint64_t) status.st_blocks * 512;
        if (S_ISDIR(status.st_mode) && depth > 0) { bytes += folder_bytes(fd, entry->d_name, depth - 1); }
    }
    if (folder) { closedir(folder); }
    return bytes;
}

uint64_t run_bytes(const struct run * run) {
    return folder_bytes(AT_FDCWD, run->path, 1);
}
