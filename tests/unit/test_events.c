/* SPDX-License-Identifier: MIT
 *
 * Events of the agent, with the rest of it played by this file: whatever happens while a trace is opened, an event is
 * stored or counted as lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/events.h"
#include "agent/sink.h"
#include "agent/token_filter.h"

struct sink trace_sink;

static enum agent_state state;
static bool open_now, is_full;
static unsigned stored;
static void (*meanwhile)(void); /* what another thread does after this one has seen that no trace is open */

enum agent_state agent_state(void) {
    return state;
}

enum tat_clock agent_clock(void) {
    return TAT_CLOCK_MONOTONIC;
}

bool agent_enter(void) {
    return state != AGENT_CLOSED;
}

void agent_leave(void) {}

size_t agent_path(char * to, size_t size, const char * path) {
    assert_true(size > 1 && path[0]);
    to[0] = path[0];
    return 1;
}

bool sink_is_open(const struct sink * sink) {
    assert_ptr_equal(sink, &trace_sink);
    const bool answer = open_now;
    void (*run)(void) = meanwhile;
    meanwhile = NULL;
    if (run) { run(); }
    return answer;
}

bool sink_write(struct sink * sink, enum tat_block_type type, const void * payload, size_t payload_bytes) {
    assert_ptr_equal(sink, &trace_sink);
    assert_int_equal(type, TAT_BLOCK_EVENT);
    assert_true(payload && payload_bytes);
    stored += open_now && !is_full;
    return open_now && !is_full;
}

void tokens_event(int type, int64_t value) {
    (void) type;
    (void) value;
}

static void begin(void) {
    events_after_fork();
    state = AGENT_WAITING;
    open_now = is_full = false;
    stored = 0;
    meanwhile = NULL;
}

static void open_trace(void) {
    open_now = true;
    events_flush_early();
}

static void open_and_record(void) {
    open_trace();
    state = AGENT_RECORDING;
}

static void assert_counted(unsigned emitted) {
    assert_int_equal(events_emitted(), emitted);
    assert_int_equal(stored + events_lost(), emitted);
}

static void test_before_and_after(void ** unused) {
    (void) unused;
    begin();
    event_context(1, 2, true);
    event_text(TAT_EVENT_LOAD_BEGIN, "model");
    assert_int_equal(stored, 0);
    open_and_record();
    event_values(TAT_EVENT_LOAD_END, 1, 0);
    assert_counted(3);
    assert_int_equal(events_lost(), 0);
}

/* The trace is opened and the kept events are written just after a thread has seen that no trace is open. */
static void test_while_opened(void ** unused) {
    (void) unused;
    static void (*const openers[])(void) = { open_trace, open_and_record };
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++) {
        begin();
        event_context(1, 2, true);
        meanwhile = openers[i];
        event_context(2, 3, true);
        assert_counted(2);
        assert_int_equal(stored, 2);
    }
}

static void test_no_room(void ** unused) {
    (void) unused;
    enum { MANY = 1 << 16 };
    begin();
    for (int i = 0; i < MANY; i++) { event_context(1, UINT64_MAX, true); }
    open_and_record();
    is_full = true;
    event_context(2, 3, true);
    assert_counted(MANY + 1);
    assert_true(events_lost() > 1 && stored > 0);
}

/* The child has its own trace with its own events. */
static void test_after_fork(void ** unused) {
    (void) unused;
    begin();
    for (int i = 0; i < 1 << 16; i++) { event_context(1, UINT64_MAX, true); }
    begin();
    event_context(1, 2, true);
    open_and_record();
    assert_counted(1);
    assert_int_equal(stored, 1);
}

static void test_off(void ** unused) {
    (void) unused;
    begin();
    state = AGENT_OFF;
    event_context(1, 2, true);
    assert_counted(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_and_after), cmocka_unit_test(test_while_opened), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_after_fork),       cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
