/* SPDX-License-Identifier: MIT */
#include "cli/remove_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/report.h"
#include "analysis/managed_run.h"
#include "cli/run_folder.h"
#include "format/file_names.h"
#include "tat/format.h"

enum { DEEPEST = 16 }; /* folders within folders; ours have one */

static bool is_self_or_parent(const char * name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Opens a folder that is one itself, not a link to one, for reading. */
static DIR * open_folder(int parent, const char * name) {
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR * folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder && fd >= 0) { close(fd); }
    return folder;
}

static int remove_entry(int parent, const char * name, dev_t device, int depth, uint64_t * bytes);

static int remove_content(DIR * folder, dev_t device, int depth, uint64_t * bytes) {
    for (const struct dirent * entry; (errno = 0, entry = readdir(folder));) {
        if (is_self_or_parent(entry->d_name)) { continue; }
        if (remove_entry(dirfd(folder), entry->d_name, device, depth, bytes) != 0) { return -1; }
    }
    return errno ? -1 : 0;
}

static int remove_folder(int parent, const char * name, dev_t device, int depth, uint64_t * bytes) {
    if (depth == DEEPEST) { return errno = ELOOP, -1; }
    DIR * folder = open_folder(parent, name);
    if (!folder) { return -1; }
    const int result = remove_content(folder, device, depth + 1, bytes);
    const int why = errno;
    closedir(folder);
    errno = why;
    return result ? result : unlinkat(parent, name, AT_REMOVEDIR);
}

static int remove_entry(int parent, const char * name, dev_t device, int depth, uint64_t * bytes) {
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) { return -1; }
    if (status.st_dev != device) { return errno = EXDEV, -1; }
    const int result =
        S_ISDIR(status.st_mode) ? remove_folder(parent, name, device, depth, bytes) : unlinkat(parent, name, 0);
    if (result == 0) { *bytes += (uint64_t) status.st_blocks * 512; }
    return result;
}

static bool is_ours(const char * name) {
    static const char * const ours[] = { TRACE_FILE,         IO_EVENTS_FILE,       RUN_METADATA_FILE,
                                         "tensor_names.txt", "gguf_structure.csv", "analysis",
                                         REPORT_NAME,        MANAGED_FILE,         MANAGED_PLAN_FILE };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(name, ours[i]) == 0) { return true; }
    }
    return false;
}

static bool holds_ours_alone(int fd) {
    DIR * folder = open_folder(fd, ".");
    bool ours = folder != NULL;
    for (const struct dirent * entry; ours && (entry = readdir(folder));) {
        ours = is_self_or_parent(entry->d_name) || is_ours(entry->d_name);
    }
    if (folder) { closedir(folder); }
    return ours;
}

/* It holds a trace, or nothing but files of ours. */
static bool may_go(int fd) {
    struct stat status;
    if (fstatat(fd, TRACE_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode)) { return true; }
    return holds_ours_alone(fd);
}

/* A folder that the user named (record -o): it must hold what is a trace by its contents, and nothing of others. */
static bool may_go_by_any_name(int parent, const char * name) {
    struct tat_file_header header;
    const int fd = is_self_or_parent(name) ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) { return false; }
    const int file = openat(fd, TRACE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const bool is_trace = file >= 0 && read(file, &header, sizeof header) == (ssize_t) sizeof header &&
                          memcmp(header.magic, TAT_MAGIC, sizeof header.magic) == 0;
    const bool may = is_trace && holds_ours_alone(fd);
    if (file >= 0) { close(file); }
    close(fd);
    return may;
}

static int remove_checked(int parent, const char * path, const char * name, struct removed * total,
                          struct tat_error * error) {
    struct run run;
    struct stat status;
    if (!run_parse(name, &run) && !may_go_by_any_name(parent, name)) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "%s was not deleted: it is not named like a trace (run_YYYYMMDD_HHMMSS), and is not a folder "
                        "that holds a trace and nothing else",
                        path);
    }
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) { return tat_fail_errno(error, "%s", path); }
    if (!S_ISDIR(status.st_mode)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s was not deleted: it is a link or a file, not a folder", path);
    }
    DIR * folder = open_folder(parent, name);
    if (!folder) { return tat_fail_errno(error, "%s", path); }
    const bool may = may_go(dirfd(folder));
    const bool is_busy = flock(dirfd(folder), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    closedir(folder);
    if (is_busy) { return tat_fail(error, TAT_ERROR_USAGE, "%s was not deleted: it is still being recorded", path); }
    if (!may) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s was not deleted: it holds files but no %s", path, TRACE_FILE);
    }
    if (remove_entry(parent, name, status.st_dev, 0, &total->bytes) != 0) {
        return tat_fail_errno(error, "%s was not deleted completely", path);
    }
    total->runs++;
    return 0;
}

int remove_run(const char * path, struct removed * total, struct tat_error * error) {
    char clean[PATH_MAX];
    snprintf(clean, sizeof clean, "%s", path);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--) { clean[n - 1] = '\0'; } /* they follow links */
    char * slash = strrchr(clean, '/');
    const char * name = slash ? slash + 1 : clean;
    const char * parent = !slash ? "." : slash == clean ? "/" : clean;
    if (slash) { *slash = '\0'; }
    const int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) { return tat_fail_errno(error, "%s", path); }
    const int result = remove_checked(fd, path, name, total, error);
    close(fd);
    return result;
}

void remove_tree(const char * path) {
    struct stat status;
    uint64_t bytes = 0;
    if (lstat(path, &status) == 0) { remove_entry(AT_FDCWD, path, status.st_dev, 0, &bytes); }
}
