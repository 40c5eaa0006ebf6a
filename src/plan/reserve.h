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
 * batches go: of SmolLM2's 100 MiB and more, a prompt of some words fills five. The manager makes room for what a graph
 * fills before it is computed. A plan, which does not know the prompts to come, takes this share of them. */
static inline uint64_t plan_growth(uint64_t compute_bytes) {
    enum { SHARE = 16 };
    return compute_bytes / SHARE;
}

#endif
