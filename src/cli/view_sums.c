/* SPDX-License-Identifier: MIT */
#include "cli/view_sums.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "analysis/view/pyramid_file.h"
#include "export/file_replace.h"
#include "format/file_names.h"

/* The folder analysis/ beside a trace. False: the trace has another name than in the folder of a run, and so no such
 * folder. */
static bool folder_of(const struct tat_trace * trace, char folder[static PATH_MAX]) {
    const char * path = tat_trace_path(trace);
    const char * slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, TRACE_FILE) != 0) { return false; }
    const int length = snprintf(folder, PATH_MAX, "%.*sanalysis", slash ? (int) (slash + 1 - path) : 0, path);
    return length > 0 && length < PATH_MAX;
}

/* ---- finding ---- */

/* NULL: there is no regular file of a size that sums can have. */
static void * read_all(const char * folder, size_t * count) {
    char path[PATH_MAX + sizeof PYRAMID_FILE];
    struct stat status;
    snprintf(path, sizeof path, "%s/" PYRAMID_FILE, folder);
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) { return NULL; }
    const bool good = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
                      (uint64_t) status.st_size <= PYRAMID_FILE_BYTES_MOST;
    FILE * file = good ? fdopen(fd, "r") : NULL;
    if (!file) {
        close(fd);
        return NULL;
    }
    *count = (size_t) status.st_size;
    char * bytes = malloc(*count);
    if (bytes && fread(bytes, 1, *count, file) != *count) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

struct pyramid * view_sums_find(const struct subject * subject, const struct token_axis * axis) {
    char folder[PATH_MAX];
    size_t count;
    void * bytes = folder_of(subject->trace, folder) ? read_all(folder, &count) : NULL;
    struct pyramid * sums = bytes ? pyramid_from_bytes(subject, axis, bytes, count) : NULL;
    free(bytes);
    return sums;
}

/* ---- keeping ---- */

static void write_all(const struct tat_trace * trace, const struct pyramid * sums, const char * folder) {
    struct file_replace file;
    struct tat_error error;
    size_t count;
    if (file_replace_begin(&file, folder, PYRAMID_FILE, &error) != 0) { return; }
    void * bytes = pyramid_to_bytes(sums, trace, &count);
    const bool good = bytes && count <= PYRAMID_FILE_BYTES_MOST && fwrite(bytes, 1, count, file.file) == count;
    file_replace_end(&file, good, &error);
    free(bytes);
}

/* Where the size of files is limited, writing beyond it must fail and not end the program. The signal comes to the
 * thread that writes. */
void view_sums_keep(const struct tat_trace * trace, const struct pyramid * sums) {
    char folder[PATH_MAX];
    const struct timespec now = { 0 };
    sigset_t too_large, before;
    if (!folder_of(trace, folder)) { return; }
    mkdir(folder, 0700); /* if it fails and there is none, there will be no file in it either */
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &too_large, &before);
    write_all(trace, sums, folder);
    while (sigtimedwait(&too_large, NULL, &now) > 0) {}
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
