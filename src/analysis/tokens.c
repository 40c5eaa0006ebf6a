/* SPDX-License-Identifier: MIT
 *
 * What a token costs in bytes, against the size of the model.
 */
#include <stdlib.h>

#include "analysis/again.h"
#include "analysis/analysis.h"
#include "analysis/parts.h"
#include "analysis/ranges.h"
#include "analysis/units.h"

struct scope {
    uint64_t weight, state_read, state_written, activation;
    uint64_t again;       /* of weights, what a graph reads a second time: of the file, that is the same */
    struct ranges unique; /* of weights */
};

enum { ALL = TAT_PHASE_COUNT, SCOPES };

struct state {
    const struct subject * subject;
    struct scope scope[SCOPES]; /* by phase, and for inference as a whole */
    struct again * again;
    bool approximate;
};

static const struct result_column columns[] = {
    { "phase", "phase", UNIT_TEXT },
    { "tokens", "tokens", UNIT_COUNT },
    { "weight_bytes_per_token", "weights", UNIT_BYTES },
    { "model_share", "of file", UNIT_SHARE },
    { "state_read_bytes_per_token", "KV read", UNIT_BYTES },
    { "state_written_bytes_per_token", "KV written", UNIT_BYTES },
    { "activation_bytes_per_token", "activations", UNIT_BYTES },
    { "unique_weight_bytes", "unique", UNIT_BYTES },
    { "reuse_factor", "reuse", UNIT_FACTOR },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    s->again = again_begin(subject);
    if (s->again) { return s; }
    free(s);
    return NULL;
}

static void add_unique(struct state * s, struct scope * scope, const struct tat_access * a) {
    const struct tat_tensor * t = &s->subject->tensors[a->tensor];
    const uint64_t space = t->file ? t->file : (uint64_t) 1 << 32 | a->tensor;
    ranges_add(&scope->unique, access_range(s->subject, a, space));
}

static void add(struct state * s, struct scope * scope, const struct tat_access * a, uint64_t evaluations) {
    const uint64_t bytes = a->bytes * evaluations;
    switch (holder_of(&s->subject->tensors[a->tensor])) {
        case HOLDS_STATE: *(a->flags & TAT_ACCESS_WRITE ? &scope->state_written : &scope->state_read) += bytes; break;
        case HOLDS_WEIGHT:
            scope->weight += bytes;
            s->approximate |= (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
            add_unique(s, scope, a);
            break;
        default: scope->activation += bytes;
    }
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    again_tally(s->again, t);
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        if (!is_inference(phase_of(a))) { continue; }
        if (a->bytes && holder_of(&s->subject->tensors[a->tensor]) == HOLDS_WEIGHT) { again_add(s->again, t, a); }
        add(s, &s->scope[phase_of(a)], a, t->evaluations);
        add(s, &s->scope[ALL], a, t->evaluations);
    }
}

/* Of the file, per token. */
static double distinct_of(const struct scope * scope, uint64_t tokens) {
    return ratio(scope->weight > scope->again ? scope->weight - scope->again : 0, tokens);
}

static void add_scope(struct state * s, struct result * r, const char * name, struct scope * scope, uint64_t tokens) {
    const uint64_t unique = ranges_total(&scope->unique);
    r->failed |= scope->unique.failed;
    if (!tokens) { return; }
    json_t * row = result_row(r);
    result_put_text(r, row, "phase", name);
    result_put_count(r, row, "tokens", tokens);
    result_put_count(r, row, "weight_bytes", scope->weight);
    result_put_count(r, row, "unique_weight_bytes", unique);
    result_put_count(r, row, "state_read_bytes", scope->state_read);
    result_put_count(r, row, "state_written_bytes", scope->state_written);
    result_put_count(r, row, "activation_bytes", scope->activation);
    result_put_real(r, row, "weight_bytes_per_token", ratio(scope->weight, tokens));
    result_put_real(r, row, "distinct_weight_bytes_per_token", distinct_of(scope, tokens));
    result_put_real(r, row, "state_read_bytes_per_token", ratio(scope->state_read, tokens));
    result_put_real(r, row, "state_written_bytes_per_token", ratio(scope->state_written, tokens));
    result_put_real(r, row, "activation_bytes_per_token", ratio(scope->activation, tokens));
    if (s->subject->model_bytes) {
        result_put_real(r, row, "model_share", distinct_of(scope, tokens) / (double) s->subject->model_bytes);
    }
    if (unique) { result_put_real(r, row, "reuse_factor", ratio(scope->weight, unique)); }
}

static void set_headline(const struct state * s, struct result * r) {
    const uint64_t tokens = s->subject->phase[TAT_PHASE_GENERATE].tokens, model = s->subject->model_bytes;
    const double bytes = distinct_of(&s->scope[TAT_PHASE_GENERATE], tokens);
    char b[UNITS_SIZE], m[UNITS_SIZE], share[UNITS_SIZE];
    if (!tokens) {
        result_headline(r, "No generated token was evaluated.");
    } else if (!model) {
        result_headline(r, "A generated token touches %s of weights.", format_mean_bytes(b, bytes));
    } else {
        result_headline(r, "A generated token touches %s of weights: %s of the model file's %s.",
                        format_mean_bytes(b, bytes), format_share(share, bytes / (double) model),
                        format_bytes(m, model));
    }
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    const struct phase_total * phase = s->subject->phase;
    uint64_t all = 0, again[TAT_PHASE_COUNT] = { 0 };
    unsigned shown = 0;
    again_end(s->again, again, &r->failed);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        s->scope[p].again = again[p];
        s->scope[ALL].again += again[p];
    }
    set_headline(s, r);
    result_table(r, "tokens", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    result_put_count(r, result_values(r), "model_bytes", s->subject->model_bytes);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        const uint64_t tokens = is_inference((enum tat_phase) p) ? phase[p].tokens : 0;
        add_scope(s, r, tat_phase_name((enum tat_phase) p), &s->scope[p], tokens);
        all += tokens;
        shown += tokens > 0;
    }
    add_scope(s, r, "together", &s->scope[ALL], shown > 1 ? all : 0);
    if (all) {
        result_note(r, "Weights, KV cache and activations: bytes touched, by number of tokens. Unique: the different "
                       "bytes of weights that all these tokens touched; reuse, the reuse factor: bytes of weights "
                       "touched over unique ones. A prompt's tokens share each pass over the weights. Of file: bytes "
                       "of weights that a graph reads twice, such as a tied embedding's, count once.");
    }
    if (s->approximate) {
        result_note(r, "Some operands were too scattered to list, or not recorded: unique bytes are an estimate.");
    }
    free(s);
}

const struct analysis tokens_analysis = {
    .name = "tokens",
    .title = "Bytes per token",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
