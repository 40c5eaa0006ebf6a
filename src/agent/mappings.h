/* SPDX-License-Identifier: MIT
 *
 * What is mapped from files, according to /proc/self/maps. The registry's lock must be held.
 */
#ifndef TAT_AGENT_MAPPINGS_H
#define TAT_AGENT_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

/* A mapped file. Device and inode are the kernel's own; stat may tell others (btrfs, overlayfs). */
struct mapped_object {
    char * path; /* as the kernel writes it; ends in " (deleted)" if the file has no path any more */
    uint64_t device, inode;
    uint32_t file; /* the number of the model file that it is, once somebody has asked */
    bool asked;
};

struct mapping {
    uint64_t from, to, offset; /* offset in the file */
    int protection;            /* PROT_READ and PROT_WRITE */
    bool is_shared;
    uint32_t object;    /* index */
    uint32_t announced; /* the model file that the trace knows here; kept while the mapping stays the same */
};

/* Reads the mappings anew. Leaves out executable pieces, which belong to libraries, and memory without a file. */
void mappings_refresh(void);

/* The mapping that contains an address, or NULL. Valid until the next refresh. */
struct mapping * mapping_at(uint64_t address);

/* All mappings, in the order of their addresses. */
struct mapping * mappings_all(uint32_t * count);

struct mapped_object * mapping_object(const struct mapping * mapping);

void mappings_after_fork(void);

#endif
