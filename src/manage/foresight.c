/* SPDX-License-Identifier: MIT */
#include "manage/foresight.h"

#include <stdlib.h>

#include "agent/clock.h"

struct foresight {
    struct foresee * foresee;
    enum foresee_method method;
    const struct schedule * schedule;
    struct early_router * router;
    struct piece_range * gate; /* by router: the pieces that its weights are in */
    uint32_t n_routers;
    float *work, *score;
    uint32_t * ids;
    uint32_t * piece; /* what was foreseen of a router: the likeliest expert first */
    uint32_t n_pieces, of_router;
    uint32_t * missing; /* of each of these that was not in memory, its expert */
    uint32_t n_missing;
};

/* ---- life ---- */

/* False: memory, or others. */
static bool share(struct foresee ** foresee, enum foresee_method method, const struct schedule * schedule,
                  uint32_t n_routers) {
    uint32_t * experts = calloc((size_t) n_routers + 1, sizeof *experts);
    if (!experts) { return false; }
    for (uint32_t i = 0; i < n_routers; i++) { experts[i] = schedule_experts(schedule, i); }
    if (!*foresee) { *foresee = foresee_new(method, experts, n_routers); }
    const bool good = *foresee && foresee_is_for(*foresee, experts, n_routers);
    free(experts);
    return good;
}

static bool allocate(struct foresight * f) {
    uint32_t embd = 1, experts = 1, pieces = 1;
    for (uint32_t i = 0; i < f->n_routers; i++) {
        const struct early_weights * w = &f->router[i].weights;
        if (w->n_embd > embd) { embd = w->n_embd; }
        if (w->n_experts > experts) { experts = w->n_experts; }
    }
    for (uint32_t i = 0; i < f->schedule->n_stacks; i++) {
        pieces += f->schedule->stack[i].experts;
        if (f->schedule->stack[i].experts > experts) { experts = f->schedule->stack[i].experts; }
    }
    f->work = calloc(embd, sizeof *f->work);
    f->score = calloc(experts, sizeof *f->score);
    f->ids = calloc(experts, sizeof *f->ids);
    f->piece = calloc(pieces, sizeof *f->piece);
    f->missing = calloc(pieces, sizeof *f->missing);
    return f->work && f->score && f->ids && f->piece && f->missing;
}

static void find_gates(struct foresight * f, const struct managed_model * model) {
    for (uint32_t i = 0; i < f->n_routers; i++) {
        const struct early_weights * w = &f->router[i].weights;
        if (!w->gate || w->n_experts != schedule_experts(f->schedule, i)) { continue; }
        f->gate[i] = managed_model_pieces(model, w->gate, early_row_bytes(w->type, w->n_embd) * w->n_experts);
    }
}

struct foresight * foresight_new(struct foresee ** foresee, enum foresee_method method,
                                 const struct managed_model * model, const struct graph_call * call,
                                 const struct graph_uses * uses, const struct schedule * schedule) {
    struct foresight * f = share(foresee, method, schedule, uses->n_routers) ? calloc(1, sizeof *f) : NULL;
    if (!f) { return NULL; }
    *f =
        (struct foresight){ .foresee = *foresee, .method = method, .schedule = schedule, .n_routers = uses->n_routers };
    f->router = calloc((size_t) f->n_routers + 1, sizeof *f->router);
    f->gate = calloc((size_t) f->n_routers + 1, sizeof *f->gate);
    if (f->router && f->gate) {
        early_routers_find(call->host, call->graph, uses, f->router);
        find_gates(f, model);
        if (allocate(f)) { return f; }
    }
    foresight_free(f);
    return NULL;
}

void foresight_free(struct foresight * f) {
    if (!f) { return; }
    free(f->router);
    free(f->gate);
    free(f->work);
    free(f->score);
    free(f->ids);
    free(f->piece);
    free(f->missing);
    free(f);
}

/* ---- guesses ---- */

/* To touch weights that are not in memory would wait for the disk. */
static bool is_in(const struct piece_range * pieces, const struct resident * resident) {
    for (uint32_t i = 0; i < pieces->count; i++) {
        if (!resident_is_in(resident, pieces->first + i)) { return false; }
    }
    return pieces->count != 0;
}

/* NULL: there are no scores. */
static const float * score_next(struct foresight * f, const struct host * host, struct ggml_cgraph * graph,
                                uint32_t router, const struct resident * resident) {
    const uint32_t next = router + 1;
    bool is_residual;
    if (f->method != FORESEE_ROUTER || next >= f->n_routers || !is_in(&f->gate[next], resident)) { return NULL; }
    const float * x = early_input(host, graph, &f->router[router], &f->router[next], &is_residual);
    if (!x) { return NULL; }
    struct early_weights weights = f->router[next].weights;
    if (!is_residual) { weights.norm = NULL; }
    early_score(&weights, x, f->work, f->score);
    return f->score;
}

static void list_pieces(struct foresight * f, uint32_t router, uint32_t n_ids, const struct resident * resident) {
    const struct schedule * s = f->schedule;
    f->n_pieces = f->n_missing = 0;
    f->of_router = router;
    for (uint32_t k = 0; k < n_ids; k++) {
        for (uint32_t i = 0; i < s->n_stacks; i++) {
            if (s->stack[i].router != router || f->ids[k] >= s->stack[i].experts) { continue; }
            const uint32_t piece = s->stack[i].piece + f->ids[k];
            f->piece[f->n_pieces++] = piece;
            if (!resident_is_in(resident, piece)) { f->missing[f->n_missing++] = f->ids[k]; }
        }
    }
}

/* Also of what was foreseen while reading did not pay: it may come to. */
static void compare(const struct foresight * f, uint32_t router, const uint8_t * chosen) {
    uint32_t came = 0;
    if (f->of_router != router) { return; }
    for (uint32_t i = 0; i < f->n_missing; i++) { came += chosen[f->missing[i]] != 0; }
    foresee_came(f->foresee, f->n_missing, came);
}

struct pieces_asked foresight_chosen(struct foresight * f, const struct host * host, struct ggml_cgraph * graph,
                                     uint32_t router, const uint8_t * chosen, const struct resident * resident) {
    const uint32_t next = router + 1 < f->n_routers ? router + 1 : 0;
    const uint64_t began = clock_monotonic_ns();
    compare(f, router, chosen);
    foresee_chosen(f->foresee, router, chosen);
    const float * score = score_next(f, host, graph, router, resident);
    list_pieces(f, next, foresee_next(f->foresee, next, score, f->ids), resident);
    foresee_took(f->foresee, clock_monotonic_ns() - began);
    return (struct pieces_asked){ f->piece, foresee_pays(f->foresee) ? f->n_pieces : 0 };
}
