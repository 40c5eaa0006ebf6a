/* SPDX-License-Identifier: MIT */
#include "serve/html_redact.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/units.h"

#define LEFT_OUT "Text was left out of this file: it was made without --with-text."

struct redaction {
    const struct tat_trace * trace;
    const char * folder;
};

/* Ends a path in running text. */
static bool ends_path(char c) {
    return c == '\0' || strchr(" \t\n\"'`,;()<>|", c) != NULL;
}

/* A path begins at `at`: an absolute one, at the beginning of a word. */
static bool begins_path(const char * text, const char * at) {
    return *at == '/' && !ends_path(at[1]) && (at == text || ends_path(at[-1]) || at[-1] == '=' || at[-1] == ':');
}

/* Leaves the last part of each absolute path, in place. */
static void shorten_paths(char * text) {
    char * to = text;
    for (const char * at = text; *at;) {
        if (!begins_path(text, at)) {
            *to++ = *at++;
            continue;
        }
        const char * last = at;
        for (; !ends_path(*at); at++) {
            if (*at == '/' && !ends_path(at[1])) { last = at + 1; }
        }
        memmove(to, last, (size_t) (at - last));
        to += at - last;
    }
    *to = '\0';
}

/* Leaves the last part of this path, which may have spaces or be a relative one, wherever it stands. */
static void shorten(char * text, const char * path) {
    const char * last = path ? last_part(path) : "";
    const size_t head = path ? (size_t) (last - path) : 0;
    if (head == 0 || !*last) { return; }
    for (char * at = text; (at = strstr(at, path)); at += strlen(last)) {
        memmove(at, at + head, strlen(at + head) + 1);
    }
}

static void shorten_known(const struct redaction * r, char * text) {
    uint32_t count;
    const struct tat_file_header * h = tat_trace_header(r->trace);
    const struct tat_model_file * files = tat_trace_model_files(r->trace, &count);
    shorten(text, tat_trace_path(r->trace));
    shorten(text, r->folder);
    shorten(text, h->program);
    shorten(text, h->ggml_path);
    for (uint32_t i = 0; i < count; i++) { shorten(text, files[i].path); }
}

static json_t * redacted_string(const struct redaction * r, const char * string) {
    if (!strchr(string, '/')) { return json_string(string); }
    char * text = strdup(string);
    if (!text) { return NULL; }
    shorten_known(r, text);
    shorten_paths(text);
    json_t * result = json_string(text);
    free(text);
    return result;
}

/* The words of tokens, which "text" is an array of, and of the prompt. (Lines of sections have their words in "text".)
 */
static bool is_written(const char * key, const json_t * value) {
    return ((strcmp(key, "text") == 0 || strcmp(key, "text_special") == 0) && json_is_array(value)) ||
           (strcmp(key, "prompt") == 0 && json_is_string(value));
}

/* What the value becomes, or NULL if it stays the same object or, a string, for want of memory. */
static json_t * replacement(const struct redaction * r, const char * key, const json_t * value) {
    if (key && is_written(key, value)) { return json_null(); }
    if (key && strcmp(key, "text") == 0 && json_is_boolean(value)) { return json_false(); } /* whether there is any */
    if (key && strcmp(key, "no_text") == 0 && json_is_null(value)) { return json_string(LEFT_OUT); }
    return json_is_string(value) ? redacted_string(r, json_string_value(value)) : NULL;
}

static bool redact(const struct redaction * r, json_t * value) {
    const char * key;
    size_t i;
    void * next;
    json_t * part;
    json_object_foreach_safe(value, next, key, part) {
        json_t * other = replacement(r, key, part);
        if (other ? json_object_set_new(value, key, other) != 0 : json_is_string(part) || !redact(r, part)) {
            return false;
        }
    }
    json_array_foreach(value, i, part) {
        json_t * other = replacement(r, NULL, part);
        if (other ? json_array_set_new(value, i, other) != 0 : json_is_string(part) || !redact(r, part)) {
            return false;
        }
    }
    return true;
}

bool html_redact(json_t * value, const struct tat_trace * trace, const char * folder) {
    const struct redaction r = { trace, folder };
    return redact(&r, value);
}
