/* SPDX-License-Identifier: MIT
 *
 * The sections of `tat report --json`, each made once for each choice of options.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/option_text.h"
#include "serve/endpoint.h"

enum { SECTIONS_MOST = 32, QUESTION_SIZE = 1024 };

static const char * const option_names[] = {
    "hot", "cold", "memory", "disk", "unit", "read-ahead", "layers", "tokens"
};

struct asked {
    const char * names[SECTIONS_MOST];
    size_t count;
    struct tat_analysis_options options;
    char question[QUESTION_SIZE]; /* the options as they were given, in one order */
};

static int add_name(struct asked * a, const char * name, struct tat_error * error) {
    const char * known = section_from_text(name, error);
    if (!known) { return -1; }
    for (size_t i = 0; i < a->count; i++) {
        if (a->names[i] == known) { return 0; }
    }
    if (a->count == SECTIONS_MOST) { return tat_fail(error, TAT_ERROR_USAGE, "too many sections"); }
    a->names[a->count++] = known;
    return 0;
}

/* "speed,layers"; without names, all that are not slow, as in `tat report`. */
static int read_names(struct asked * a, const char * text, struct tat_error * error) {
    const char * name;
    char one[64];
    for (unsigned i = 0; !text && (name = tat_analysis_name(i)); i++) {
        if (!tat_analysis_is_slow(i) && add_name(a, name, error) != 0) { return -1; }
    }
    while (text) {
        const size_t length = strcspn(text, ",");
        if (length >= sizeof one) { return tat_fail(error, TAT_ERROR_USAGE, "no section has a name that long"); }
        memcpy(one, text, length);
        one[length] = '\0';
        if (add_name(a, one, error) != 0) { return -1; }
        text = text[length] ? text + length + 1 : NULL;
    }
    return 0;
}

/* Adds to what makes this question differ from others. */
static int tell_apart(struct asked * a, const char * name, const char * value, struct tat_error * error) {
    const size_t used = strlen(a->question);
    if (used + strlen(name) + strlen(value) + 3 > sizeof a->question) {
        return tat_fail(error, TAT_ERROR_USAGE, "the parameter %s is too long", name);
    }
    char * at = stpcpy(stpcpy(a->question + used, name), "=");
    strcpy(stpcpy(at, value), "&");
    return 0;
}

static int read_options(struct asked * a, const struct tat_trace * trace, const struct request * request,
                        struct tat_error * error) {
    for (size_t i = 0; i < sizeof option_names / sizeof option_names[0]; i++) {
        const char * value = request_text(request, option_names[i]);
        if (value && (option_from_text(&a->options, option_names[i], value, error) != 0 ||
                      tell_apart(a, option_names[i], value, error) != 0)) {
            return -1;
        }
    }
    const char * model = request_text(request, "model");
    if (model) {
        a->options.model = tat_trace_find_model(trace, model, error);
        if (!a->options.model || tell_apart(a, "model", model, error) != 0) { return -1; }
    }
    return options_agree(&a->options, error);
}

/* What a section is kept under. */
static void key_of(const struct asked * a, size_t section, char key[static QUESTION_SIZE + 64]) {
    strcpy(stpcpy(stpcpy(key, a->names[section]), "?"), a->question);
}

/* Makes those sections that are not kept, in one walk over the trace. */
static int make_missing(struct served * served, const struct asked * a, char ** texts, struct tat_error * error) {
    const char * missing[SECTIONS_MOST];
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (!texts[i]) { missing[count++] = a->names[i]; }
    }
    if (count == 0) { return 0; }
    json_t * made = analyses_run(served->trace, missing, count, &a->options, error);
    if (!made) { return -1; }
    int status = tat_trace_trouble(served->trace, error);
    for (size_t i = 0; i < a->count && status == 0; i++) {
        char key[QUESTION_SIZE + 64];
        if (texts[i]) { continue; }
        texts[i] = json_dumps(json_object_get(made, a->names[i]), JSON_COMPACT);
        if (!texts[i]) {
            status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        } else {
            key_of(a, i, key);
            kept_add(served->kept, key, texts[i], strlen(texts[i]));
        }
    }
    json_decref(made);
    return status;
}

/* {"speed": ..., "layers": ...}, from the texts of the parts. NULL: no memory. */
static char * join(const struct asked * a, char * const * texts) {
    size_t bytes = 3;
    for (size_t i = 0; i < a->count; i++) { bytes += strlen(a->names[i]) + strlen(texts[i]) + 4; }
    char * all = malloc(bytes);
    if (!all) { return NULL; }
    char * at = stpcpy(all, "{");
    for (size_t i = 0; i < a->count; i++) {
        at = stpcpy(stpcpy(stpcpy(at, i ? ",\"" : "\""), a->names[i]), "\":");
        at = stpcpy(at, texts[i]);
    }
    strcpy(at, "}");
    return all;
}

static struct answer answer_sections(struct served * served, const struct request * request) {
    struct asked a = { 0 };
    struct tat_error error;
    char * texts[SECTIONS_MOST] = { 0 };
    if (read_names(&a, request_text(request, "names"), &error) != 0 ||
        read_options(&a, served->trace, request, &error) != 0) {
        return answer_error(&error);
    }
    pthread_mutex_lock(&served->asking);
    for (size_t i = 0; i < a.count; i++) {
        char key[QUESTION_SIZE + 64];
        size_t bytes;
        key_of(&a, i, key);
        texts[i] = kept_find(served->kept, key, &bytes);
    }
    const int status = make_missing(served, &a, texts, &error);
    pthread_mutex_unlock(&served->asking);
    const struct answer answer = status == 0 ? answer_json_text(join(&a, texts)) : answer_error(&error);
    for (size_t i = 0; i < a.count; i++) { free(texts[i]); }
    return answer;
}

const struct endpoint section_endpoints[] = {
    { "sections", "names hot cold memory disk unit read-ahead layers tokens model", PACE_LONG, answer_sections },
    { 0 },
};
