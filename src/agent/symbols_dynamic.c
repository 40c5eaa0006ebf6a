/* SPDX-License-Identifier: MIT
 *
 * The program's functions, from the dynamic linker. RTLD_NEXT alone does not do: a plug-in's libraries are in no global
 * scope, so what is asked first is the library that holds the caller.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/symbols.h"

enum { REALS_MAX = 64, LIBRARIES_MAX = 512 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the appending to reals[] */

/* Append-only: an entry is complete before the count that covers it is stored (release), read with acquire. */
static struct {
    const void * caller;
    const void * ours;
    void * real;
} reals[REALS_MAX];
static unsigned n_reals;

/* The library that contains an address, as dlsym takes it; NULL for the main program. */
static void * library_of(const void * address) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) { return NULL; }
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

/* Gives back the reference to the library, which stays loaded. */
static void * look_in(void * library, const char * name, const void * ours) {
    void * found = library ? dlsym(library, name) : NULL;
    if (library) { dlclose(library); }
    return found == ours ? NULL : found;
}

struct libraries {
    char * path[LIBRARIES_MAX];
    unsigned count;
};

static int note_library(struct dl_phdr_info * info, size_t size, void * user) {
    struct libraries * libraries = user;
    (void) size;
    if (!info->dlpi_name || !*info->dlpi_name || libraries->count == LIBRARIES_MAX) { return 0; }
    char * path = strdup(info->dlpi_name);
    if (path) { libraries->path[libraries->count++] = path; }
    return 0;
}

/* In whatever library has it: where a function was jumped to in place of called, the caller is not the one that it
 * seems. The names first, as nothing may be opened while the linker's list is held. */
static void * find_anywhere(const char * name, const void * ours) {
    struct libraries libraries = { .count = 0 };
    void * found = NULL;
    dl_iterate_phdr(note_library, &libraries);
    for (unsigned i = 0; i < libraries.count; i++) {
        if (!found) { found = look_in(dlopen(libraries.path[i], RTLD_LAZY | RTLD_NOLOAD), name, ours); }
        free(libraries.path[i]);
    }
    return found;
}

static void * find_near(const void * caller, const char * name, const void * ours) {
    void * found = look_in(library_of(caller), name, ours);
    if (!found) { found = dlsym(RTLD_NEXT, name); }
    return found == ours ? NULL : found;
}

/* Hooks ask, whose program's errno it is. */
static void * find(const void * caller, const char * name, const void * ours, bool anywhere) {
    const int error = errno;
    void * found = find_near(caller, name, ours);
    if (!found && anywhere) { found = find_anywhere(name, ours); }
    errno = error;
    return found;
}

void * symbol_behind(const void * caller, const char * name, const void * ours) {
    return find(caller, name, ours, true);
}

void * symbol_find(const void * caller, const char * name) {
    return find(caller, name, NULL, false);
}

void * symbol_graph_compute(const void * caller, const void * ours) {
    return symbol_behind(caller, "ggml_graph_compute", ours);
}

/* What pthread_atfork comes to in glibc. musl has no such name: it takes the agent all the same, where a shell that is
 * traced starts a program of its, and would not start it if the reference were strong. */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));
extern void * __dso_handle __attribute__((visibility("hidden")));

bool symbols_at_fork(void (*child)(void)) {
    return __register_atfork && __register_atfork(NULL, NULL, child, &__dso_handle) == 0;
}

char * symbol_file(const void * function) {
    Dl_info info;
    return dladdr(function, &info) && info.dli_fname ? strdup(info.dli_fname) : NULL;
}

/* Where the lock is taken, even by a thread that a fork left behind, the answer is right and only not kept. */
void * symbol_hooked(const void * caller, const char * name, const void * ours) {
    const unsigned count = __atomic_load_n(&n_reals, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (reals[i].caller == caller && reals[i].ours == ours) { return reals[i].real; }
    }
    void * real = symbol_behind(caller, name, ours);
    if (pthread_mutex_trylock(&lock) != 0) { return real; }
    if (n_reals < REALS_MAX) {
        reals[n_reals].caller = caller;
        reals[n_reals].ours = ours;
        reals[n_reals].real = real;
        __atomic_store_n(&n_reals, n_reals + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return real;
}
