/* SPDX-License-Identifier: MIT */
#include "analysis/result.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tat/gguf.h"

const char * unit_name(enum unit unit) {
    static const char * const names[] = { "text",       "number", "count", "bytes",  "ns",     "share",
                                          "per_second", "factor", "index", "shares", "change", "correlation" };
    return (unsigned) unit < UNIT_KINDS ? names[unit] : "";
}

double ratio(uint64_t a, uint64_t b) {
    return b ? (double) a / (double) b : 0;
}

json_t * result_text(const char * bytes) {
    json_t * text = json_string(bytes);
    if (text) { return text; }
    char * ascii = strdup(bytes);
    if (!ascii) { return NULL; }
    for (char * c = ascii; *c; c++) {
        if ((unsigned char) *c >= 0x80) { *c = '?'; }
    }
    text = json_string(ascii);
    free(ascii);
    return text;
}

static json_t * __attribute__((format(printf, 1, 0))) new_sentence(const char * format, va_list arguments) {
    char * text = NULL;
    if (vasprintf(&text, format, arguments) < 0) { return NULL; }
    json_t * sentence = result_text(text);
    free(text);
    return sentence;
}

void result_put(struct result * r, json_t * object, const char * key, json_t * value) {
    if (json_object_set_new(object, key, value) != 0) { r->failed = true; }
}

/* Begins with empty members, so that their order is always the same. */
static json_t * part(struct result * r, const char * key) {
    return json_object_get(r->json, key);
}

void result_begin(struct result * r, const char * title) {
    *r = (struct result){ .json = json_object() };
    result_put(r, r->json, "title", json_string(title));
    result_put(r, r->json, "headline", json_string(""));
    result_put(r, r->json, "values", json_object());
    result_put(r, r->json, "lines", json_array());
    result_put(r, r->json, "answers", json_array());
    result_put(r, r->json, "tables", json_object());
    result_put(r, r->json, "notes", json_array());
}

json_t * result_end(struct result * r) {
    const char * key;
    json_t * value;
    void * next;
    json_object_foreach_safe(r->json, next, key, value) {
        if (json_is_true(value)) { continue; }
        if (json_array_size(value) + json_object_size(value) + json_string_length(value) == 0) {
            json_object_del(r->json, key);
        }
    }
    if (r->failed) {
        json_decref(r->json);
        return NULL;
    }
    return r->json;
}

static void append(struct result * r, const char * list, json_t * value) {
    if (json_array_append_new(part(r, list), value) != 0) { r->failed = true; }
}

void result_title(struct result * r, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    result_put(r, r->json, "title", new_sentence(format, arguments));
    va_end(arguments);
}

void result_headline(struct result * r, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    result_put(r, r->json, "headline", new_sentence(format, arguments));
    va_end(arguments);
}

void result_line(struct result * r, const char * label, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    append(r, "lines", json_pack("{s:s, s:o}", "label", label, "text", new_sentence(format, arguments)));
    va_end(arguments);
}

void result_note(struct result * r, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    append(r, "notes", new_sentence(format, arguments));
    va_end(arguments);
}

void result_answer(struct result * r, const char * question, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    append(r, "answers", json_pack("{s:s, s:o}", "question", question, "answer", new_sentence(format, arguments)));
    va_end(arguments);
}

void result_absent(struct result * r) {
    result_put(r, r->json, "absent", json_true());
}

json_t * result_values(struct result * r) {
    return part(r, "values");
}

void result_table(struct result * r, const char * name, const char * title, enum show show,
                  const struct result_column * columns, size_t count) {
    static const char * const shows[] = { "always", "asked", "never" };
    json_t * table = json_object();
    json_t * heads = json_array();
    r->rows = json_array();
    if (title) { result_put(r, table, "title", json_string(title)); }
    result_put(r, table, "show", json_string(shows[show]));
    for (size_t i = 0; i < count; i++) {
        json_t * head = json_pack("{s:s, s:s, s:s}", "key", columns[i].key, "label", columns[i].label, "unit",
                                  unit_name(columns[i].unit));
        if (json_array_append_new(heads, head) != 0) { r->failed = true; }
    }
    result_put(r, table, "columns", heads);
    result_put(r, table, "rows", r->rows);
    result_put(r, part(r, "tables"), name, table);
}

json_t * result_row(struct result * r) {
    json_t * row = json_object();
    if (json_array_append_new(r->rows, row) != 0) { r->failed = true; }
    return r->failed ? NULL : row;
}

void result_put_text(struct result * r, json_t * object, const char * key, const char * text) {
    result_put(r, object, key, result_text(text));
}

/* jansson's integers are signed; no real figure comes near the limit. */
void result_put_count(struct result * r, json_t * object, const char * key, uint64_t count) {
    result_put(r, object, key, json_integer(count < INT64_MAX ? (json_int_t) count : INT64_MAX));
}

void result_put_real(struct result * r, json_t * object, const char * key, double value) {
    result_put(r, object, key, isfinite(value) ? json_real(value) : json_null());
}

void result_put_layer(struct result * r, json_t * object, const char * key, uint32_t layer) {
    result_put(r, object, key, layer == TAT_NO_LAYER ? json_null() : json_integer((json_int_t) layer));
}
