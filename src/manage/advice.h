/* SPDX-License-Identifier: MIT
 *
 * What the program advised the kernel about a mapping, so that it can be put back; and what older headers lack.
 */
#ifndef TAT_MANAGE_ADVICE_H
#define TAT_MANAGE_ADVICE_H

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
enum { MADV_POPULATE_READ = 22 }; /* from Linux 5.14 on */
#endif

/* MADV_NORMAL, MADV_RANDOM or MADV_SEQUENTIAL: as the kernel has it for the mapping at that address. Reads
 * /proc/self/smaps. */
int advice_at(const void * at);

#endif
