/* SPDX-License-Identifier: MIT
 *
 * Cache policies against simulators that are written to be read, not to be fast.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/heap.h"
#include "policy/policy.h"

enum { ITEMS = 40, ACCESSES = 4000 };

/* Numbers that are the same in every run. */
static uint32_t random_number(uint64_t * state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*state >> 33);
}

/* Some items are asked for far more often than others, in stretches that go through the items in order. */
static void make_string(uint32_t * string, uint64_t seed) {
    for (size_t i = 0; i < ACCESSES; i++) {
        const uint32_t kind = random_number(&seed) % 4;
        string[i] = kind == 0   ? random_number(&seed) % ITEMS
                    : kind == 1 ? random_number(&seed) % 5
                                : (uint32_t) (i % ITEMS);
    }
}

/* Everything about an item that any policy may want to know. */
struct item {
    bool held, small, ghost;
    uint64_t bytes, since, used_at, uses, round, ghost_at;
};

struct naive {
    struct item item[ITEMS];
    uint64_t capacity, now;
};

static uint64_t sum(const struct naive * n, bool (*wanted)(const struct item *)) {
    uint64_t bytes = 0;
    for (int i = 0; i < ITEMS; i++) { bytes += wanted(&n->item[i]) ? n->item[i].bytes : 0; }
    return bytes;
}

static bool is_held(const struct item * i) {
    return i->held;
}
static bool is_small(const struct item * i) {
    return i->held && i->small;
}
static bool is_ghost(const struct item * i) {
    return i->ghost;
}

static bool fits(const struct naive * n, uint32_t item) {
    return sum(n, is_held) + n->item[item].bytes <= n->capacity;
}

/* The one that is wanted, held, and least by a measure. */
static int least(const struct naive * n, bool (*wanted)(const struct item *),
                 uint64_t (*measure)(const struct item *)) {
    int found = -1;
    for (int i = 0; i < ITEMS; i++) {
        if (wanted(&n->item[i]) && (found < 0 || measure(&n->item[i]) < measure(&n->item[found]))) { found = i; }
    }
    return found;
}

static uint64_t by_use(const struct item * i) {
    return i->used_at;
}
static uint64_t by_age(const struct item * i) {
    return i->since;
}
static uint64_t by_ghost_age(const struct item * i) {
    return i->ghost_at;
}

static void take(struct naive * n, uint32_t item) {
    n->item[item].held = true;
    n->item[item].since = n->now;
}

static bool naive_queue(struct naive * n, uint32_t item, uint64_t (*measure)(const struct item *)) {
    const bool hit = n->item[item].held;
    n->item[item].used_at = n->now;
    if (hit || n->item[item].bytes > n->capacity) { return hit; }
    while (!fits(n, item)) { n->item[least(n, is_held, measure)].held = false; }
    take(n, item);
    return false;
}

static bool naive_lru(struct naive * n, uint32_t item) {
    return naive_queue(n, item, by_use);
}

static bool naive_fifo(struct naive * n, uint32_t item) {
    return naive_queue(n, item, by_age);
}

static uint64_t by_uses_then_use(const struct item * i) {
    return i->uses * (2 * ACCESSES) + i->used_at;
}

static bool naive_frequency(struct naive * n, uint32_t item) {
    n->item[item].uses++;
    n->item[item].used_at = n->now;
    struct naive after = *n;
    if (n->item[item].held) { return true; }
    if (n->item[item].bytes > n->capacity) { return false; }
    while (!fits(&after, item)) {
        const int out = least(&after, is_held, by_uses_then_use);
        if (out < 0 || after.item[out].uses >= after.item[item].uses) { return false; }
        after.item[out].held = false;
    }
    take(&after, item);
    *n = after;
    return false;
}

static bool is_main(const struct item * i) {
    return i->held && !i->small;
}

static void leave_small(struct naive * n) {
    struct item * out = &n->item[least(n, is_small, by_age)];
    out->small = false;
    if (out->uses >= 2) {
        out->uses = 0;
        out->since = n->now++;
        return;
    }
    out->held = false;
    out->ghost = true;
    out->ghost_at = n->now++;
    while (sum(n, is_ghost) > n->capacity - n->capacity / 10) {
        n->item[least(n, is_ghost, by_ghost_age)].ghost = false;
    }
}

