/* SPDX-License-Identifier: MIT
 *
 * The model files that were found in the traced process, each numbered and told to the trace. With the registry's lock
 * held.
 */
#ifndef TAT_AGENT_MODEL_FILES_H
#define TAT_AGENT_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { MODEL_FILES_MAX = 256 };

/* Which file it is, and which version of it: the model at one path can be another tomorrow. */
struct file_identity {
    uint64_t device, inode, size;
    int64_t mtime_ns;
};

struct file_identity file_identity(const struct stat * status);
bool file_is_same(const struct file_identity * a, const struct file_identity * b);

/* The number of the model file at `path`, from 1; 0: it is not a model. A file that was not seen before is opened,
 * apart, with all parts of its model. `name`: what the trace is to call it, if it is alone. */
uint32_t model_file_at(const char * path, const char * name, const struct file_identity * identity);

/* A model of which only that much is known, as its file cannot be opened any more. */
uint32_t model_file_gone(const char * name, const struct file_identity * identity);

/* A file that is not GGUF, and from which the host takes weights all the same. */
uint32_t model_file_foreign(const char * name, const struct file_identity * identity);

/* A tensor by name, type and size, in the model of the file `first`, if it is known, then in the others known so far:
 * its file, 0 if there is none, and its offset. */
uint32_t model_files_tensor(const struct file_identity * first, const char * name, int32_t type, uint64_t bytes,
                            uint64_t * offset);

/* The direction of a control vector for a layer, and its name. 0: there is none, and no name, or there are several,
 * which were added up. */
uint32_t model_files_direction(unsigned layer, int32_t type, uint64_t bytes, uint64_t * offset, char * name,
                               size_t size);

void model_files_after_fork(void);

#endif
