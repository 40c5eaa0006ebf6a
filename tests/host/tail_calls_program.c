/* SPDX-License-Identifier: MIT
 *
 * Calls the functions of libtail_calls, out of the global scope's sight. usage: tail_calls_program LIBRARY; status 0 if
 * all of them did what they do.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct params {
    uint64_t words[16];
};

static void find(void * library, const char * name, void * function) {
    void * const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

int main(int argc, char ** argv) {
    void (*clear)(void *);
    void * (*load)(const char *, struct params);
    int (*compute)(void *, void *);
    static const struct params params  = { .words[15] = 15 };
    int                        memory  = 7;
    void * const               library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    find(library, "llama_kv_self_clear", &clear);
    find(library, "llama_load_model_from_file", &load);
    find(library, "compute", &compute);
    clear(&memory);
    return memory == 0 && load("model", params) && compute(&memory, &memory) == 42 ? 0 : 1;
}
