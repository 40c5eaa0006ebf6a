/* SPDX-License-Identifier: MIT
 *
 * A library whose functions jump to others at their end, as compilers make of a call that is the last thing done.
 * Whoever is jumped to finds the address of the first caller, outside of the library, on the stack.
 */
#include <stdbool.h>
#include <stdint.h>

/* As large as llama.cpp's parameters passed by value. */
struct params {
    uint64_t words[16];
};

/* llama_batch. */
struct batch {
    uint64_t words[7];
};

int32_t llama_decode(void * context, struct batch batch);
int32_t decode(void * context, struct batch batch);
void llama_memory_clear(void * memory, bool data);
void llama_kv_self_clear(void * memory);
void * llama_model_load_from_file(const char * path, struct params params);
void * llama_load_model_from_file(const char * path, struct params params);
int ggml_graph_compute(void * graph, void * plan);
int compute(void * graph, void * plan);

int32_t llama_decode(void * context, struct batch batch) {
    return context && batch.words[0] == 3 && batch.words[6] == 6 ? 5 : -1;
}

void llama_memory_clear(void * memory, bool data) {
    *(int *) memory = data ? 0 : -1;
}

void llama_kv_self_clear(void * memory) {
    llama_memory_clear(memory, true);
}

void * llama_model_load_from_file(const char * path, struct params params) {
    return params.words[15] == 15 ? (void *) (uintptr_t) path : 0;
}

void * llama_load_model_from_file(const char * path, struct params params) {
    return llama_model_load_from_file(path, params);
}

int ggml_graph_compute(void * graph, void * plan) {
    return graph == plan ? 42 : 0;
}

int32_t decode(void * context, struct batch batch) {
    return llama_decode(context, batch);
}

int compute(void * graph, void * plan) {
    return ggml_graph_compute(graph, plan);
}