static void leave_main(struct naive * n) {
    struct item * out = &n->item[least(n, is_main, by_age)];
    if (out->uses) {
        out->uses--;
        out->since = n->now++;
    } else {
        out->held = false;
    }
}

static bool naive_s3fifo(struct naive * n, uint32_t item) {
    struct item * i = &n->item[item];
    if (i->held) {
        if (i->uses < 3) { i->uses++; }
        return true;
    }
    if (i->bytes > n->capacity) { return false; }
    const bool known = i->ghost;
    i->ghost = false;
    while (!fits(n, item)) {
        const bool any_main = least(n, is_main, by_age) >= 0, any_small = least(n, is_small, by_age) >= 0;
        if (any_small && (sum(n, is_small) > n->capacity / 10 || !any_main)) {
            leave_small(n);
        } else {
            leave_main(n);
        }
    }
    i->small = !known;
    i->uses = 0;
    n->now++;
    take(n, item);
    return false;
}

static uint64_t bytes_held(const struct policy * policy) {
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < ITEMS; k++) { bytes += policy_bytes_held(policy, k); }
    return bytes;
}

/* An access, and what is true after it whatever the policy. Returns whether it was a hit. */
static bool checked_access(struct policy * policy, uint32_t item, const uint64_t * bytes, uint64_t capacity) {
    const uint64_t before = policy_used(policy), held = policy_bytes_held(policy, item);
    assert_int_equal(policy_access(policy, item), held);
    uint32_t n_evicted;
    uint64_t gone = 0;
    const uint32_t * evicted = policy_evicted(policy, &n_evicted);
    for (uint32_t k = 0; k < n_evicted; k++) {
        gone += bytes[evicted[k]];
        if (evicted[k] != item) { assert_int_equal(policy_bytes_held(policy, evicted[k]), 0); }
    }
    const uint64_t after = bytes_held(policy);
    assert_int_equal(policy_used(policy), after);
    assert_true(after <= capacity && policy_bytes_held(policy, item) <= bytes[item]);
    if (!held && before + bytes[item] <= capacity) { assert_int_equal(n_evicted, 0); }
    const bool passed_by = n_evicted && evicted[n_evicted - 1] == item;
    const uint64_t taken = passed_by ? bytes[item] : policy_bytes_held(policy, item) - held;
    assert_int_equal(before - gone + taken, after);
    return held == bytes[item];
}

static void compare(const struct policy_kind * kind, bool (*naive)(struct naive *, uint32_t), uint64_t capacity,
                    uint64_t seed, bool equal) {
    uint32_t string[ACCESSES];
    uint64_t bytes[ITEMS];
    struct naive n = { .capacity = capacity };
    for (int i = 0; i < ITEMS; i++) { bytes[i] = n.item[i].bytes = equal ? 1 : 1 + random_number(&seed) % 9; }
    make_string(string, seed);
    const struct policy_items items = { .bytes = bytes, .count = ITEMS };
    struct policy * policy = policy_new(kind, capacity, &items);
    assert_non_null(policy);
    size_t hits = 0;
    for (size_t i = 0; i < ACCESSES; i++) {
        n.now++;
        const bool hit = checked_access(policy, string[i], bytes, capacity);
        hits += hit;
        if (!naive) { continue; }
        if (hit != naive(&n, string[i])) { fail_msg("%s, %zu: access %zu differs", kind->name, (size_t) capacity, i); }
        for (uint32_t k = 0; k < ITEMS; k++) {
            assert_int_equal(policy_bytes_held(policy, k), n.item[k].held ? bytes[k] : 0);
        }
    }
    if (capacity >= 9 * ITEMS && kind->knowledge == POLICY_ONLINE) { assert_int_equal(hits, ACCESSES - ITEMS); }
    policy_free(policy);
}

