/* SPDX-License-Identifier: MIT
 *
 * The libraries a program would load when it starts, as the dynamic linker would look for them; nothing is run.
 */
#ifndef TAT_DOCTOR_LIBRARIES_H
#define TAT_DOCTOR_LIBRARIES_H

#include "doctor/elf_facts.h"

struct library {
    char * path;
    struct elf_facts facts;
    size_t by; /* the index of the one that needs it; 0 for those that none needs */
};

/* at[0] is the program itself. Zero to begin with; freed by libraries_free. */
struct libraries {
    struct library * at;
    size_t count;
    char missing[PATH_MAX]; /* the first that is not found; "" if none */
};

/* Adds a file once, and what it needs if `follow`. As elf_facts_read: 0, 1 or -1. A file there already is 0. */
int libraries_add(struct libraries * libraries, const char * path, bool follow, struct tat_error * error);
void libraries_free(struct libraries * libraries);

#endif
