/* SPDX-License-Identifier: MIT
 *
 * What each generated token read of the model's files, in order, and how many tokens had that order.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/one_weight.h"
#include "analysis/order/token_reads.h"
#include "analysis/planning/planning.h"

/* The tokens' reads as numbers of places, which are listed once. */
struct pattern {
    const struct subject * subject;
    struct one_weight weights;
    struct order_slices places;
    struct list now, before; /* uint32_t */
    uint16_t get_rows;
    uint32_t evaluation;
    struct result r; /* for its checks of memory */
    json_t * tokens;
    uint64_t n_tokens, same, same_tensors;
};

static uint32_t tensor_of(const struct pattern * p, uint32_t place) {
    return p->places.at[place].tensor;
}

static bool same_tensors(const struct pattern * p) {
    const uint32_t *a = p->now.data, *b = p->before.data;
    if (p->now.count != p->before.count) { return false; }
    for (uint32_t i = 0; i < p->now.count; i++) {
        if (tensor_of(p, a[i]) != tensor_of(p, b[i])) { return false; }
    }
    return true;
}

/* A token that read the same as the one before says so. */
static void end_token(struct pattern * p) {
    if (!p->now.count) { return; }
    const size_t bytes = p->now.count * sizeof(uint32_t);
    const bool same = p->n_tokens && p->now.count == p->before.count && memcmp(p->now.data, p->before.data, bytes) == 0;
    const struct tat_evaluation * e = &p->subject->evaluations[p->evaluation];
    json_t * token = json_object();
    result_put_count(&p->r, token, "token", e->token_first);
    if (e->n_tokens != 1) { result_put_count(&p->r, token, "tokens", e->n_tokens); }
    if (same) {
        result_put(&p->r, token, "same_as_before", json_true());
    } else {
        json_t * order = json_array();
        for (uint32_t i = 0; i < p->now.count; i++) {
            p->r.failed |= json_array_append_new(order, json_integer(LIST(const uint32_t, p->now)[i])) != 0;
        }
        result_put(&p->r, token, "order", order);
    }
    p->r.failed |= json_array_append_new(p->tokens, token) != 0;
    p->same += same;
    p->same_tensors += p->n_tokens && same_tensors(p);
    p->n_tokens++;
    const struct list spare = p->before;
    p->before = p->now;
    p->now = spare;
    p->now.count = 0;
}

static void add_read(struct pattern * p, const struct tat_access * a) {
    struct order_slice place = { a->offset, a->bytes, a->tensor, a->expert, a->op == p->get_rows };
    if (place.rows) { place.offset = place.bytes = 0; }
    const uint32_t number = slice_number(&p->places, &place);
    uint32_t * read = list_extend(&p->now, sizeof *read, 1);
    p->r.failed |= number == NO_ORDER_SLICE || !read;
    if (read) { *read = number; }
}

static bool take(const struct tat_access * records, size_t count, void * user) {
    struct pattern * p = user;
    records = one_weight_records(&p->weights, records, count);
    for (size_t i = 0; records && i < count && !p->r.failed; i++) {
        const struct tat_access * a = &records[i];
        const struct tat_tensor * t = &p->subject->tensors[a->tensor];
        if (phase_of(a) != TAT_PHASE_GENERATE || t->kind != TAT_TENSOR_WEIGHT || !t->file || !a->bytes ||
            a->flags & TAT_ACCESS_WRITE) {
            continue;
        }
        if (a->evaluation != p->evaluation) {
            end_token(p);
            p->evaluation = a->evaluation;
        }
        add_read(p, a);
    }
    return records && !p->r.failed;
}

/* Rows of an embedding are the token's own: their place is the tensor. */
static json_t * places_json(struct pattern * p) {
    json_t * places = json_array();
    for (uint32_t i = 0; i < p->places.count; i++) {
        const struct order_slice * s = &p->places.at[i];
        const struct tat_tensor * t = &p->subject->tensors[s->tensor];
        json_t * o = json_object();
        result_put_text(&p->r, o, "name", t->name);
        result_put_count(&p->r, o, "file", t->file - 1);
        result_put_count(&p->r, o, "file_offset", s->rows ? t->file_offset : s->offset);
        result_put_count(&p->r, o, "size", s->rows ? t->bytes : s->bytes);
        result_put_layer(&p->r, o, "layer", t->layer);
        result_put_text(&p->r, o, "component", tat_component_name(t->component));
        if (s->expert != TAT_NO_EXPERT) { result_put_count(&p->r, o, "expert", s->expert); }
        if (s->rows) { result_put(&p->r, o, "rows", json_true()); }
        p->r.failed |= json_array_append_new(places, o) != 0;
    }
    return places;
}

static json_t * determinism_json(struct pattern * p) {
    json_t * o = json_object();
    result_put_count(&p->r, o, "compared_tokens", p->n_tokens ? p->n_tokens - 1 : 0);
    result_put_count(&p->r, o, "identical_by_tensor", p->same_tensors);
    result_put_count(&p->r, o, "identical_by_slice", p->same);
    return o;
}

static uint16_t number_of(const struct subject * s, const char * op) {
    for (uint16_t i = 0; i < tat_trace_n_ops(s->trace); i++) {
        if (strcmp(tat_trace_op_name(s->trace, i), op) == 0) { return i; }
    }
    return UINT16_MAX;
}

json_t * access_pattern_of(const struct subject * subject, const struct planning_request * request,
                           struct tat_error * error) {
    struct pattern p = { .subject = subject, .weights = one_weight_of(subject->trace), .evaluation = UINT32_MAX };
    (void) request;
    result_begin(&p.r, "Access pattern");
    p.get_rows = number_of(subject, "GET_ROWS");
    p.tokens = json_array();
    const int status = subject_expand(subject, take, &p, error);
    if (status >= 0) { end_token(&p); }
    result_put(&p.r, p.r.json, "determinism", determinism_json(&p));
    result_put(&p.r, p.r.json, "slices", places_json(&p));
    result_put(&p.r, p.r.json, "tokens", p.tokens);
    p.r.failed |= p.weights.failed;
    json_t * pattern = planning_file(&p.r, "tat-access-pattern");
    if (!pattern) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (pattern && (status < 0 || tat_trace_trouble(subject->trace, error) != 0)) {
        json_decref(pattern);
        pattern = NULL;
    }
    one_weight_free(&p.weights);
    order_slices_free(&p.places);
    free(p.now.data);
    free(p.before.data);
    return pattern;
}
