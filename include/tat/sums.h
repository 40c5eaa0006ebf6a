/* SPDX-License-Identifier: MIT
 *
 * Sums over access records without making each of them: a graph's records are the same in all its evaluations but for
 * times and a few operands, so they are multiplied. Several times as fast as tat_trace_expand, with the same sums.
 * Thread-safe, as all reading of a trace.
 */
#ifndef TAT_SUMS_H
#define TAT_SUMS_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Records that each stand for `evaluations` accesses, one in each of so many evaluations. Their own times are 0 and
 * their evaluation and token those of any one of these.
 *
 * `alike`: the records of one graph that are the same in all these evaluations, each node's together, in the order of
 * execution; in the place of each operand that differs stands a record of 0 bytes. They come with the time of all these
 * evaluations, of thread 0: an operation's stands once in `ns`, with its first record (of two fused ones, with the
 * first of both), and once in `owner_ns`, with the first weight it reads, else the first part of the KV cache, else its
 * result. Where all these evaluations recorded what thread 0 waited at the barrier behind each operation, that stands
 * in `wait_ns`, where the operation's time does in `ns`.
 *
 * Else: what differs, without times, one by one or, an expert of a stack, once for all evaluations that chose it.
 *
 * Order: evaluation by evaluation what differs in it, but for counted experts; one that ended early has its alike
 * records, which stand for it alone, right before. Then group by group, a group being the evaluations of one graph and
 * phase that came to their end, in the order of their first: its counted experts, then its alike records. Records of
 * one evaluation or group may come in several calls. */
struct tat_tally {
    const struct tat_access * records;
    const uint64_t *ns, *owner_ns; /* by record; NULL but where alike */
    const uint64_t * wait_ns;      /* likewise, or not recorded */
    size_t count;
    uint64_t evaluations;
    bool alike;
};

typedef bool (*tat_tally_sink)(const struct tat_tally * tally, void * user);

/* All records of evaluations [first, last). They belong to the library and are valid during the call of the sink, which
 * ends it all by returning false. Returns 0, 1 if the sink ended it, or -1 with *error (memory). */
int tat_trace_tally(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_tally_sink sink, void * user,
                    struct tat_error * error);

/* ---- evaluations against what they touch ---- */

enum tat_key {
    TAT_BY_LAYER = 0, /* the last column: no layer */
    TAT_BY_TENSOR,    /* several that are one weight of a file together, at the first */
    TAT_BY_COMPONENT, /* by enum tat_component; the last column: activations and inputs */
    TAT_BY_OPERATION, /* as tat_trace_op_name numbers them */
    TAT_BY_EXPERT,    /* of all layers; what has no expert is left out */
    TAT_KEY_COUNT
};

enum tat_measure {
    TAT_SUM_BYTES = 0,
    TAT_SUM_ACCESSES, /* records that touch anything */
    TAT_SUM_NS,       /* of thread 0; that of two fused operations goes to the first. By tensor and component it goes to
                       * the first weight that is read, else to the first part of the KV cache, else to the result. Not
                       * by expert. */
    TAT_MEASURE_COUNT
};

/* How many columns there are; 0 for a key that is none, or where nothing has one. */
uint32_t tat_matrix_columns(const struct tat_trace * trace, enum tat_key by);

/* Sets sums[(evaluation - first) * columns + column], which the caller owns. `kinds` chooses tensors: bits 1 << enum
 * tat_tensor_kind, or 0 for all; it must be 0 for TAT_SUM_NS. Returns 0, or -1 with *error (wrong use, memory). */
int tat_matrix(const struct tat_trace * trace, enum tat_key by, enum tat_measure measure, uint32_t kinds,
               uint32_t first, uint32_t last, uint64_t * sums, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
