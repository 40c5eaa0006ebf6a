/* SPDX-License-Identifier: MIT
 *
 * What the doctor says: one line a check.
 */
#ifndef TAT_DOCTOR_FINDINGS_H
#define TAT_DOCTOR_FINDINGS_H

#include <stddef.h>

enum verdict { VERDICT_GOOD, VERDICT_WARNING, VERDICT_BAD };

struct finding {
    const char * check; /* a word or two */
    enum verdict verdict;
    char found[1024];
    const char * advice; /* what to do; NULL if nothing */
};

enum { FINDINGS_MAX = 64 };

struct findings {
    struct finding at[FINDINGS_MAX];
    size_t count;
};

/* `check` and `advice` are kept as they are: constants. */
void finding_add(struct findings * findings, const char * check, enum verdict verdict, const char * advice,
                 const char * format, ...) __attribute__((format(printf, 5, 6)));

/* The first that is bad, or NULL. */
const struct finding * finding_bad(const struct findings * findings);

/* What was found by a check, or NULL. */
const struct finding * finding_of(const struct findings * findings, const char * check);

#endif
