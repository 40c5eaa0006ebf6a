/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "manage/schedule.h"

/* Step 0 needs pieces 0 and 1, step 3 needs 1; router 0, ready after 2 callbacks, chooses of stack 10..13 for step 4.
 */
static const struct schedule_use uses[] = {
    { .step = 0, .piece = 0, .count = 2, .router = UINT32_MAX },
    { .step = 3, .piece = 1, .count = 1, .router = UINT32_MAX },
    { .step = 4, .piece = 10, .count = 4, .experts = 4, .router = 0 },
};
enum { USES = sizeof uses / sizeof uses[0] };

static void each_use_is_waited_for_and_passed(void ** state) {
    (void) state;
    static const struct schedule_action expected[] = {
        { 0, SCHEDULE_WAIT, 0, 2 }, { 2, SCHEDULE_PASS, 2, 0 },        { 2, SCHEDULE_CHOOSE, 0, 0 },
        { 3, SCHEDULE_WAIT, 2, 3 }, { 4, SCHEDULE_WAIT_CHOSEN, 0, 0 }, { 5, SCHEDULE_PASS, 3, 0 },
        { 6, SCHEDULE_DROP, 0, 0 },
    };
    const uint32_t ready[] = { 2 };
    struct schedule s;
    assert_true(schedule_make(uses, USES, ready, 1, &s));
    assert_int_equal(s.n_actions, sizeof expected / sizeof expected[0]);
    for (uint32_t i = 0; i < s.n_actions; i++) {
        assert_int_equal(s.action[i].when, expected[i].when);
        assert_int_equal(s.action[i].kind, expected[i].kind);
        assert_int_equal(s.action[i].first, expected[i].first);
        assert_int_equal(s.action[i].end, expected[i].end);
    }
    assert_int_equal(s.order.count, 3);
    assert_int_equal(s.order.piece[2], 1);
    assert_int_equal(s.stack[0].piece, 10);
    schedule_free(&s);
}

/* Its choice comes too late to be of use, so nothing is done about it. */
static void a_stack_without_a_choice_is_left_alone(void ** state) {
    (void) state;
    struct schedule_use use = uses[2];
    use.router = UINT32_MAX;
    struct schedule s;
    assert_true(schedule_make(&use, 1, NULL, 0, &s));
    assert_int_equal(s.n_actions, 0);
    assert_int_equal(s.n_stacks, 0);
    schedule_free(&s);
}

static void nothing_needs_nothing(void ** state) {
    (void) state;
    struct schedule s;
    assert_true(schedule_make(NULL, 0, NULL, 0, &s));
    assert_int_equal(s.n_actions, 0);
    assert_int_equal(s.order.count, 0);
    schedule_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_use_is_waited_for_and_passed),
        cmocka_unit_test(a_stack_without_a_choice_is_left_alone),
        cmocka_unit_test(nothing_needs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
