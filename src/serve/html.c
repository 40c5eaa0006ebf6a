/* SPDX-License-Identifier: MIT */
#include "serve/html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/units.h"
#include "serve/html_page.h"
#include "serve/html_redact.h"
#include "serve/routing.h"

enum {
    ADDRESS_SIZE = 256,
    CELL_BYTES = 16,    /* of a tile, a value of 8 and a number of 4, in base 64 */
    CELLS_LEAST = 2048, /* a coarser tile is none */
    CELLS_MOST = 1 << 17,
    SIDE_MOST = 8192,    /* cells of a side that the server gives */
    COLUMNS_LEAST = 8,   /* a heatmap of fewer shows no course */
    GRAPHS = 4,          /* tokens whose graphs are kept */
    SLACK = 512,         /* punctuation */
    NOTES_BYTES = 4096,  /* of each trace, kept free for notes */
};

struct html {
    struct served_list * list;
    struct html_options options;
    struct html_page page;
    json_t * answers; /* by address: text in JSON, or in base 64 */
    json_t * notes;
    uint64_t bytes;          /* so far, with what is kept free for notes */
    uint64_t notes_free;     /* of that */
    size_t tiles_left;       /* still to come */
    unsigned tiles_too_many; /* that did not fit */
    const char * of;         /* the trace that notes are about; NULL: there is one, or they are about all */
};

/* ---- sizes ---- */

/* Whether so much more can be taken in. */
static bool fits(const struct html * h, uint64_t bytes) {
    return h->bytes + bytes <= h->options.max_bytes;
}

/* JSON within a script: no string of it may end the script. */
static const char less_than[] = "\\u003c";

static int count_data(const char * text, size_t bytes, void * user) {
    size_t * count = user;
    for (size_t i = 0; i < bytes; i++) { *count += text[i] == '<' ? sizeof less_than - 1 : 1; }
    return 0;
}

static int put_data(const char * text, size_t bytes, void * user) {
    FILE * out = user;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '<' ? fputs(less_than, out) < 0 : putc_unlocked(text[i], out) < 0) { return -1; }
    }
    return 0;
}

/* Bytes that it takes in the file. */
static size_t text_bytes(const json_t * value) {
    size_t count = 0;
    json_dump_callback(value, count_data, &count, JSON_COMPACT | JSON_ENCODE_ANY);
    return count;
}

/* ---- notes ---- */

static void note(struct html * h, const char * format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct html * h, const char * format, ...) {
    char text[512];
    const int named = h->of ? snprintf(text, sizeof text, "%.200s: ", h->of) : 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + named, sizeof text - (size_t) named, format, arguments);
    va_end(arguments);
    json_t * value = result_text(text);
    const size_t bytes = text_bytes(value) + 1;
    if (bytes <= h->notes_free) {
        h->notes_free -= bytes;
    } else if (fits(h, bytes)) {
        h->bytes += bytes;
    } else {
        json_decref(value);
        return;
    }
    json_array_append_new(h->notes, value);
}

/* ---- answers ---- */

static struct answer ask(struct html * h, const char * address) {
    struct tat_error error;
    struct request * request = malloc(sizeof *request);
    char target[ADDRESS_SIZE + 1];
    if (!request) { return answer_json(NULL); }
    snprintf(target, sizeof target, "/%s", address);
    const struct answer answer = request_parse(request, target, &error) == 0
                                     ? route_answer(h->list, request->path, request)
                                     : answer_error(&error);
    free(request);
    return answer;
}

/* Takes over `value`. False: it does not fit. */
static bool take(struct html * h, const char * address, json_t * value, size_t bytes) {
    if (!fits(h, bytes)) {
        json_decref(value);
        return false;
    }
    h->bytes += bytes;
    return json_object_set_new(h->answers, address, value) == 0;
}

enum taken { TAKEN, TOO_LARGE, NOT_THERE };

/* An answer in JSON. *made is it, and the html's, if it was taken. */
static enum taken take_json(struct html * h, size_t trace, const char * address, const json_t ** made) {
    struct answer answer = ask(h, address);
    json_t * value = answer.status == ANSWER_OK ? json_loadb(answer.body, answer.bytes, JSON_ALLOW_NUL, NULL) : NULL;
    answer_free(&answer);
    if (!value) { return NOT_THERE; }
    const struct served * s = h->list->at[trace];
    if (!h->options.with_text && !html_redact(value, s->trace, s->path)) {
        json_decref(value);
        return NOT_THERE;
    }
    if (!take(h, address, value, text_bytes(value) + strlen(address) + 8)) { return TOO_LARGE; }
    if (made) { *made = value; }
    return TAKEN;
}

