/* SPDX-License-Identifier: MIT
 *
 * ggml_barrier, of libtat_agent_exact.so only: thread 0 takes its time stamps when all threads have finished a node,
 * not when it has finished its own share, and notes how long it waited for them. Every thread passes here some times a
 * node, so this library is preloaded only when exact times are asked for.
 */
#include <stdint.h>

#include "agent/evaluation.h"
#include "agent/hook.h"
#include "agent/symbols.h"
#include "agent/table.h"

struct ggml_threadpool;

TAT_EXPORT void ggml_barrier(struct ggml_threadpool * pool);

enum { SITES = 1024 }; /* a ggml has some fifty places that call it */

/* Where each place's call would have gone. A slot is claimed by compare-and-swap of `caller`, then `real` is stored
 * with release; a reader that meets the one without the other asks the linker itself. */
static struct {
    const void * caller;
    void * real;
} sites[SITES];

static void * look_up(const void * caller, unsigned slot) {
    const void * nobody = NULL;
    void * real = symbol_behind(caller, "ggml_barrier", (const void *) ggml_barrier);
    if (__atomic_compare_exchange_n(&sites[slot].caller, &nobody, caller, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_store_n(&sites[slot].real, real, __ATOMIC_RELEASE);
    }
    return real;
}

static void * real_of(const void * caller) {
    const unsigned first = (unsigned) (table_hash((uintptr_t) caller) % SITES);
    for (unsigned i = 0; i < SITES; i++) {
        const unsigned slot = (first + i) % SITES;
        const void * at = __atomic_load_n(&sites[slot].caller, __ATOMIC_RELAXED);
        if (at == caller) {
            void * real = __atomic_load_n(&sites[slot].real, __ATOMIC_ACQUIRE);
            return real ? real : look_up(caller, slot);
        }
        if (!at) { return look_up(caller, slot); }
    }
    return look_up(caller, first);
}

void ggml_barrier(struct ggml_threadpool * pool) {
    void * symbol = real_of(__builtin_return_address(0));
    void (*real)(struct ggml_threadpool *);
    __builtin_memcpy(&real, &symbol, sizeof real);
    struct evaluation * e = evaluation_at_barrier();
    if (real) { real(pool); }
    if (e) { evaluation_passed_barrier(e); }
}

__attribute__((constructor)) static void start(void) {
    evaluation_wait_for_barriers();
}
