/* SPDX-License-Identifier: MIT
 *
 * What plain mmap does with the same memory, as Linux's page cache keeps and reads ahead (kernel_cache.h). The run
 * itself counts where it had as much memory.
 */
#include <stdlib.h>

#include "analysis/machine.h"
#include "analysis/managed_run.h"
#include "analysis/planning/kernel_cache.h"
#include "analysis/planning/planning.h"
#include "analysis/run_metadata.h"
#include "analysis/token_times.h"

enum {
    BLOCK = 64 << 10,
    READS_MOST = 1 << 20,
    ALIKE = 50 /* limits that differ by a 50th are the same */
};

bool plan_plain_begin(const struct planning * p, struct plan_plain * plain) {
    const struct string_request request = { BLOCK, READS_MOST, false, 0 };
    *plain = (struct plan_plain){ 0 };
    if (!cache_string_make(&plain->string, &p->references, &request)) { return false; }
    plain->by_graph = calloc((size_t) plain->string.graphs.count + 1, sizeof *plain->by_graph);
    return plain->by_graph != NULL;
}

void plan_plain_end(struct plan_plain * plain) {
    free(plain->by_graph);
    cache_string_free(&plain->string);
}

/* Of generated graphs but the first, which reads what the prompt did not need. */
static bool find_times(const struct planning * p, const struct plan_plain * plain, struct plan_outcome * o) {
    const struct cache_string * s = &plain->string;
    uint64_t * ns = calloc((size_t) s->graphs.count + 1, sizeof *ns);
    uint64_t tokens = 0, bytes = 0;
    uint32_t counted = 0, generated = 0;
    double sum = 0;
    for (uint32_t g = 0; g < s->graphs.count && ns; g++) {
        if (!graph_at(s, g)->generated || generated++ == 0) { continue; }
        const uint32_t number = generated - 1;
        if (number >= p->n_graphs) { break; }
        const double read = p->plain_rate > 0 ? 1e9 * (double) plain->by_graph[g] / p->plain_rate : 0;
        bytes += plain->by_graph[g];
        tokens += p->tokens[number];
        sum += read;
        ns[counted++] = (uint64_t) (p->compute_ns[number] + read);
    }
    if (tokens) {
        const struct predict_costs costs = { .fault_rate = p->plain_rate, .compute_ns = p->costs.compute_ns };
        o->reads.faulted = ratio(bytes, tokens);
        o->bound = predict(&o->reads, &costs);
        o->bound.overlapped_ns = o->bound.disk_ns > o->bound.compute_ns ? o->bound.disk_ns : o->bound.compute_ns;
    }
    if (tokens && o->bound.known) {
        qsort(ns, counted, sizeof *ns, by_value);
        o->lost.waited = sum / (double) tokens;
        o->token_ns = p->token_compute_ns + o->lost.waited;
        o->p50_ns = (double) percentile(ns, counted, 50);
        o->p99_ns = (double) percentile(ns, counted, 99);
    }
    const bool good = ns != NULL;
    free(ns);
    return good;
}

bool plan_plain_evaluate(const struct planning * p, struct plan_plain * plain, uint64_t capacity,
                         struct plan_outcome * outcome) {
    *outcome = (struct plan_outcome){ .hit_share = -1 };
    return kernel_cache_run(&plain->string, capacity, p->read_ahead, plain->by_graph) && find_times(p, plain, outcome);
}

/* What a generated token read. What manages memory counts that; the kernel counts for all of the run, of which a
 * graph's share is then a token's, or several tokens'. 0: not known. */
static double read_a_token(const struct planning * p, const struct phase_total * generate) {
    const struct subject * s = p->subject;
    const struct machine machine = machine_of(s);
    struct managed_run run;
    double bytes = 0;
    if (p->was_managed && managed_run_read(s->trace, &run)) {
        bytes = ratio(run.token_read, run.tokens);
        managed_run_free(&run);
    } else if (machine.process) {
        bytes =
            ratio(machine.disk_bytes, inference_total(s).evaluations) * ratio(generate->evaluations, generate->tokens);
    }
    return bytes;
}

bool plan_plain_measured(const struct planning * p, struct plan_outcome * o) {
    const struct subject * s = p->subject;
    const struct phase_total generate = s->phase[TAT_PHASE_GENERATE];
    bool is_limited;
    json_t * metadata = run_metadata(s->trace);
    const uint64_t had = run_memory(metadata, &is_limited), asked = p->request->memory_bytes;
    json_decref(metadata);
    *o = (struct plan_outcome){ .hit_share = -1 };
    const uint64_t apart = had > asked ? had - asked : asked - had;
    if (!is_limited || !generate.tokens || apart > asked / ALIKE) { return false; }
    size_t n;
    uint64_t * ns = evaluation_times(s, TAT_PHASE_GENERATE, &n);
    o->token_ns = ratio(generate.ns, generate.tokens);
    if (ns && n) {
        o->p50_ns = (double) percentile(ns, n, 50);
        o->p99_ns = (double) percentile(ns, n, 99);
    }
    o->reads.faulted = o->bound.read_bytes = read_a_token(p, &generate);
    free(ns);
    return true;
}
