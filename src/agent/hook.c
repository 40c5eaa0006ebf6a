/* SPDX-License-Identifier: MIT
 *
 * ggml_graph_compute: called through the host's procedure linkage table and so found here first, or diverted by the
 * linker.
 */
#include "agent/hook.h"

#include <errno.h>

#include "agent/host.h"
#include "agent/observer.h"

TAT_EXPORT int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan);

int HOOK(ggml_graph_compute)(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    enum { STATUS_FAILED = -1 };
    int error = errno; /* the program's, which it may look at after any call */
    struct host * host = host_of(__builtin_return_address(0), (const void *) HOOK(ggml_graph_compute));
    if (!host) { /* one ggml too many in this process, or none behind the call: it could not have been linked */
        HOOK_REAL(ggml_graph_compute, STATUS_FAILED)
        return real(graph, plan);
    }
    struct graph_call call;
    graph_call_begin(&call, host, graph, plan);
    errno = error;
    const int status = host->ggml.graph_compute(graph, plan);
    error = errno;
    graph_call_end(&call, status);
    errno = error;
    return status;
}
