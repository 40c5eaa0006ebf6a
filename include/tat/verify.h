/* SPDX-License-Identifier: MIT
 *
 * The proof that a trace is whole: named checks, which compare the trace with itself and with the model files.
 */
#ifndef TAT_VERIFY_H
#define TAT_VERIFY_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tat_verdict {
    TAT_VERDICT_PASS = 0,
    TAT_VERDICT_FAIL,
    TAT_VERDICT_SKIP, /* nothing to check, or nothing to compare it with: not a good verdict; `detail` says why */
};

struct tat_check {
    const char * name; /* one word, stable: scripts may look for it */
    const char * what; /* what is checked */
    enum tat_verdict verdict;
    char detail[512]; /* the figures; on failure, what is wrong and what that means */
};

#define TAT_CHECKS_MAX 24

struct tat_verification {
    struct tat_check check[TAT_CHECKS_MAX];
    unsigned n_checks, n_failed;
    uint64_t n_accesses; /* records in the trace */
};

/* Runs all checks. A trace without any access record has one check more, `recorded`, and fails it. Model files are
 * opened by the paths in the trace; if one is gone or has changed, the checks that need it are skipped. Returns 0
 * whatever the verdicts are, or -1 with *error if the checks could not be run. */
int tat_verify(const struct tat_trace * trace, struct tat_verification * result, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
