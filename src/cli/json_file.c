/* SPDX-License-Identifier: MIT */
#include "cli/json_file.h"

int json_file_end(struct file_replace * file, const json_t * json, size_t indent, struct tat_error * error) {
    const bool good = json && json_dumpf(json, file->file, JSON_INDENT(indent)) == 0 && fputc('\n', file->file) != EOF;
    if (!json) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", file->path);
    } else if (!good) {
        tat_fail_errno(error, "%s: cannot write", file->path);
    }
    return file_replace_end(file, good, error);
}
