/* SPDX-License-Identifier: MIT
 *
 * ggml_graph_compute. Calls reach this one because they go through the procedure linkage table and it is found first,
 * or because the linker diverts them.
 */
#include "agent/hook.h"

#include <errno.h>

#include "agent/host.h"
#include "agent/observer.h"

TAT_EXPORT int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan);

int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    enum { STATUS_FAILED = -1 };
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
    const int status = host->ggml.graph_compute(graph, plan);
    error = errno;
    graph_call_end(&call, status);
    host_leave(host);
    errno = error;
    return status;
}
