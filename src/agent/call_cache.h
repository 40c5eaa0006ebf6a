/* SPDX-License-Identifier: MIT
 *
 * What a call reaches, by the address it comes from and the hook it arrives at. Once a library is unloaded, another one
 * may be at these addresses, so entries made before no longer count. Lock-free, any thread.
 *
 * The generation of an entry (symbols_generation) only grows; it is CALL_BUSY while the entry is being written. Whoever
 * reads the same generation before and after the rest has read one consistent entry.
 */
#ifndef TAT_AGENT_CALL_CACHE_H
#define TAT_AGENT_CALL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/table.h"

#define CALL_BUSY UINT64_MAX

struct call_entry {
    uint64_t generation; /* 0: never used */
    const void * caller;
    const void * ours;
    void * reached;
};

enum { CALL_STEPS = 16 };

static inline unsigned call_slot(const void * caller, const void * ours) {
    return (unsigned) table_hash((uintptr_t) caller ^ (uintptr_t) ours << 1);
}

/* `count`: the number of entries, a power of two. */
static inline bool call_find(const struct call_entry * entries, unsigned count, const void * caller, const void * ours,
                             uint64_t generation, void ** reached) {
    const unsigned first = call_slot(caller, ours);
    for (unsigned i = 0; i < CALL_STEPS; i++) {
        const struct call_entry * e = &entries[(first + i) & (count - 1)];
        const uint64_t before = __atomic_load_n(&e->generation, __ATOMIC_ACQUIRE);
        if (before != generation && before != CALL_BUSY) { return false; }
        const void * from = __atomic_load_n(&e->caller, __ATOMIC_ACQUIRE);
        const void * to = __atomic_load_n(&e->ours, __ATOMIC_ACQUIRE);
        void * found = __atomic_load_n(&e->reached, __ATOMIC_ACQUIRE);
        if (from != caller || to != ours || before == CALL_BUSY) { continue; }
        if (__atomic_load_n(&e->generation, __ATOMIC_RELAXED) != generation) { return false; }
        *reached = found;
        return true;
    }
    return false;
}

/* If there is no room, the call is looked up again next time. */
static inline void call_keep(struct call_entry * entries, unsigned count, const void * caller, const void * ours,
                             uint64_t generation, void * reached) {
    const unsigned first = call_slot(caller, ours);
    for (unsigned i = 0; i < CALL_STEPS; i++) {
        struct call_entry * e = &entries[(first + i) & (count - 1)];
        uint64_t before = __atomic_load_n(&e->generation, __ATOMIC_RELAXED);
        if (before >= generation || !__atomic_compare_exchange_n(&e->generation, &before, CALL_BUSY, false,
                                                                 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            continue;
        }
        __atomic_store_n(&e->caller, caller, __ATOMIC_RELEASE);
        __atomic_store_n(&e->ours, ours, __ATOMIC_RELEASE);
        __atomic_store_n(&e->reached, reached, __ATOMIC_RELEASE);
        __atomic_store_n(&e->generation, generation, __ATOMIC_RELEASE);
        return;
    }
}

#endif
