/* SPDX-License-Identifier: MIT */
#include "serve/answer.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/result.h"

static const char no_memory[] = "{\"error\": \"out of memory\"}";

struct answer answer_json_text(char * text) {
    if (!text) {
        return (struct answer){
            .status = ANSWER_FAILED, .type = ANSWER_JSON, .body = no_memory, .bytes = sizeof no_memory - 1
        };
    }
    return (
        struct answer){ .status = ANSWER_OK, .type = ANSWER_JSON, .body = text, .bytes = strlen(text), .owned = text };
}

struct answer answer_json(json_t * value) {
    char * text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    return answer_json_text(text);
}

struct answer answer_binary(void * bytes, size_t count) {
    return (struct answer){ .status = ANSWER_OK, .type = ANSWER_BINARY, .body = bytes, .bytes = count, .owned = bytes };
}

struct answer answer_line(enum answer_status status, const char * text) {
    return (struct answer){ .status = status, .type = ANSWER_TEXT, .body = text, .bytes = strlen(text) };
}

struct answer answer_error_as(enum answer_status status, const struct tat_error * error) {
    struct answer answer = answer_json(json_pack("{s:o?}", "error", result_text(error->message)));
    if (answer.owned) { answer.status = status; }
    return answer;
}

struct answer answer_error(const struct tat_error * error) {
    switch (error->kind) {
        case TAT_ERROR_USAGE: return answer_error_as(ANSWER_BAD_REQUEST, error);
        case TAT_ERROR_NO: return answer_error_as(ANSWER_NOT_FOUND, error);
        default: return answer_error_as(ANSWER_FAILED, error);
    }
}

void answer_free(struct answer * answer) {
    free(answer->owned);
    *answer = (struct answer){ 0 };
}
