/* SPDX-License-Identifier: MIT */
#include "analysis/about.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TITLE = 400 };

static void put(char * text, const char * what, uint32_t first, uint32_t end) {
    const size_t used = strlen(text);
    const char * before = used ? ", " : "";
    if (end == UINT32_MAX) {
        snprintf(text + used, TITLE - used, "%s%ss from %" PRIu32 " on", before, what, first);
    } else if (end - first == 1) {
        snprintf(text + used, TITLE - used, "%s%s %" PRIu32, before, what, first);
    } else {
        snprintf(text + used, TITLE - used, "%s%ss %" PRIu32 " to %" PRIu32, before, what, first, end - 1);
    }
}

static void put_range(struct result * r, const char * key, uint32_t first, uint32_t end) {
    json_t * range = json_array();
    json_array_append_new(range, json_integer(first));
    json_array_append_new(range, end == UINT32_MAX ? json_null() : json_integer((json_int_t) end - 1));
    result_put(r, result_values(r), key, range);
}

/* Tokens are computed together, and only as wholes do graphs have times and reads. */
static void say_others(const struct subject * s, struct result * r) {
    uint64_t first = UINT64_MAX, end = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!e->n_tokens) { continue; }
        if (e->token_first < first) { first = e->token_first; }
        if ((uint64_t) e->token_first + e->n_tokens > end) { end = (uint64_t) e->token_first + e->n_tokens; }
    }
    if (end <= s->options.scope.token_end && first >= s->options.scope.token_first) { return; }
    result_note(r,
                "Tokens that are computed together count together: the graphs that computed these tokens computed "
                "tokens %" PRIu64 " to %" PRIu64 ".",
                first, end - 1);
}

void about_say(const struct subject * s, struct result * r, const struct analysis * analysis) {
    const struct tat_scope * scope = &s->run->options.scope;
    const struct tat_model * m = s->is_part ? subject_model(s) : NULL;
    const bool is_run = analysis == &run_analysis;
    char about[TITLE] = "";
    if (m) {
        snprintf(about, sizeof about, "%s (%s)", m->name, tat_part_name(m->part));
        result_put_text(r, result_values(r), "model", m->name);
    }
    if (s->some_layers) {
        put(about, "layer", scope->layer_first, scope->layer_end);
        put_range(r, "of_layers", scope->layer_first, scope->layer_end);
    }
    if (s->some_tokens) {
        put(about, "token", scope->token_first, scope->token_end);
        put_range(r, "of_tokens", scope->token_first, scope->token_end);
        say_others(s, r);
    }
    const size_t used = strlen(about);
    if (is_run && (scope->layer_end || scope->token_end)) {
        snprintf(about + used, TITLE - used, "all of it, because %s", analysis->all_layers);
    } else if (scope->layer_end && !s->some_layers) {
        snprintf(about + used, TITLE - used, "%sall layers, because %s", used ? ", " : "", analysis->all_layers);
    }
    if (*about) { result_title(r, "%s: %s", analysis->title, about); }
}
