/* SPDX-License-Identifier: MIT
 *
 * Of a limit of memory, what is not for pieces of the model whatever the program needs.
 */
#ifndef TAT_PLAN_RESERVE_H
#define TAT_PLAN_RESERVE_H

#include <stdint.h>

/* Beside what is known. The kernel hands memory to a cgroup in batches of 64 pages a processor, needs page tables for
 * what is mapped, and has to have some page cache to work with: reads of the model's header, of logs, of what is not
 * managed. */
static inline uint64_t plan_reserve(uint64_t limit) {
    enum { LEAST = 6 << 20, SHARE = 64 };
    return LEAST + limit / SHARE;
}

/* Buffers for computing are reserved for a whole batch with the logits of each of its tokens, and filled as far as
 * batches go: of SmolLM2's 100 MiB and more, a prompt of some words fills five. To keep all of that free would cost
 * more than the pieces may have. So no more than this is. */
static inline uint64_t plan_growth_most(uint64_t limit) {
    enum { SHARE = 16 };
    return limit / SHARE;
}

#endif
