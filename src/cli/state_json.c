/* SPDX-License-Identifier: MIT */
#include "cli/state_json.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/state_file.h"
#include "cli/json_file.h"

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
    if (status == 0) { status = json_file_end(&r, json, 2, error); }
    free(folder);
    return status;
}
