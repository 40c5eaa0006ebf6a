/* SPDX-License-Identifier: MIT
 *
 * How much memory a program that tat starts may have.
 */
#ifndef TAT_CLI_MACHINE_MEMORY_H
#define TAT_CLI_MACHINE_MEMORY_H

#include <stdint.h>

/* Bytes: the least of the machine's memory and what the cgroups around this process allow. 0: not known. */
uint64_t machine_memory(void);

/* Likewise, of the machine's memory what is available. */
uint64_t machine_memory_free(void);

#endif
