/* SPDX-License-Identifier: MIT
 *
 * The program's functions, as the linker found them. All references are weak, so that the agent never keeps a program
 * from linking. A missing function is NULL, and then no graph is recorded.
 */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "agent/symbols.h"

#define DECLARE(name, field, optional) extern void name(void) __attribute__((weak));
GGML_FUNCTIONS(DECLARE)
extern void __real_ggml_graph_compute(void) __attribute__((weak));

#define ENTRY(name, field, optional) { #name, (void *) name },
static const struct {
    const char * name;
    void * function;
} functions[] = { GGML_FUNCTIONS(ENTRY) };

/* Nothing in a statically linked program is unloaded. */
uint64_t symbols_generation(void) {
    return 1;
}

uint64_t symbols_generation_seen(void) {
    return 1;
}

void * symbol_find(const void * caller, const char * name) {
    (void) caller; /* a statically linked program has one ggml */
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].name, name) == 0) { return functions[i].function; }
    }
    return NULL;
}

void * symbol_graph_compute(const void * caller, const void * ours) {
    (void) caller;
    (void) ours;
    return (void *) __real_ggml_graph_compute;
}

bool symbols_at_fork(void (*child)(void)) {
    return pthread_atfork(NULL, NULL, child) == 0;
}

char * symbol_file(const void * function) {
    (void) function;
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    return length > 0 ? strndup(path, (size_t) length) : NULL;
}
