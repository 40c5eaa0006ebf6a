/* SPDX-License-Identifier: MIT
 *
 * Warm-up is told from calls by one rule: the same stories to the reader, which gives phases, and to the agent, which
 * counts tokens where some were asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/token_filter.h"
#include "trace_builder.h"

enum { CONTEXTS = 3, YES = 2, NO = 0 }; /* zigzag: 1, 0 */

static struct agent_options options;

const struct agent_options * agent_options(void) {
    return &options;
}

/* A graph, or a function that was called. */
struct step {
    uint32_t context, rows, outputs;
    bool warm;
    enum tat_event_type call;
    uint64_t value;
};
#define REAL(of, in, out)                                                                                              \
    { .context = (of), .rows = (in), .outputs = (out) }
#define WARM(of, in, out)                                                                                              \
    { .context = (of), .rows = (in), .outputs = (out), .warm = true }
#define CLEAR                                                                                                          \
    { .call = TAT_EVENT_MEMORY_CLEAR, .value = YES }
#define LOADED                                                                                                         \
    { .call = TAT_EVENT_LOAD_END, .value = YES }
#define WARM_UP(how)                                                                                                   \
    { .call = TAT_EVENT_WARMUP, .value = (how) }

static void ask_reader(const struct step * steps, uint32_t n) {
    struct trace_builder b;
    struct tat_error error = { 0 };
    uint32_t count, at = 0;
    tb_begin(&b);
    const struct tb_tensor embd = { .name = "token_embd.weight", .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_COPY };
    const struct tb_tensor out = { .name = "o", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER };
    const uint32_t weight = tb_tensor(&b, embd), result = tb_tensor(&b, out);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t values[] = { 7, steps[i].value };
        if (steps[i].call) {
            tb_event(&b, steps[i].call, b.tick - 10, values, 2, NULL);
            continue;
        }
        const struct tb_entry entries[] = {
            { .name = "token_embd.weight", .tensor = weight, .ne = { 1, 9 } },
            { .name = "ids", .tensor = result, .ne = { steps[i].rows } },
            { .name = "result_output",
              .op = "GET_ROWS",
              .tensor = result,
              .ne = { 1, steps[i].outputs },
              .empty = steps[i].outputs == 0,
              .src = { 1, 2 } },
        };
        tb_evaluation(&b, (struct tb_evaluation){
                              .template_id = tb_template(&b, steps[i].context, entries, 2, 1, NULL, 0),
                              .n_callbacks = 1,
                          });
    }
    struct tat_trace * trace = tb_open(&b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    for (uint32_t i = 0; i < n; i++) {
        if (steps[i].call) { continue; }
        if ((e[at++].phase == TAT_PHASE_WARMUP) != steps[i].warm) { fail_msg("the reader, step %u", i); }
    }
    assert_int_equal(at, count);
    tat_trace_close(trace);
    tb_free(&b);
}

/* True if a context has had so many tokens, so that the next one is the one asked for. */
static void ask_agent(const struct step * steps, uint32_t n, uint32_t context) {
    uint64_t tokens = 0;
    tokens_after_fork();
    options.token_first = 0;
    options.token_last = UINT64_MAX - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (steps[i].call) {
            tokens_event(steps[i].call, steps[i].value != NO);
        } else {
            tokens_count(steps[i].context, steps[i].rows, steps[i].outputs > 0);
            if (steps[i].context == context && !steps[i].warm) { tokens += steps[i].rows; }
        }
    }
    options.token_first = options.token_last = tokens;
    if (!tokens_count(context, 1, true)) { fail_msg("the agent, context %u", context); }
}

