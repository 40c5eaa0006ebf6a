/* SPDX-License-Identifier: MIT
 *
 * What the files of the verification share.
 */
#ifndef TAT_ANALYSIS_VERIFY_VERIFY_H
#define TAT_ANALYSIS_VERIFY_VERIFY_H

#include "tat/gguf.h"
#include "tat/verify.h"

struct verifier {
    const struct tat_trace * trace;
    struct tat_verification * result;
    const struct tat_tensor * tensors;
    const struct tat_template * templates;
    const struct tat_evaluation * evaluations;
    const struct tat_event * events;
    const struct tat_model_file * files;
    const struct tat_trace_summary * summary;
    uint32_t n_tensors, n_templates, n_evaluations, n_events, n_files;
    struct tat_gguf ** models;          /* by file; NULL: gone or changed */
    const struct tat_event ** mappings; /* the MAPPING events */
    uint32_t n_mappings;
    bool * touched; /* tensors touched by any record with bytes */
    bool elsewhere; /* another backend computed something */
};

/* Adds a check with its verdict. */
void verify_add(struct verifier * v, const char * name, const char * what, enum tat_verdict verdict,
                const char * format, ...) __attribute__((format(printf, 5, 6)));

/* records.c: walks all access records once. */
int verify_records(struct verifier * v, struct tat_error * error);

/* model.c: checks against the model files. What verify_ubatches found decides whether weights may be in no graph. */
void verify_offsets(struct verifier * v);
void verify_weights(struct verifier * v);

/* ubatches.c: no part of a ubatch was computed elsewhere. Negative: no memory. */
int verify_ubatches(struct verifier * v, struct tat_error * error);

/* routing.c: what was captured. Negative: no memory. */
int verify_experts(struct verifier * v, struct tat_error * error);
int verify_positions(struct verifier * v, struct tat_error * error);

#endif
