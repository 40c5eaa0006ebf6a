/* SPDX-License-Identifier: MIT
 *
 * Reuse distances against the definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/caching/recency.h"

enum { ITEMS_MAX = 200, ACCESSES = 3000 };

static uint32_t random_number(uint64_t * state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*state >> 33);
}

/* By kind: a loop, random items, a loop with some random items, mostly few items. */
static void make_string(uint32_t * string, uint32_t n_items, int kind) {
    uint64_t seed = 7 + (uint64_t) kind;
    for (uint32_t i = 0; i < ACCESSES; i++) {
        const uint32_t any = random_number(&seed) % n_items, few = random_number(&seed) % (1 + n_items / 10);
        const bool odd = random_number(&seed) % 3 == 0;
        string[i] = kind == 0 ? i % n_items : kind == 1 ? any : kind == 2 ? (odd ? any : i % n_items) : odd ? any : few;
    }
}

/* From the definition: the bytes of the different items since, and of the item itself. */
static uint64_t distance_of(const uint32_t * string, uint32_t at, const uint64_t * bytes) {
    bool seen[ITEMS_MAX] = { false };
    uint64_t sum = 0;
    for (uint32_t i = at; i-- > 0;) {
        if (!seen[string[i]]) { sum += bytes[string[i]]; }
        seen[string[i]] = true;
        if (string[i] == string[at]) { return sum; }
    }
    return NEVER_BEFORE;
}

static void test_reuse_distance(void ** state) {
    (void) state;
    static const uint32_t sizes[] = { 1, 2, 17, ITEMS_MAX };
    uint32_t string[ACCESSES];
    uint64_t bytes[ITEMS_MAX], seed = 3;
    for (int i = 0; i < ITEMS_MAX; i++) { bytes[i] = random_number(&seed) % 1000000; }
    for (int kind = 0; kind < 4; kind++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct recency recency;
            make_string(string, sizes[s], kind);
            assert_true(recency_begin(&recency, sizes[s], bytes));
            for (uint32_t i = 0; i < ACCESSES; i++) {
                assert_int_equal(recency_access(&recency, string[i]), distance_of(string, i, bytes));
            }
            recency_end(&recency);
        }
    }
}

/* Without sizes, a loop over n items comes back to each after n different ones. */
static void test_reuse_distance_of_a_loop(void ** state) {
    (void) state;
    struct recency recency;
    assert_true(recency_begin(&recency, 50, NULL));
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(recency_access(&recency, i % 50), i < 50 ? NEVER_BEFORE : 50);
    }
    recency_end(&recency);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse_distance),
        cmocka_unit_test(test_reuse_distance_of_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
