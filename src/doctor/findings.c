/* SPDX-License-Identifier: MIT */
#include "doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void finding_add(struct findings * findings, const char * check, enum verdict verdict, const char * advice,
                 const char * format, ...) {
    if (findings->count == FINDINGS_MAX) { return; }
    struct finding * added = &findings->at[findings->count++];
    *added = (struct finding){ .check = check, .verdict = verdict, .advice = advice };
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(added->found, sizeof added->found, format, arguments);
    va_end(arguments);
}

const struct finding * finding_bad(const struct findings * findings) {
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->at[i].verdict == VERDICT_BAD) { return &findings->at[i]; }
    }
    return NULL;
}

const struct finding * finding_of(const struct findings * findings, const char * check) {
    for (size_t i = 0; i < findings->count; i++) {
        if (strcmp(findings->at[i].check, check) == 0) { return &findings->at[i]; }
    }
    return NULL;
}
