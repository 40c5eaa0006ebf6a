/* SPDX-License-Identifier: MIT */
#include "agent/host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "agent/hook.h"

enum { HOSTS_MAX = 8, CALLERS_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards hosts[] and the appending to callers[] */
static struct host     hosts[HOSTS_MAX];
static unsigned        n_hosts;

/* Append-only: an entry is complete before the count that covers it is stored (release), read with acquire. */
static struct {
    const void *  caller;
    struct host * host;
} callers[CALLERS_MAX];
static unsigned n_callers;

/* Append-only in the same way, under the same lock. */
static struct {
    const void * caller;
    const void * ours;
    void *       real;
} reals[CALLERS_MAX];
static unsigned n_reals;

/* The library that contains an address, as dlsym takes it; NULL for the main program. */
static void * library_of(const void * address, const char ** path) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) { return NULL; }
    *path = info.dli_fname;
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

static void * symbol_for(const void * caller, const char * name, const void * ours) {
    const char * path    = NULL;
    void *       library = library_of(caller, &path);
    void *       found   = library ? dlsym(library, name) : NULL;
    if (library) { dlclose(library); } /* the reference that RTLD_NOLOAD took; the library stays loaded */
    if (!found || found == ours) { found = dlsym(RTLD_NEXT, name); }
    return found == ours ? NULL : found;
}

void * host_real(const void * caller, const char * name, const void * ours) {
    const unsigned count = __atomic_load_n(&n_reals, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (reals[i].caller == caller && reals[i].ours == ours) { return reals[i].real; }
    }
    void * real = symbol_for(caller, name, ours);
    pthread_mutex_lock(&lock);
    if (n_reals < CALLERS_MAX) {
        reals[n_reals].caller = caller;
        reals[n_reals].ours   = ours;
        reals[n_reals].real   = real;
        __atomic_store_n(&n_reals, n_reals + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return real;
}

/* Fills one function table from a library; names what is missing. */
static const char * resolve(struct ggml_functions * ggml, const void * caller) {
    const struct {
        const char * name;
        void *       slot;
        bool         optional;
    } wanted[] = {
        { "ggml_graph_n_nodes", &ggml->graph_n_nodes, false },
        { "ggml_graph_nodes", &ggml->graph_nodes, false },
        { "ggml_op_desc", &ggml->op_desc, false },
        { "ggml_type_name", &ggml->type_name, false },
        { "ggml_blck_size", &ggml->blck_size, false },
        { "ggml_type_size", &ggml->type_size, false },
        { "ggml_init", &ggml->init, false },
        { "ggml_free", &ggml->free, false },
        { "ggml_tensor_overhead", &ggml->tensor_overhead, false },
        { "ggml_new_tensor_4d", &ggml->new_tensor_4d, false },
        { "ggml_view_1d", &ggml->view_1d, false },
        { "ggml_add", &ggml->add, false },
        { "ggml_mul", &ggml->mul, false },
        { "ggml_scale", &ggml->scale, false },
        { "ggml_get_data", &ggml->get_data, false },
        { "ggml_get_name", &ggml->get_name, false },
        { "ggml_set_input", &ggml->set_input, false },
        { "ggml_set_output", &ggml->set_output, false },
        { "ggml_backend_cpu_buffer_from_ptr", &ggml->buffer_from_ptr, false },
        { "ggml_backend_tensor_alloc", &ggml->tensor_alloc, false },
        { "ggml_backend_buffer_free", &ggml->buffer_free, false },
        { "ggml_backend_buffer_name", &ggml->buffer_name, false },
        { "ggml_backend_buffer_get_usage", &ggml->buffer_usage, false },
        { "ggml_version", &ggml->version, true },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void * function = symbol_for(caller, wanted[i].name, NULL);
        if (!function && !wanted[i].optional) { return wanted[i].name; }
        memcpy(wanted[i].slot, &function, sizeof function);
    }
    return NULL;
}

/* With the lock held. */
static struct host * add_host(const void * caller, int (*compute)(struct ggml_cgraph *, struct ggml_cplan *)) {
    struct host * host = &hosts[n_hosts];
    memset(host, 0, sizeof *host);
    host->ggml.graph_compute = compute;
    Dl_info info;
    host->path    = dladdr((const void *) compute, &info) && info.dli_fname ? strdup(info.dli_fname) : NULL;
    host->trouble = resolve(&host->ggml, caller);
    if (!host->trouble) { host->trouble = ggml_layout_probe(&host->ggml, &host->layout); }
    n_hosts++;
    return host;
}

static struct host * find_host(const void * caller) {
    void * symbol = symbol_for(caller, "ggml_graph_compute", (const void *) ggml_graph_compute);
    int (*compute)(struct ggml_cgraph *, struct ggml_cplan *);
    memcpy(&compute, &symbol, sizeof compute);
    if (!compute) { return NULL; }
    for (unsigned i = 0; i < n_hosts; i++) {
        if (hosts[i].ggml.graph_compute == compute) { return &hosts[i]; }
    }
    return n_hosts < HOSTS_MAX ? add_host(caller, compute) : NULL;
}

struct host * host_of(const void * caller) {
    const unsigned count = __atomic_load_n(&n_callers, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (callers[i].caller == caller) { return callers[i].host; }
    }
    pthread_mutex_lock(&lock);
    struct host * host = find_host(caller);
    if (host && n_callers < CALLERS_MAX) {
        callers[n_callers].caller = caller;
        callers[n_callers].host   = host;
        __atomic_store_n(&n_callers, n_callers + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return host;
}

/* The child has one thread, and the lock may have been held by another. What is known of the hosts stays true. */
void host_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
}
