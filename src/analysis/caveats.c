/* SPDX-License-Identifier: MIT */
#include "analysis/caveats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/run_metadata.h"

const char * caveat_elsewhere(const struct subject * s, char text[static CAVEAT_SIZE]) {
    *text = 0;
    if (s->is_elsewhere) {
        snprintf(text, CAVEAT_SIZE,
                 "Another backend (BLAS, GPU) computed parts of %" PRIu64 " of %" PRIu64
                 " ubatches: nothing tells which bytes it touched, so they are in no figure.",
                 s->n_elsewhere, s->n_ubatches);
    }
    return text;
}

static bool has_tokens(const struct subject * s) {
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (is_inference((enum tat_phase) p) && (s->phase[p].evaluations || s->outside[p].evaluations)) { return true; }
    }
    return false;
}

const char * caveat_no_tokens(const struct subject * s, char text[static CAVEAT_SIZE]) {
    static const char nothing[] = "there is neither a prompt nor a generated token to tell of";
    const struct tat_model * m = subject_model(s);
    const uint64_t others = s->phase[TAT_PHASE_OTHER].evaluations, warm = s->phase[TAT_PHASE_WARMUP].evaluations;
    const char * graphs = others == 1 ? "graph takes" : "graphs take";
    *text = 0;
    if (has_tokens(s) || s->is_elsewhere) { return text; }
    if (others && m && m->part == TAT_PART_PROJECTOR) {
        snprintf(text, CAVEAT_SIZE, "The projector's %" PRIu64 " %s images or sound, not tokens: %s.", others, graphs,
                 nothing);
    } else if (others) {
        snprintf(text, CAVEAT_SIZE, "The %" PRIu64 " %s no tokens: %s.", others, graphs, nothing);
    } else if (warm) {
        snprintf(text, CAVEAT_SIZE, "Only the warm-up was computed: %s.", nothing);
    }
    return text;
}

/* ---- a prompt, row by row ---- */

/* Single rows, each with an output, behind one at position 0 that has one too: that one is the prompt, or all of a
 * longer prompt's rows come one by one, as with -b 1. */
struct stretches {
    uint64_t rows, longest; /* behind the first ones */
};

struct context {
    bool is_open;
    uint64_t rows;
};

static void end_stretch(struct context * c, struct stretches * all) {
    all->rows += c->rows;
    if (c->rows > all->longest) { all->longest = c->rows; }
    *c = (struct context){ 0 };
}

static bool begins(const struct subject * s, uint32_t evaluation) {
    int64_t position;
    return s->evaluations[evaluation].phase == TAT_PHASE_PROMPT &&
           (subject_positions(s, evaluation, &position, 1) == 1 ? position == 0
                                                                : s->evaluations[evaluation].token_first == 0);
}

static void find_stretches(const struct subject * s, struct context * contexts, uint32_t count,
                           struct stretches * all) {
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (e->context >= count || e->n_tokens == 0 || e->phase == TAT_PHASE_WARMUP) { continue; }
        struct context * c = &contexts[e->context];
        const bool is_single = e->n_tokens == 1 && e->n_outputs == 1;
        if (c->is_open && is_single && e->phase == TAT_PHASE_GENERATE) {
            c->rows++;
        } else {
            end_stretch(c, all);
            c->is_open = is_single && begins(s, i);
        }
    }
    for (uint32_t i = 0; i < count; i++) { end_stretch(&contexts[i], all); }
}

/* -n, or a number below 0. */
static int64_t asked_tokens(const struct subject * s) {
    json_t * metadata = run_metadata(s->trace);
    const int64_t asked = run_asked_tokens(metadata);
    json_decref(metadata);
    return asked;
}

const char * caveat_prompt(const struct subject * s, char text[static CAVEAT_SIZE]) {
    struct stretches found = { 0 };
    uint32_t count = 1;
    *text = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (e->phase == TAT_PHASE_GENERATE && e->context >= count) { count = e->context + 1; }
    }
    struct context * contexts = calloc(count, sizeof *contexts);
    if (contexts) { find_stretches(s, contexts, count, &found); }
    free(contexts);
    const int64_t asked = found.rows ? asked_tokens(s) : -1;
    /* The last token sampled is never evaluated. */
    if (!found.rows || (asked > 0 && found.longest + 1 == (uint64_t) asked)) { return text; }
    const int used =
        snprintf(text, CAVEAT_SIZE,
                 "Of the tokens that count as generated, %" PRIu64
                 " come one by one behind a prompt of one token. If the program hands over prompts token by "
                 "token, with an output for each (-b 1), the first of them are the prompt's.",
                 found.rows);
    if (asked > 0 && found.longest + 1 > (uint64_t) asked) {
        snprintf(text + used, CAVEAT_SIZE - (size_t) used, " So it is here: -n asked for %" PRId64 ".", asked);
    }
    return text;
}

const char * caveats(const struct subject * s, char text[static 2 * CAVEAT_SIZE]) {
    char prompt[CAVEAT_SIZE];
    caveat_elsewhere(s, text);
    if (!*caveat_prompt(s, prompt)) { return text; }
    const size_t used = strlen(text);
    snprintf(text + used, 2 * CAVEAT_SIZE - used, "%s%s", used ? " " : "", prompt);
    return text;
}
