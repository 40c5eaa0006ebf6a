/* SPDX-License-Identifier: MIT
 *
 * The folder of a run: the files beside the trace.
 */
#ifndef TAT_RUN_H
#define TAT_RUN_H

#include "tat/trace.h"
#include "tat/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The memory that a run had: `tat record --memory`, --cold. */
struct tat_run_memory {
    uint64_t limit;  /* bytes, of the program and the page cache that it filled; 0: tat set none, so all below is 0 */
    unsigned cgroup; /* version of control groups: 1 or 2 */
    bool no_swap;    /* what does not fit cannot go to swap */
    uint64_t peak;   /* bytes; 0: the kernel does not tell, as before Linux 5.19 in version 2 */
    uint64_t oom_kills;
    uint64_t major_faults, refaulted_pages; /* as the group counts them; refaulted: read again after their eviction */
};

#define TAT_STAYED_UNKNOWN UINT64_MAX

/* A file that was evicted from the page cache before a run. */
struct tat_run_cold_file {
    const char * path;
    uint64_t bytes;
    uint64_t stayed; /* of these bytes, still in memory when the program began; or TAT_STAYED_UNKNOWN */
};

/* What only the process that started the run knows. */
struct tat_run_info {
    int argc; /* the command line as given; 0: unknown */
    char * const * argv;
    int exit_status;                       /* of the command; -1: unknown */
    const struct tat_run_memory * memory;  /* NULL: unknown */
    const struct tat_run_cold_file * cold; /* NULL: there are none */
    size_t n_cold;
    bool managed; /* `tat run` managed the model's memory: the run is not one of plain mmap */
};

/* The totals of a run, for people and for trace_metadata.json. */
struct tat_run_totals {
    uint64_t evaluations, accesses, bytes, file_bytes, lost;
    uint64_t tokens[TAT_PHASE_COUNT];
    uint64_t graph_ns; /* time spent computing graphs */
    double overhead;   /* estimated share of graph_ns that the agent took */
    unsigned checks_failed;
    char failure[600]; /* the failed check that says most, as "check: figures"; "" if none failed */
    char caveats[800]; /* what the figures are subject to, as sentences; "" */
};

/* Writes trace_metadata.json, tensor_names.txt and gguf_structure.csv into a run's folder, each whole or not at all.
 * `info` and `totals` may be NULL. For a private run, the paths and prompts of the command line are left out. Returns
 * 0, or -1 with *error.
 *
 * In trace_metadata.json, "own_io" holds the tracer's own input and output, apart from the program's, in bytes. "agent"
 * says what the agent "read" of model files, how much of that it "fetched" from storage because it was not in memory,
 * and what it has "written" of the trace. "tat" says what this function read and fetched of model files.
 * "pressure" is there if info->memory has a limit or there are cold files, "managed" if info->managed. */
int tat_run_seal(const char * run_folder, const struct tat_run_info * info, struct tat_run_totals * totals,
                 struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
