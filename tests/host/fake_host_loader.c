/* SPDX-License-Identifier: MIT
 *
 * A program that knows nothing of ggml until it loads a plug-in that does, out of the global scope's sight: how Node,
 * Python and others come to compute graphs. usage: fake_host_loader PLUGIN [ARGUMENT]...
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char ** argv) {
    void * plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    void * symbol = plugin ? dlsym(plugin, "fake_host_main") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(int, char **);
    memcpy(&run, &symbol, sizeof run);
    return run(argc - 1, argv + 1);
}
