/* SPDX-License-Identifier: MIT
 *
 * A program that knows nothing of ggml until it loads a plug-in that does, out of the global scope's sight: how Node,
 * Python and others come to compute graphs. Of several plug-ins, each is unloaded before the next is loaded; standard
 * error says where each has its ggml. With FAKE_HOST_MOVES set, something stays in the place of each.
 * usage: fake_host_loader PLUGIN[,PLUGIN]... [ARGUMENT]...
 */
#include <dlfcn.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Makes what is loaded next come to another address. */
static void stay_at(const void * address) {
    enum { PAGE = 4096 };
    void * const page = (void *) ((uintptr_t) address / PAGE * PAGE);
    if (mmap(page, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != page) { abort(); }
}

static int run_plugin(const char * path, int argc, char ** argv) {
    void * plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void * symbol = plugin ? dlsym(plugin, "fake_host_main") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(int, char **);
    memcpy(&run, &symbol, sizeof run);
    const void * place = dlsym(plugin, "ggml_backend_graph_compute");
    fprintf(stderr, "%p\n", place);
    optind = 0; /* it belongs to the C library, which stays */
    const int status = run(argc, argv);
    dlclose(plugin);
    if (getenv("FAKE_HOST_MOVES")) { stay_at(place); }
    return status;
}

int main(int argc, char ** argv) {
    int status = argc > 1 ? 0 : 2;
    for (char * path = argc > 1 ? strtok(argv[1], ",") : NULL; path && status == 0; path = strtok(NULL, ",")) {
        status = run_plugin(path, argc - 1, argv + 1);
    }
    return status;
}
