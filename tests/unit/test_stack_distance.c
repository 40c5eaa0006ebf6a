/* SPDX-License-Identifier: MIT
 *
 * Reuse distances against the definition, and MIN at all sizes against Belady's rule at each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/caching/min_stack.h"
#include "analysis/caching/recency.h"

enum { ITEMS_MAX = 200, ACCESSES = 3000 };

static uint32_t random_number(uint64_t * state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*state >> 33);
}

/* By kind: a loop, any at random, a loop with some at random, mostly few. */
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

/* Without sizes: a loop over n items comes back to each after n different ones. */
static void test_reuse_distance_of_a_loop(void ** state) {
    (void) state;
    struct recency recency;
    assert_true(recency_begin(&recency, 50, NULL));
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(recency_access(&recency, i % 50), i < 50 ? NEVER_BEFORE : 50);
    }
    recency_end(&recency);
}

/* Belady: what is not needed for longest goes. Which accesses hit, in a cache of `capacity` items. */
static void belady(const uint32_t * string, const uint32_t * next, uint32_t capacity, bool * hit) {
    uint32_t held[ITEMS_MAX], need[ITEMS_MAX], n = 0;
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t at = 0;
        while (at < n && held[at] != string[i]) { at++; }
        hit[i] = at < n;
        if (!hit[i] && n < capacity) {
            at = n++;
        } else if (!hit[i]) {
            at = 0;
            for (uint32_t k = 1; k < n; k++) { at = need[k] > need[at] ? k : at; }
        }
        held[at] = string[i];
        need[at] = next[i];
    }
}

static void test_min(void ** state) {
    (void) state;
    static const uint32_t sizes[] = { 1, 2, 5, 63, 64, 65, 130, ITEMS_MAX };
    uint32_t string[ACCESSES], next[ACCESSES], depth[ACCESSES];
    bool hit[ACCESSES];
    for (int kind = 0; kind < 4; kind++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct min_stack stack;
            uint32_t last[ITEMS_MAX];
            make_string(string, sizes[s], kind);
            memset(last, 0xff, sizeof last);
            for (uint32_t i = ACCESSES; i-- > 0;) {
                next[i] = last[string[i]];
                last[string[i]] = i;
            }
            assert_true(min_stack_begin(&stack, sizes[s]));
            for (uint32_t i = 0; i < ACCESSES; i++) { depth[i] = min_stack_access(&stack, next[i]); }
            min_stack_end(&stack);
            for (uint32_t capacity = 1; capacity <= sizes[s]; capacity++) {
                uint32_t hits = 0, expected = 0;
                belady(string, next, capacity, hit);
                for (uint32_t i = 0; i < ACCESSES; i++) {
                    hits += depth[i] && depth[i] <= capacity;
                    expected += hit[i];
                }
                if (hits != expected) {
                    fail_msg("string %d of %u items, cache of %u: %u hits, expected %u", kind, sizes[s], capacity, hits,
                             expected);
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse_distance),
        cmocka_unit_test(test_reuse_distance_of_a_loop),
        cmocka_unit_test(test_min),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
