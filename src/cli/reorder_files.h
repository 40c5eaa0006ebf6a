/* SPDX-License-Identifier: MIT
 *
 * The files that `tat reorder` writes: one, or as many as the model has parts. All of them are written and verified
 * before the first has its name.
 */
#ifndef TAT_CLI_REORDER_FILES_H
#define TAT_CLI_REORDER_FILES_H

#include "gguf/rewrite.h"
#include "tat/gguf.h"

struct reorder_part {
    struct tat_gguf * gguf; /* this part alone */
    struct rewrite rewrite;
    char * path; /* of the new file; NULL: none is written */
};

struct reorder_files {
    struct reorder_part * parts;
    uint32_t count;
    uint64_t * place; /* by the model's tensor: where it will begin in its file */
    uint64_t bytes;   /* of the new files */
};

/* `order`: the numbers of the model's tensors. In each part, its own tensors keep this order among themselves.
 * `alignment`: as for rewrite_open. `out`: the new file or its first part; NULL: nothing will be written. Returns 0, or
 * -1 with *error. Call reorder_files_close in either case. */
int reorder_files_open(struct reorder_files * f, const struct tat_gguf * model, const uint32_t * order,
                       uint32_t alignment, const char * out, struct tat_error * error);
void reorder_files_close(struct reorder_files * f);

/* The new files would be the old ones. */
bool reorder_files_are_needless(const struct reorder_files * f);

/* Whether the new files may be there, and have room. `force`: in place of what is there; never in place of the model.
 * Returns 0, or -1 with *error. */
int reorder_files_check(const struct reorder_files * f, bool force, struct tat_error * error);

/* Writes all, verifies all, and puts them in their places. After a failure, or a signal that ends programs, nothing is
 * left behind; the signal then ends this one. Returns 0, or -1 with *error. */
int reorder_files_write(const struct reorder_files * f, bool force, struct tat_error * error);

#endif
