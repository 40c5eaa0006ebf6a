/* SPDX-License-Identifier: MIT */
#include "export/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Takes over `fd`; if there is none, errno says why. */
static int begin(struct file_replace * r, int fd, struct tat_error * error) {
    r->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (r->file) { return 0; }
    tat_fail_errno(error, "%s: cannot write", r->path);
    if (fd >= 0) { close(fd); }
    free(r->path);
    free(r->beside);
    return -1;
}

int file_replace_begin(struct file_replace * r, const char * folder, const char * name, struct tat_error * error) {
    *r = (struct file_replace){ 0 };
    if (asprintf(&r->path, "%s/%s", folder, name) < 0 || asprintf(&r->beside, "%s/.%s.XXXXXX", folder, name) < 0) {
        return tat_fail_errno(error, "%s/%s", folder, name);
    }
    return begin(r, mkostemp(r->beside, O_CLOEXEC), error);
}

static bool is_regular_or_new(const char * path) {
    struct stat status;
    return stat(path, &status) != 0 ? errno == ENOENT : S_ISREG(status.st_mode);
}

int file_replace_open(struct file_replace * r, const char * path, struct tat_error * error) {
    char real[PATH_MAX], folder[PATH_MAX], name[PATH_MAX];
    *r = (struct file_replace){ .path = strdup(realpath(path, real) ? real : path) };
    errno = ENAMETOOLONG;
    if (!r->path || strlen(r->path) >= PATH_MAX) { return begin(r, -1, error); }
    if (!is_regular_or_new(r->path)) { return begin(r, open(r->path, O_WRONLY | O_NOCTTY | O_CLOEXEC), error); }
    const char * in = dirname(strcpy(folder, r->path));
    if (asprintf(&r->beside, "%s/.%s.%d", in, basename(strcpy(name, r->path)), (int) getpid()) < 0) {
        r->beside = NULL;
        return begin(r, -1, error);
    }
    int fd = open(in, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    r->nameless = fd >= 0;
    if (fd < 0) { fd = open(r->beside, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666); } /* not every file system can */
    return begin(r, fd, error);
}

/* Links never replace a file. */
static bool give_name(const struct file_replace * r, const char * name) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fileno(r->file));
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

static bool put_in_new_place(const struct file_replace * r) {
    if (r->nameless) { return give_name(r, r->path); }
    if (link(r->beside, r->path) == 0) { return true; }
    /* Not every file system has hard links. */
    return errno != EEXIST && renameat2(AT_FDCWD, r->beside, AT_FDCWD, r->path, RENAME_NOREPLACE) == 0;
}

static bool put_in_place(const struct file_replace * r) {
    if (r->only_new) { return put_in_new_place(r); }
    if (r->nameless) {
        unlink(r->beside); /* of a process that had our number and was killed */
        if (!give_name(r, r->beside)) { return false; }
    }
    return rename(r->beside, r->path) == 0;
}

/* The disk has the file already; this is about its name. */
static void sync_folder(const struct file_replace * r) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", r->path);
    const int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) { return; }
    fsync(fd);
    close(fd);
}

int file_replace_end(struct file_replace * r, int good, struct tat_error * error) {
    if (good && (fflush(r->file) != 0 || ferror(r->file) || (r->durable && fsync(fileno(r->file)) != 0))) {
        tat_fail_errno(error, "%s: cannot write", r->path);
        good = 0;
    }
    if (good && r->beside && !put_in_place(r)) {
        tat_fail_errno(error, r->only_new ? "%s: cannot put the file there" : "%s: cannot replace the file", r->path);
        good = 0;
    }
    fclose(r->file);
    if (r->beside) { unlink(r->beside); } /* what was not renamed */
    if (good && r->durable) { sync_folder(r); }
    free(r->beside);
    free(r->path);
    return good ? 0 : -1;
}
