/* SPDX-License-Identifier: MIT
 *
 * Who may ask. The address holds a token that only the user who started the server can know. A page of another site,
 * which the user's browser shows, could still send requests here: it does not know the token, and its requests are told
 * by their Origin or, if that site's name was made to lead here, by their Host.
 */
#ifndef TAT_SERVE_ACCESS_H
#define TAT_SERVE_ACCESS_H

#include <stdbool.h>

#include "tat/error.h"

enum { TOKEN_BYTES = 16, TOKEN_SIZE = 2 * TOKEN_BYTES + 1 };

/* 128 random bits, as hexadecimal digits. 0, or -1 with *error. */
int token_make(char token[static TOKEN_SIZE], struct tat_error * error);

/* Whether `path` begins with the token and a slash or is the token alone, which takes as long whatever differs. *rest
 * is what follows the slash; NULL for the token alone. */
bool token_opens(const char token[static TOKEN_SIZE], const char * path, const char ** rest);

/* Whether a Host header names this server: `own`, where it listens, "localhost" or a loopback address, or, if it can be
 * reached from elsewhere, any address, as the one that is seen there may be a router's. The port may be another one, as
 * behind an SSH tunnel. NULL is refused. */
bool host_is_own(const char * host, const char * own, bool is_reachable);

/* Whether the Origin header, NULL if there is none, is the page that this server gave out. */
bool origin_is_own(const char * origin, const char * host);

#endif
