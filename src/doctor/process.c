/* SPDX-License-Identifier: MIT */
#include "doctor/process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 4096 };

static bool is_known(const struct process * process, const char * file) {
    for (size_t i = 0; i < process->n_files; i++) {
        if (strcmp(process->files[i], file) == 0) { return true; }
    }
    return false;
}

/* The file of a line "address permissions offset device inode   path", or NULL. */
static const char * mapped_file(char * line) {
    line[strcspn(line, "\n")] = '\0';
    const char * path = strchr(line, '/');
    return path && strncmp(path, "/dev/", 5) != 0 ? path : NULL;
}

int process_read(pid_t pid, struct process * process, struct tat_error * error) {
    char path[64], line[PATH_MAX + 128];
    snprintf(path, sizeof path, "/proc/%d/maps", (int) pid);
    *process = (struct process){ .files = calloc(FILES_MAX, sizeof *process->files) };
    FILE * maps = process->files ? fopen(path, "re") : NULL;
    if (!maps) {
        return errno == ENOENT ? tat_fail(error, TAT_ERROR_INPUT, "there is no process %d", (int) pid)
                               : tat_fail_errno(error, "%s", path);
    }
    while (fgets(line, sizeof line, maps) && process->n_files < FILES_MAX) {
        const char * file = mapped_file(line);
        char * kept = file && !is_known(process, file) ? strdup(file) : NULL;
        if (kept) { process->files[process->n_files++] = kept; }
    }
    const bool failed = ferror(maps);
    fclose(maps);
    return failed ? tat_fail(error, TAT_ERROR_SYSTEM, "%s: only its owner and root may read it", path) : 0;
}

void process_free(struct process * process) {
    for (size_t i = 0; i < process->n_files; i++) { free(process->files[i]); }
    free(process->files);
    *process = (struct process){ 0 };
}

bool process_path(pid_t pid, const char * file, char * path, size_t size) {
    struct stat own, other;
    char root[64];
    snprintf(root, sizeof root, "/proc/%d/root", (int) pid);
    const bool is_same =
        stat("/", &own) == 0 && (stat(root, &other) != 0 || (own.st_dev == other.st_dev && own.st_ino == other.st_ino));
    const int length = snprintf(path, size, "%s%s", is_same ? "" : root, file);
    return length > 0 && (size_t) length < size;
}
