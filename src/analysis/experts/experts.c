/* SPDX-License-Identifier: MIT
 *
 * Which experts the router of each layer chose: every row, every slot. Here they are counted, in one pass over what was
 * captured; the other files of the folder show what follows from it.
 */
#include "analysis/experts/experts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void * begin(const struct subject * subject) {
    struct experts * x = calloc(1, sizeof *x);
    if (!x) { return NULL; }
    x->subject = subject;
    x->n_slots = layer_span(subject);
    x->layer = calloc((size_t) x->n_slots + 1, sizeof *x->layer);
    x->mark = calloc(ROUTING_EXPERTS_MAX, sizeof *x->mark);
    x->failed = !x->layer || !x->mark;
    return x;
}

void experts_mark(struct experts * x, const uint32_t * ids, uint32_t n) {
    if (++x->stamp == 0) {
        memset(x->mark, 0, ROUTING_EXPERTS_MAX * sizeof *x->mark);
        x->stamp = 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] < ROUTING_EXPERTS_MAX) { x->mark[ids[i]] = x->stamp; }
    }
}

uint32_t experts_marked(const struct experts * x, const uint32_t * ids, uint32_t n) {
    uint32_t marked = 0;
    for (uint32_t i = 0; i < n; i++) { marked += ids[i] < ROUTING_EXPERTS_MAX && x->mark[ids[i]] == x->stamp; }
    return marked;
}

/* ---- layers ---- */

static uint32_t * matrix(struct experts * x, uint64_t rows, uint64_t columns) {
    uint32_t * cells = calloc(rows * columns, sizeof *cells);
    x->failed |= !cells;
    return cells;
}

/* One limit serves all four matrices of all layers, each of which has at most as many cells. */
static void add_matrices(struct experts * x, struct expert_layer * l) {
    const uint64_t n = l->n_experts;
    const uint64_t above = l->above == TAT_NO_LAYER ? 0 : x->layer[l->above].n_experts;
    const uint64_t cells = n * (above > n ? above : n);
    if (l->n_used > EXPERT_USED_MAX || cells > EXPERT_CELLS_MAX - x->n_cells) {
        x->cells_refused = true;
        return;
    }
    x->n_cells += cells;
    l->together = matrix(x, n, n);
    l->next = matrix(x, n, n);
    l->trained = matrix(x, n, n);
    if (above) { l->down = matrix(x, above, n); }
}

static const struct tat_template * template_of(const struct experts * x, const struct routed * routed) {
    return &x->subject->templates[x->subject->evaluations[routed->evaluation].template_id];
}

/* The layer's counters, made when it is first met. NULL: there is no room. */
static struct expert_layer * layer_at(struct experts * x, const struct routed * routed, uint32_t i) {
    const struct routed_layer * found = &routed->layers[i];
    struct expert_layer * l = &x->layer[found->layer];
    if (l->use && found->n_used <= l->n_used) { return l; }
    if (l->use || found->n_experts > EXPERT_COUNTERS_MAX - x->n_counters) {
        x->too_many += (uint64_t) found->n_rows * found->n_used;
        return NULL;
    }
    l->use = calloc(found->n_experts, sizeof *l->use);
    l->last = calloc(found->n_used, sizeof *l->last);
    l->n_experts = found->n_experts;
    if (x->vocabulary) {
        l->kinds = calloc((size_t) TOKEN_KINDS * l->n_experts, sizeof *l->kinds);
        x->failed |= !l->kinds;
    }
    l->n_used = found->n_used;
    l->slice_bytes = routing_slice_bytes(template_of(x, routed), found);
    l->above = i && x->layer[routed->layers[i - 1].layer].use ? routed->layers[i - 1].layer : TAT_NO_LAYER;
    x->n_counters += found->n_experts;
    x->failed |= !l->use || !l->last;
    if (x->failed) { return NULL; }
    x->n_layers++;
    add_matrices(x, l);
    return x->failed ? NULL : l;
}

/* ---- rows ---- */

/* The row of the same token in the layer that routed before: it routed the same rows, or all of them. */
static void find_above(const struct routed_layer * above, uint32_t row, uint32_t token, struct expert_row * at) {
    const bool alike = row < above->n_rows && routed_token(above, row) == token;
    const uint32_t from = alike ? row : token;
    if (!above->placed || from >= above->n_rows || routed_token(above, from) != token) { return; }
    at->above = above->ids + (size_t) from * above->n_used;
    at->n_above = above->n_used;
}