/* ---- tiles ---- */

static char * base64(const unsigned char * bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char * text = malloc((count + 2) / 3 * 4 + 1);
    char * to = text;
    for (size_t i = 0; text && i < count; i += 3) {
        const size_t left = count - i;
        const uint32_t three =
            (uint32_t) bytes[i] << 16 | (left > 1 ? (uint32_t) bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0u);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    if (text) { *to = '\0'; }
    return text;
}

struct tile_header {
    char magic[4];
    uint32_t version, columns, rows;
    uint64_t x0, x1, y0, y1;
    uint32_t revision, flags;
    unsigned char pad[8];
};
static_assert(sizeof(struct tile_header) == 64, "as doc/view.md has it");

/* How many of what one cell stands for. */
static double each(uint64_t from, uint64_t to, uint32_t cells) {
    return cells ? (double) (to - from) / cells : 0;
}

static void note_tile(struct html * h, const char * what, const struct tile_header * t) {
    const double x = each(t->x0, t->x1, t->columns), y = each(t->y0, t->y1, t->rows);
    if (memcmp(t->magic, "TATG", sizeof t->magic) != 0 || (x <= 1 && y <= 1)) { return; }
    note(h, "%s: a cell stands for %.4g by %.4g.", what, x, y);
}

static struct answer ask_tile(struct html * h, const char * address, uint64_t wide, uint64_t high,
                              struct tile_header * header) {
    char sized[ADDRESS_SIZE];
    snprintf(sized, sizeof sized, "%s&w=%" PRIu64 "&h=%" PRIu64, address, wide, high);
    const struct answer answer = ask(h, sized);
    memset(header, 0, sizeof *header);
    if (answer.status == ANSWER_OK && answer.bytes >= sizeof *header) { memcpy(header, answer.body, sizeof *header); }
    return answer;
}

/* A heatmap has every row, as the page shows each under the name of a tensor, a layer or an expert, and as many columns
 * as fit. */
static bool size_heatmap(struct html * h, const char * address, uint64_t cells, uint64_t * wide, uint64_t * high) {
    struct tile_header header;
    struct answer answer = ask_tile(h, address, 1, SIDE_MOST, &header);
    answer_free(&answer);
    *high = header.rows > 0 ? header.rows : 1;
    *wide = cells / *high < SIDE_MOST ? cells / *high : SIDE_MOST;
    return *wide >= COLUMNS_LEAST;
}

/* Others are twice as wide as they are high. */
static void size_picture(uint64_t cells, uint64_t * wide, uint64_t * high) {
    *high = 32;
    while ((*high + 1) * (*high + 1) * 2 <= cells) { ++*high; }
    *wide = 2 * *high;
}

/* As finely as its share of what room is left allows. */
static enum taken take_tile(struct html * h, const char * address, const char * what) {
    const uint64_t room = h->options.max_bytes > h->bytes ? h->options.max_bytes - h->bytes : 0;
    uint64_t cells = room / (h->tiles_left ? h->tiles_left : 1) / CELL_BYTES, wide, high;
    if (h->tiles_left) { h->tiles_left--; }
    if (cells < CELLS_LEAST) { return TOO_LARGE; }
    if (cells > CELLS_MOST) { cells = CELLS_MOST; }
    if (!strstr(address, "/grid?")) {
        size_picture(cells, &wide, &high);
    } else if (!size_heatmap(h, address, cells, &wide, &high)) {
        return TOO_LARGE;
    }
    struct tile_header header;
    struct answer answer = ask_tile(h, address, wide, high, &header);
    enum taken taken = NOT_THERE;
    if (header.version) {
        char * text = base64(answer.body, answer.bytes);
        json_t * value = text ? json_string(text) : NULL;
        if (value) { taken = take(h, address, value, strlen(text) + strlen(address) + 8) ? TAKEN : TOO_LARGE; }
        free(text);
    }
    answer_free(&answer);
    if (taken == TAKEN) { note_tile(h, what, &header); }
    return taken;
}

/* ---- what is worth most comes first ---- */

static const char * const measures[] = { "bytes", "time", "accesses" };
enum { MEASURES = sizeof measures / sizeof measures[0] };

static const struct {
    const char *what, *parameters;
} grids[] = {
    { "Heatmap of tokens and layers", "x=token&y=layer" },
    { "Heatmap of layers and experts", "x=layer&y=expert" },
    { "Heatmap of tokens and components", "x=token&y=component" },
    { "Heatmap of tokens and tensors", "x=token&y=tensor" },
};

static void take_sections(struct html * h, size_t trace) {
    const char * name;
    for (unsigned i = 0; (name = tat_analysis_name(i)); i++) {
        char address[ADDRESS_SIZE];
        snprintf(address, sizeof address, "api/traces/%zu/sections?names=%s", trace, name);
        if (take_json(h, trace, address, NULL) == TOO_LARGE) {
            note(h, "The section \"%s\" is left out: it does not fit.", tat_analysis_title(i));
        }
    }
}

static void take_grids(struct html * h, size_t trace) {
    for (size_t m = 0; m < MEASURES; m++) {
        for (size_t g = 0; g < sizeof grids / sizeof grids[0]; g++) {
            char address[ADDRESS_SIZE], what[ADDRESS_SIZE];
            snprintf(address, sizeof address, "api/traces/%zu/grid?%s&measure=%s", trace, grids[g].parameters,
                     measures[m]);
            snprintf(what, sizeof what, "%s, %s", grids[g].what, measures[m]);
            h->tiles_too_many += take_tile(h, address, what) == TOO_LARGE;
        }
    }
}

static void take_file_map(struct html * h, size_t trace) {
    char address[ADDRESS_SIZE];
    snprintf(address, sizeof address, "api/traces/%zu/file", trace);
    if (take_json(h, trace, address, NULL) == TAKEN) {
        note(h, "The file map shows the whole run, not token by token.");
    } else {
        note(h, "The file map is left out.");
    }
}

static void take_offsets(struct html * h, size_t trace) {
    static const char * const orders[] = { "logical", "physical" };
    char address[ADDRESS_SIZE];
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        snprintf(address, sizeof address, "api/traces/%zu/offsets?by=%s", trace, orders[i]);
        h->tiles_too_many += take_tile(h, address, "Reads over time") == TOO_LARGE;
    }
    snprintf(address, sizeof address, "api/traces/%zu/io?limit=2000", trace);
    if (take_json(h, trace, address, NULL) == TOO_LARGE) { note(h, "Faults and requests are left out."); }
}

