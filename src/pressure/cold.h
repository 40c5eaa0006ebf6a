/* SPDX-License-Identifier: MIT
 *
 * Evicting a file from the page cache, so that a program has to read it from the disk.
 */
#ifndef TAT_PRESSURE_COLD_H
#define TAT_PRESSURE_COLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "tat/run.h"

/* Writes to disk what has to be written, and has the page cache forget the file. Returns how many bytes of it are still
 * in memory, whole pages counted, or TAT_STAYED_UNKNOWN where this process may not ask: it neither owns the file nor
 * may write it. `fd` is open for reading. */
uint64_t cold_evict(int fd);

/* Is the file in memory by nature, as in tmpfs? */
bool cold_is_memory(int fd);

/* A process that has the file mapped, by what this one may see; 0: none is known. */
pid_t cold_mapped_by(const struct stat * file, const char * path);

#endif
