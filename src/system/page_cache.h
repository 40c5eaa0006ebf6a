/* SPDX-License-Identifier: MIT
 *
 * Which pages of a file are in memory, by mincore(2): nothing is read, and no page counts as used by it.
 */
#ifndef TAT_SYSTEM_PAGE_CACHE_H
#define TAT_SYSTEM_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Whether this process is told. mincore answers "all" to those who neither own the file nor may write it. */
bool page_cache_may_ask(int fd, const struct stat * file);

/* Of pages from `first` on, bit 0 of each byte says whether it is in memory. False: no more is wanted. */
typedef bool (*page_cache_sink)(uint64_t first, const unsigned char * resident, size_t pages, void * user);

/* Looks at so many bytes from the file's beginning, in pieces. False: they cannot be looked at, or the sink wanted no
 * more. One thread at a time. */
bool page_cache_look(int fd, uint64_t bytes, page_cache_sink sink, void * user);

/* How many of the pages of so many bytes. False: they cannot be looked at. */
bool page_cache_count(int fd, uint64_t bytes, uint64_t * pages);

#endif