/* Those of the first generated tokens, or else of the first. */
static void take_graphs(struct html * h, size_t trace, const json_t * about) {
    size_t i;
    const json_t * phase;
    json_int_t first = 0;
    unsigned taken = 0;
    json_array_foreach(json_object_get(about, "phases"), i, phase) {
        if (strcmp(json_string_value(json_object_get(phase, "phase")), "generate") == 0) {
            first = json_integer_value(json_object_get(phase, "token_first"));
            break;
        }
    }
    for (int n = 0; n < GRAPHS; n++) {
        char address[ADDRESS_SIZE];
        snprintf(address, sizeof address, "api/traces/%zu/graph?token=%" JSON_INTEGER_FORMAT, trace, first + n);
        taken += take_json(h, trace, address, NULL) == TAKEN;
    }
    if (taken) {
        note(h, "Graphs: those of %u tokens from token %" JSON_INTEGER_FORMAT " on.", taken, first);
    } else {
        note(h, "Graphs are left out.");
    }
}

static void take_records(struct html * h, size_t trace) {
    const json_t * page;
    char address[ADDRESS_SIZE], total[UNITS_SIZE];
    snprintf(address, sizeof address, "api/traces/%zu/records?count=1000", trace);
    const enum taken taken = take_json(h, trace, address, &page);
    if (taken != TAKEN) {
        note(h, "Records are left out.");
        return;
    }
    const json_int_t all = json_integer_value(json_object_get(page, "total"));
    const size_t rows = json_array_size(json_object_get(page, "rows"));
    if ((size_t) all > rows) { note(h, "Records: the first %zu of %s.", rows, format_count(total, (uint64_t) all)); }
}

static void take_expert_grids(struct html * h, size_t trace, const json_t * about) {
    const json_t * model = json_object_get(about, "model");
    const json_int_t layers = json_integer_value(json_object_get(model, "layers"));
    if (json_integer_value(json_object_get(model, "experts")) == 0) { return; }
    h->tiles_left = MEASURES * (size_t) layers;
    for (size_t m = 0; m < MEASURES; m++) {
        for (json_int_t layer = 0; layer < layers; layer++) {
            char address[ADDRESS_SIZE];
            snprintf(address, sizeof address,
                     "api/traces/%zu/grid?x=token&y=expert&measure=%s&layer=%" JSON_INTEGER_FORMAT, trace, measures[m],
                     layer);
            h->tiles_too_many += take_tile(h, address, "Heatmap of tokens and experts") == TOO_LARGE;
        }
    }
}

