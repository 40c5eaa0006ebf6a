/* SPDX-License-Identifier: MIT
 *
 * The page itself: files that are part of the program.
 */
#ifndef TAT_SERVE_PAGE_H
#define TAT_SERVE_PAGE_H

#include "serve/answer.h"

struct page_file {
    const char * name; /* as in its address: "index.html", "assets/page.js" */
    const unsigned char * bytes;
    size_t size;
};

/* Made while the program is built; ends with a file without a name. */
extern const struct page_file page_files[];

/* NULL: there is none of that name. */
const struct page_file * page_file_find(const char * name);

/* The file of this name, or "" for the page. */
struct answer page_answer(const char * name);

#endif
