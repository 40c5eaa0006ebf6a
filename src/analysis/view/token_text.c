/* SPDX-License-Identifier: MIT */
#include "analysis/view/token_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/tokens.h"
#include "analysis/view/utf8_joiner.h"
#include "analysis/view/vocabularies.h"

/* The rows of a step, as the trace has them. */
struct rows {
    struct tat_token * tokens;
    size_t count, room;
};

static int read_rows(struct rows * rows, const struct subject * s, const struct token_step * step,
                     struct tat_error * error) {
    if (step->tokens > rows->room) {
        struct tat_token * more = reallocarray(rows->tokens, step->tokens, sizeof *more);
        if (!more) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
        rows->tokens = more;
        rows->room = step->tokens;
    }
    if (tat_trace_tokens(s->trace, step->evaluation, step->evaluation + 1, rows->tokens, rows->room, &rows->count,
                         error) != 0) {
        return -1;
    }
    if (rows->count > rows->room) { rows->count = rows->room; }
    return 0;
}

static bool has_id(const struct rows * rows) {
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->tokens[i].id >= 0) { return true; }
    }
    return false;
}

bool view_has_text(const struct subject * s, struct vocabularies * vocabularies, char why[TOKEN_TEXT_WHY]) {
    struct token_axis axis;
    struct rows rows = { 0 };
    bool found = false;
    if (tat_trace_header(s->trace)->features & TAT_FEATURE_PRIVATE) {
        snprintf(why, TOKEN_TEXT_WHY, "The run was recorded with --private, without its tokens.");
        return false;
    }
    snprintf(why, TOKEN_TEXT_WHY, "The trace has no token ids.");
    const bool begun = token_axis_begin(&axis, s);
    for (uint32_t i = 0; begun && i < axis.n_steps && !found; i++) {
        found = read_rows(&rows, s, &axis.steps[i], NULL) == 0 && has_id(&rows) &&
                vocabulary_of(vocabularies, s, axis.steps[i].evaluation, why);
    }
    free(rows.tokens);
    token_axis_free(&axis);
    return found;
}

/* ---- */

static int add_step(struct utf8_joiner * texts, bool * special, const struct subject * s,
                    const struct token_step * step, const struct rows * rows, const struct token_pieces * pieces,
                    uint32_t each) {
    for (size_t i = 0; i < rows->count; i++) {
        const struct tat_token * t = &rows->tokens[i];
        const uint32_t entry = t->row < step->tokens ? (step->first + t->row) / each : 0;
        struct token_piece piece;
        if (t->row >= step->tokens || !token_pieces_find(pieces, t->id, &piece)) { continue; }
        special[entry] |= piece.is_control;
        if (!utf8_join(texts, entry, s->evaluations[step->evaluation].context, t->position, piece.bytes, piece.n)) {
            return -1;
        }
    }
    return 0;
}

static int join_all(struct utf8_joiner * texts, bool * special, const struct subject * s,
                    const struct token_axis * axis, struct vocabularies * vocabularies, struct tat_error * error) {
    const uint32_t each = tokens_per_entry(axis->n_tokens);
    char why[TOKEN_TEXT_WHY];
    struct rows rows = { 0 };
    int status = 0;
    for (uint32_t i = 0; i < axis->n_steps && status == 0; i++) {
        const struct token_step * step = &axis->steps[i];
        const struct token_pieces * pieces = vocabulary_of(vocabularies, s, step->evaluation, why);
        if (!pieces) { continue; }
        status = read_rows(&rows, s, step, error);
        if (status == 0 && add_step(texts, special, s, step, &rows, pieces, each) != 0) {
            status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    }
    utf8_join_end(texts);
    free(rows.tokens);
    return status;
}

static void tell(json_t * answer, const struct utf8_joiner * texts, const bool * special, uint32_t each) {
    json_t *all = json_array(), *list = json_array();
    for (uint32_t i = 0; i < texts->count; i++) {
        const struct joined_text * t = &texts->at[i];
        json_array_append_new(all, t->is_known ? json_stringn(t->bytes ? t->bytes : "", t->n) : json_null());
        if (special[i] && each == 1) { json_array_append_new(list, json_integer(i)); }
    }
    json_object_set_new(answer, "text", all);
    json_object_set_new(answer, "text_special", list);
}

int view_add_text(json_t * answer, const struct subject * s, struct vocabularies * vocabularies,
                  struct tat_error * error) {
    char why[TOKEN_TEXT_WHY];
    struct token_axis axis;
    struct utf8_joiner texts = { 0 };
    int status = -1;
    json_object_set_new(answer, "text", json_null());
    json_object_set_new(answer, "text_special", json_null());
    if (!view_has_text(s, vocabularies, why)) { return 0; }
    const bool begun = token_axis_begin(&axis, s);
    const uint32_t each = tokens_per_entry(axis.n_tokens);
    bool * special = calloc((size_t) axis.n_tokens / each + 1, sizeof *special);
    if (!begun || !special || !utf8_join_begin(&texts, begun ? (axis.n_tokens + each - 1) / each : 0)) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    } else {
        status = join_all(&texts, special, s, &axis, vocabularies, error);
    }
    if (status == 0) { tell(answer, &texts, special, each); }
    utf8_join_free(&texts);
    free(special);
    token_axis_free(&axis);
    return status;
}
