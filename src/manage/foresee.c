/* SPDX-License-Identifier: MIT */
#include "manage/foresee.h"

#include <stdlib.h>
#include <string.h>

#include "manage/early_score.h"

enum { CELLS_MOST = 1 << 23 /* of all matrices; 256 experts in 61 layers take half of it */ };

/* Reading for nothing takes processor time and delays what is needed. Measured (doc/run.md): where a quarter of what
 * was read ahead came, runs were faster than without; where a twentieth came, a fifth slower. */
static const float AT_FIRST = 0.25f, PAYS = 0.125f, WEIGHT = 1.0f / 128;

struct foreseen {
    uint32_t n_experts;
    uint32_t * chosen; /* the last time, n_chosen of them */
    uint32_t n_chosen;
    uint32_t * guess; /* of the next time, n_guess of them */
    uint32_t n_guess;
    /* For Markov: how often an expert was chosen, and after an expert of the router before. */
    uint32_t * uses;
    uint32_t * follows; /* [before][expert] */
};

struct foresee {
    enum foresee_method method;
    struct foreseen * router;
    uint32_t n_routers;
    float * score;
    float came;                   /* the share of missing pieces that came, of late ones more */
    struct foresee_totals totals; /* relaxed */
};

static uint32_t before(const struct foresee * f, uint32_t router) {
    return router ? router - 1 : f->n_routers - 1;
}

static bool begin_markov(const struct foresee * f, uint32_t router, uint64_t * cells) {
    struct foreseen * r = &f->router[router];
    const uint64_t size = (uint64_t) f->router[before(f, router)].n_experts * r->n_experts;
    *cells += size;
    if (*cells > CELLS_MOST) { return false; }
    r->uses = calloc((size_t) r->n_experts + 1, sizeof *r->uses);
    r->follows = calloc((size_t) size + 1, sizeof *r->follows);
    return r->uses && r->follows;
}

struct foresee * foresee_new(enum foresee_method method, const uint32_t * experts, uint32_t n_routers) {
    struct foresee * f = calloc(1, sizeof *f);
    uint32_t most = 1;
    uint64_t cells = 0;
    if (!f) { return NULL; }
    f->method = method;
    f->n_routers = n_routers;
    f->came = AT_FIRST;
    f->router = calloc((size_t) n_routers + 1, sizeof *f->router);
    bool good = f->router != NULL;
    for (uint32_t i = 0; i < n_routers && good; i++) {
        struct foreseen * r = &f->router[i];
        r->n_experts = experts[i];
        if (experts[i] > most) { most = experts[i]; }
        r->chosen = calloc((size_t) experts[i] + 1, sizeof *r->chosen);
        r->guess = calloc((size_t) experts[i] + 1, sizeof *r->guess);
        good = r->chosen && r->guess;
    }
    for (uint32_t i = 0; i < n_routers && good && method == FORESEE_MARKOV; i++) { good = begin_markov(f, i, &cells); }
    f->score = good ? calloc(most, sizeof *f->score) : NULL;
    if (f->score) { return f; }
    foresee_free(f);
    return NULL;
}

void foresee_free(struct foresee * f) {
    if (!f) { return; }
    for (uint32_t i = 0; f->router && i < f->n_routers; i++) {
        free(f->router[i].chosen);
        free(f->router[i].guess);
        free(f->router[i].uses);
        free(f->router[i].follows);
    }
    free(f->router);
    free(f->score);
    free(f);
}

bool foresee_is_for(const struct foresee * f, const uint32_t * experts, uint32_t n_routers) {
    if (f->n_routers != n_routers) { return false; }
    for (uint32_t i = 0; i < n_routers; i++) {
        if (f->router[i].n_experts != experts[i]) { return false; }
    }
    return true;
}

/* ---- what came of it ---- */

static void add(uint64_t * total, uint64_t by) {
    __atomic_store_n(total, *total + by, __ATOMIC_RELAXED);
}

static void judge(struct foresee * f, struct foreseen * r, const uint8_t * chosen) {
    uint64_t right = 0;
    for (uint32_t i = 0; i < r->n_guess; i++) { right += chosen[r->guess[i]] != 0; }
    if (!r->n_guess) { return; }
    add(&f->totals.guesses, r->n_guess);
    add(&f->totals.right, right);
    add(&f->totals.first, 1);
    add(&f->totals.first_right, chosen[r->guess[0]] != 0);
    if (!foresee_pays(f)) { add(&f->totals.not_to_read, r->n_guess); }
    r->n_guess = 0;
}

