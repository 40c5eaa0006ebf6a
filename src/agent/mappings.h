/* SPDX-License-Identifier: MIT
 *
 * What of the address space is mapped from files, as /proc/self/maps has it. With the registry's lock held.
 */
#ifndef TAT_AGENT_MAPPINGS_H
#define TAT_AGENT_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

/* What is mapped. Device and inode are the kernel's own: those that stat tells can be others (btrfs, overlayfs). */
struct mapped_object {
    char * path; /* as the kernel writes it: " (deleted)" at its end where it has none any more */
    uint64_t device, inode;
    uint32_t file; /* the model file that it is, once somebody has asked */
    bool asked;
};

struct mapping {
    uint64_t from, to, offset; /* offset in the file */
    uint32_t object;           /* index */
    uint32_t announced;        /* the model file that the trace has this mapping for; kept while it stays the same */
};

/* Reads them anew. Executable pieces, which are libraries', and memory without a file are left out. */
void mappings_refresh(void);

/* The mapping of an address, or NULL. Until the next refresh. */
struct mapping * mapping_at(uint64_t address);

/* All of them, in the order of their addresses. */
struct mapping * mappings_all(uint32_t * count);

struct mapped_object * mapping_object(const struct mapping * mapping);

void mappings_after_fork(void);

#endif
