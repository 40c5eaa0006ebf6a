/* SPDX-License-Identifier: MIT
 *
 * The model files of the traced process: which ones there are, and which of their bytes are at which address. The
 * registry's lock must be held, except for files_note and files_buffer_made.
 *
 * The files are the host's. The agent opens and closes them apart (apart.h), leaves no page in memory that was not
 * there before (gguf/quiet_read.h), looks at each file once, and never touches a file's mapping, since the file may
 * have been cut meanwhile. It looks at files whose mapping holds no weight only if a weight is found nowhere else.
 */
#ifndef TAT_AGENT_FILES_H
#define TAT_AGENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_place {
    uint32_t file;   /* number of the MODEL_FILE event, from 1; 0: none */
    uint64_t offset; /* in the file */
    bool mapped;     /* the address stands for the file: it is in its mapping, or in a declared range */
};

/* Looks at what is mapped now, and at what was noted since the last call. */
void files_refresh(void);

/* Which byte of which model file the address stands for, whatever memory is mapped there now: by the ranges of
 * files_stand_for, else by the mappings at the last refresh. Nothing else decides this. */
struct file_place files_at(const void * address);

/* Declares that from now on the `bytes` bytes at `from` are those of a model file from `offset` on. Whoever replaces
 * pieces of a model's mapping with other memory of the same content calls this before replacing the first piece, for
 * the whole mapping or for the pieces. It holds, whatever /proc/self/maps shows there, until files_stand_no_more or
 * fork. False: no memory. */
bool files_stand_for(const void * from, uint64_t bytes, uint32_t file, uint64_t offset);

/* Ends this for a range or a part of one: the mapping is the file's own again, or is gone. False: there is no memory to
 * split a range, so all of it stays. */
bool files_stand_no_more(const void * from, uint64_t bytes);

/* Where the bytes of a weight come from: files_at, else by name, type and size in the model files known so far,
 * beginning with the file that the buffer was made for. */
struct file_place files_find(const void * address, const void * buffer, const char * name, int32_t type,
                             uint64_t bytes);

/* The host is about to open a model file, perhaps in another format than GGUF. Remembers the path and the file there.
 * False: it is known already, or there is no file. Any thread. */
bool files_note(const char * path, bool may_be_foreign);

/* The host made a buffer. If it is for weights, they are those of the file that this thread opened last. Any thread. */
void files_buffer_made(const void * buffer);

/* Where a layer's direction of a control vector comes from, and its name there. No place: there is no such file, and
 * the name is empty; or several vectors were added up. */
struct file_place files_find_direction(unsigned layer, int32_t type, uint64_t bytes, char * name, size_t size);

void files_after_fork(void);

#endif
