/* SPDX-License-Identifier: MIT
 *
 *     evaluations TRACE
 *
 * One line an evaluation: phase, tokens, outputs, layers that route rows to experts, selections in all but the last of
 * them, selections in the last.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tat/trace.h"

static void print_evaluation(const struct tat_trace * trace, uint32_t number) {
    uint32_t count;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &count)[number];
    const struct tat_template * t = &tat_trace_templates(trace, &count)[e->template_id];
    uint32_t layers = 0;
    size_t all = 0, last = 0;
    for (uint32_t c = 0; c < t->n_captures; c++) {
        if (t->captures[c].kind != TAT_CAPTURE_EXPERTS) { continue; }
        last = tat_trace_capture(trace, number, c, NULL, 0);
        all += last;
        layers++;
    }
    printf("%s %" PRIu32 " tokens, %" PRIu32 " outputs; %" PRIu32 " layers, %zu + %zu selections\n",
           tat_phase_name(e->phase), e->n_tokens, e->n_outputs, layers, all - last, last);
}

int main(int argc, char ** argv) {
    struct tat_error error;
    struct tat_trace * trace = argc == 2 ? tat_trace_open(argv[1], &error) : NULL;
    if (argc != 2) { return 2; }
    if (!trace) {
        fprintf(stderr, "evaluations: %s\n", error.message);
        return 3;
    }
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    for (uint32_t i = 0; i < count; i++) { print_evaluation(trace, i); }
    tat_trace_close(trace);
    return 0;
}
