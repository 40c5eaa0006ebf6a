/* SPDX-License-Identifier: MIT
 *
 * The socket that a server listens on.
 */
#ifndef TAT_SERVE_LISTEN_H
#define TAT_SERVE_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "tat/error.h"

struct listener {
    int fd;
    uint16_t port;
    char host[INET6_ADDRSTRLEN + 2]; /* as it stands in an address: "127.0.0.1", "[::1]" */
    bool is_reachable;               /* from other machines */
};

/* `address`: of this machine, or a name of it. `port`: 0 for any that is free. 0, or -1 with *error. The caller closes
 * the descriptor. */
int listener_open(struct listener * listener, const char * address, uint16_t port, struct tat_error * error);

#endif
