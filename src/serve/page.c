/* SPDX-License-Identifier: MIT */
#include "serve/page.h"

#include <string.h>

#include "serve/serve.h"

static const char first_file[] = "index.html";

const struct page_file * page_file_find(const char * name) {
    for (const struct page_file * f = page_files; f->name; f++) {
        if (strcmp(f->name, name) == 0) { return f; }
    }
    return NULL;
}

bool server_has_page(void) {
    return page_file_find(first_file) != NULL;
}

static const char * type_of(const char * name) {
    static const struct {
        const char *suffix, *type;
    } types[] = {
        { ".html", "text/html; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".woff2", "font/woff2" },
        { ".json", "application/json" },
        { ".txt", ANSWER_TEXT },
    };
    const char * suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(suffix, types[i].suffix) == 0) { return types[i].type; }
    }
    return ANSWER_BINARY;
}

struct answer page_answer(const char * name) {
    const struct page_file * f = page_file_find(*name ? name : first_file);
    if (f) {
        return (struct answer){ .status = ANSWER_OK, .type = type_of(f->name), .body = f->bytes, .bytes = f->size };
    }
    if (*name || server_has_page()) { return answer_line(ANSWER_NOT_FOUND, "The page has no such file.\n"); }
    return answer_line(ANSWER_NOT_FOUND, "This tat was built without the page of `tat view`. Build it where npm and "
                                         "node 20.19 or newer, or PyPI, can be reached; what can be asked all the same "
                                         "is in doc/view.md.\n");
}
