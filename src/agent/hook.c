/* SPDX-License-Identifier: MIT
 *
 * ggml_graph_compute. Calls reach this one because they go through the procedure linkage table and it is found first,
 * or because the linker diverts them.
 */
#include "agent/hook.h"

#include <errno.h>
#include <pthread.h>

#include "agent/host.h"
#include "agent/observer.h"

TAT_EXPORT int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan);

/* What pthread_cleanup_push is made of. Programs of another C library lack it, and must start nevertheless. */
#pragma weak __pthread_register_cancel
#pragma weak __pthread_unregister_cancel
#pragma weak __pthread_unwind_next

enum { STATUS_FAILED = -1 };

/* Its thread was cancelled, or ended, in the middle of the graph. */
static void left(void * argument) {
    struct graph_call * call = argument;
    call->aborted = true;
    graph_call_end(call, STATUS_FAILED);
    host_leave(call->host);
}

static int compute(struct graph_call * call) {
    int status;
    if (!__pthread_register_cancel) { return call->host->ggml.graph_compute(call->graph, call->plan); }
    pthread_cleanup_push(left, call);
    status = call->host->ggml.graph_compute(call->graph, call->plan);
    pthread_cleanup_pop(0);
    return status;
}

int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    const void * ours = (const void *) HOOK(ggml_graph_compute);
    int error = errno; /* the program may look at it after any call */
    struct host * host = observers_any() ? host_enter(__builtin_return_address(0), ours) : NULL;
    if (!host) { /* nobody watches, there are too many ggmls, or no real function was found */
        HOOK_REAL(ggml_graph_compute, STATUS_FAILED)
        errno = error;
        return real(graph, plan);
    }
    struct graph_call call;
    graph_call_begin(&call, host, graph, plan);
    errno = error;
    const int status = compute(&call);
    error = errno;
    graph_call_end(&call, status);
    host_leave(host);
    errno = error;
    return status;
}
