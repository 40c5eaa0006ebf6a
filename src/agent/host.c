/* SPDX-License-Identifier: MIT */
#include "agent/host.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "agent/cold_lock.h"
#include "agent/plan_probe.h"
#include "agent/symbols.h"

enum { HOSTS_MAX = 8, CALLERS_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards hosts[] and the appending to callers[] */
static struct host hosts[HOSTS_MAX];
static unsigned n_hosts;

/* Append-only: an entry is complete before the count that covers it is stored (release), read with acquire. */
static struct {
    const void * caller;
    struct host * host;
} callers[CALLERS_MAX];
static unsigned n_callers;

/* Fills one function table from the library of ggml's graph_compute, or one that it needs; names what is missing. */
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

/* Whatever of its structs is not proven, nothing of it is touched. */
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

/* With the lock held. */
static struct host * add_host(int (*compute)(struct ggml_cgraph *, struct ggml_cplan *)) {
    struct host * host = &hosts[n_hosts];
    memset(host, 0, sizeof *host);
    host->ggml.graph_compute = compute;
    host->path = symbol_file((const void *) compute);
    probe(host);
    host->hash = node_hash_for(&host->layout);
    host->rule_known = host->plan.rule_known;
    host->rule = host->plan.rule;
    n_hosts++;
    return host;
}

static struct host * find_host(const void * caller, const void * ours) {
    void * symbol = symbol_graph_compute(caller, ours);
    int (*compute)(struct ggml_cgraph *, struct ggml_cplan *);
    memcpy(&compute, &symbol, sizeof compute);
    if (!compute) { return NULL; }
    for (unsigned i = 0; i < n_hosts; i++) {
        if (hosts[i].ggml.graph_compute == compute) { return &hosts[i]; }
    }
    return n_hosts < HOSTS_MAX ? add_host(compute) : NULL;
}

struct host * host_of(const void * caller, const void * ours) {
    const unsigned count = __atomic_load_n(&n_callers, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (callers[i].caller == caller) { return callers[i].host; }
    }
    const int cancelling = cold_lock(&lock);
    struct host * host = find_host(caller, ours);
    if (host && n_callers < CALLERS_MAX) {
        callers[n_callers].caller = caller;
        callers[n_callers].host = host;
        __atomic_store_n(&n_callers, n_callers + 1, __ATOMIC_RELEASE);
    }
    cold_unlock(&lock, cancelling);
    return host;
}

/* The child has one thread, and the lock may have been held by another. What is known of the hosts stays true; their
 * troubles have to be told in the child's own trace. */
void host_after_fork(void) {
    for (unsigned i = 0; i < n_hosts; i++) { hosts[i].told = false; }
    pthread_mutex_init(&lock, NULL);
}
