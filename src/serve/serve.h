/* SPDX-License-Identifier: MIT
 *
 * The server behind `tat view`: it answers what the page asks about some traces, and only reads.
 */
#ifndef TAT_SERVE_SERVE_H
#define TAT_SERVE_SERVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/trace.h"

/* ---- the traces ---- */

struct served_list;
struct pyramid;
struct subject;
struct token_axis;

struct served_options {
    /* Whether the traced program may still write the trace in this folder. */
    bool (*is_running)(const char * path, const struct tat_trace * trace);
    /* How many tokens of how many a first look at a long trace has summed up. False ends it. May be NULL. */
    bool (*progress)(void * user, uint64_t done, uint64_t total);
    void * user;
    /* What `tat plan` says of the trace in this folder, for so much memory; a disk_rate of 0: as the disk was measured.
     * The caller owns it; NULL with *error. May be NULL. */
    json_t * (*plan)(const char * path, uint64_t memory_bytes, double disk_rate, struct tat_error * error);
    /* The sums of a long trace (analysis/view/pyramid.h) as they were kept, for the caller to free; NULL: they were not.
     * May be NULL. */
    struct pyramid * (*find_sums)(const struct subject * subject, const struct token_axis * axis);
    /* Keeps those that were just made; called by any thread. May be NULL. */
    void (*keep_sums)(const struct tat_trace * trace, const struct pyramid * sums);
};

/* No traces yet. NULL: no memory. */
struct served_list * served_new(const struct served_options * options);

/* Adds the trace at `path`, its folder or file, and takes it over, also if that fails. `name` is what the user calls
 * it. Of a long trace that has ended, the sums for pictures are found or made. 0, or -1 with *error. */
int served_add(struct served_list * list, struct tat_trace * trace, const char * path, const char * name,
               struct tat_error * error);

void served_free(struct served_list * list); /* NULL is allowed */

/* ---- the server ---- */

struct server;

/* Answers from now on, in threads of its own, until server_stop. `listen`: an address, or a name of one. `port`: 0 for
 * any that is free. The list stays the caller's, and must live longer. NULL with *error: no such address, the port is
 * taken, or no memory. */
struct server * server_start(struct served_list * list, const char * listen, uint16_t port, struct tat_error * error);

/* Where the page is, with the token; it is the server's. */
const char * server_address(const struct server * server);

/* An address that leads there once: for a command line, which other users of the machine can read. */
const char * server_address_once(const struct server * server);

uint16_t server_port(const struct server * server);

/* False: an answer is still being made, and it did not end within a second. Then threads still run, and the server and
 * the list must stay: the program can exit, or call it again. */
bool server_stop(struct server * server);

/* Whether this program has the page in it. */
bool server_has_page(void);

#endif
