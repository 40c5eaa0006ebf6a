/* SPDX-License-Identifier: MIT
 *
 * Which experts stay in memory. An expert of a layer is one item, with its slices of all stacks; the policy is one of
 * src/policy. Any thread.
 */
#ifndef TAT_MANAGE_EXPERTS_H
#define TAT_MANAGE_EXPERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "manage/schedule.h"
#include "policy/policy.h"

struct experts;

/* Numbers the experts of a graph's stacks. `bytes`: of each piece; `capacity`: that all experts may take together.
 * NULL: memory, or there are none. */
struct experts * experts_new(const struct schedule * schedule, uint32_t n_pieces, const uint64_t * bytes,
                             uint64_t capacity, const struct policy_kind * policy);
void experts_free(struct experts * experts); /* NULL is allowed */

/* A router chose the expert whose slice of some stack is that piece. Returns whether it stays in memory from now on;
 * otherwise the caller drops it after its use. What has to go for it is dropped. */
bool experts_chosen(struct experts * experts, uint32_t piece, struct resident * resident);

/* They may take so much from now on: what has to go is dropped. */
void experts_resize(struct experts * experts, uint64_t capacity, struct resident * resident);

struct experts_totals {
    uint64_t wanted, held; /* bytes chosen, and of them those that were in memory by the policy */
};
struct experts_totals experts_totals(struct experts * experts);

#endif
