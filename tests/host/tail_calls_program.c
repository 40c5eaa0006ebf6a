/* SPDX-License-Identifier: MIT
 *
 * Calls the functions of libtail_calls, out of the global scope's sight. usage: tail_calls_program LIBRARY; status 0 if
 * all of them did what they do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct params {
    uint64_t words[16];
};

static void find(void * library, const char * name, void * function) {
    void * const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

/* llama_batch. */
struct batch {
    uint64_t words[7];
};

static int32_t (*decode)(void *, struct batch);
static int32_t decoded;
static ucontext_t program, coroutine;

static void decode_at_once(void) {
    decoded = decode(&decoded, (struct batch){ { 3, 1, 2, 3, 4, 5, 6 } });
}

/* Calls from the first function of a coroutine, where nothing beyond the stack can be read. */
static void decode_on_little(void) {
    enum { STACK = 256 << 10, WALL = 64 << 10 };
    char * stack = mmap(NULL, STACK + WALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack + STACK, WALL, PROT_NONE) != 0 || getcontext(&coroutine) != 0) { return; }
    coroutine.uc_stack.ss_sp = stack;
    coroutine.uc_stack.ss_size = STACK;
    coroutine.uc_link = &program;
    makecontext(&coroutine, decode_at_once, 0);
    swapcontext(&program, &coroutine);
}

int main(int argc, char ** argv) {
    void (*clear)(void *);
    void * (*load)(const char *, struct params);
    int (*compute)(void *, void *);
    static const struct params params = { .words[15] = 15 };
    int memory = 7;
    void * const library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    find(library, "llama_kv_self_clear", &clear);
    find(library, "llama_load_model_from_file", &load);
    find(library, "compute", &compute);
    find(library, "decode", &decode);
    decode_on_little();
    if (decoded != 5) { return 1; }
    errno = EXDEV; /* none of the calls sets it */
    clear(&memory);
    return memory == 0 && load("model", params) && compute(&memory, &memory) == 42 && errno == EXDEV ? 0 : 1;
}
