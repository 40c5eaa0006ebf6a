/* SPDX-License-Identifier: MIT */
#ifndef TAT_MANAGE_DESCRIPTORS_H
#define TAT_MANAGE_DESCRIPTORS_H

#include <stdbool.h>

/* Gives the calling thread a table of descriptors of its own, in which there is nothing of the program's: not even its
 * output, whose end comes when the program has closed it. False, with errno: the system refused. */
bool descriptors_leave(void);

#endif
