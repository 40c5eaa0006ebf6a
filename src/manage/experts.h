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

/* A router chose these experts, each given by its slice of some stack. `stay`: of each, whether it stays in memory from
 * now on; otherwise the caller drops it after its use. Returns the slices that go for them, which may be among those
 * that were chosen; they live until the next call. Any thread, but one at a time. */
struct pieces_asked experts_choose(struct experts * experts, const uint32_t * pieces, uint32_t count,
                                   const struct resident * resident, bool * stay);

/* They may take so much from now on: what has to go is dropped. */
void experts_resize(struct experts * experts, uint64_t capacity, struct resident * resident);

struct experts_totals {
    uint64_t wanted, held; /* bytes chosen, and of them those that were in memory */
    uint64_t kept;         /* of these, what the policy had kept; the rest was read ahead */
};
struct experts_totals experts_totals(struct experts * experts);

#endif
