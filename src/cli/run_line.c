/* SPDX-License-Identifier: MIT */
#include "cli/run_line.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/result.h"
#include "system/clock.h"

static json_t * value_json(const char * text) {
    char * end;
    const long long number = strtoll(text, &end, 10);
    return isdigit((unsigned char) *text) && !*end ? json_integer(number) : result_text(text);
}

static void add_figures(json_t * o, char * rest) {
    for (char * word; (word = strtok_r(NULL, " ", &rest));) {
        char * value = strchr(word, '=');
        if (!value || value == word) { continue; }
        *value++ = '\0';
        if (!json_object_get(o, word)) { json_object_set_new(o, word, value_json(value)); }
    }
}

json_t * run_line_read(int pid, const char * line) {
    char *text = strdup(line), *rest = NULL;
    const char * kind = text ? strtok_r(text, " ", &rest) : NULL;
    json_t * o =
        kind ? json_pack("{s:i, s:o, s:I}", "pid", pid, "kind", result_text(kind), "at_ns", (json_int_t) clock_ns())
             : NULL;
    if (o && strcmp(kind, "note") == 0) {
        json_object_set_new(o, "text", result_text(rest));
    } else if (o) {
        add_figures(o, rest);
    }
    free(text);
    return o;
}

bool run_line_has(const json_t * line, const char * key, const char * text) {
    const char * value = json_string_value(json_object_get(line, key));
    return value && strcmp(value, text) == 0;
}
