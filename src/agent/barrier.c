/* SPDX-License-Identifier: MIT
 *
 * ggml_barrier, of libtat_agent_exact.so only: thread 0 takes its time stamps when all threads have finished a node,
 * not when it has finished its own share, and notes how long it waited for them. Every thread passes here some times a
 * node, so this library is preloaded only when exact times are asked for.
 */
#include <stdint.h>

#include "agent/call_cache.h"
#include "agent/evaluation.h"
#include "agent/hook.h"
#include "agent/symbols.h"

struct ggml_threadpool;

TAT_EXPORT void ggml_barrier(struct ggml_threadpool * pool);

enum { SITES = 1024 }; /* a ggml has some fifty places that call it */

static struct call_entry sites[SITES];

/* In the middle of a graph, whose library was not unloaded since the graph began. */
static void * real_of(const void * caller) {
    const void * ours = (const void *) ggml_barrier;
    const uint64_t generation = symbols_generation_seen();
    void * real;
    if (call_find(sites, SITES, caller, ours, generation, &real)) { return real; }
    real = symbol_behind(caller, "ggml_barrier", ours);
    call_keep(sites, SITES, caller, ours, generation, real);
    return real;
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
