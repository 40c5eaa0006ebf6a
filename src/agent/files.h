/* SPDX-License-Identifier: MIT
 *
 * The model files of the traced process: which are open, where they are mapped, which tensor is where in them. With the
 * registry's lock held, but for files_note.
 */
#ifndef TAT_AGENT_FILES_H
#define TAT_AGENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_place {
    uint32_t file;   /* number of the MODEL_FILE event, from 1; 0: none */
    uint64_t offset; /* in the file */
    bool mapped;     /* the address is in a mapping of the file */
};

/* Looks at what is mapped now, and at what was noted since. */
void files_refresh(void);

/* Where the bytes of a weight come from: its mapping, or by name, type and size in the model files known so far. */
struct file_place files_find(const void * address, const char * name, int32_t type, uint64_t bytes);

/* A model file was opened by the host. Any thread; remembers the path only. False: it is known already, or is none. */
bool files_note(const char * path);

/* Where the direction of a control vector for a layer comes from, and its name there. No place: there is no such file,
 * or there are several, which were added up. */
struct file_place files_find_direction(unsigned layer, int32_t type, uint64_t bytes, char * name, size_t size);

void files_after_fork(void);

#endif
