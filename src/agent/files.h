/* SPDX-License-Identifier: MIT
 *
 * The model files of the traced process: which there are, and which bytes of them stand at which address. With the
 * registry's lock held, but for files_note.
 *
 * The host's files are not the agent's: it opens and closes them apart (apart.h), reads no page in that was not in
 * memory (gguf/quiet_read.h), never touches the mapping of a file, which may have been cut meanwhile, and looks at a
 * file once. Files in whose mapping no weight lies are not looked at, unless a weight is found nowhere else.
 */
#ifndef TAT_AGENT_FILES_H
#define TAT_AGENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_place {
    uint32_t file;   /* number of the MODEL_FILE event, from 1; 0: none */
    uint64_t offset; /* in the file */
    bool mapped;     /* the address stands for the file: it is in a mapping, or in a range that was said to */
};

/* Looks at what is mapped now, and at what was noted since. */
void files_refresh(void);

/* Where in a model file the byte at an address is, whatever memory is mapped there now: by the ranges of
 * files_stand_for, else by the mappings at the last refresh. The one place that knows. */
struct file_place files_at(const void * address);

/* From now on `bytes` bytes at `from` are those of a model file from an offset on. Whoever replaces pieces of a model's
 * mapping with other memory of the same content says so before the first is replaced, of the whole mapping or of the
 * pieces; it holds, whatever /proc/self/maps shows there, until files_stand_no_more or fork. False: no memory. */
bool files_stand_for(const void * from, uint64_t bytes, uint32_t file, uint64_t offset);

/* The range, or a part of it, is the host's again: the mapping is the file's own, or is gone. False: no
 * memory to split a range, which stays. */
bool files_stand_no_more(const void * from, uint64_t bytes);

/* Where the bytes of a weight come from: files_at, or by name, type and size in the model files known so far, that
 * first for which the buffer was made. */
struct file_place files_find(const void * address, const void * buffer, const char * name, int32_t type,
                             uint64_t bytes);

/* The host is about to open a model file, perhaps of another format than GGUF. Any thread; remembers the path and which
 * file is there. False: it is known already, or there is none. */
bool files_note(const char * path, bool may_be_foreign);

/* The host made a buffer: if for weights, then for those of the file that this thread opened last. Any thread. */
void files_buffer_made(const void * buffer);

/* Where the direction of a control vector for a layer comes from, and its name there. No place: there is no such file,
 * and then no name either, or there are several, which were added up. */
struct file_place files_find_direction(unsigned layer, int32_t type, uint64_t bytes, char * name, size_t size);

void files_after_fork(void);

#endif
