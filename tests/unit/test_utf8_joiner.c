/* SPDX-License-Identifier: MIT
 *
 * UTF-8 from bytes that arrive token by token.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "analysis/view/token_text.h"
#include "analysis/view/utf8_joiner.h"

static struct utf8_joiner joiner;

static int begin(void ** state) {
    (void) state;
    assert_true(utf8_join_begin(&joiner, 200));
    return 0;
}

static int end(void ** state) {
    (void) state;
    utf8_join_free(&joiner);
    return 0;
}

/* Token `position` of the context, in the entry of that number. */
static void add(uint32_t entry, uint32_t context, int64_t position, const char * bytes) {
    assert_true(utf8_join(&joiner, entry, context, position, bytes, strlen(bytes)));
}

static void expect(uint32_t entry, const char * text) {
    assert_true(joiner.at[entry].is_known);
    assert_int_equal(joiner.at[entry].n, strlen(text));
    assert_memory_equal(joiner.at[entry].n ? joiner.at[entry].bytes : "", text, strlen(text));
}

static void test_characters_are_joined(void ** state) {
    (void) state;
    add(0, 1, 0, "a \xf0\x9f");
    add(1, 1, 1, "\xa4");
    add(2, 1, 2, "\x96 b\xc3");
    add(3, 1, 3, "\xa9");
    utf8_join_end(&joiner);
    expect(0, "a ");
    expect(1, "");
    expect(2, "\xf0\x9f\xa4\x96 b");
    expect(3, "\xc3\xa9");
    assert_false(joiner.at[4].is_known);
}

/* Two sequences in one context, and another context, take turns. */
static void test_sequences_are_apart(void ** state) {
    (void) state;
    add(0, 1, 10, "\xe4\xb8");
    add(1, 1, 20, "\xe6\x9c");
    add(2, 2, 10, "\xc3");
    add(3, 1, 21, "\xba");
    add(4, 1, 11, "\xad");
    add(5, 2, 11, "\xa9");
    add(6, 3, INT64_MIN, "\xc3"); /* positions that were not recorded */
    add(7, 3, INT64_MIN, "\xa9");
    utf8_join_end(&joiner);
    expect(3, "\xe6\x9c\xba");
    expect(4, "\xe4\xb8\xad");
    expect(5, "\xc3\xa9");
    expect(7, "\xc3\xa9");
}

static void test_no_characters(void ** state) {
    (void) state;
    add(0, 1, 0, "\xff\x80x");
    add(1, 1, 1, "\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"); /* overlong, a surrogate, beyond U+10FFFF */
    add(2, 1, 2, "\xe4\xb8");                              /* never ends */
    add(3, 1, 9, "\xad");
    add(4, 1, 10, "\xc3");
    add(5, 1, 11, "z");
    utf8_join_end(&joiner);
    expect(0, "\ufffd\ufffdx");
    expect(1, "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd");
    expect(2, "\ufffd");
    expect(3, "\ufffd");
    expect(4, "\ufffd");
    expect(5, "z");
}

static void test_nul_is_a_character(void ** state) {
    (void) state;
    assert_true(utf8_join(&joiner, 0, 1, 0, "a\0b", 3));
    assert_int_equal(joiner.at[0].n, 3);
    assert_memory_equal(joiner.at[0].bytes, "a\0b", 3);
}

static void test_length_is_bounded(void ** state) {
    (void) state;
    char * large = malloc(1 << 20);
    memset(large, 'x', 1 << 20);
    assert_true(utf8_join(&joiner, 0, 1, 0, large, 1 << 20));
    assert_true(joiner.at[0].n <= TOKEN_TEXT_MOST + 3);
    assert_memory_equal(joiner.at[0].bytes + joiner.at[0].n - 3, "\u2026", 3);
    for (int i = 0; i < 1000; i++) { add(1, 1, 1 + i, "\xe4\xb8\xad"); }
    assert_true(joiner.at[1].n <= TOKEN_TEXT_MOST + 3);
    free(large);
}

/* Whatever arrives, in whatever order: JSON takes it. */
static void test_any_bytes(void ** state) {
    (void) state;
    uint32_t dice = 1;
    for (int i = 0; i < 20000; i++) {
        char bytes[4];
        for (size_t k = 0; k < sizeof bytes; k++) {
            dice = dice * 1664525 + 1013904223;
            bytes[k] = (char) (dice >> 24 | (k == 0 ? 0x80 : 0));
        }
        assert_true(utf8_join(&joiner, (dice >> 8) % 200, (dice >> 16) % 90, (dice >> 20) % 3, bytes, 1 + dice % 4));
    }
    utf8_join_end(&joiner);
    for (uint32_t i = 0; i < 200; i++) {
        json_t * text = json_stringn(joiner.at[i].bytes, joiner.at[i].n);
        assert_non_null(text);
        json_decref(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_characters_are_joined, begin, end),
        cmocka_unit_test_setup_teardown(test_sequences_are_apart, begin, end),
        cmocka_unit_test_setup_teardown(test_no_characters, begin, end),
        cmocka_unit_test_setup_teardown(test_nul_is_a_character, begin, end),
        cmocka_unit_test_setup_teardown(test_length_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_any_bytes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
