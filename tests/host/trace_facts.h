/* SPDX-License-Identifier: MIT
 *
 * What a test wants to know of a trace, and what must hold in every one.
 */
#ifndef TRACE_FACTS_H
#define TRACE_FACTS_H

#include "tat/trace.h"

enum { NODES_TIMED = 256 };

struct trace_facts {
    uint64_t traces, ended, emitted, stored, lost, callbacks_emitted, callbacks_stored, events_emitted, events_stored,
        events_lost, evaluations, templates, contexts, aborted, unmatched, relearned, cut, failed, damaged_bytes,
        undecodable, orphans, records, model_files, notes, outside, exact, own_reads, in_file, copied, of_no_file;
    uint64_t node_ns[NODES_TIMED], wait_ns[NODES_TIMED]; /* least of all evaluations; 0: none */
    uint64_t waits;
    uint64_t tensors;
    char served[1024]; /* what each context did, in order, with commas: number:model file:first token-last token */
    uint64_t lost_by[TAT_LOSS_COUNT];
};

/* Opens the trace, adds its facts, and checks that evaluations are whole: callbacks as their template expects, a time
 * for each, in exact evaluations also a wait within the node's time, every record expands, weights are inside their
 * tensor, and emitted = stored + lost. Returns -1 with the first thing that is wrong. `killed`: the writer did not come
 * to its end, so blocks at the end may be torn. */
int trace_facts_add(struct trace_facts * facts, const char * path, bool killed, struct tat_error * error);

void trace_facts_print(const struct trace_facts * facts);

#endif
