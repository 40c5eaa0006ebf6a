/* SPDX-License-Identifier: MIT
 *
 * Observers of graphs: who is called, in which order, and what becomes of the program's own callback.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/observer.h"

/* Like ggml's plan. */
struct ggml_cplan {
    size_t work_size;
    void * work_data;
    int n_threads;
    void * threadpool;
    bool (*abort_callback)(void * data);
    void * abort_callback_data;
};

static struct host host = { .plan = { .abort = offsetof(struct ggml_cplan, abort_callback) } };

static char said[256]; /* what observers and the program saw, one letter each */

static void say(const char * letter) {
    strncat(said, letter, sizeof said - strlen(said) - 1);
}

static bool first_watches, second_watches;

static void first_node(void * state) {
    assert_string_equal(state, "first");
    say("1");
}

static void second_node(void * state) {
    assert_string_equal(state, "second");
    say("2");
}

static bool first_begins(const struct graph_call * call, struct watch * watch) {
    (void) call;
    *watch = (struct watch){ first_node, "first" };
    say("(");
    return first_watches;
}

static bool second_begins(const struct graph_call * call, struct watch * watch) {
    (void) call;
    *watch = (struct watch){ second_node, "second" };
    say("[");
    return second_watches;
}

static int status_at_end;
static bool aborted_at_end;

static void first_ends(void * state, const struct graph_call * call) {
    assert_string_equal(state, "first");
    status_at_end = call->status;
    aborted_at_end = call->aborted;
    say(")");
}

static void second_ends(void * state, const struct graph_call * call) {
    assert_string_equal(state, "second");
    assert_null(call->plan->abort_callback_data); /* the program's again */
    say("]");
}

static void end_first(void) {
    say("e");
}

static void fork_second(void) {
    say("f");
}

static const struct observer first = { .graph_begins = first_begins,
                                       .graph_ends = first_ends,
                                       .program_ends = end_first };
static const struct observer second = { .graph_begins = second_begins,
                                        .graph_ends = second_ends,
                                        .after_fork = fork_second };

/* Does what ggml does: a callback after each node, until one says stop. Returns ggml's status. */
static int compute(struct ggml_cplan * plan, int n_nodes) {
    for (int i = 0; i < n_nodes; i++) {
        if (plan->abort_callback && plan->abort_callback(plan->abort_callback_data)) { return 1; }
    }
    return 0;
}

static void run(struct ggml_cplan * plan, bool one, bool two) {
    struct graph_call call;
    first_watches = one;
    second_watches = two;
    said[0] = '\0';
    graph_call_begin(&call, &host, NULL, plan);
    const int status = compute(plan, 3);
    graph_call_end(&call, status);
}

static void test_each_sees_each_node_in_order(void ** state) {
    (void) state;
    struct ggml_cplan plan = { 0 };
    run(&plan, true, true);
    assert_string_equal(said, "([121212)]");
    assert_null(plan.abort_callback);
}

static void test_who_declines_is_left_alone(void ** state) {
    (void) state;
    struct ggml_cplan plan = { 0 };
    run(&plan, false, true);
    assert_string_equal(said, "([222]");
}

static bool never(void * data) {
    (void) data;
    say("!");
    return false;
}

/* A plan is not even written to if nobody watches. */
static void test_no_observer_no_change(void ** state) {
    (void) state;
    struct ggml_cplan plan = { .abort_callback = never };
    run(&plan, false, false);
    assert_string_equal(said, "([!!!");
    assert_true(plan.abort_callback == never);
}

static bool after_two(void * data) {
    say("?");
    return ++*(int *) data == 2;
}

static void test_the_program_ends_the_graph(void ** state) {
    (void) state;
    int count = 0;
    struct ggml_cplan plan = { .abort_callback = after_two, .abort_callback_data = &count };
    run(&plan, true, false);
    assert_string_equal(said, "([1?1?)");
    assert_true(plan.abort_callback == after_two && plan.abort_callback_data == &count);
    assert_int_equal(status_at_end, 1);
    assert_true(aborted_at_end);
}

/* In a ggml whose plan is not proven, nothing is written, whoever wants to watch. */
static void test_what_is_not_proven_is_not_touched(void ** state) {
    (void) state;
    struct ggml_cplan plan = { .abort_callback = never };
    const struct ggml_cplan before = plan;
    host.trouble[0] = '?';
    run(&plan, true, false);
    host.trouble[0] = '\0';
    assert_string_equal(said, "([!!!)");
    assert_memory_equal(&plan, &before, sizeof plan);
}

/* Computes a graph on another thread with a plan that is in use. */
static void * compute_beside(void * data) {
    struct graph_call beside;
    said[0] = '\0';
    graph_call_begin(&beside, &host, NULL, data);
    const int status = compute(data, 2);
    graph_call_end(&beside, status);
    assert_true(beside.hands_off);
    return NULL;
}

/* For each, the program's callback is asked; the nodes of one do not count for the other. */
static void test_two_graphs_with_one_plan(void ** state) {
    (void) state;
    struct ggml_cplan plan = { .abort_callback = never };
    struct graph_call call;
    pthread_t thread;
    first_watches = true;
    second_watches = false;
    graph_call_begin(&call, &host, NULL, &plan);
    assert_false(call.hands_off);
    assert_int_equal(pthread_create(&thread, NULL, compute_beside, &plan), 0);
    pthread_join(thread, NULL);
    assert_string_equal(said, "([!!)");
    said[0] = '\0';
    compute(&plan, 2);
    graph_call_end(&call, 0);
    assert_string_equal(said, "1!1!)");
    assert_true(plan.abort_callback == never);
}

static void test_exit_and_fork_reach_those_who_ask(void ** state) {
    (void) state;
    said[0] = '\0';
    observers_program_ends();
    observers_after_fork();
    assert_string_equal(said, "ef");
}

int main(void) {
    observers_add(&first);
    observers_add(&second);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_sees_each_node_in_order),
        cmocka_unit_test(test_who_declines_is_left_alone),
        cmocka_unit_test(test_no_observer_no_change),
        cmocka_unit_test(test_the_program_ends_the_graph),
        cmocka_unit_test(test_what_is_not_proven_is_not_touched),
        cmocka_unit_test(test_two_graphs_with_one_plan),
        cmocka_unit_test(test_exit_and_fork_reach_those_who_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
