/* SPDX-License-Identifier: MIT
 *
 * Cache policies over items of known sizes: what stays in memory when not all fits. Analyses simulate them, and what
 * keeps a model in memory can run them: the policy decides, whoever asks moves the bytes.
 *
 * A policy belongs to one thread. An item larger than the capacity is never held.
 */
#ifndef TAT_POLICY_POLICY_H
#define TAT_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items are numbered from 0. The arrays must outlive the policy. */
struct policy_items {
    const uint64_t * bytes;
    const uint64_t * value; /* how often each will be accessed, for policies that know: pin. NULL elsewhere */
    uint32_t count;
};

struct policy;

struct policy_kind {
    const char * name;                                                               /* "lru" */
    const char * title;                                                              /* "least recently used" */
    struct policy * (*create)(uint64_t capacity, const struct policy_items * items); /* NULL: memory */
    bool (*access)(struct policy * policy, uint32_t item);
    void (*destroy)(struct policy * policy);
};

extern const struct policy_kind policy_lru;
extern const struct policy_kind policy_fifo;
extern const struct policy_kind policy_lfu;
extern const struct policy_kind policy_s3fifo;
extern const struct policy_kind policy_pin;

extern const struct policy_kind * const policy_kinds[]; /* all; ends with NULL */

/* A policy with nothing in it; NULL: memory. `capacity` is in bytes. */
struct policy * policy_new(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items);
void policy_free(struct policy * policy); /* NULL is allowed */

/* Tells of an access. True: the item was held. If not, it is held from now on, or the policy passes it by. */
bool policy_access(struct policy * policy, uint32_t item);

bool policy_holds(const struct policy * policy, uint32_t item);
uint64_t policy_used(const struct policy * policy); /* bytes */

/* Items that the last access drove out; they live until the next one. */
const uint32_t * policy_evicted(const struct policy * policy, uint32_t * count);

#endif
