/* SPDX-License-Identifier: MIT */
#include "analysis/view/tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/routing.h"

enum { AT_ONCE = 256 };

/* By token of the axis. */
struct token_sums {
    double *bytes, *accesses, *ns, *new_experts;
};

static bool token_sums_begin(struct token_sums * s, uint32_t tokens) {
    s->bytes = calloc((size_t) tokens + 1, sizeof *s->bytes);
    s->accesses = calloc((size_t) tokens + 1, sizeof *s->accesses);
    s->ns = calloc((size_t) tokens + 1, sizeof *s->ns);
    s->new_experts = calloc((size_t) tokens + 1, sizeof *s->new_experts);
    return s->bytes && s->accesses && s->ns && s->new_experts;
}

static void token_sums_free(struct token_sums * s) {
    free(s->bytes);
    free(s->accesses);
    free(s->ns);
    free(s->new_experts);
}

/* ---- bytes, accesses, time ---- */

static double sum_of(const uint64_t * row, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) { sum += row[i]; }
    return (double) sum;
}

/* Of evaluations, by what they touched in any layer or none. */
static int sum_evaluations(const struct subject * s, enum tat_measure measure, double * sums,
                           struct tat_error * error) {
    const uint32_t columns = tat_matrix_columns(s->trace, TAT_BY_LAYER);
    uint64_t * rows = malloc((size_t) columns * AT_ONCE * sizeof *rows);
    if (!rows) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    int status = 0;
    for (uint32_t first = 0; first < s->n_evaluations && status == 0; first += AT_ONCE) {
        const uint32_t left = s->n_evaluations - first, n = left < AT_ONCE ? left : AT_ONCE;
        status = tat_matrix(s->trace, TAT_BY_LAYER, measure, 0, first, first + n, rows, error);
        for (uint32_t i = 0; i < n && status == 0; i++) {
            sums[first + i] = sum_of(rows + (size_t) i * columns, columns);
        }
    }
    free(rows);
    return status;
}

/* Gives each token its part of what the evaluations of its step have. */
static void spread(const struct subject * s, const struct token_axis * axis, const double * sums, double * of_token) {
    for (uint32_t i = 0; i < axis->n_steps; i++) {
        const struct token_step * step = &axis->steps[i];
        double sum = 0;
        for (uint32_t e = step->evaluation; e < step->end; e = next_inference(s, e + 1, step->end)) { sum += sums[e]; }
        for (uint32_t t = 0; t < step->tokens; t++) { of_token[step->first + t] = sum / step->tokens; }
    }
}

static int find_sums(const struct subject * s, const struct token_axis * axis, const struct token_sums * of_token,
                     struct tat_error * error) {
    double * sums = calloc((size_t) s->n_evaluations + 1, sizeof *sums);
    if (!sums) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    int status = sum_evaluations(s, TAT_SUM_BYTES, sums, error);
    if (status == 0) {
        spread(s, axis, sums, of_token->bytes);
        status = sum_evaluations(s, TAT_SUM_ACCESSES, sums, error);
    }
    if (status == 0) {
        spread(s, axis, sums, of_token->accesses);
        for (uint32_t e = 0; e < s->n_evaluations; e++) {
            sums[e] = (double) (s->evaluations[e].end_ns - s->evaluations[e].begin_ns);
        }
        spread(s, axis, sums, of_token->ns);
    }
    free(sums);
    return status;
}

/* ---- new experts ---- */

/* What the token before used of a layer. */
struct used {
    uint32_t * ids;
    uint32_t count, room;
};

static bool was_used(const struct used * u, uint32_t id) {
    for (uint32_t i = 0; i < u->count; i++) {
        if (u->ids[i] == id) { return true; }
    }
    return false;
}

static bool note_used(struct used * u, const uint32_t * ids, uint32_t count) {
    if (count > u->room) {
        uint32_t * more = realloc(u->ids, count * sizeof *more);
        if (!more) { return false; }
        u->ids = more;
        u->room = count;
    }
    memcpy(u->ids, ids, count * sizeof *ids);
    u->count = count;
    return true;
}

