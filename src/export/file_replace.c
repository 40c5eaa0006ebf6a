/* SPDX-License-Identifier: MIT */
#include "export/file_replace.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int file_replace_begin(struct file_replace * r, const char * folder, const char * name, struct tat_error * error) {
    *r = (struct file_replace){ 0 };
    if (asprintf(&r->path, "%s/%s", folder, name) < 0 || asprintf(&r->beside, "%s/.%s.XXXXXX", folder, name) < 0) {
        return tat_fail_errno(error, "%s/%s", folder, name);
    }
    const int fd = mkostemp(r->beside, O_CLOEXEC);
    r->file      = fd < 0 ? NULL : fdopen(fd, "w");
    if (r->file) { return 0; }
    tat_fail_errno(error, "%s: cannot write", r->path);
    if (fd >= 0) { close(fd); }
    free(r->path);
    free(r->beside);
    return -1;
}

int file_replace_end(struct file_replace * r, int good, struct tat_error * error) {
    int result = -1;
    if (fflush(r->file) != 0 || ferror(r->file)) {
        tat_fail_errno(error, "%s: cannot write", r->path);
        good = 0;
    }
    fclose(r->file);
    if (good && rename(r->beside, r->path) != 0) {
        tat_fail_errno(error, "%s: cannot put in place", r->path);
    } else if (good) {
        result = 0;
    }
    if (result != 0) { unlink(r->beside); }
    free(r->beside);
    free(r->path);
    return result;
}
