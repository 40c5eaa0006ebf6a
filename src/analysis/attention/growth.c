/* SPDX-License-Identifier: MIT
 *
 * How the KV cache grows: what each evaluation reads of it and whose cells those are, against what its weights cost.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/attention/attention.h"
#include "analysis/units.h"

enum { ROWS_MAX = 4096 /* in the JSON */, ROWS_SHOWN = 12 };

static const struct result_column all_columns[] = {
    { "token", "token", UNIT_NUMBER },
    { "tokens", "tokens", UNIT_COUNT },
    { "phase", "phase", UNIT_TEXT },
    { "cells", "cells read", UNIT_COUNT },
    { "visible_cells", "seen", UNIT_FACTOR },
    { "kv_distinct_bytes", "KV read", UNIT_BYTES },
    { "kv_written_bytes", "KV written", UNIT_BYTES },
    { "fresh_bytes", "own cells", UNIT_BYTES },
    { "cached_bytes", "earlier cells", UNIT_BYTES },
    { "hidden_bytes", "hidden", UNIT_BYTES },
    { "weight_bytes", "weights", UNIT_BYTES },
    { "state_read_bytes", "state read", UNIT_BYTES },
    { "state_written_bytes", "state written", UNIT_BYTES },
};

static const struct result_column shown_columns[] = {
    { "token", "from token", UNIT_NUMBER },
    { "cells", "cells read", UNIT_COUNT },
    { "visible_cells", "seen", UNIT_FACTOR },
    { "kv_distinct_bytes_per_token", "KV read", UNIT_BYTES },
    { "cached_bytes_per_token", "earlier cells", UNIT_BYTES },
    { "hidden_bytes_per_token", "hidden", UNIT_BYTES },
    { "kv_of_weights", "of weights", UNIT_SHARE },
};

/* Evaluations that follow each other, joined to one row. */
struct stretch {
    uint64_t evaluations, tokens;
    uint32_t token, context;
    bool several_contexts, known;
    int phase; /* enum tat_phase; -1: several */
    struct attention_step sum;
};

static void add(struct stretch * s, const struct tat_evaluation * e, const struct attention_step * step) {
    if (s->evaluations == 0) {
        *s = (struct stretch){ .token = e->token_first, .context = e->context, .phase = (int) e->phase, .known = true };
    }
    s->evaluations++;
    s->tokens += e->n_tokens;
    s->several_contexts |= s->context != e->context;
    if (s->phase != (int) e->phase) { s->phase = -1; }
    s->known &= step->known;
    s->sum.cache.read += step->cache.read;
    s->sum.cache.written += step->cache.written;
    s->sum.state.read += step->state.read;
    s->sum.state.written += step->state.written;
    s->sum.weights += step->weights;
    s->sum.distinct += step->distinct;
    s->sum.cells += step->cells;
    s->sum.visible += step->visible;
    s->sum.fresh += step->fresh;
    s->sum.cached += step->cached;
    s->sum.hidden += step->hidden;
    if (step->layers > s->sum.layers) { s->sum.layers = step->layers; }
}

static void put(struct result * r, const struct stretch * s) {
    json_t * row = result_row(r);
    const double n = (double) s->evaluations, tokens = (double) s->tokens;
    result_put_count(r, row, "token", s->token);
    result_put_count(r, row, "tokens", s->tokens);
    result_put_count(r, row, "evaluations", s->evaluations);
    result_put(r, row, "context", s->several_contexts ? json_null() : json_integer(s->context));
    result_put_text(r, row, "phase", s->phase < 0 ? "several" : tat_phase_name((enum tat_phase) s->phase));
    result_put_count(r, row, "layers", s->sum.layers);
    result_put_real(r, row, "cells", s->sum.cells / n);
    result_put_count(r, row, "kv_read_bytes", s->sum.cache.read);
    result_put_count(r, row, "kv_distinct_bytes", s->sum.distinct);
    result_put_count(r, row, "kv_written_bytes", s->sum.cache.written);
    result_put_count(r, row, "weight_bytes", s->sum.weights);
    result_put_count(r, row, "state_read_bytes", s->sum.state.read);
    result_put_count(r, row, "state_written_bytes", s->sum.state.written);
    result_put_real(r, row, "kv_read_bytes_per_token", (double) s->sum.cache.read / tokens);
    result_put_real(r, row, "kv_distinct_bytes_per_token", (double) s->sum.distinct / tokens);
    result_put_real(r, row, "kv_of_weights", ratio(s->sum.distinct, s->sum.weights));
    if (!s->known) { return; }
    result_put_real(r, row, "visible_cells", s->sum.visible / n);
    result_put_real(r, row, "fresh_bytes", s->sum.fresh);
    result_put_real(r, row, "cached_bytes", s->sum.cached);
    result_put_real(r, row, "hidden_bytes", s->sum.hidden);
    result_put_real(r, row, "cached_bytes_per_token", s->sum.cached / tokens);
    result_put_real(r, row, "hidden_bytes_per_token", s->sum.hidden / tokens);
}

static bool is_step(const struct attention * a, uint32_t i, bool generated) {
    const struct tat_evaluation * e = &a->subject->evaluations[i];
    if (!is_inference(e->phase) || (generated && e->phase != TAT_PHASE_GENERATE) || e->n_tokens == 0) { return false; }
    return a->step[i].weights + a->step[i].cache.read + a->step[i].state.read > 0;
}

