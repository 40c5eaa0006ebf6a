/* SPDX-License-Identifier: MIT
 *
 * The part of `tat export` that writes the page of `tat view` as one file.
 */
#ifndef TAT_CLI_EXPORT_HTML_H
#define TAT_CLI_EXPORT_HTML_H

#include <argp.h>

#include "serve/html.h"

enum { KEY_MAX_HTML = 1536, KEY_WITH_TEXT };

/* Rows of an option table. */
#define HTML_OPTIONS                                                                                                   \
    { "max-html",                                                                                                      \
      KEY_MAX_HTML,                                                                                                    \
      "SIZE",                                                                                                          \
      0,                                                                                                               \
      "With html: the file is no larger. What does not fit is summed up or left out, and the page says so. Default: "  \
      "20M",                                                                                                           \
      0 },                                                                                                             \
    {                                                                                                                  \
        "with-text", KEY_WITH_TEXT, NULL, 0, "With html: keep the text of tokens, and whole paths", 0                  \
    }

/* One of the options above. ARGP_ERR_UNKNOWN: it is not. */
error_t export_html_parse(struct html_options * options, int key, char * argument, struct argp_state * state);

/* Whether any was given. */
bool export_html_is_asked(const struct html_options * options);

/* The page on these traces, or on the newest if there are none, to `path`, or standard output if that is NULL. 0, or -1
 * with *error. */
int export_html(const struct html_options * options, const char * const * traces, size_t count, const char * path,
                struct tat_error * error);

#endif
