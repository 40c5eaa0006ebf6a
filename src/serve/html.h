/* SPDX-License-Identifier: MIT
 *
 * The page as one file, with answers in it in place of a server: `tat export --format html`.
 */
#ifndef TAT_SERVE_HTML_H
#define TAT_SERVE_HTML_H

#include <jansson.h>
#include <stdio.h>

#include "serve/serve.h"

struct html_options {
    uint64_t max_bytes; /* of the file */
    bool with_text;     /* keep what was written, and paths */
};

/* Everything that goes into the file. */
struct html;

/* Asks for all that the page shows first, in the order of its worth, as coarsely as the size demands. NULL with *error:
 * this program has no page (TAT_ERROR_NO), not even the least fits (TAT_ERROR_NO), or memory. */
struct html * html_make(struct served_list * list, const struct html_options * options, struct tat_error * error);
void html_free(struct html * html); /* NULL is allowed */

/* 0, or -1 with errno. */
int html_write(const struct html * html, FILE * out);

uint64_t html_bytes(const struct html * html);

/* What was left out or summed up, in sentences that the page shows, too; it is the html's. An array of strings. */
const json_t * html_notes(const struct html * html);

#endif