static int kind_of(const struct experts * x, const struct routed * routed, uint32_t token) {
    const bool known = x->vocabulary && routed->tokens && routed->tokens[token] < x->vocabulary->n;
    return known ? x->vocabulary->kind[routed->tokens[token]] : -1;
}

static void remember(struct expert_layer * l, const struct expert_row * row, uint64_t serial) {
    memcpy(l->last, row->ids, row->n_used * sizeof *l->last);
    l->n_last = row->n_used;
    l->last_serial = serial;
    l->has_last = true;
}

void experts_each_row(struct experts * x, const struct routed * routed, expert_row_sink sink, void * user) {
    for (uint32_t i = 0; i < routed->n_layers; i++) {
        const struct routed_layer * found = &routed->layers[i];
        struct expert_layer * l = &x->layer[found->layer];
        if (!l->use || !found->placed || found->n_used > l->n_used) { continue; }
        const bool below = i && l->above == routed->layers[i - 1].layer;
        for (uint32_t r = 0; r < found->n_rows; r++) {
            const uint32_t token = routed_token(found, r);
            const uint64_t serial = routed->serial + (uint64_t) routed->step * token;
            struct expert_row row = {
                .ids = found->ids + (size_t) r * found->n_used,
                .n_used = found->n_used,
                .after_last = l->has_last && serial == l->last_serial + 1,
                .first_half = routed->ordinal + token < routed->half,
            };
            row.kind = kind_of(x, routed, token);
            if (below) { find_above(&routed->layers[i - 1], r, token, &row); }
            sink(x, l, &row, user);
            remember(l, &row, serial);
        }
    }
}

/* Counts each pair (a, b) of two choices. */
static void add_pairs(uint32_t * cells, uint32_t n_a, uint32_t n_b, const uint32_t * a, uint32_t count_a,
                      const uint32_t * b, uint32_t count_b) {
    for (uint32_t i = 0; i < count_a; i++) {
        for (uint32_t k = 0; k < count_b && a[i] < n_a; k++) {
            if (b[k] < n_b) { cells[(size_t) a[i] * n_b + b[k]]++; }
        }
    }
}

static void agree(struct experts * x, struct agreement * agreement, const uint32_t * before, uint32_t n_before,
                  const struct expert_row * row) {
    experts_mark(x, before, n_before);
    agreement->pairs++;
    agreement->same += experts_marked(x, row->ids, row->n_used);
    agreement->chosen += row->n_used;
}

static void count_row(struct experts * x, struct expert_layer * l, const struct expert_row * row, void * user) {
    (void) user;
    const uint32_t n = l->n_experts;
    for (uint32_t i = 0; i < row->n_used && row->first_half; i++) {
        if (row->ids[i] < n) { l->use[row->ids[i]].trained++; }
    }
    for (uint32_t i = 0; i < row->n_used && row->kind >= 0 && l->kinds; i++) {
        if (row->ids[i] < n) { l->kinds[(size_t) row->kind * n + row->ids[i]]++; }
    }
    if (row->after_last) {
        agree(x, &l->last_token, l->last, l->n_last, row);
        if (l->next) { add_pairs(l->next, n, n, l->last, l->n_last, row->ids, row->n_used); }
        if (l->next && row->first_half) { add_pairs(l->trained, n, n, l->last, l->n_last, row->ids, row->n_used); }
    }
    if (row->above) {
        const uint32_t n_above = x->layer[l->above].n_experts;
        agree(x, &l->last_layer, row->above, row->n_above, row);
        if (l->down && row->first_half) {
            add_pairs(l->down, n_above, n, row->above, row->n_above, row->ids, row->n_used);
        }
    }
}

static enum expert_phase phase_index(enum tat_phase phase) {
    return phase == TAT_PHASE_PROMPT ? EXPERTS_PROMPT : phase == TAT_PHASE_GENERATE ? EXPERTS_GENERATE : EXPERTS_OTHER;
}

