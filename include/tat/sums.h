/* SPDX-License-Identifier: MIT
 *
 * Sums over access records, without making each record. A graph's records are the same in all its evaluations except
 * for times and a few operands, so they are made once and multiplied. This is several times as fast as
 * tat_trace_expand, and gives the same sums. Thread-safe, as all reading of a trace.
 */
#ifndef TAT_SUMS_H
#define TAT_SUMS_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Access records, each of which stands for `evaluations` accesses: one in each of that many evaluations. The records'
 * own times are 0; their evaluation and token are those of any one of these evaluations. There are two sorts:
 *
 * `alike` is true: the records of one graph that are the same in all these evaluations. Each node's are together, in
 * the order of execution. An operand that differs is replaced by a record of 0 bytes. Beside the records are times,
 * those of thread 0 in all these evaluations together. An operation's time stands once in `ns`, at its first record
 * (for two fused operations, at the first record of both). It stands once more in `owner_ns`: at the first weight that
 * the operation reads, or else at the first part of the KV cache, or else at its result. If all these evaluations
 * recorded how long thread 0 waited at the barrier behind each operation, `wait_ns` has that wait, where `ns` has the
 * time.
 *
 * `alike` is false: the records that differ, without times. They come one by one; an expert of a stack comes once for
 * all evaluations that chose it.
 *
 * Order: first, evaluation by evaluation, the records that differ in it, except for counted experts. For an evaluation
 * that ended early, its alike records come right before, and stand for it alone. Then group by group, in the order of
 * their first evaluations, the counted experts and then the alike records; a group is all evaluations of one graph and
 * phase that came to their end. The records of one evaluation or group may come in several calls. */
struct tat_tally {
    const struct tat_access * records;
    const uint64_t *ns, *owner_ns; /* by record; NULL unless alike */
    const uint64_t * wait_ns;      /* likewise; NULL if waits were not recorded */
    size_t count;
    uint64_t evaluations;
    bool alike;
};

typedef bool (*tat_tally_sink)(const struct tat_tally * tally, void * user);

/* Gives the sink all records of evaluations [first, last). The library owns them; they are valid during the call. The
 * sink ends the walk by returning false. Returns 0, 1 if the sink ended it, or -1 with *error. */
int tat_trace_tally(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_tally_sink sink, void * user,
                    struct tat_error * error);

/* ---- evaluations against what they touch ---- */

enum tat_key {
    TAT_BY_LAYER = 0, /* the last column is for what has no layer */
    TAT_BY_TENSOR,    /* tensors that are one weight of a file count together, at the first */
    TAT_BY_COMPONENT, /* by enum tat_component; the last column is for activations and inputs */
    TAT_BY_OPERATION, /* numbered as for tat_trace_op_name */
    TAT_BY_EXPERT,    /* over all layers; what has no expert is left out */
    TAT_KEY_COUNT
};

enum tat_measure {
    TAT_SUM_BYTES = 0,
    TAT_SUM_ACCESSES, /* records that touch anything */
    /* Time of thread 0; that of two fused operations goes to the first. By tensor and component, it goes to the first
     * weight that is read, or else to the first part of the KV cache, or else to the result. Not by expert. */
    TAT_SUM_NS,
    TAT_MEASURE_COUNT
};

/* How many columns there are; 0 for an unknown key, or if nothing in the trace has such a key. */
uint32_t tat_matrix_columns(const struct tat_trace * trace, enum tat_key by);

/* Fills the caller's array: sums[(evaluation - first) * columns + column]. `kinds` chooses tensors: bits 1 << enum
 * tat_tensor_kind, or 0 for all; it must be 0 for TAT_SUM_NS. Returns 0, or -1 with *error (wrong use, memory). */
int tat_matrix(const struct tat_trace * trace, enum tat_key by, enum tat_measure measure, uint32_t kinds,
               uint32_t first, uint32_t last, uint64_t * sums, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
