/* SPDX-License-Identifier: MIT */
#include "cli/state_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/state_file.h"
#include "export/file_replace.h"

int state_json_keep(const char * path, const json_t * json, struct tat_error * error) {
    if (!path) { return tat_fail(error, TAT_ERROR_SYSTEM, "no folder to keep it in: set XDG_STATE_HOME or HOME"); }
    struct file_replace r;
    char * folder = strdup(path);
    char * slash = folder ? strrchr(folder, '/') : NULL;
    int status = -1;
    if (slash) {
        state_file_folders(folder);
        *slash = '\0';
        status = file_replace_begin(&r, folder, slash + 1, error);
    } else {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    if (status == 0) {
        const bool written = json_dumpf(json, r.file, JSON_INDENT(2)) == 0 && fputc('\n', r.file) != EOF;
        status = file_replace_end(&r, written, error);
    }
    free(folder);
    return status;
}
