/* SPDX-License-Identifier: MIT
 *
 * The model files that were found in the traced process; each has a number, and the trace knows it. The registry's lock
 * must be held.
 */
#ifndef TAT_AGENT_MODEL_FILES_H
#define TAT_AGENT_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { MODEL_FILES_MAX = 256 };

/* Which file it is, and which version: tomorrow another model may be at the same path. */
struct file_identity {
    uint64_t device, inode, size;
    int64_t mtime_ns;
};

struct file_identity file_identity(const struct stat * status);
bool file_is_same(const struct file_identity * a, const struct file_identity * b);

/* The number of the model file at `path`, from 1; 0: it is not a model. A file not seen before is opened, apart, with
 * all parts of its model. `name`: what the trace calls it, if the model is one file. */
uint32_t model_file_at(const char * path, const char * name, const struct file_identity * identity);

/* A model of which nothing else is known, because its file cannot be opened any more. */
uint32_t model_file_gone(const char * name, const struct file_identity * identity);

/* A file that is not GGUF but from which the host takes weights. */
uint32_t model_file_foreign(const char * name, const struct file_identity * identity);

/* Finds a tensor by name, type and size: first in the model of the file `first`, if that is known, then in the other
 * models known so far. Sets *offset and returns the file; 0: there is none. */
uint32_t model_files_tensor(const struct file_identity * first, const char * name, int32_t type, uint64_t bytes,
                            uint64_t * offset);

/* Finds a layer's direction of a control vector, and its name. 0: there is none, and the name is empty; or several were
 * added up. */
uint32_t model_files_direction(unsigned layer, int32_t type, uint64_t bytes, uint64_t * offset, char * name,
                               size_t size);

void model_files_after_fork(void);

#endif
