/* SPDX-License-Identifier: MIT
 *
 * What `tat plan` expects of a memory size.
 */
#include "serve/endpoint.h"

static struct answer answer_plan(struct served * served, const struct request * request) {
    uint64_t memory = 0, disk = 0;
    struct tat_error error;
    if (request_count(request, "memory", 1, (uint64_t) 1 << 50, &memory, &error) != 0 ||
        request_count(request, "disk", 1, (uint64_t) 1 << 50, &disk, &error) != 0) {
        return answer_error(&error);
    }
    if (!memory || !served->options->plan) {
        tat_fail(&error, memory ? TAT_ERROR_NO : TAT_ERROR_USAGE,
                 memory ? "no plans are made here" : "the parameter 'memory' is missing: how many bytes there are");
        return answer_error(&error);
    }
    pthread_mutex_lock(&served->asking);
    json_t * plan = served->options->plan(served->path, memory, (double) disk, &error);
    pthread_mutex_unlock(&served->asking);
    return plan ? answer_json(plan) : answer_error(&error);
}

const struct endpoint plan_endpoints[] = {
    { "plan", "memory disk", PACE_LONG, answer_plan },
    { 0 },
};
