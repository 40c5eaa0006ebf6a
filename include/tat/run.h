/* SPDX-License-Identifier: MIT
 *
 * The folder of a run: what stands in it beside the trace.
 */
#ifndef TAT_RUN_H
#define TAT_RUN_H

#include "tat/trace.h"
#include "tat/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What only the process that started the run knows. */
struct tat_run_info {
    int argc; /* the command line as given; 0: unknown */
    char * const * argv;
    int exit_status; /* of the command; -1: unknown */
};

/* What a run comes to, for people and for trace_metadata.json. */
struct tat_run_totals {
    uint64_t evaluations, accesses, bytes, file_bytes, lost;
    uint64_t tokens[TAT_PHASE_COUNT];
    uint64_t graph_ns; /* spent computing graphs */
    double overhead;   /* estimate: share of graph_ns that the agent took */
    unsigned checks_failed;
    char failure[600]; /* of the failed checks the one that says most, as "check: figures"; "" */
};

/* Writes trace_metadata.json, tensor_names.txt and gguf_structure.csv into a run's folder, each whole or not at all.
 * In trace_metadata.json, "own_io" tells the tracer's own input and output from the program's, in bytes: "agent" what
 * the agent "read" of model files, how much of that was "fetched" from storage as it was not in memory, and what it has
 * "written" of the trace; "tat" what this function read and fetched of model files. `info` and `totals` may be NULL. In
 * a private run the command line's paths and prompts are left out. Returns 0, or -1 with *error. */
int tat_run_seal(const char * run_folder, const struct tat_run_info * info, struct tat_run_totals * totals,
                 struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
