/* SPDX-License-Identifier: MIT */
#include "cli/top_text.h"

#include <stdlib.h>

#include "cli/report_text.h"

enum { LABEL = 4, GAP = 2, MARKS_MOST = 64 };

/* A mark for each expert, or for as many neighbours as fit into one. */
static void draw_layer(const json_t * row, double scale, size_t each, FILE * out) {
    const json_t * shares = json_object_get(row, "shares");
    const json_t * layer = json_object_get(row, "layer");
    if (json_is_integer(layer)) {
        fprintf(out, "%*lld ", LABEL - 1, (long long) json_integer_value(layer));
    } else {
        fprintf(out, "%*s ", LABEL - 1, "-");
    }
    for (size_t i = 0; i < json_array_size(shares); i += each) {
        double most = 0;
        for (size_t e = i; e < i + each && e < json_array_size(shares); e++) {
            const double share = json_number_value(json_array_get(shares, e));
            if (share > most) { most = share; }
        }
        fputs(report_mark(scale > 0 ? most / scale : 0), out);
    }
}

/* Layers side by side, as many as the width has room for. */
static void draw_heat(const json_t * frame, unsigned columns, FILE * out) {
    const json_t * rows = json_object_get(json_object_get(json_object_get(frame, "tables"), "experts"), "rows");
    const double scale = report_scale(rows, "shares");
    const size_t layers = json_array_size(rows);
    size_t widest = 0;
    for (size_t i = 0; i < layers; i++) {
        const size_t n = json_array_size(json_object_get(json_array_get(rows, i), "shares"));
        if (n > widest) { widest = n; }
    }
    if (!widest) { return; }
    const size_t each = (widest + MARKS_MOST - 1) / MARKS_MOST;
    const size_t width = LABEL + (widest + each - 1) / each + GAP;
    const size_t n = columns + GAP > width ? (columns + GAP) / width : 1, down = (layers + n - 1) / n;
    fprintf(out, "\nExperts by layer, from expert 0; a full bar is %.0f %% of the layer's choices", 100 * scale);
    fprintf(out, each > 1 ? "; each bar is the largest of %zu experts\n" : "\n", each);
    for (size_t line = 0; line < down; line++) {
        for (size_t i = line; i < layers; i += down) {
            if (i != line) { fprintf(out, "%*s", GAP, ""); }
            draw_layer(json_array_get(rows, i), scale, each, out);
        }
        putc('\n', out);
    }
}

int top_text(const json_t * frame, unsigned columns, FILE * out) {
    if (report_text(frame, false, out) != 0) { return -1; }
    draw_heat(frame, columns, out);
    return 0;
}

/* Where the screen has too few rows, those of the tensors make room; a few of them stay. */
static void trim_tensors(const json_t * frame, size_t lines, size_t rows) {
    enum { LEAST = 3 };
    json_t * tensors = json_object_get(json_object_get(json_object_get(frame, "tables"), "tensors"), "rows");
    for (; lines > rows && json_array_size(tensors) > LEAST; lines--) {
        json_array_remove(tensors, json_array_size(tensors) - 1);
    }
}

static size_t lines_of(const char * text) {
    size_t n = 0;
    for (; *text; text++) { n += *text == '\n'; }
    return n;
}

static char * text_of(const json_t * frame, unsigned columns) {
    char * text = NULL;
    size_t bytes = 0;
    FILE * out = open_memstream(&text, &bytes);
    if (!out) { return NULL; }
    const int status = top_text(frame, columns, out);
    if (fclose(out) == 0 && status == 0) { return text; }
    free(text);
    return NULL;
}

char * top_text_that_fits(const json_t * frame, unsigned columns, unsigned rows) {
    char * text = text_of(frame, columns);
    if (!text || lines_of(text) <= rows) { return text; }
    trim_tensors(frame, lines_of(text), rows);
    free(text);
    return text_of(frame, columns);
}
