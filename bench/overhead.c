/* SPDX-License-Identifier: MIT
 *
 * What recording costs a real llama.cpp: blocks of a few generated tokens, each the same work, alternate within one
 * process between not hooked, hooked by an empty callback, and recording; and, as the peer, the scheduler's eval
 * callback on every node, which is how other tools look into a graph. Prints a line a block: round, mode, nanoseconds a
 * token.
 *
 *   LD_PRELOAD=libtat_agent.so overhead MODEL THREADS ROUNDS TOKENS
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"
#include "tat/agent.h"

enum mode { MODE_OFF, MODE_EMPTY, MODE_RECORD, MODE_PEER, MODE_COUNT };
static const char * const names[] = { "off", "empty", "record", "eval_callback" };

static enum tat_agent_mode (*set_mode)(enum tat_agent_mode);

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static void quiet(enum ggml_log_level level, const char * text, void * user) {
    (void) user;
    if (level == GGML_LOG_LEVEL_ERROR) { fputs(text, stderr); }
}

/* The least that a tool hooked there has to do: say that it wants every node, and look at it. */
static bool see_node(struct ggml_tensor * node, bool ask, void * user) {
    if (!ask) { ++*(uint64_t *) user; }
    return node != NULL;
}

static struct llama_context * new_context(struct llama_model * model, int threads, uint64_t * seen) {
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = 512;
    p.n_threads = threads;
    p.n_threads_batch = threads;
    if (seen) {
        p.cb_eval = see_node;
        p.cb_eval_user_data = seen;
    }
    return llama_init_from_model(model, p);
}

/* The same tokens from an empty cache, so that every block does the same work. */
static uint64_t block_ns(struct llama_context * context, int tokens) {
    llama_memory_clear(llama_get_memory(context), false);
    llama_token token = 1;
    llama_decode(context, llama_batch_get_one(&token, 1)); /* not timed: the graph may be new */
    const uint64_t begin = now_ns();
    for (int i = 0; i < tokens; i++) {
        token = 100 + i;
        if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) {
            fputs("overhead: llama_decode failed\n", stderr);
            exit(1);
        }
    }
    llama_synchronize(context);
    return (now_ns() - begin) / (uint64_t) tokens;
}

static uint64_t run_block(enum mode mode, struct llama_context * plain, struct llama_context * peer, int tokens) {
    static const enum tat_agent_mode agent[] = { TAT_AGENT_PAUSE, TAT_AGENT_EMPTY, TAT_AGENT_RECORD, TAT_AGENT_PAUSE };
    set_mode(agent[mode]);
    return block_ns(mode == MODE_PEER ? peer : plain, tokens);
}

/* A new order each round, so that no mode always follows the same one. */
static void shuffle(enum mode * order) {
    for (int i = MODE_COUNT - 1; i > 0; i--) {
        const int j = rand() % (i + 1);
        const enum mode swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

int main(int argc, char ** argv) {
    if (argc != 5) {
        fputs("usage: LD_PRELOAD=libtat_agent.so overhead MODEL THREADS ROUNDS TOKENS\n", stderr);
        return 2;
    }
    void * symbol = dlsym(RTLD_DEFAULT, "tat_agent_set_mode");
    if (!symbol) {
        fputs("overhead: the agent is not loaded: LD_PRELOAD=libtat_agent.so\n", stderr);
        return 2;
    }
    memcpy(&set_mode, &symbol, sizeof set_mode);
    const int threads = atoi(argv[2]), rounds = atoi(argv[3]), tokens = atoi(argv[4]);
    llama_log_set(quiet, NULL);
    ggml_backend_load_all();
    struct llama_model * model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model) { return 3; }
    uint64_t seen = 0;
    struct llama_context * plain = new_context(model, threads, NULL);
    struct llama_context * peer = new_context(model, threads, &seen);
    if (!plain || !peer) { return 3; }
    enum mode order[] = { MODE_OFF, MODE_EMPTY, MODE_RECORD, MODE_PEER };
    for (int i = 0; i < MODE_COUNT; i++) { run_block(order[i], plain, peer, tokens); }
    puts("round,mode,ns_per_token");
    for (int round = 0; round < rounds; round++) {
        shuffle(order);
        for (int i = 0; i < MODE_COUNT; i++) {
            printf("%d,%s,%" PRIu64 "\n", round, names[order[i]], run_block(order[i], plain, peer, tokens));
        }
    }
    set_mode(TAT_AGENT_RECORD);
    llama_free(peer);
    llama_free(plain);
    llama_model_free(model);
    return 0;
}