static void compare_all(const struct policy_kind * kind, bool (*naive)(struct naive *, uint32_t)) {
    static const uint64_t capacities[] = { 1, 2, 3, 7, 10, 20, 33, 64, 100, 150, 9 * ITEMS };
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            compare(kind, naive, capacities[c], seed, false);
            compare(kind, naive, capacities[c], seed, true);
        }
    }
}

static void test_lru(void ** state) {
    (void) state;
    compare_all(&policy_lru, naive_lru);
}

static void test_fifo(void ** state) {
    (void) state;
    compare_all(&policy_fifo, naive_fifo);
}

static void test_frequency(void ** state) {
    (void) state;
    compare_all(&policy_frequency, naive_frequency);
}

static void test_s3fifo(void ** state) {
    (void) state;
    compare_all(&policy_s3fifo, naive_s3fifo);
}

/* Where there is room nothing is evicted, and what all fit in is read once: of each policy. */
static void test_all(void ** state) {
    (void) state;
    static const uint64_t capacities[] = { 1, 10, 64, 9 * ITEMS };
    for (size_t k = 0; policy_kinds[k]; k++) {
        for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
            compare(policy_kinds[k], NULL, capacities[c], 1, false);
            compare(policy_kinds[k], NULL, capacities[c], 2, true);
        }
    }
}

/* Six items; 10 bytes hold the best, and of the next best what fits. Of equals the smaller comes first. */
static void test_pin(void ** state) {
    (void) state;
    const uint64_t bytes[] = { 4, 8, 3, 5, 3, 1 }, value[] = { 9, 8, 7, 2, 2, 0 };
    static const struct {
        uint64_t capacity, kept[6];
    } cases[] = {
        { 3, { 3 } }, { 10, { 4, 6 } }, { 17, { 4, 8, 3, 0, 2 } }, { 21, { 4, 8, 3, 3, 3 } }, { 99, { 4, 8, 3, 5, 3 } }
    };
    const struct policy_items items = { bytes, value, 6 };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct policy * policy = policy_new(&policy_pin, cases[c].capacity, &items);
        uint64_t used = 0;
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < 6; i++) {
                assert_int_equal(policy_access(policy, i), round ? cases[c].kept[i] : 0);
                assert_int_equal(policy_bytes_held(policy, i), cases[c].kept[i]);
            }
        }
        for (uint32_t i = 0; i < 6; i++) { used += cases[c].kept[i]; }
        assert_int_equal(policy_used(policy), used);
        policy_free(policy);
    }
}

/* Of equals the one accessed longest ago goes, whatever its number. */
static void test_ties(void ** state) {
    (void) state;
    const uint64_t bytes[] = { 1, 1, 1 };
    const struct policy_items items = { .bytes = bytes, .count = 3 };
    struct policy * policy = policy_new(&policy_frequency, 2, &items);
    for (const char * c = "1022"; *c; c++) { policy_access(policy, (uint32_t) (*c - '0')); }
    assert_int_equal(policy_bytes_held(policy, 0), 1);
    assert_int_equal(policy_bytes_held(policy, 1), 0);
    assert_int_equal(policy_bytes_held(policy, 2), 1);
    policy_free(policy);
}

/* Hits in 100 rounds of a loop one item larger than the cache: some policies keep nothing of it, others all that fits.
 */
static int hits_in_loop(const struct policy_kind * kind) {
    const uint64_t bytes[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const struct policy_items items = { .bytes = bytes, .count = 10 };
    struct policy * policy = policy_new(kind, 9, &items);
    int hits = 0;
    for (int i = 0; i < 1000; i++) { hits += policy_access(policy, (uint32_t) (i % 10)) > 0; }
    policy_free(policy);
    return hits;
}

static void test_loop(void ** state) {
    (void) state;
    static const struct policy_kind * const nothing[] = { &policy_lru, &policy_fifo,  &policy_clock, &policy_sieve,
                                                          &policy_lfu, &policy_lfuda, &policy_lru2,  &policy_arc };
    for (size_t k = 0; k < sizeof nothing / sizeof nothing[0]; k++) { assert_int_equal(hits_in_loop(nothing[k]), 0); }
    assert_int_equal(hits_in_loop(&policy_frequency), 9 * 99);
    assert_int_equal(hits_in_loop(&policy_cycle), 9 * 99);
    assert_int_equal(hits_in_loop(&policy_mru), 9 * 99 - 11); /* now and then one more, as the newest makes room */
}

static uint32_t first_of(const struct rank * ranks, const bool * in) {
    uint32_t first = ITEMS;
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (in[i] && (first == ITEMS || rank_is_before(ranks[i], ranks[first]))) { first = i; }
    }
    return first;
}

