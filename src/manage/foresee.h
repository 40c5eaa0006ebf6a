/* SPDX-License-Identifier: MIT
 *
 * Which experts a router will choose, before it has: by a method, whose guesses are counted. Routers are numbered in
 * the order of the graph. One thread at a time, but any may ask for the totals.
 */
#ifndef TAT_MANAGE_FORESEE_H
#define TAT_MANAGE_FORESEE_H

#include <stdbool.h>
#include <stdint.h>

enum foresee_method {
    FORESEE_NONE,
    FORESEE_ROUTER,   /* by scores that the caller has: the router's own, applied early */
    FORESEE_PREVIOUS, /* what it chose for the token before */
    FORESEE_MARKOV,   /* what followed the choice of the router before so far */
};

struct foresee;

/* `experts`: by router. NULL: memory, or more experts than can be counted. */
struct foresee * foresee_new(enum foresee_method method, const uint32_t * experts, uint32_t n_routers);
void foresee_free(struct foresee * foresee); /* NULL is allowed */

/* Whether it is for such routers. */
bool foresee_is_for(const struct foresee * foresee, const uint32_t * experts, uint32_t n_routers);

/* A router chose those experts for which `chosen` is not 0. Compares that with what was foreseen, and learns. */
void foresee_chosen(struct foresee * foresee, uint32_t router, const uint8_t * chosen);

/* What a router will choose, once the one before it has; the last one is before the first. `score`: by expert, for
 * FORESEE_ROUTER; NULL: there is none. Fills in as many ids as the router before it chose, the likeliest first, and
 * returns how many: 0 if nothing is known yet. */
uint32_t foresee_next(struct foresee * foresee, uint32_t router, const float * score, uint32_t * ids);

/* Of `missing` pieces that were foreseen and not in memory, so many were chosen. */
void foresee_came(struct foresee * foresee, uint32_t missing, uint32_t came);

/* Whether reading what is foreseen pays, as far as is known: enough of what was missing came lately. */
bool foresee_pays(const struct foresee * foresee);

struct foresee_totals {
    uint64_t guesses, right;     /* experts foreseen, and of them those that were chosen */
    uint64_t not_to_read;        /* of the guesses, those made while reading did not pay */
    uint64_t first, first_right; /* the same of each likeliest one */
    uint64_t ns;                 /* that it took */
};
struct foresee_totals foresee_totals(const struct foresee * foresee);
void foresee_took(struct foresee * foresee, uint64_t ns); /* the caller, for scores and all */

#endif