static void count_use(struct expert_layer * l, const struct routed_layer * found, enum tat_phase phase) {
    const size_t count = (size_t) found->n_rows * found->n_used;
    l->rows += found->n_rows;
    for (size_t i = 0; i < count; i++) {
        if (found->ids[i] >= l->n_experts) { continue; }
        struct expert_use * use = &l->use[found->ids[i]];
        use->chosen[phase_index(phase)]++;
        l->selections++;
        if (found->gates) {
            use->gates += (double) found->gates[i];
            use->gated++;
        }
    }
    for (uint32_t r = 0; r < found->n_rows && l->together; r++) {
        const uint32_t * ids = found->ids + (size_t) r * found->n_used;
        for (uint32_t i = 0; i < found->n_used; i++) {
            for (uint32_t k = 0; k < found->n_used && ids[i] < l->n_experts; k++) {
                if (ids[i] < ids[k] && ids[k] < l->n_experts) {
                    l->together[(size_t) ids[i] * l->n_experts + ids[k]]++;
                }
            }
        }
    }
}

static void count(const struct routed * routed, void * user) {
    struct experts * x = user;
    if (routed->tokens && !x->has_tokens) {
        x->has_tokens = true;
        x->vocabulary = vocabulary_read(x->subject);
    }
    for (uint32_t i = 0; i < routed->n_tokens; i++) {
        const int kind = kind_of(x, routed, i);
        if (kind >= 0) { x->tokens[kind]++; }
    }
    for (uint32_t i = 0; i < routed->n_layers && !x->failed; i++) {
        struct expert_layer * l = layer_at(x, routed, i);
        if (l) { count_use(l, &routed->layers[i], routed->phase); }
    }
    if (!x->failed) { experts_each_row(x, routed, count_row, NULL); }
}

/* ---- section ---- */

static void note_faults(const struct experts * x, struct result * r) {
    const struct routing_faults * f = &x->faults;
    if (f->missing) {
        result_note(r, "In %" PRIu64 " cases (a layer of an evaluation) the choice was not recorded.", f->missing);
    }
    if (f->nobody) { result_note(r, "%" PRIu64 " selections name experts that the layer does not have.", f->nobody); }
    if (f->nowhere) { result_note(r, "%" PRIu64 " selections are of no layer that has a number.", f->nowhere); }
    if (f->others) {
        result_note(r, "%" PRIu64 " times a layer chose a second time for other weights: only its first choice counts.",
                    f->others);
    }
    if (x->too_many) {
        result_note(r, "%" PRIu64 " selections are not counted: there are more experts than this tool has room for.",
                    x->too_many);
    }
    if (x->cells_refused) { result_note(r, "Some layers have so many experts that pairs of them are not counted."); }
}

static void say_none(const struct experts * x, struct result * r) {
    if (x->faults.missing) {
        result_headline(r, "Layers chose among experts, but which ones was not recorded.");
    } else if (inference_total(x->subject).evaluations == 0) {
        result_headline(r, "No prompt and no token was computed, so no expert was chosen.");
    } else {
        result_headline(r, "No layer chose among experts: the model is a dense one.");
    }
    result_absent(r);
    result_put_count(r, result_values(r), "selections", 0);
}

static void release(struct experts * x) {
    for (uint32_t i = 0; x->layer && i < x->n_slots; i++) {
        free(x->layer[i].use);
        free(x->layer[i].last);
        free(x->layer[i].kinds);
        free(x->layer[i].together);
        free(x->layer[i].next);
        free(x->layer[i].trained);
        free(x->layer[i].down);
    }
    free(x->layer);
    free(x->mark);
    free(x->vocabulary);
    free(x);
}

static void finish(void * state, struct result * r) {
    struct experts * x = state;
    if (!x->failed && !routed_each(x->subject, count, x, &x->faults)) { x->failed = true; }
    if (!x->failed && x->n_layers == 0) {
        say_none(x, r);
    } else if (!x->failed) {
        experts_show_use(x, r);
        experts_show_overlap(x, r);
        experts_show_prediction(x, r);
        experts_show_special(x, r);
        experts_show_pairs(x, r);
    }
    if (!x->failed) { note_faults(x, r); }
    r->failed |= x->failed;
    release(x);
}

const struct analysis experts_analysis = {
    .name = "experts",
    .title = "Experts",
    .begin = begin,
    .finish = finish,
};
