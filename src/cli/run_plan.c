/* SPDX-License-Identifier: MIT */
#include "cli/run_plan.h"

#include <stdio.h>
#include <string.h>

/* What a terminal shows must hold no control characters. */
static void copy_line(char * to, size_t size, const char * text) {
    snprintf(to, size, "%s", text ? text : "");
    for (; *to; to++) {
        if ((unsigned char) *to < 0x20 || *to == 0x7f) { *to = '?'; }
    }
}

bool run_plan_take(json_t * file, struct run_plan * plan) {
    const json_t * values = json_object_get(file, "values");
    const char *format = json_string_value(json_object_get(file, "format")),
               *gate = json_string_value(json_object_get(values, "gate"));
    const json_int_t memory = json_integer_value(json_object_get(values, "memory_bytes"));
    const double rate = json_number_value(json_object_get(values, "tokens_per_second"));
    if (!format || strcmp(format, "tat-plan") != 0 || !gate || memory <= 0) {
        json_decref(file);
        return false;
    }
    *plan = (struct run_plan){ .memory = (uint64_t) memory,
                               .rate = rate > 0 && rate < 1e9 ? rate : 0,
                               .has_gain = strcmp(gate, "open") == 0 || strcmp(gate, "unclear") == 0,
                               .file = file };
    copy_line(plan->headline, sizeof plan->headline, json_string_value(json_object_get(file, "headline")));
    return true;
}

int run_plan_read(const char * path, struct run_plan * plan, struct tat_error * error) {
    json_error_t where;
    json_t * file = json_load_file(path, 0, &where);
    if (!file && where.line < 1) { return tat_fail(error, TAT_ERROR_INPUT, "%s", where.text); } /* it names the file */
    if (!file) { return tat_fail(error, TAT_ERROR_INPUT, "%s: line %d: %s", path, where.line, where.text); }
    return run_plan_take(file, plan)
               ? 0
               : tat_fail(error, TAT_ERROR_INPUT, "%s is not a plan: `tat plan -o FILE` writes one", path);
}

void run_plan_free(struct run_plan * plan) {
    json_decref(plan->file);
    plan->file = NULL;
}