/* Ranks in order, against it and in none; each item comes, changes and goes. */
static void test_heap(void ** state) {
    (void) state;
    struct rank ranks[ITEMS];
    bool in[ITEMS] = { false };
    struct heap h;
    uint64_t seed = 1;
    assert_true(heap_begin(&h, ITEMS));
    for (uint64_t now = 1; now < 20000; now++) {
        const uint32_t item = random_number(&seed) % ITEMS, mode = (uint32_t) (now / 100 % 4);
        const struct rank rank = { mode == 0 ? 1 : mode == 1 ? 20000 - now : random_number(&seed) % 9, now };
        const uint32_t how = random_number(&seed) % 8;
        if (!in[item]) {
            heap_add(&h, item, rank);
        } else if (how > 1) {
            heap_set_rank(&h, item, rank);
        } else if (how == 1) {
            heap_remove(&h, item);
        } else {
            const uint32_t first = heap_pop(&h).item;
            assert_int_equal(first, first_of(ranks, in));
            in[first] = false;
            continue;
        }
        in[item] = !in[item] || how > 1;
        ranks[item] = rank;
        assert_true(!in[item] || heap_rank(&h, item).accessed == now);
        if (h.count) { assert_int_equal(heap_first(&h).item, first_of(ranks, in)); }
    }
    heap_end(&h);
}

/* A policy that can be resized holds no more from then on, and goes on as any other. */
static void test_resize(void ** state) {
    (void) state;
    uint32_t string[ACCESSES], n_evicted;
    uint64_t bytes[ITEMS], seed = 4;
    for (int i = 0; i < ITEMS; i++) { bytes[i] = 1 + random_number(&seed) % 9; }
    make_string(string, seed);
    const struct policy_items items = { .bytes = bytes, .count = ITEMS };
    for (size_t k = 0; policy_kinds[k]; k++) {
        uint64_t capacity = 100;
        struct policy * policy = policy_new(policy_kinds[k], capacity, &items);
        for (size_t i = 0; i < ACCESSES; i++) {
            if (i % 100 == 99) {
                const uint64_t before = policy_used(policy);
                capacity = i < ACCESSES - 200 ? 1 + random_number(&seed) % 200 : 10;
                if (!policy_resize(policy, capacity)) { break; }
                uint64_t gone = 0;
                const uint32_t * evicted = policy_evicted(policy, &n_evicted);
                for (uint32_t e = 0; e < n_evicted; e++) { gone += bytes[evicted[e]]; }
                assert_true(policy_used(policy) <= capacity);
                assert_int_equal(policy_used(policy) + gone, before);
                assert_int_equal(bytes_held(policy), policy_used(policy));
            }
            checked_access(policy, string[i], bytes, capacity);
        }
        assert_true(policy_kinds[k] != &policy_cycle || policy_used(policy) <= 10);
        policy_free(policy);
    }
}

/* Who knows the future is told apart from who does not, and each has a name of its own. */
static void test_kinds(void ** state) {
    (void) state;
    for (size_t k = 0; policy_kinds[k]; k++) {
        assert_int_equal(policy_kinds[k]->knowledge == POLICY_HINDSIGHT, policy_kinds[k] == &policy_pin);
        for (size_t other = 0; other < k; other++) {
            assert_string_not_equal(policy_kinds[k]->name, policy_kinds[other]->name);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lru),    cmocka_unit_test(test_fifo),   cmocka_unit_test(test_frequency),
        cmocka_unit_test(test_s3fifo), cmocka_unit_test(test_all),    cmocka_unit_test(test_pin),
        cmocka_unit_test(test_ties),   cmocka_unit_test(test_loop),   cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_heap),   cmocka_unit_test(test_resize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
