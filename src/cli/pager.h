/* SPDX-License-Identifier: MIT
 *
 * A pager for what is longer than the screen: $TAT_PAGER, $PAGER, or less. All calls from one thread.
 */
#ifndef TAT_CLI_PAGER_H
#define TAT_CLI_PAGER_H

#include <stdbool.h>

/* From here on, standard output goes to the pager, if it is a terminal. Nothing happens if there is no pager, if
 * TAT_PAGER or PAGER is empty or "cat", or on a dumb terminal. Call it when there is something to print. If the user
 * leaves the pager early, the program ends with status 0. A signal that ends the program lets the user read on first.
 */
void pager_open(void);
bool pager_is_open(void);

/* How many columns the terminal behind the pager has. */
unsigned pager_width(void);

/* Waits until the user has left the pager, and gives standard output back. 0, or -1 with errno if what was printed
 * could not be written. */
int pager_close(void);

#endif