/* Makes rows of so many evaluations each. */
static uint64_t show(const struct attention * a, struct result * r, bool generated, uint64_t most) {
    uint64_t n = 0;
    struct stretch s = { 0 };
    for (uint32_t i = 0; i < a->subject->n_evaluations; i++) { n += is_step(a, i, generated); }
    const uint64_t together = (n + most - 1) / most;
    for (uint32_t i = 0; i < a->subject->n_evaluations; i++) {
        if (!is_step(a, i, generated)) { continue; }
        add(&s, &a->subject->evaluations[i], &a->step[i]);
        if (s.evaluations == together) {
            put(r, &s);
            s.evaluations = 0;
        }
    }
    if (s.evaluations) { put(r, &s); }
    return together;
}

/* ---- words ---- */

static struct stretch generation(const struct attention * a, uint32_t * first, uint32_t * last) {
    struct stretch s = { 0 };
    for (uint32_t i = 0; i < a->subject->n_evaluations; i++) {
        if (!is_step(a, i, true)) { continue; }
        if (s.evaluations == 0) { *first = i; }
        *last = i;
        add(&s, &a->subject->evaluations[i], &a->step[i]);
    }
    return s;
}

/* The number of cells at which a token would read as much of the cache as of weights, if all layers go on seeing all
 * cells. 0: this cannot be told. */
static uint64_t break_even(const struct attention * a, const struct attention_step * s, uint32_t tokens) {
    for (uint32_t i = 0; i < a->span; i++) {
        if (a->layer[i].narrower) { return 0; }
    }
    const double a_cell = s->cells > 0 ? (double) s->distinct / s->cells : 0;
    return a_cell > 0 && tokens == 1 ? (uint64_t) ((double) s->weights / a_cell) : 0;
}

static void say_cache(const struct attention * a, struct result * r, const struct stretch * s, uint32_t first,
                      uint32_t last) {
    const struct attention_step *from = &a->step[first], *to = &a->step[last];
    const struct tat_evaluation *begin = &a->subject->evaluations[first], *end = &a->subject->evaluations[last];
    const double tokens = (double) s->tokens;
    const uint64_t even = break_even(a, to, end->n_tokens);
    char text[5][UNITS_SIZE], tail[128] = "";
    result_put_real(r, result_values(r), "read_cells_per_layer", s->sum.cells / (double) s->evaluations);
    if (s->known) {
        const double seen = s->sum.visible / (double) s->evaluations;
        result_put_real(r, result_values(r), "visible_cells_per_query", seen);
        result_put_real(r, result_values(r), "fresh_bytes_per_token", s->sum.fresh / tokens);
        result_put_real(r, result_values(r), "cached_bytes_per_token", s->sum.cached / tokens);
        result_put_real(r, result_values(r), "hidden_bytes_per_token", s->sum.hidden / tokens);
        result_line(
            r, "KV cells",
            "a layer reads %.1f, of which a token sees %.1f on average: llama.cpp reads in steps, and the mask hides "
            "the rest",
            s->sum.cells / (double) s->evaluations, seen);
        result_line(
            r, "KV bytes",
            "of %s read for a token, %s are its own cells, %s those of earlier tokens, and %s hidden by the mask",
            format_mean_bytes(text[0], (double) s->sum.distinct / tokens),
            format_mean_bytes(text[1], s->sum.fresh / tokens), format_mean_bytes(text[2], s->sum.cached / tokens),
            format_mean_bytes(text[3], s->sum.hidden / tokens));
    }
    if (even) {
        result_put_count(r, result_values(r), "cells_that_cost_the_weights", even);
        format_count(text[4], even);
        snprintf(tail, sizeof tail, " With %s cells, as many bytes would be read of it as of weights.", text[4]);
    }
    result_answer(r, "How does the KV cache grow?",
                  "By %s per token. Token %" PRIu32 " read %s of it (%.0f cells a layer), token %" PRIu32
                  " %s (%.0f).%s",
                  format_mean_bytes(text[0], (double) s->sum.cache.written / tokens), begin->token_first,
                  format_bytes(text[1], from->distinct), from->cells, end->token_first + end->n_tokens - 1,
                  format_bytes(text[2], to->distinct), to->cells, tail);
}

static void say(const struct attention * a, struct result * r) {
    uint32_t first = 0, last = 0;
    const struct stretch s = generation(a, &first, &last);
    char text[2][UNITS_SIZE];
    if (s.sum.cache.read) {
        say_cache(a, r, &s, first, last);
    } else if (s.sum.state.read) {
        result_line(r, "state", "%s read and %s written per token, however many came before",
                    format_bytes(text[0], s.sum.state.read / s.tokens),
                    format_bytes(text[1], s.sum.state.written / s.tokens));
        result_answer(r, "How does the KV cache grow?",
                      "There is none. The recurrent state keeps its size; each token reads %s of it and writes %s.",
                      text[0], text[1]);
    } else {
        result_answer(r, "How does the KV cache grow?", "Unknown: no generated token read one.");
    }
}

void attention_show_growth(struct attention * a, struct result * r) {
    say(a, r);
    result_table(r, "growth_of_generation", "A generated token's reads of the KV cache as it grows", SHOW_ASKED,
                 shown_columns, sizeof shown_columns / sizeof shown_columns[0]);
    if (a->nodes.count) { show(a, r, true, ROWS_SHOWN); }
    result_table(r, "growth", "KV cache by evaluation", SHOW_NEVER, all_columns,
                 sizeof all_columns / sizeof all_columns[0]);
    const uint64_t together = show(a, r, false, ROWS_MAX);
    result_put_count(r, result_values(r), "evaluations_per_growth_row", together);
    if (together > 1) {
        result_note(r, "In JSON, a row of the table 'growth' stands for %" PRIu64 " evaluations.", together);
    }
}
