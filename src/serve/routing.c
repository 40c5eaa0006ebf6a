/* SPDX-License-Identifier: MIT */
#include "serve/routing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/result.h"
#include "serve/page.h"

/* A larger answer takes the place of many others, and copying it a good part of the time of making it. */
enum { KEPT_ANSWER_MOST = 4 << 20 };

static const char traces[] = "api/traces";

static const struct endpoint * const groups[] = { about_endpoints, section_endpoints, picture_endpoints,
                                                  graph_endpoints, records_endpoints, io_endpoints,
                                                  plan_endpoints };

static const struct endpoint * endpoint_of(const char * name) {
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        for (const struct endpoint * e = groups[g]; e->name; e++) {
            if (strcmp(e->name, name) == 0) { return e; }
        }
    }
    return NULL;
}

/* Reads "api/traces/N/NAME". False: it is none. */
static bool read_path(const char * path, uint64_t * number, const struct endpoint ** endpoint) {
    char * end;
    if (strncmp(path, traces, sizeof traces - 1) != 0 || path[sizeof traces - 1] != '/') { return false; }
    path += sizeof traces;
    if (*path < '0' || *path > '9') { return false; }
    *number = strtoull(path, &end, 10);
    *endpoint = *end == '/' ? endpoint_of(end + 1) : NULL;
    return *endpoint != NULL;
}

bool route_pace(const char * path, enum pace * pace) {
    uint64_t number;
    const struct endpoint * endpoint;
    *pace = PACE_QUICK;
    if (strcmp(path, traces) == 0) { return true; }
    if (!read_path(path, &number, &endpoint)) { return false; }
    *pace = endpoint->pace;
    return true;
}

static struct answer answer_traces(struct served_list * list) {
    json_t * all = json_array();
    for (size_t i = 0; i < list->count; i++) {
        struct served * s = list->at[i];
        served_look(list, s);
        served_begin(s);
        json_array_append_new(all, json_pack("{s:i, s:o?, s:b}", "id", (int) i, "name", result_text(s->name), "running",
                                             (int) s->running));
        served_end(s);
    }
    return answer_json(json_pack("{s:i, s:s, s:o}", "schema", SERVE_SCHEMA, "tat", TAT_VERSION, "traces", all));
}

static struct answer not_found(const char * path) {
    struct tat_error error;
    tat_fail(&error, TAT_ERROR_NO, "there is nothing at '%.100s'; doc/view.md lists what can be asked", path);
    return answer_error(&error);
}

/* The question with its parameters in the order in which they were given; false: it is too long to be kept. */
static bool question_of(const struct endpoint * endpoint, const struct request * request, char * text, size_t room) {
    size_t used = (size_t) snprintf(text, room, "%s", endpoint->name);
    for (size_t i = 0; i < request->n_parameters && used < room; i++) {
        const struct parameter * p = &request->parameters[i];
        used += (size_t) snprintf(text + used, room - used, "\n%s=%s", p->name, p->value);
    }
    return used < room;
}

/* Answers what takes long once. Sections keep their parts themselves. */
static struct answer answer_kept(const struct endpoint * endpoint, struct served * served,
                                 const struct request * request) {
    char question[512];
    size_t bytes;
    if (endpoint->pace == PACE_QUICK || endpoint == section_endpoints ||
        !question_of(endpoint, request, question, sizeof question)) {
        return endpoint->answer(served, request);
    }
    char * kept = kept_find(served->kept, question, &bytes);
    if (kept) {
        struct answer answer = answer_binary(kept, bytes);
        if (*kept == '{') { answer.type = ANSWER_JSON; } /* tiles begin with letters */
        return answer;
    }
    const struct answer answer = endpoint->answer(served, request);
    if (answer.status == ANSWER_OK && answer.bytes <= KEPT_ANSWER_MOST) {
        kept_add(served->kept, question, answer.body, answer.bytes);
    }
    return answer;
}

struct answer route_answer(struct served_list * list, const char * path, const struct request * request) {
    const struct endpoint * endpoint = NULL;
    struct tat_error error;
    uint64_t number;
    if (strncmp(path, "api/", 4) != 0) { return page_answer(path); }
    if (strcmp(path, traces) == 0) {
        return request_only(request, "", &error) == 0 ? answer_traces(list) : answer_error(&error);
    }
    if (!read_path(path, &number, &endpoint)) { return not_found(path); }
    if (number >= list->count) {
        tat_fail(&error, TAT_ERROR_NO, "there is no trace %" PRIu64 "; api/traces lists them", number);
        return answer_error(&error);
    }
    if (request_only(request, endpoint->parameters, &error) != 0) { return answer_error(&error); }
    struct served * served = list->at[number];
    served_look(list, served);
    served_begin(served);
    int status = served_check(served, &error);
    if (status == 0 && !served->records) {
        status = tat_fail(&error, TAT_ERROR_SYSTEM, "%s: out of memory", served->path);
    }
    const struct answer answer = status == 0 ? answer_kept(endpoint, served, request) : answer_error(&error);
    served_end(served);
    return answer;
}
