/* SPDX-License-Identifier: MIT
 *
 * What the program advised the kernel about a mapping, so that it can be put back.
 */
#ifndef TAT_MANAGE_ADVICE_H
#define TAT_MANAGE_ADVICE_H

/* MADV_NORMAL, MADV_RANDOM or MADV_SEQUENTIAL: as the kernel has it for the mapping at that address. Reads
 * /proc/self/smaps. */
int advice_at(const void * at);

#endif
