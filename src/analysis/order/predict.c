/* SPDX-License-Identifier: MIT */
#include "analysis/order/predict.h"

#include <stdlib.h>

#include "analysis/units.h"

enum { GRAPH = GUESSERS, PREDICTORS };

bool prediction_begin(struct prediction * p, const struct subject * subject, struct order_slices * slices) {
    *p = (struct prediction){ .subject = subject, .slices = slices };
    return graph_orders_begin(&p->graph, subject, slices);
}

void prediction_free(struct prediction * p) {
    guess_free(&p->by_tensor);
    guess_free(&p->by_slice);
    graph_orders_free(&p->graph);
}

/* ---- passes ---- */

static void pass(struct prediction * p, struct stream * s, const struct sequence * before, const struct sequence * q,
                 uint64_t times) {
    const uint32_t n_tensors = p->subject->n_tensors;
    if (!p->frozen) {
        guess_learn(&p->by_tensor, &s->tensors, q->tensor, q->n_steps, n_tensors, times);
        guess_learn(&p->by_slice, &s->slices, q->slice, q->n_slices, p->slices->count, times);
        p->trained += times;
    } else {
        if (!graph_orders_score(&p->graph, before, q, times, &p->graph_tensors, &p->graph_slices)) { p->failed = true; }
        guess_score(&p->by_tensor, &s->tensors, q->tensor, q->n_steps, n_tensors, NULL, times);
        guess_score(&p->by_slice, &s->slices, q->slice, q->n_slices, p->slices->count, p->slices->bytes, times);
        p->scored += times;
    }
    p->failed |= p->by_tensor.failed || p->by_slice.failed;
}

static void pass_waiting(struct prediction * p) {
    if (p->waiting) { pass(p, p->last, &p->last->before, &p->last->before, p->waiting); }
    p->waiting = 0;
}

static void freeze(struct prediction * p) {
    pass_waiting(p);
    guess_freeze(&p->by_tensor);
    guess_freeze(&p->by_slice);
    p->frozen = true;
    p->last = NULL; /* nothing can repeat a pass of another kind */
}

static uint32_t template_of(const struct prediction * p, const struct sequence * q) {
    return p->subject->evaluations[q->evaluation].template_id;
}

/* The second pass over a sequence follows the sequence itself, and each later pass finds everything as the one before
 * left it. So these are made together, once something else comes. */
void prediction_add(struct prediction * p, struct stream * stream, const struct sequence * now, bool identical,
                    bool train) {
    if (!train && !p->frozen) { freeze(p); }
    const bool repeats = identical && p->last == stream && template_of(p, now) == template_of(p, &stream->before);
    if (repeats && stream->repeats == 2) {
        p->waiting++;
        return;
    }
    pass_waiting(p);
    pass(p, stream, stream->begun ? &stream->before : NULL, now, 1);
    stream->repeats = repeats ? stream->repeats + 1 : 1;
    p->last = stream;
}

void prediction_end(struct prediction * p) {
    pass_waiting(p);
}

/* ---- telling ---- */

static const struct predictor {
    const char * name;
    const char * label;
} predictors[PREDICTORS] = {
    [GUESS_LAST] = { "last", "last occurrence" },        [GUESS_FROZEN] = { "last_frozen", "last occurrence, frozen" },
    [GUESS_MARKOV_1] = { "markov_1", "order-1 Markov" }, [GUESS_MARKOV_2] = { "markov_2", "order-2 Markov" },
    [GRAPH] = { "graph", "the graph's own order" },
};

static const struct result_column columns[] = {
    { "label", "predictor", UNIT_TEXT }, { "tensor_share", "next tensor", UNIT_SHARE },
    { "tensor_met", "95 %", UNIT_TEXT }, { "slice_share", "next slice", UNIT_SHARE },
    { "slice_met", "95 %", UNIT_TEXT },  { "slice_bytes_share", "of bytes", UNIT_SHARE },
};

/* The scores of a predictor, and over how many accesses and bytes. */
struct scored {
    struct score score;
    uint64_t accesses, bytes;
};

static struct scored scored(const struct prediction * p, int predictor, bool slices) {
    const struct graph_score * graph = slices ? &p->graph_slices : &p->graph_tensors;
    const struct guess * guess = slices ? &p->by_slice : &p->by_tensor;
    if (predictor == GRAPH) { return (struct scored){ graph->score, graph->accesses, graph->bytes }; }
    return (struct scored){ guess->score[predictor], guess->accesses, guess->bytes };
}

/* In whole numbers, so that exactly 95 % counts as met. */
static bool meets(const struct scored * s) {
    return s->score.hits * 100 >= s->accesses * 95;
}

