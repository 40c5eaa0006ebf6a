/* SPDX-License-Identifier: MIT
 *
 * Reading that leaves the page cache as it was. A tracer that reads a file must not bring in pages of it: whoever
 * measures which pages a program touches would count them, and where memory is short they displace others.
 */
#ifndef TAT_GGUF_QUIET_READ_H
#define TAT_GGUF_QUIET_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { QUIET_READ_MAX = 65536 };

/* No read-ahead through this descriptor. Other descriptors of the file keep theirs. */
void quiet_begin(int fd);

/* Like pread for up to QUIET_READ_MAX bytes, but resumes after a signal. Pages that were not in memory are let go again
 * after reading. `owned`: the file belongs to this process's user, who may ask the kernel which pages those are. Adds
 * to *fetched the bytes that came from storage. */
ssize_t quiet_pread(int fd, void * to, size_t count, uint64_t at, bool owned, uint64_t * fetched);

#endif
