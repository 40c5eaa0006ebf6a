/* SPDX-License-Identifier: MIT
 *
 * Getting the user's browser to an address of this machine.
 */
#ifndef TAT_CLI_BROWSER_H
#define TAT_CLI_BROWSER_H

#include <stdint.h>

/* Opens the address with xdg-open, if there is a display and the user sits before it. Over SSH, says on stderr how the
 * port is reached from there. */
void browser_open(const char * address, uint16_t port);

#endif
