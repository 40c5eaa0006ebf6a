/* SPDX-License-Identifier: MIT */
#include "serve/request.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes `bytes` of `from` into `to`, which has room for them and a 0. False: an escape that is none, or a control
 * character. */
static bool decode(const char * from, size_t bytes, bool plus_is_space, char * to) {
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char) from[i];
        if (c == '%') {
            const int high = i + 2 < bytes ? hex_digit(from[i + 1]) : -1;
            const int low = i + 2 < bytes ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0) { return false; }
            c = (unsigned char) (high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f) { return false; }
        *to++ = (char) c;
    }
    *to = '\0';
    return true;
}

/* A part of the path that is "..", wherever the slashes came from. */
static bool leads_up(const char * path) {
    for (const char * part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) { return true; }
    }
    return false;
}

static int fail(struct tat_error * error, const char * what) {
    return tat_fail(error, TAT_ERROR_USAGE, "the address %s", what);
}

/* Adds "name=value", decoded to `to`. Returns what follows there, or NULL with *error. */
static char * add_parameter(struct request * r, const char * text, size_t bytes, char * to, struct tat_error * error) {
    const char * equals = memchr(text, '=', bytes);
    const size_t name_bytes = equals ? (size_t) (equals - text) : bytes;
    char * value = to + name_bytes + 1;
    if (r->n_parameters == REQUEST_PARAMETERS) {
        fail(error, "has too many parameters");
        return NULL;
    }
    const size_t value_bytes = equals ? bytes - name_bytes - 1 : 0;
    if (!decode(text, name_bytes, true, to) || !decode(equals ? equals + 1 : "", value_bytes, true, value)) {
        fail(error, "has a parameter that is not encoded as %XX, or has a control character");
        return NULL;
    }
    if (request_text(r, to)) {
        tat_fail(error, TAT_ERROR_USAGE, "the parameter '%.40s' is given twice", to);
        return NULL;
    }
    r->parameters[r->n_parameters++] = (struct parameter){ to, value };
    return value + value_bytes + 1;
}

int request_parse(struct request * r, const char * target, struct tat_error * error) {
    const size_t bytes = strlen(target), path_bytes = strcspn(target, "?");
    r->n_parameters = 0;
    /* Decoded text is never longer, but for the 0 of a name without a value: two for each parameter, and the path's. */
    if (bytes + 2 * REQUEST_PARAMETERS + 2 > REQUEST_BYTES) { return fail(error, "is too long"); }
    if (*target != '/') { return fail(error, "does not begin with a slash"); }
    if (!decode(target + 1, path_bytes - 1, false, r->text)) {
        return fail(error, "is not encoded as %XX, or has a control character");
    }
    r->path = r->text;
    if (leads_up(r->path)) { return fail(error, "leads out of the page with '..'"); }
    char * to = r->text + strlen(r->text) + 1;
    for (const char * at = target + path_bytes; *at && to;) {
        const size_t length = strcspn(++at, "&");
        if (length) { to = add_parameter(r, at, length, to, error); }
        at += length;
    }
    return to ? 0 : -1;
}

const char * request_text(const struct request * r, const char * name) {
    for (size_t i = 0; i < r->n_parameters; i++) {
        if (strcmp(r->parameters[i].name, name) == 0) { return r->parameters[i].value; }
    }
    return NULL;
}

int request_count(const struct request * r, const char * name, uint64_t least, uint64_t most, uint64_t * value,
                  struct tat_error * error) {
    const char * text = request_text(r, name);
    char * end;
    if (!text) { return 0; }
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number < least || number > most) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "the parameter %s=%.40s must be a whole number from %" PRIu64 " to %" PRIu64, name, text, least,
                        most);
    }
    *value = number;
    return 0;
}

int request_real(const struct request * r, const char * name, double least, double most, double * value,
                 struct tat_error * error) {
    const char * text = request_text(r, name);
    char * end;
    if (!text) { return 0; }
    const double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number) || number < least || number > most) {
        return tat_fail(error, TAT_ERROR_USAGE, "the parameter %s=%.40s must be a number from %g to %g", name, text,
                        least, most);
    }
    *value = number;
    return 0;
}

int request_word(const struct request * r, const char * name, const char * const * words, size_t count,
                 unsigned * chosen, struct tat_error * error) {
    const char * text = request_text(r, name);
    char all[256] = "";
    if (!text) { return 0; }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            *chosen = i;
            return 0;
        }
        const size_t used = strlen(all);
        if (used + strlen(words[i]) + 3 < sizeof all) { strcpy(stpcpy(all + used, i ? ", " : ""), words[i]); }
    }
    return tat_fail(error, TAT_ERROR_USAGE, "the parameter %s=%.40s must be one of: %s", name, text, all);
}

/* `name` is one of the words in `words`. */
static bool has_word(const char * words, const char * name) {
    const size_t length = strlen(name);
    for (const char * at = words; *at; at += strspn(at, " ")) {
        const size_t word = strcspn(at, " ");
        if (word == length && strncmp(at, name, length) == 0) { return true; }
        at += word;
    }
    return false;
}

int request_only(const struct request * r, const char * known, struct tat_error * error) {
    for (size_t i = 0; i < r->n_parameters; i++) {
        const char * name = r->parameters[i].name;
        if (has_word(known, name)) { continue; }
        return tat_fail(error, TAT_ERROR_USAGE, "there is no parameter '%.40s' here; %s%s", name,
                        *known ? "there are: " : "there are none", known);
    }
    return 0;
}
