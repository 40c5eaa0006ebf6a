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

static bool give_name(const struct file_replace * r) {
    char self[64];
    if (!r->nameless) { return true; }
    unlink(r->beside); /* of a process that had our number and was killed */
    snprintf(self, sizeof self, "/proc/self/fd/%d", fileno(r->file));
    return linkat(AT_FDCWD, self, AT_FDCWD, r->beside, AT_SYMLINK_FOLLOW) == 0;
}

int file_replace_end(struct file_replace * r, int good, struct tat_error * error) {
    if (good && (fflush(r->file) != 0 || ferror(r->file))) {
        tat_fail_errno(error, "%s: cannot write", r->path);
        good = 0;
    }
    if (good && r->beside && !(give_name(r) && rename(r->beside, r->path) == 0)) {
        tat_fail_errno(error, "%s: cannot replace the file", r->path);
        good = 0;
    }
    fclose(r->file);
    if (!good && r->beside) { unlink(r->beside); }
    free(r->beside);
    free(r->path);
    return good ? 0 : -1;
}
