/* SPDX-License-Identifier: MIT
 *
 * The program's functions, from the dynamic linker. RTLD_NEXT alone is not enough: a plug-in's libraries are in no
 * global scope, so the library that holds the caller is asked first.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "agent/call_cache.h"
#include "agent/symbols.h"

enum { LIBRARIES_MAX = 512, HOOKED = 256 };

static struct call_entry hooked[HOOKED];

/* ---- libraries come and go ---- */

typedef int each_library(int (*see)(struct dl_phdr_info *, size_t, void *), void * user);

/* The C library's own dl_iterate_phdr. Some programs replace it with one that walks a list made once, but here changes
 * are what counts. */
static each_library * each(void) {
    static each_library * function; /* relaxed: every thread finds the same */
    each_library * found = __atomic_load_n(&function, __ATOMIC_RELAXED);
    if (found) { return found; }
    void * symbol = dlsym(RTLD_NEXT, "dl_iterate_phdr");
    memcpy(&found, &symbol, sizeof found);
    if (!found) { found = dl_iterate_phdr; }
    __atomic_store_n(&function, found, __ATOMIC_RELAXED);
    return found;
}

static int read_unloaded(struct dl_phdr_info * info, size_t size, void * user) {
    (void) size;
    *(uint64_t *) user = info->dlpi_subs;
    return 1;
}

static uint64_t seen; /* relaxed, grows */

uint64_t symbols_generation(void) {
    uint64_t now = 0, before = __atomic_load_n(&seen, __ATOMIC_RELAXED);
    each()(read_unloaded, &now);
    now++;
    while (before < now &&
           !__atomic_compare_exchange_n(&seen, &before, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return now;
}

uint64_t symbols_generation_seen(void) {
    const uint64_t generation = __atomic_load_n(&seen, __ATOMIC_RELAXED);
    return generation ? generation : symbols_generation();
}

/* ---- finding ---- */

/* The library that contains an address, as dlsym takes it; NULL: the main program. */
static void * library_of(const void * address) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) { return NULL; }
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

/* Releases the reference to the library, which stays loaded. */
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

/* Looks in all libraries: after a tail call, `caller` is not the code that called. Names are collected first, since
 * nothing may be opened while the linker's list is held. */
static void * find_anywhere(const char * name, const void * ours) {
    struct libraries libraries = { .count = 0 };
    void * found = NULL;
    each()(note_library, &libraries);
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

/* Called from hooks, so the program's errno must stay. */
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

/* What pthread_atfork calls in glibc. musl lacks this name, but a traced shell may start a program that uses musl,
 * which then loads the agent. If the reference were strong, that program would not start. */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));
extern void * __dso_handle __attribute__((visibility("hidden")));

bool symbols_at_fork(void (*child)(void)) {
    return __register_atfork && __register_atfork(NULL, NULL, child, &__dso_handle) == 0;
}

char * symbol_file(const void * function) {
    Dl_info info;
    return dladdr(function, &info) && info.dli_fname ? strdup(info.dli_fname) : NULL;
}

void * symbol_hooked(const void * caller, const char * name, const void * ours) {
    const uint64_t generation = symbols_generation();
    void * real;
    if (call_find(hooked, HOOKED, caller, ours, generation, &real)) { return real; }
    real = symbol_behind(caller, name, ours);
    call_keep(hooked, HOOKED, caller, ours, generation, real);
    return real;
}
