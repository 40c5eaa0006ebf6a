/* SPDX-License-Identifier: MIT
 *
 * The page's files as one, which needs no other.
 */
#ifndef TAT_SERVE_HTML_PAGE_H
#define TAT_SERVE_HTML_PAGE_H

#include <stddef.h>

#include "tat/error.h"

struct html_page {
    char *head, *rest; /* between them is room for a script that comes before the page's own */
    size_t bytes;      /* of both */
};

/* 0, or -1 with *error: this program has no page (TAT_ERROR_NO), it refers to what it has not, or memory. Free it in
 * either case. */
int html_page_make(struct html_page * page, struct tat_error * error);
void html_page_free(struct html_page * page);

#endif
