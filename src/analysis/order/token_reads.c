/* SPDX-License-Identifier: MIT */
#include "analysis/order/token_reads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/order/layer_kinds.h"
#include "analysis/units.h"

enum { WORDS_MAX = 1 << 22 }; /* kept in all streams: 16 MiB; real ones take a few thousand each */

/* ---- contexts ---- */

static bool is_generated(const struct tat_evaluation * e) {
    return e->phase == TAT_PHASE_GENERATE && reads_are_whole(e);
}

static int ascending(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

/* Numbers the contexts that generate, independently of their numbers in the trace. */
static bool find_streams(struct token_reads * t) {
    const uint32_t n = t->subject->n_evaluations;
    uint32_t * contexts = malloc(((size_t) n + 1) * sizeof *contexts);
    uint32_t used = 0;
    t->stream_of = calloc((size_t) n + 1, sizeof t->stream_of[0]);
    for (uint32_t i = 0; contexts && i < n; i++) {
        if (is_generated(&t->subject->evaluations[i])) { contexts[used++] = t->subject->evaluations[i].context; }
    }
    t->generated = used;
    if (used) { qsort(contexts, used, sizeof *contexts, ascending); }
    for (uint32_t i = 0; i < used; i++) {
        if (i == 0 || contexts[i] != contexts[i - 1]) { contexts[t->n_streams++] = contexts[i]; }
    }
    t->streams = calloc((size_t) t->n_streams + 1, sizeof t->streams[0]);
    for (uint32_t i = 0; contexts && t->stream_of && i < n; i++) {
        const uint32_t * at =
            bsearch(&t->subject->evaluations[i].context, contexts, t->n_streams, sizeof *contexts, ascending);
        t->stream_of[i] = at ? (uint32_t) (at - contexts) : 0;
    }
    const bool good = contexts && t->stream_of && t->streams;
    for (uint32_t i = 0; good && i < t->n_streams; i++) { t->streams[i].tensors = t->streams[i].slices = tail_begin(); }
    free(contexts);
    return good;
}

static uint16_t op_number(const struct subject * s, const char * name) {
    for (uint16_t i = 0; i < tat_trace_n_ops(s->trace); i++) {
        if (strcmp(tat_trace_op_name(s->trace, i), name) == 0) { return i; }
    }
    return UINT16_MAX;
}

bool token_reads_begin(struct token_reads * t, const struct subject * subject) {
    *t = (struct token_reads){ .subject = subject, .get_rows = op_number(subject, "GET_ROWS"), .current = UINT32_MAX };
    for (uint32_t i = 0; i < subject->n_evaluations; i++) {
        const struct tat_evaluation * e = &subject->evaluations[i];
        t->aborted += e->phase == TAT_PHASE_GENERATE && e->flags & TAT_EVALUATION_ABORTED;
    }
    const bool predict = prediction_begin(&t->prediction, subject, &t->slices);
    const bool reorder = reorder_begin(&t->reorder, subject);
    return predict && reorder && find_streams(t);
}

void token_reads_free(struct token_reads * t) {
    for (uint32_t i = 0; t->streams && i < t->n_streams; i++) { sequence_free(&t->streams[i].before); }
    sequence_free(&t->now);
    order_slices_free(&t->slices);
    prediction_free(&t->prediction);
    reorder_free(&t->reorder);
    free(t->streams);
    free(t->stream_of);
}

/* ---- evaluations ---- */

/* The stream keeps what was read, to compare the next evaluation with it. */
static void keep(struct token_reads * t, struct stream * s) {
    const uint64_t was = s->begun ? sequence_words(&s->before) : 0;
    const struct sequence before = s->before;
    s->before = t->now;
    t->now = before;
    s->begun = true;
    t->words += sequence_words(&s->before) - was;
    if (t->words <= WORDS_MAX) { return; }
    prediction_end(&t->prediction);
    t->prediction.last = NULL;
    t->words -= sequence_words(&s->before);
    sequence_free(&s->before);
    s->before = (struct sequence){ 0 };
    s->begun = false;
    t->left_out++;
}

static void close_current(struct token_reads * t) {
    struct stream * s = &t->streams[t->stream_of[t->current]];
    reorder_close(&t->reorder, t->current);
    t->failed |= t->now.failed || t->slices.failed;
    if (t->failed || t->now.n_slices == 0) { return; }
    if (t->now.cut) {
        t->left_out++;
        return;
    }
    const uint64_t half = t->generated / 2;
    const bool identical = s->begun && same_add(&t->comparison, &s->before, &t->now);
    if (half) { prediction_add(&t->prediction, s, &t->now, identical, t->before_current < half); }
    keep(t, s);
}

void token_reads_open(struct token_reads * t, uint32_t evaluation) {
    token_reads_end(t);
    if (!is_generated(&t->subject->evaluations[evaluation])) { return; }
    for (; t->counted < evaluation; t->counted++) {
        t->before_current += is_generated(&t->subject->evaluations[t->counted]);
    }
    const uint64_t every = (t->generated + REORDER_SAMPLES - 1) / REORDER_SAMPLES;
    t->current = evaluation;
    sequence_begin(&t->now, evaluation);
    reorder_open(&t->reorder, t->before_current % every == 0);
    const struct stream * s = &t->streams[t->stream_of[evaluation]];
    t->hint = s->begun ? s->before.slice : NULL;
    t->n_hints = s->begun ? s->before.n_slices : 0;
}

void token_reads_end(struct token_reads * t) {
    if (t->current != UINT32_MAX) { close_current(t); }
    t->current = UINT32_MAX;
}

/* ---- telling ---- */

/* What the last token read that was kept. NULL: none was. */
static const struct sequence * last_sequence(const struct token_reads * t) {
    const struct sequence * last = NULL;
    for (uint32_t i = 0; i < t->n_streams; i++) {
        const struct stream * s = &t->streams[i];
        if (s->begun && (!last || s->before.evaluation > last->evaluation)) { last = &s->before; }
    }
    return last;
}

void token_reads_tell(struct token_reads * t, struct result * r) {
    token_reads_end(t);
    prediction_end(&t->prediction);
    r->failed |= t->failed;
    result_put_count(r, result_values(r), "generated_evaluations", t->generated);
    if (t->failed) { return; }
    same_tell(&t->comparison, t->subject, &t->slices, r);
    const struct sequence * last = last_sequence(t);
    if (last) { layer_kinds_tell(t->subject, last, r); }
    prediction_tell(&t->prediction, r);
    reorder_tell(&t->reorder, r);
    if (t->subject->phase[TAT_PHASE_GENERATE].tokens > t->subject->phase[TAT_PHASE_GENERATE].evaluations) {
        result_note(r, "Where several tokens were generated in one evaluation, they count as one here.");
    }
    if (t->aborted) {
        result_note(r, "Not compared, predicted or reordered: %" PRIu64 " evaluations that the program aborted.",
                    t->aborted);
    }
    if (t->left_out) { result_note(r, "Of %" PRIu64 " evaluations too much was read to be compared.", t->left_out); }
    if (t->slices.full) {
        result_note(r, "There were more slices than are told apart (%d): the rest count as one.", SLICES_MAX);
    }
}
