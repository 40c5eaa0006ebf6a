/* SPDX-License-Identifier: MIT
 *
 * Which templates the agent keeps in memory. Graphs here are empty: a host's number tells them apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/graph_walk.h"
#include "agent/lives.h"
#include "agent/registry.h"
#include "agent/template_cache.h"

enum { CONTEXTS = 40, MOST = 16 };

static uint32_t life; /* of the graph that is made next */
static unsigned freed;

/* ---- what the cache calls ---- */

const struct agent_options * agent_options(void) {
    static const struct agent_options options = { .templates_max = MOST };
    return &options;
}

void registry_lock(void) {}
void registry_unlock(void) {}
void registry_refresh(void) {}

bool graph_walk(const struct graph * graph, struct graph_template * t) {
    (void) graph;
    t->lives = malloc(sizeof *t->lives);
    t->lives[0] = life;
    t->n_lives = 1;
    return true;
}

bool graph_walk_write(const struct graph * graph, struct graph_template * t) {
    (void) graph;
    return t->written = true;
}

static bool all_match(const struct ggml_layout * l, struct ggml_tensor * const * nodes,
                      const struct expected * expected, uint32_t from, uint32_t to) {
    return l && !nodes && !expected && from == to;
}

static bool let_go(const struct graph_template * t) {
    freed++;
    return t != NULL;
}

/* ---- tests ---- */

static struct host hosts[CONTEXTS];

static const struct graph_template * compute(uint32_t number) {
    static const struct node_hash hash = { .all_match = all_match };
    const struct graph_template * holder;
    hosts[number] = (struct host){ .number = number, .hash = &hash };
    const struct graph graph = { .host = &hosts[number] };
    return template_of(&graph, &holder, let_go);
}

/* A server that makes a context for each request, beside one that stays. */
static void test_templates_end_with_their_contexts(void ** state) {
    (void) state;
    char buffer[CONTEXTS] = { 0 };
    freed = 0;
    life = life_of_buffer(&buffer[0], 1);
    const struct graph_template * first = compute(0);
    for (uint32_t i = 1; i < CONTEXTS; i++) {
        life = life_of_buffer(&buffer[i], 1);
        const struct graph_template * t = compute(i);
        assert_ptr_equal(compute(i), t);
        assert_int_equal(freed, i - 1);
        assert_true(lives_end_buffer(&buffer[i]));
    }
    assert_ptr_equal(compute(0), first);
    templates_after_fork();
    lives_after_fork();
}

/* All of them live: those that were not used for longest go. */
static void test_too_many_that_live(void ** state) {
    (void) state;
    char buffer = 0;
    freed = 0;
    life = life_of_buffer(&buffer, 1);
    const struct graph_template * last = NULL;
    for (uint32_t i = 0; i <= MOST; i++) { last = compute(i); }
    assert_int_equal(freed, MOST / 2);
    assert_ptr_equal(compute(MOST), last);
    assert_int_equal(freed, MOST / 2);
    compute(0);
    assert_int_equal(freed, MOST / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_end_with_their_contexts),
        cmocka_unit_test(test_too_many_that_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
