/* SPDX-License-Identifier: MIT
 *
 * What a program or library says of itself that matters to tracing. The file may be damaged or hostile.
 */
#ifndef TAT_DOCTOR_ELF_FACTS_H
#define TAT_DOCTOR_ELF_FACTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "tat/error.h"

struct elf_facts {
    bool is_foreign;      /* for another processor or word size than this program */
    bool is_static;       /* a program that no dynamic linker starts */
    bool is_symbolic;     /* linked with -Bsymbolic: asks itself first */
    bool has_names;       /* a symbol table that is not stripped */
    bool exports_compute; /* ggml_graph_compute is there for others, and can be replaced */
    bool holds_compute;   /* it is there at all; a guess where there are no names */
    bool exports_pools;   /* ggml_threadpool_new is: ggml since September 2024 */
    bool asks_compute;    /* a call of it goes through the dynamic linker */
    bool has_agent;       /* ours is linked into it */
    char interpreter[PATH_MAX];
    char rpath[PATH_MAX], runpath[PATH_MAX]; /* folders of libraries; where there is a runpath, rpath means nothing */
    char ** needed;                          /* names of libraries */
    size_t n_needed;
};

/* 0; 1 if the file is no ELF file; -1 if it cannot be read. The caller frees what is in *facts if it is 0. */
int elf_facts_read(const char * path, struct elf_facts * facts, struct tat_error * error);
void elf_facts_free(struct elf_facts * facts);

#endif