static void learn(const struct foresee * f, uint32_t router) {
    struct foreseen * r = &f->router[router];
    const struct foreseen * b = &f->router[before(f, router)];
    for (uint32_t i = 0; i < r->n_chosen; i++) { r->uses[r->chosen[i]]++; }
    for (uint32_t i = 0; i < b->n_chosen; i++) {
        uint32_t * row = r->follows + (size_t) b->chosen[i] * r->n_experts;
        for (uint32_t k = 0; k < r->n_chosen; k++) { row[r->chosen[k]]++; }
    }
}

void foresee_chosen(struct foresee * f, uint32_t router, const uint8_t * chosen) {
    struct foreseen * r = &f->router[router];
    judge(f, r, chosen);
    r->n_chosen = 0;
    for (uint32_t e = 0; e < r->n_experts; e++) {
        if (chosen[e]) { r->chosen[r->n_chosen++] = e; }
    }
    if (r->follows) { learn(f, router); }
}

struct foresee_totals foresee_totals(const struct foresee * f) {
    return (struct foresee_totals){
        .guesses = __atomic_load_n(&f->totals.guesses, __ATOMIC_RELAXED),
        .right = __atomic_load_n(&f->totals.right, __ATOMIC_RELAXED),
        .not_to_read = __atomic_load_n(&f->totals.not_to_read, __ATOMIC_RELAXED),
        .first = __atomic_load_n(&f->totals.first, __ATOMIC_RELAXED),
        .first_right = __atomic_load_n(&f->totals.first_right, __ATOMIC_RELAXED),
        .ns = __atomic_load_n(&f->totals.ns, __ATOMIC_RELAXED),
    };
}

void foresee_took(struct foresee * f, uint64_t ns) {
    add(&f->totals.ns, ns);
}

/* ---- whether to read ---- */

void foresee_came(struct foresee * f, uint32_t missing, uint32_t came) {
    for (uint32_t i = 0; i < missing; i++) { f->came += WEIGHT * ((i < came ? 1 : 0) - f->came); }
}

bool foresee_pays(const struct foresee * f) {
    return f->came >= PAYS;
}

/* ---- guesses ---- */

/* What followed each of the experts before, as a share, summed up; of equal ones those chosen more often. */
static uint32_t by_markov(const struct foresee * f, const struct foreseen * r, const struct foreseen * b) {
    bool is_known = false;
    for (uint32_t e = 0; e < r->n_experts; e++) { f->score[e] = (float) r->uses[e] * 1e-9f; }
    for (uint32_t i = 0; i < b->n_chosen; i++) {
        const uint32_t * row = r->follows + (size_t) b->chosen[i] * r->n_experts;
        float all = 0;
        for (uint32_t e = 0; e < r->n_experts; e++) { all += (float) row[e]; }
        for (uint32_t e = 0; e < r->n_experts && all > 0; e++) { f->score[e] += (float) row[e] / all; }
        is_known |= all > 0;
    }
    return is_known ? early_top(f->score, r->n_experts, b->n_chosen, r->guess) : 0;
}

static uint32_t by_previous(const struct foreseen * r) {
    memcpy(r->guess, r->chosen, r->n_chosen * sizeof *r->guess);
    return r->n_chosen;
}

uint32_t foresee_next(struct foresee * f, uint32_t router, const float * score, uint32_t * ids) {
    struct foreseen * r = &f->router[router];
    const struct foreseen * b = &f->router[before(f, router)];
    r->n_guess = 0;
    switch (f->method) {
        case FORESEE_NONE: break;
        case FORESEE_ROUTER: r->n_guess = score ? early_top(score, r->n_experts, b->n_chosen, r->guess) : 0; break;
        case FORESEE_PREVIOUS: r->n_guess = by_previous(r); break;
        case FORESEE_MARKOV: r->n_guess = by_markov(f, r, b); break;
    }
    memcpy(ids, r->guess, r->n_guess * sizeof *ids);
    return r->n_guess;
}
