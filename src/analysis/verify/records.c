/* SPDX-License-Identifier: MIT
 *
 * Every access record lies inside the tensor that owns its bytes.
 */
#include <inttypes.h>

#include "analysis/verify/verify.h"

struct walk {
    struct verifier * v;
    uint64_t checked, outside, approximate;
    uint32_t first_tensor, first_evaluation;
};

static uint64_t end_of(const struct walk * w, const struct tat_access * a) {
    if (!(a->flags & TAT_ACCESS_STRIDED)) { return a->offset + a->bytes; }
    const struct tat_layout layout = tat_trace_layout(w->v->trace, a->layout);
    return a->offset + (uint64_t) (a->rows - 1) * layout.stride + layout.run_bytes;
}

static bool see(const struct tat_access * records, size_t count, void * user) {
    struct walk * w = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const struct tat_tensor * t = &w->v->tensors[a->tensor];
        w->approximate += (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
        if (a->bytes) { w->v->touched[a->tensor] = true; }
        /* Results change in size with the ubatch; what outlives a graph does not. */
        if (t->kind != TAT_TENSOR_WEIGHT && t->kind != TAT_TENSOR_STATE) { continue; }
        const uint64_t from = t->file ? t->file_offset : 0;
        w->checked++;
        if (a->offset < from || end_of(w, a) > from + t->bytes) {
            if (w->outside++ == 0) {
                w->first_tensor = a->tensor;
                w->first_evaluation = a->evaluation;
            }
        }
    }
    w->v->result->n_accesses += count;
    return true;
}

int verify_records(struct verifier * v, struct tat_error * error) {
    struct walk w = { .v = v };
    if (tat_trace_expand(v->trace, 0, v->n_evaluations, see, &w, error) < 0) { return -1; }
    if (w.outside) {
        verify_add(v, "records", "every record lies inside its tensor", TAT_VERDICT_FAIL,
                   "%" PRIu64 " records reach outside, first of %s in evaluation %" PRIu32, w.outside,
                   v->tensors[w.first_tensor].name, w.first_evaluation);
    } else if (w.checked == 0) {
        verify_add(v, "records", "every record lies inside its tensor", TAT_VERDICT_SKIP,
                   "%" PRIu64 " access records, none of weights or state", v->result->n_accesses);
    } else {
        verify_add(v, "records", "every record lies inside its tensor", TAT_VERDICT_PASS,
                   "%" PRIu64 " access records, %" PRIu64 " approximate", v->result->n_accesses, w.approximate);
    }
    return 0;
}
