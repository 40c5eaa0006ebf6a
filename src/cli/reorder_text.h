/* SPDX-License-Identifier: MIT
 *
 * What `tat reorder` says: where the order comes from, and what reading costs before and after.
 */
#ifndef TAT_CLI_REORDER_TEXT_H
#define TAT_CLI_REORDER_TEXT_H

#include "cli/reorder_files.h"
#include "cli/reorder_source.h"

struct reorder_outcome {
    const char * path; /* of the model */
    const struct tat_gguf * gguf;
    const struct reorder_source * source;
    const struct reorder_files * files;
    struct file_seeks before, after;
    uint32_t moved;      /* tensors that come to another rank in their file */
    const char * output; /* the new file, or its first part; NULL: none was written */
};

/* Both return 0, or -1 (no memory, or standard output). */
int reorder_print(const struct reorder_outcome * o);
int reorder_print_json(const struct reorder_outcome * o);

#endif
