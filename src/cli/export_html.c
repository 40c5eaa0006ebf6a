/* SPDX-License-Identifier: MIT */
#include "cli/export_html.h"

#include <stdio.h>

#include "cli/units.h"
#include "cli/view_traces.h"
#include "export/file_replace.h"

#define BYTES_USUAL (UINT64_C(20) << 20)

error_t export_html_parse(struct html_options * o, int key, char * argument, struct argp_state * state) {
    switch (key) {
        case KEY_MAX_HTML:
            if (!parse_bytes(argument, &o->max_bytes)) {
                argp_error(state, "--max-html '%s': must be a size such as 20M", argument);
            }
            return 0;
        case KEY_WITH_TEXT: o->with_text = true; return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

bool export_html_is_asked(const struct html_options * o) {
    return o->max_bytes || o->with_text;
}

static int write_to(const struct html * html, FILE * out, const char * name, struct tat_error * error) {
    return html_write(html, out) == 0 ? 0 : tat_fail_errno(error, "cannot write to %s", name);
}

static int write_file(const struct html * html, const char * path, struct tat_error * error) {
    struct file_replace file;
    if (file_replace_open(&file, path, error) != 0) { return -1; }
    const bool in_place = file.beside == NULL;
    int status = write_to(html, file.file, path, error);
    if (file_replace_end(&file, status == 0, error) != 0) { status = -1; }
    if (status == 0 && !in_place) {
        char bytes[UNITS_SIZE];
        fprintf(stderr, "tat export: a page of %s in %s; open it in a browser\n", format_bytes(bytes, html_bytes(html)),
                path);
    }
    return status;
}

static void say_notes(const struct html * html) {
    size_t i;
    const json_t * note;
    json_array_foreach(html_notes(html), i, note) {
        fputs("tat export: ", stderr);
        print_safe(json_string_value(note), stderr);
        fputc('\n', stderr);
    }
}

int export_html(const struct html_options * o, const char * const * names, size_t count, const char * path,
                struct tat_error * error) {
    struct view_traces traces = { 0 };
    const struct html_options options = { o->max_bytes ? o->max_bytes : BYTES_USUAL, o->with_text };
    int status = view_traces_open(&traces, names, count, error);
    struct html * html = status == 0 ? html_make(traces.list, &options, error) : NULL;
    if (!html) {
        status = -1;
    } else {
        status = path ? write_file(html, path, error) : write_to(html, stdout, "standard output", error);
        if (status == 0) { say_notes(html); }
    }
    html_free(html);
    served_free(traces.list);
    return status;
}
