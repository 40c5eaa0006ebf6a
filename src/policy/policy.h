/* SPDX-License-Identifier: MIT
 *
 * Cache policies over items of known sizes: what stays in memory when not all fits. Analyses simulate them, and what
 * keeps a model in memory can run them: the policy decides, whoever asks moves the bytes.
 *
 * Rules that all share: an item larger than the capacity is never held; nothing is evicted while there is room; items
 * are evicted one by one until the newcomer fits. Where a policy ranks items, the least recently accessed of equals
 * goes first. What else a policy does with sizes that differ is stated at the top of its file.
 */
#ifndef TAT_POLICY_POLICY_H
#define TAT_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items are numbered from 0. The arrays must outlive the policy. */
struct policy_items {
    const uint64_t * bytes; /* 1 at least */
    const uint64_t * value; /* how often each will be accessed, for policies with hindsight. NULL: none has a value */
    uint32_t count;
};

/* What a policy decides by. Figures of policies with different knowledge must not be compared without saying so. */
enum policy_knowledge {
    POLICY_ONLINE,    /* the accesses so far */
    POLICY_HINDSIGHT, /* also those to come */
};

struct policy;

struct policy_kind {
    const char * name;  /* "lru" */
    const char * title; /* "least recently used" */
    enum policy_knowledge knowledge;
    struct policy * (*create)(uint64_t capacity, const struct policy_items * items); /* NULL: memory */
    bool (*access)(struct policy * policy, uint32_t item);                           /* true: it was held */
    bool (*evict)(struct policy * policy); /* what is worth least; false: nothing is held. NULL: it cannot be resized */
    void (*destroy)(struct policy * policy);
};

extern const struct policy_kind policy_lru;
extern const struct policy_kind policy_fifo;
extern const struct policy_kind policy_frequency;
extern const struct policy_kind policy_s3fifo;
extern const struct policy_kind policy_pin;
extern const struct policy_kind policy_mru;
extern const struct policy_kind policy_clock;
extern const struct policy_kind policy_sieve;
extern const struct policy_kind policy_lfu;
extern const struct policy_kind policy_lfuda;
extern const struct policy_kind policy_lru2;
extern const struct policy_kind policy_2q;
extern const struct policy_kind policy_arc;
extern const struct policy_kind policy_lirs;
extern const struct policy_kind policy_wtinylfu;
extern const struct policy_kind policy_cycle;

extern const struct policy_kind * const policy_kinds[]; /* all; ends with NULL */

/* A policy with nothing in it, which belongs to one thread at a time. `capacity` is in bytes,
 * of which 2^59 count at most. `items` is copied, its
 * arrays are not. NULL: memory. */
struct policy * policy_new(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items);
void policy_free(struct policy * policy); /* NULL is allowed */

/* Tells of an access to `item`, which must be below the count. Returns how many bytes of it were held before: all of
 * them is a hit, 0 a miss; a policy that keeps parts of items returns less than all. What was not held is held from now
 * on, or the policy passes it by. */
uint64_t policy_access(struct policy * policy, uint32_t item);

/* From now on it holds so many bytes at most, which may be more than before. What it evicts for that is told as after
 * an access. False: this kind cannot. */
bool policy_resize(struct policy * policy, uint64_t capacity);

uint64_t policy_bytes_held(const struct policy * policy, uint32_t item);
uint64_t policy_used(const struct policy * policy); /* bytes of all items */

/* Items that the last access, or resizing, evicted, as a whole; they live until the next one. */
const uint32_t * policy_evicted(const struct policy * policy, uint32_t * count);

#endif
