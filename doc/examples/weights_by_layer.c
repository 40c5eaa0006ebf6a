/* SPDX-License-Identifier: MIT
 *
 * weights_by_layer TRACE: how many bytes of weights a generated token reads, layer by layer. An example of reading a
 * trace from C:
 *
 *     cc weights_by_layer.c $(pkg-config --cflags --libs tat) -o weights_by_layer
 */
#include <inttypes.h>
#include <stdio.h>
#include <tat/trace.h>

enum { LAYERS = 1024 };

struct sums {
    const struct tat_tensor * tensors;
    uint64_t bytes[LAYERS], elsewhere; /* elsewhere: embedding, final norm, output */
};

/* Called with some records at a time, in the order of execution. */
static bool add(const struct tat_access * records, size_t count, void * user) {
    struct sums * sums = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        if (sums->tensors[a->tensor].kind != TAT_TENSOR_WEIGHT || (a->flags & TAT_ACCESS_WRITE)) { continue; }
        *(a->layer < LAYERS ? &sums->bytes[a->layer] : &sums->elsewhere) += a->bytes;
    }
    return true; /* go on */
}

int main(int argc, char ** argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: weights_by_layer TRACE\n");
        return 2;
    }
    struct tat_error error;
    struct tat_trace * trace = tat_trace_open(argv[1], &error);
    if (!trace) {
        fprintf(stderr, "%s\n", error.message);
        return 3;
    }
    uint32_t n_tensors, n_evaluations;
    struct sums sums = { .tensors = tat_trace_tensors(trace, &n_tensors) };
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n_evaluations);
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < n_evaluations; i++) {
        if (e[i].phase != TAT_PHASE_GENERATE) { continue; }
        tokens += e[i].n_tokens;
        if (tat_trace_expand(trace, i, i + 1, add, &sums, &error) != 0) {
            fprintf(stderr, "%s\n", error.message);
            tat_trace_close(trace);
            return 4;
        }
    }
    tat_trace_close(trace);
    printf("layer\tbytes per token of %" PRIu64 " generated\n", tokens);
    for (int layer = 0; layer < LAYERS && tokens; layer++) {
        if (sums.bytes[layer]) { printf("%d\t%" PRIu64 "\n", layer, sums.bytes[layer] / tokens); }
    }
    printf("none\t%" PRIu64 "\n", tokens ? sums.elsewhere / tokens : 0);
    return 0;
}
