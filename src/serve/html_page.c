/* SPDX-License-Identifier: MIT */
#include "serve/html_page.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/page.h"

/* A browser that keeps to this asks for nothing. */
static const char policy[] = "\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
                             "'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:\">";
static const char charset[] = "<meta charset=\"utf-8\">", head_end[] = "</head>";

/* Writes a file's text where no part of it may end the script or style it is in. */
static void put_script(const struct page_file * f, FILE * out) {
    static const char ends[][9] = { "</script", "<!--" };
    const char * at = (const char *) f->bytes;
    const char * end = at + f->size;
    for (; at < end; at++) {
        bool is_end = false;
        for (size_t i = 0; i < 2; i++) {
            const size_t length = strlen(ends[i]);
            is_end |= (size_t) (end - at) >= length && strncmp(at, ends[i], length) == 0;
        }
        putc_unlocked(*at, out);
        if (is_end) { putc_unlocked('\\', out); }
    }
}

/* The file that an attribute of this tag names; NULL: none of ours. `end` is behind the tag. */
static const struct page_file * file_of(const char * tag, const char * end, const char * attribute) {
    char name[128];
    const char * at = strstr(tag, attribute);
    if (!at || at >= end) { return NULL; }
    at += strlen(attribute);
    if (strncmp(at, "./", 2) == 0) { at += 2; }
    const size_t length = strcspn(at, "\"");
    if (length >= sizeof name) { return NULL; }
    memcpy(name, at, length);
    name[length] = '\0';
    return page_file_find(name);
}

/* Puts a tag that refers to a file of the page, with the file in its place. Returns what follows, or NULL: it is not
 * one. */
static const char * put_tag(const char * tag, FILE * out) {
    static const char script[] = "<script", script_end[] = "</script>", link[] = "<link";
    const char * end = strchr(tag, '>');
    if (!end) { return NULL; }
    if (strncmp(tag, script, sizeof script - 1) == 0) {
        const struct page_file * f = file_of(tag, end, " src=\"");
        if (!f || strncmp(end + 1, script_end, sizeof script_end - 1) != 0) { return NULL; }
        fputs("<script type=\"module\">", out);
        put_script(f, out);
        fputs(script_end, out);
        return end + sizeof script_end;
    }
    if (strncmp(tag, link, sizeof link - 1) == 0) {
        const struct page_file * f = file_of(tag, end, " href=\"");
        if (!f) { return NULL; }
        fputs("<style>", out);
        fwrite(f->bytes, 1, f->size, out);
        fputs("</style>", out);
        return end + 1;
    }
    return NULL;
}

static void put_all(const char * text, const char * end, FILE * out) {
    while (text < end) {
        const char * next = *text == '<' ? put_tag(text, out) : NULL;
        if (next) {
            text = next;
        } else {
            putc_unlocked(*text++, out);
        }
    }
}

/* The part from `text` to `end`, with the files in it that it refers to. NULL: no memory. */
static char * with_files(const char * text, const char * end, const char * before, size_t * bytes) {
    char * all = NULL;
    size_t count = 0;
    FILE * out = open_memstream(&all, &count);
    if (!out) { return NULL; }
    fputs(before, out);
    put_all(text, end, out);
    if (fclose(out) != 0) {
        free(all);
        return NULL;
    }
    *bytes += count;
    return all;
}

int html_page_make(struct html_page * page, struct tat_error * error) {
    const struct page_file * index = page_file_find("index.html");
    *page = (struct html_page){ 0 };
    if (!index) {
        return tat_fail(
            error, TAT_ERROR_NO,
            "this tat was built without the page of `tat view`: build it where npm and node 20.19 or newer, "
            "or PyPI, can be reached");
    }
    char * text = strndup((const char *) index->bytes, index->size);
    const char * start = text ? strstr(text, charset) : NULL;
    const char * end = start ? strstr(start, head_end) : NULL;
    int status = -1;
    if (end) {
        start += sizeof charset - 1;
        char * top = strndup(text, (size_t) (start - text));
        char * before = NULL;
        if (top && asprintf(&before, "%s%s", top, policy) > 0) {
            /* The page's own script is a module, and so runs when all is read. */
            page->head = with_files(start, end, before, &page->bytes);
            page->rest = with_files(end, text + strlen(text), "", &page->bytes);
            status = page->head && page->rest ? 0 : -1;
        }
        free(before);
        free(top);
    }
    if (status != 0) { tat_fail(error, TAT_ERROR_SYSTEM, "the page cannot be put together"); }
    free(text);
    return status;
}

void html_page_free(struct html_page * page) {
    free(page->head);
    free(page->rest);
    *page = (struct html_page){ 0 };
}