static bool count_layer(const struct routed_layer * l, struct used * u, const struct token_step * step,
                        double * new_experts) {
    for (uint32_t row = 0; row < l->n_rows; row++) {
        const uint32_t * ids = l->ids + (size_t) row * l->n_used;
        const uint32_t token = l->placed ? routed_token(l, row) : row;
        uint32_t fresh = 0;
        for (uint32_t i = 0; i < l->n_used; i++) { fresh += ids[i] != ROUTING_NOBODY && !was_used(u, ids[i]); }
        if (token < step->tokens) { new_experts[step->first + token] += fresh; }
        if (!note_used(u, ids, l->n_used)) { return false; }
    }
    return true;
}

static bool count_new_experts(const struct subject * s, const struct token_axis * axis, double * new_experts) {
    const uint32_t layers = layer_span(s);
    struct routing routing = { 0 };
    struct used * used = calloc((size_t) layers + 1, sizeof *used);
    bool good = used;
    for (uint32_t i = 0; i < axis->n_steps && good; i++) {
        const struct token_step * step = &axis->steps[i];
        for (uint32_t e = step->evaluation; e < step->end && good; e = next_inference(s, e + 1, step->end)) {
            good = routing_read(&routing, s->trace, e);
            for (size_t l = 0; l < routing.layers.count && good; l++) {
                const struct routed_layer * layer = &routing_layers(&routing)[l];
                if (layer->layer < layers) {
                    good = count_layer(layer, &used[layer->layer], step, new_experts);
                }
            }
        }
    }
    routing_free(&routing);
    for (uint32_t l = 0; used && l < layers; l++) { free(used[l].ids); }
    free(used);
    return good;
}

/* ---- the answer ---- */

static json_t * column_of(const double * values, uint32_t n, uint32_t each) {
    json_t * column = json_array();
    for (uint32_t i = 0; i < n; i += each) {
        double sum = 0;
        for (uint32_t t = i; t < n && t < i + each; t++) { sum += values[t]; }
        json_array_append_new(column, json_integer((json_int_t) llround(sum)));
    }
    return column;
}

/* Phases, and when tokens began: those of one step one after the other. */
static void put_beginnings(json_t * answer, const struct subject * s, const struct token_axis * axis, uint32_t each) {
    json_t *phases = json_array(), *starts = json_array();
    for (uint32_t token = 0; token < axis->n_tokens; token += each) {
        const struct token_step * step = &axis->steps[token_axis_find(axis, token)];
        const struct tat_evaluation * e = &s->evaluations[step->evaluation];
        const double of_token = (double) (e->end_ns - e->begin_ns) / step->tokens;
        json_array_append_new(phases, json_string(tat_phase_name(e->phase)));
        json_array_append_new(starts,
                              json_integer((json_int_t) e->begin_ns + llround(of_token * (token - step->first))));
    }
    json_object_set_new(answer, "phase", phases);
    json_object_set_new(answer, "start_ns", starts);
}

uint32_t tokens_per_entry(uint32_t tokens) {
    return tokens ? (tokens - 1) / TOKENS_ENTRIES_MOST + 1 : 1;
}

static json_t * tell(const struct subject * s, const struct token_axis * axis, const struct token_sums * sums) {
    const uint32_t n = axis->n_tokens, each = tokens_per_entry(n);
    json_t * answer = json_pack("{s:i, s:i}", "first", 0, "tokens_per_entry", (int) each);
    put_beginnings(answer, s, axis, each);
    json_object_set_new(answer, "duration_ns", column_of(sums->ns, n, each));
    json_object_set_new(answer, "bytes", column_of(sums->bytes, n, each));
    json_object_set_new(answer, "accesses", column_of(sums->accesses, n, each));
    if (tat_matrix_columns(s->trace, TAT_BY_EXPERT)) {
        json_object_set_new(answer, "new_experts", column_of(sums->new_experts, n, each));
    }
    return answer;
}

json_t * view_tokens(const struct subject * subject, struct tat_error * error) {
    struct token_axis axis = { 0 };
    struct token_sums sums = { 0 };
    json_t * answer = NULL;
    if (!token_axis_begin(&axis, subject) || !token_sums_begin(&sums, axis.n_tokens)) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    } else if (find_sums(subject, &axis, &sums, error) == 0) {
        if (!tat_matrix_columns(subject->trace, TAT_BY_EXPERT) || count_new_experts(subject, &axis, sums.new_experts)) {
            answer = tell(subject, &axis, &sums);
        }
        if (!answer) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    }
    token_sums_free(&sums);
    token_axis_free(&axis);
    return answer;
}