static void check(const struct step * steps, uint32_t n) {
    ask_reader(steps, n);
    for (uint32_t context = 1; context <= CONTEXTS; context++) { ask_agent(steps, n, context); }
}
#define CHECK(...)                                                                                                     \
    check((const struct step[]){ __VA_ARGS__ }, sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

/* A server that makes a context for each request. */
static void of_many_contexts(void ** state) {
    (void) state;
    tokens_after_fork();
    options.token_first = options.token_last = 3;
    for (uint32_t context = 1; context <= 3000; context++) {
        for (uint32_t token = 0; token < 5; token++) {
            if (tokens_count(context, 1, true) != (token == 3)) { fail_msg("context %u, token %u", context, token); }
        }
    }
}

static void by_what_follows(void ** state) {
    (void) state;
    CHECK(WARM(1, 2, 1), CLEAR, REAL(1, 5, 1), REAL(1, 1, 1));
    CHECK(WARM(1, 1, 0), WARM(1, 1, 1), CLEAR, REAL(1, 5, 1)); /* -ub 1 */
    CHECK(WARM(1, 2, 1), CLEAR);
    CHECK(REAL(1, 64, 1), CLEAR, REAL(1, 5, 1)); /* a benchmark's */
    CHECK(REAL(1, 2, 1), REAL(1, 1, 1), CLEAR, REAL(1, 2, 1), CLEAR);
    CHECK(REAL(1, 1, 1), REAL(1, 1, 1), CLEAR); /* a prompt of one token, and the token after it */
}

/* An encoder gets both tokens, its decoder one. */
static void of_an_encoder(void ** state) {
    (void) state;
    CHECK(WARM(1, 2, 2), WARM(2, 1, 1), CLEAR, REAL(1, 7, 7), REAL(2, 1, 1), REAL(2, 1, 1));
    CHECK(REAL(1, 2, 2), REAL(2, 2, 1), CLEAR, REAL(1, 7, 7));
}

/* Programs that take tokens back first try whether the cache can. */
static void tried_once_more(void ** state) {
    (void) state;
    CHECK(WARM(1, 2, 1), CLEAR, CLEAR, WARM(1, 2, 1), CLEAR, REAL(1, 5, 1), CLEAR, REAL(1, 2, 1), CLEAR);
    CHECK(WARM(1, 2, 1), CLEAR, WARM(1, 2, 1), CLEAR, REAL(1, 2, 1), CLEAR);
    CHECK(WARM(1, 1, 1), CLEAR, REAL(1, 1, 1), CLEAR, REAL(1, 1, 1), CLEAR); /* a benchmark of one token */
}

static void of_target_and_draft(void ** state) {
    (void) state;
    CHECK(WARM(1, 2, 1), CLEAR, WARM(1, 2, 1), CLEAR, WARM(2, 2, 1), CLEAR, REAL(1, 4, 0), REAL(2, 4, 1));
    CHECK(REAL(1, 5, 1), REAL(2, 2, 1), CLEAR, REAL(2, 2, 1), REAL(3, 1, 1)); /* others compute at the same time */
}

/* A server that sleeps frees its context without clearing its memory, and loads the model again. */
static void loaded_again(void ** state) {
    (void) state;
    CHECK(LOADED, WARM(1, 2, 1), CLEAR, REAL(1, 5, 1), REAL(1, 1, 1), LOADED, WARM(2, 2, 1), CLEAR, WARM(2, 2, 1),
          CLEAR, REAL(2, 5, 1), LOADED, WARM(3, 2, 1), CLEAR, REAL(3, 5, 1), CLEAR);
    CHECK(REAL(1, 5, 1), LOADED, REAL(2, 2, 1), REAL(1, 1, 1), CLEAR, REAL(2, 2, 1)); /* the old one computes on */
    CHECK(REAL(1, 2, 1), LOADED, CLEAR, REAL(1, 2, 1), CLEAR);                        /* before it was loaded */
}

static void announced(void ** state) {
    (void) state;
    CHECK(WARM_UP(YES), WARM(1, 9, 1), WARM_UP(NO), REAL(1, 5, 1), WARM_UP(YES), WARM(2, 2, 1), WARM_UP(NO),
          REAL(2, 1, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_what_follows),     cmocka_unit_test(of_an_encoder), cmocka_unit_test(tried_once_more),
        cmocka_unit_test(of_target_and_draft), cmocka_unit_test(loaded_again),  cmocka_unit_test(announced),
        cmocka_unit_test(of_many_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