static void add_predictor(const struct prediction * p, struct result * r, int predictor) {
    const struct scored tensors = scored(p, predictor, false), slices = scored(p, predictor, true);
    json_t * row = result_row(r);
    result_put_text(r, row, "predictor", predictors[predictor].name);
    result_put_text(r, row, "label", predictors[predictor].label);
    result_put_count(r, row, "tensor_hits", tensors.score.hits);
    result_put_count(r, row, "tensor_unknown", tensors.score.unknown);
    result_put_real(r, row, "tensor_share", ratio(tensors.score.hits, tensors.accesses));
    result_put_text(r, row, "tensor_met", meets(&tensors) ? "met" : "not met");
    result_put_count(r, row, "slice_hits", slices.score.hits);
    result_put_count(r, row, "slice_unknown", slices.score.unknown);
    result_put_count(r, row, "slice_hit_bytes", slices.score.hit_bytes);
    result_put_real(r, row, "slice_share", ratio(slices.score.hits, slices.accesses));
    result_put_text(r, row, "slice_met", meets(&slices) ? "met" : "not met");
    result_put_real(r, row, "slice_bytes_share", ratio(slices.score.hit_bytes, slices.bytes));
}

static void put_values(const struct prediction * p, struct result * r) {
    json_t * values = result_values(r);
    result_put_count(r, values, "trained_tokens", p->trained);
    result_put_count(r, values, "scored_tokens", p->scored);
    result_put_count(r, values, "scored_tensors", p->by_tensor.accesses);
    result_put_count(r, values, "scored_slices", p->by_slice.accesses);
    result_put_count(r, values, "scored_slice_bytes", p->by_slice.bytes);
    difference_put(r, values, "graph_first_wrong_tensor", &p->graph_tensors.first, p->subject, NULL);
    difference_put(r, values, "graph_first_wrong_slice", &p->graph_slices.first, p->subject, p->slices);
}

/* The better of the learning predictors: what a prefetcher without the graph could do. */
static int best_learner(const struct prediction * p) {
    int best = 0;
    for (int i = 1; i < GUESSERS; i++) {
        if (p->by_slice.score[i].hits > p->by_slice.score[best].hits) { best = i; }
    }
    return best;
}

static const char * goal_words(bool tensors, bool slices) {
    if (tensors) { return slices ? "met for tensors and for slices" : "met for tensors, but not for slices"; }
    return slices ? "met for slices, but not for tensors" : "not met for tensors or for slices";
}

static void answer(const struct prediction * p, struct result * r) {
    const int learner = best_learner(p);
    const struct scored tensors = scored(p, GRAPH, false), slices = scored(p, GRAPH, true);
    const struct scored learnt = scored(p, learner, true);
    const bool met = meets(&slices) || meets(&learnt);
    char by_tensor[UNITS_SIZE], by_slice[UNITS_SIZE], by_learner[UNITS_SIZE];
    const char * word = met ? "Yes" : meets(&tensors) ? "Which tensor, yes; which expert, not well enough" : "No";
    result_answer(
        r, "Can the next read be predicted?",
        "%s: the graph's own order predicts %s of the next tensors and %s of the next slices. The best predictor "
        "without the graph, %s, gets %s of the slices right. The goal of 95 %% is %s.",
        word, format_share(by_tensor, ratio(tensors.score.hits, tensors.accesses)),
        format_share(by_slice, ratio(slices.score.hits, slices.accesses)), predictors[learner].label,
        format_share(by_learner, ratio(learnt.score.hits, learnt.accesses)), goal_words(meets(&tensors), met));
}

static void add_lines(const struct prediction * p, struct result * r) {
    const struct scored tensors = scored(p, GRAPH, false), slices = scored(p, GRAPH, true);
    char a[UNITS_SIZE], b[UNITS_SIZE];
    result_line(r, "next", "the graph's own order predicts %s of the next tensors and %s of the next slices",
                format_share(a, ratio(tensors.score.hits, tensors.accesses)),
                format_share(b, ratio(slices.score.hits, slices.accesses)));
    const struct difference * wrong = p->graph_tensors.first.access ? &p->graph_tensors.first : &p->graph_slices.first;
    if (!wrong->access) { return; }
    char * text = difference_text(wrong, p->subject, p->graph_tensors.first.access ? NULL : p->slices);
    if (text) { result_line(r, "", "first mistake: %s", text); }
    r->failed |= !text;
    free(text);
}

void prediction_tell(const struct prediction * p, struct result * r) {
    put_values(p, r);
    result_table(r, "prediction", "Predicting the next read", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    r->failed |= p->failed;
    if (p->by_slice.accesses == 0) { return; }
    for (int i = 0; i < PREDICTORS; i++) { add_predictor(p, r, i); }
    add_lines(p, r);
    char trained[UNITS_SIZE], counted[UNITS_SIZE];
    result_note(
        r,
        "Predictors learn from the first half of the generated tokens (%s) and are scored on the second (%s). Last "
        "occurrence predicts what followed this read the last time; it learns on while it is scored, unless it is "
        "frozen. "
        "Order-1 Markov predicts what followed this read most often, order-2 what followed it and the one before it. "
        "The "
        "graph is known before it is computed, but not which experts it will choose: it predicts those of the token "
        "before. "
        "The goal is 95 %%.",
        format_count(trained, p->trained), format_count(counted, p->scored));
    if (p->by_slice.pairs.full || p->by_slice.triples.full) {
        result_note(
            r, "There were more transitions than are kept (%d), so the Markov predictors may be better than shown.",
            TRANSITIONS_MAX);
    }
    answer(p, r);
}