/* Tiles that are still to come, so that each gets its share of the room. */
static size_t tiles_of(const struct html * h) {
    return h->list->count * (MEASURES * sizeof grids / sizeof grids[0] + 2);
}

static void turn_to(struct html * h, size_t trace) {
    h->of = h->list->count > 1 ? h->list->at[trace]->name : NULL;
}

/* What no page can do without. */
static int take_first(struct html * h, const json_t ** abouts, struct tat_error * error) {
    char address[ADDRESS_SIZE];
    if (take_json(h, 0, "api/traces", NULL) != TAKEN) {
        return tat_fail(error, TAT_ERROR_NO, "the page does not fit in --max-html");
    }
    for (size_t i = 0; i < h->list->count; i++) {
        snprintf(address, sizeof address, "api/traces/%zu/about", i);
        if (take_json(h, i, address, &abouts[i]) == TAKEN) { continue; }
        return tat_fail(error, TAT_ERROR_NO,
                        "what the page needs first does not fit in --max-html: allow more than %" PRIu64 " bytes",
                        h->bytes);
    }
    return 0;
}

static int take_all(struct html * h, struct tat_error * error) {
    const json_t ** abouts = calloc(h->list->count, sizeof *abouts);
    char address[ADDRESS_SIZE];
    if (!abouts) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    const int status = take_first(h, abouts, error);
    for (size_t i = 0; i < h->list->count && status == 0; i++) {
        turn_to(h, i);
        snprintf(address, sizeof address, "api/traces/%zu/tokens", i);
        if (take_json(h, i, address, NULL) == TOO_LARGE) { note(h, "The timeline of tokens is left out."); }
        take_sections(h, i);
    }
    h->tiles_left = tiles_of(h);
    for (size_t i = 0; i < h->list->count && status == 0; i++) {
        turn_to(h, i);
        take_file_map(h, i);
        take_records(h, i);
        take_graphs(h, i, abouts[i]);
    }
    for (size_t i = 0; i < h->list->count && status == 0; i++) {
        turn_to(h, i);
        take_grids(h, i);
        take_offsets(h, i);
    }
    for (size_t i = 0; i < h->list->count && status == 0; i++) {
        turn_to(h, i);
        take_expert_grids(h, i, abouts[i]);
    }
    h->of = NULL;
    if (h->tiles_too_many) {
        note(h, "%u heatmaps and pictures of reads over time are left out: they do not fit.", h->tiles_too_many);
    }
    free(abouts);
    return status;
}

struct html * html_make(struct served_list * list, const struct html_options * options, struct tat_error * error) {
    struct html * h = calloc(1, sizeof *h);
    if (!h) {
        tat_fail_errno(error, "cannot make the page");
        return NULL;
    }
    h->list = list;
    h->options = *options;
    h->answers = json_object();
    h->notes = json_array();
    int status = html_page_make(&h->page, error);
    h->notes_free = NOTES_BYTES * list->count;
    h->bytes = h->page.bytes + SLACK + h->notes_free;
    if (status == 0 && !options->with_text) {
        note(h, "The text of tokens and the folders of paths are left out; `tat export --with-text` keeps them.");
    }
    if (status == 0) { status = take_all(h, error); }
    if (status == 0) {
        json_object_set_new(h->answers, "api/export",
                            json_pack("{s:i, s:O}", "schema", SERVE_SCHEMA, "notes", h->notes));
        return h;
    }
    html_free(h);
    return NULL;
}

void html_free(struct html * h) {
    if (!h) { return; }
    html_page_free(&h->page);
    json_decref(h->answers);
    json_decref(h->notes);
    free(h);
}

uint64_t html_bytes(const struct html * h) {
    return h->bytes;
}

const json_t * html_notes(const struct html * h) {
    return h->notes;
}

int html_write(const struct html * h, FILE * out) {
    if (fputs(h->page.head, out) < 0 || fputs("<script>window.__TAT__=", out) < 0 ||
        json_dump_callback(h->answers, put_data, out, JSON_COMPACT) != 0 || fputs("</script>\n", out) < 0 ||
        fputs(h->page.rest, out) < 0) {
        return -1;
    }
    return fflush(out);
}
