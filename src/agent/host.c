/* SPDX-License-Identifier: MIT */
#include "agent/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/call_cache.h"
#include "agent/cold_lock.h"
#include "agent/plan_probe.h"
#include "agent/symbols.h"

enum { HOSTS_MAX = 16, CALLERS = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards hosts[] */
static struct host hosts[HOSTS_MAX];
static unsigned n_hosts;
static uint32_t last_number;

static struct call_entry callers[CALLERS];

/* Fills the function table from the library of ggml's graph_compute, or one that it needs. Returns the name of a
 * missing function, or NULL. */
static const char * resolve(struct ggml_functions * ggml, const void * compute) {
#define ENTRY(name, field, optional) { #name, &ggml->field, optional },
    const struct {
        const char * name;
        void * slot;
        bool optional;
    } wanted[] = { GGML_FUNCTIONS(ENTRY) };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void * function = symbol_find(compute, wanted[i].name);
        if (!function && !wanted[i].optional) { return wanted[i].name; }
        memcpy(wanted[i].slot, &function, sizeof function);
    }
    return NULL;
}

/* Sets `trouble` if any of its structs is not proven; then nothing of this ggml is touched. */
static void probe(struct host * host) {
    const char * missing = resolve(&host->ggml, (const void *) host->ggml.graph_compute);
    if (missing) {
        snprintf(host->trouble, sizeof host->trouble, "this ggml has no function %s", missing);
    } else if ((missing = ggml_layout_probe(&host->ggml, &host->layout))) {
        snprintf(host->trouble, sizeof host->trouble, "ggml's structs could not be found: %s", missing);
    } else if ((missing = plan_probe(&host->ggml, &host->layout, &host->plan))) {
        snprintf(host->trouble, sizeof host->trouble, "a fork of ggml whose struct ggml_cplan is another: %s", missing);
    }
}

typedef int compute_function(struct ggml_cgraph *, struct ggml_cplan *);

/* Fills in all that can be found out about the host now. */
static void find_out(struct host * host, compute_function * compute) {
    memset(host, 0, sizeof *host);
    host->ggml.graph_compute = compute;
    host->path = symbol_file((const void *) compute);
    probe(host);
    host->hash = node_hash_for(&host->layout);
    host->rule_known = host->plan.rule_known;
    host->rule = host->plan.rule;
}

static bool same(const struct host * a, const struct host * b) {
    return memcmp(&a->ggml, &b->ggml, sizeof a->ggml) == 0 && memcmp(&a->layout, &b->layout, sizeof a->layout) == 0 &&
           a->plan.abort == b->plan.abort && a->plan.rule == b->plan.rule && a->plan.rule_known == b->plan.rule_known &&
           strcmp(a->trouble, b->trouble) == 0 && a->path && b->path && strcmp(a->path, b->path) == 0;
}

/* ---- with the lock held ---- */

/* A place in the table: a new one, or that of a host whose graphs have all ended and which nobody has asked for
 * since a library was unloaded. A call that has just found the old host there sees `gone` or a later `since`, and
 * looks again. */
static struct host * place(uint64_t generation) {
    if (n_hosts < HOSTS_MAX) { return &hosts[n_hosts++]; }
    for (unsigned i = 0; i < n_hosts; i++) {
        if (hosts[i].checked == generation) { continue; }
        __atomic_store_n(&hosts[i].gone, true, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&hosts[i].calls, __ATOMIC_SEQ_CST) == 0) { return &hosts[i]; }
    }
    return NULL;
}

static struct host * add_host(const struct host * found, uint64_t generation) {
    struct host * host = place(generation);
    if (!host) { return NULL; }
    free(host->path);
    host->ggml = found->ggml;
    host->layout = found->layout;
    host->plan = found->plan;
    host->hash = found->hash;
    memcpy(host->trouble, found->trouble, sizeof host->trouble);
    host->told = false;
    host->path = found->path;
    host->number = ++last_number;
    host->rule = found->rule;
    host->rule_known = found->rule_known;
    host->checked = generation;
    __atomic_store_n(&host->since, generation, __ATOMIC_RELAXED);
    __atomic_store_n(&host->gone, false, __ATOMIC_SEQ_CST);
    return host;
}

/* A host from before a library was unloaded counts as the same if everything found about it is still the same. */
static struct host * find_host(const void * caller, const void * ours, uint64_t generation) {
    void * symbol = symbol_graph_compute(caller, ours);
    compute_function * compute;
    memcpy(&compute, &symbol, sizeof compute);
    if (!compute) { return NULL; }
    for (unsigned i = 0; i < n_hosts; i++) {
        if (hosts[i].ggml.graph_compute == compute && hosts[i].checked == generation) { return &hosts[i]; }
    }
    struct host found;
    find_out(&found, compute);
    for (unsigned i = 0; i < n_hosts; i++) {
        if (hosts[i].gone || !same(&hosts[i], &found)) { continue; }
        free(found.path);
        hosts[i].checked = generation;
        return &hosts[i];
    }
    struct host * host = add_host(&found, generation);
    if (!host) { free(found.path); }
    return host;
}

/* ---- any thread ---- */

/* False: the place holds another host by now. */
static bool enter(struct host * host, uint64_t generation) {
    __atomic_fetch_add(&host->calls, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&host->gone, __ATOMIC_SEQ_CST) &&
        __atomic_load_n(&host->since, __ATOMIC_RELAXED) <= generation) {
        return true;
    }
    host_leave(host);
    return false;
}

void host_leave(struct host * host) {
    __atomic_fetch_sub(&host->calls, 1, __ATOMIC_SEQ_CST);
}

struct host * host_enter(const void * caller, const void * ours) {
    const uint64_t generation = symbols_generation();
    void * reached;
    if (call_find(callers, CALLERS, caller, ours, generation, &reached) && enter(reached, generation)) {
        return reached;
    }
    const int cancelling = cold_lock(&lock);
    struct host * host = find_host(caller, ours, generation);
    if (host) {
        __atomic_fetch_add(&host->calls, 1, __ATOMIC_SEQ_CST);
        call_keep(callers, CALLERS, caller, ours, generation, host);
    }
    cold_unlock(&lock, cancelling);
    return host;
}

/* The child has one thread, and another may have held the lock. What is known of the hosts stays true, but their
 * troubles must be told again, in the child's own trace. */
void host_after_fork(void) {
    for (unsigned i = 0; i < n_hosts; i++) { hosts[i].told = false; }
    pthread_mutex_init(&lock, NULL);
}
