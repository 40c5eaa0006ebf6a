/* SPDX-License-Identifier: MIT
 *
 * Any bytes as what a client of `tat view` sends: a target, a Host and an Origin, with a 0 between them; then the
 * target as a question about a trace. Run as
 *
 *     fuzz_request -max_len=4096 -rss_limit_mb=1024 -timeout=20 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "serve/access.h"
#include "serve/routing.h"

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static bool is_running(const char * path, const struct tat_trace * trace) {
    (void) path, (void) trace;
    return false;
}

/* Of a real trace, opened once. */
static struct served_list * traces(void) {
    static struct served_list * list;
    struct tat_error error;
    if (list) { return list; }
    struct tat_trace * trace = tat_trace_open(TRACE, &error);
    list = served_new(&(struct served_options){ .is_running = is_running });
    if (!trace || !list || served_add(list, trace, TRACE, "trace", &error) != 0) { abort(); }
    return list;
}

/* The part up to the next 0, or the end. */
static const char * part(const char ** at) {
    const char * begin = *at;
    *at += strlen(*at) + 1;
    return begin;
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    static const char own[TOKEN_SIZE] = "0123456789abcdef0123456789abcdef";
    struct request * request = malloc(sizeof *request);
    char * text = calloc(1, size + 3); /* three parts at least */
    struct tat_error error = { 0 };
    const char * rest;
    enum pace pace;
    if (!request || !text) { abort(); }
    memcpy(text, data, size);
    const char *at = text, *target = part(&at), *host = part(&at), *origin = part(&at);
    if (host_is_own(host, "127.0.0.1", false) && origin_is_own(origin, host) && strstr(host, "evil")) { abort(); }
    const int status = request_parse(request, target, &error);
    if (status != 0 && !*error.message) { abort(); }
    if (status == 0) {
        if (token_opens(own, request->path, &rest) && strncmp(request->path, own, TOKEN_SIZE - 1) != 0) { abort(); }
        if (!route_pace(request->path, &pace) || pace == PACE_QUICK) {
            struct answer answer = route_answer(traces(), request->path, request);
            if (answer.status < 200 || (answer.bytes && !answer.body)) { abort(); }
            answer_free(&answer);
        }
    }
    free(text);
    free(request);
    return 0;
}
