/* SPDX-License-Identifier: MIT
 *
 * ggml_barrier, in libtat_agent_exact.so only. Thread 0 takes its time stamp when all threads have finished a node, not
 * when it has finished its own share, and notes how long it waited for them. Every thread passes here several times per
 * node, so this library is preloaded only when exact times are asked for.
 */
#include <stdint.h>

#include "agent/call_cache.h"
#include "agent/evaluation.h"
#include "agent/hook.h"
#include "agent/symbols.h"

struct ggml_threadpool;

TAT_EXPORT void ggml_barrier(struct ggml_threadpool * pool);

enum { SITES = 1024 }; /* ggml calls it from some fifty places */

static struct call_entry sites[SITES];

/* Called in the middle of a graph: its library has not been unloaded since the graph began. */
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
