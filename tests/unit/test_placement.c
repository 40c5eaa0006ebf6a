/* SPDX-License-Identifier: MIT
 *
 * What stays, streams, is cached or left: no more memory than there is, and every byte counted once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/placement.h"

enum { MIB = 1 << 20, ITEMS_MOST = 400, ROUNDS = 20000, ALL = PLACE_MAY_PIN | PLACE_MAY_STREAM | PLACE_MAY_CACHE };

static struct placement_item items[ITEMS_MOST];
static uint8_t classes[ITEMS_MOST];

static void fill(uint32_t dense, uint64_t dense_bytes, uint32_t experts, uint64_t expert_bytes) {
    for (uint32_t i = 0; i < dense + experts; i++) {
        items[i] = (struct placement_item){ .bytes = i < dense ? dense_bytes : expert_bytes, .is_expert = i >= dense };
    }
}

static uint64_t sum(uint32_t count, bool experts, enum placement_class class) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].is_expert == experts && classes[i] == class) { bytes += items[i].bytes; }
    }
    return bytes;
}

/* What holds of every placement. */
static struct placement make(uint32_t count, uint64_t budget, unsigned may) {
    memset(classes, 0xff, sizeof classes);
    const struct placement p = placement_make(items, count, budget, may, classes);
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_in_range(classes[i], PLACE_LEAVE, PLACE_CACHE);
        all += items[i].bytes;
    }
    assert_true(p.pinned + p.ring + p.cache <= budget);
    assert_int_equal(p.pinned + p.streamed + p.cached + p.left, all);
    assert_int_equal(p.pinned, sum(count, false, PLACE_PIN) + sum(count, true, PLACE_PIN));
    assert_int_equal(p.streamed, sum(count, false, PLACE_STREAM));
    assert_int_equal(p.cached, sum(count, true, PLACE_CACHE));
    assert_int_equal(sum(count, true, PLACE_STREAM) + sum(count, false, PLACE_CACHE), 0);
    assert_true(p.cache <= p.cached && p.ring <= p.streamed);
    assert_true((may & PLACE_MAY_PIN) || p.pinned == 0);
    assert_true((may & PLACE_MAY_STREAM) || p.streamed + p.ring == 0);
    assert_true((may & PLACE_MAY_CACHE) || p.cached + p.cache == 0);
    return p;
}

static void test_at_random(void ** state) {
    (void) state;
    unsigned seed = 13;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint32_t count = (uint32_t) rand_r(&seed) % 40, kind = (uint32_t) rand_r(&seed) % 4;
        uint64_t all = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t pages = 1 + (uint64_t) rand_r(&seed) % (1u << rand_r(&seed) % 16);
            items[i] = (struct placement_item){ .bytes = pages * 4096,
                                                .is_expert = kind == 0 || (kind > 1 && rand_r(&seed) % 3 == 0),
                                                .with_last = i > 0 && rand_r(&seed) % 4 == 0 };
            all += items[i].bytes;
        }
        make(count, all ? (uint64_t) rand_r(&seed) * 4096 % (all + all / 4) : 0, (unsigned) rand_r(&seed) % 8);
    }
}

static void test_all_fits(void ** state) {
    (void) state;
    fill(100, MIB, 100, MIB);
    for (unsigned may = 0; may <= ALL; may++) {
        const struct placement p = make(200, 200 * MIB, may);
        if (may & PLACE_MAY_PIN) { assert_int_equal(p.pinned, 200ull * MIB); }
    }
}

/* What a token takes, in bytes that could be read meanwhile: those that do not fit, and a pause for each half of the
 * ring. */
static double cost_of_ring(double over, double ring) {
    const double pause = 384 * 1024.0, bytes = over + ring;
    return bytes + pause * bytes / (ring / 2);
}

static void test_size_of_ring(void ** state) {
    (void) state;
    fill(200, 20 * MIB, 0, 0);
    for (uint32_t budget = 300; budget < 4000; budget += 100) {
        const double over = (4000 - budget) * (double) MIB;
        const double ring = (double) make(200, (uint64_t) budget * MIB, ALL).ring;
        assert_true(cost_of_ring(over, ring) <= cost_of_ring(over, ring * 1.1));
        assert_true(cost_of_ring(over, ring) <= cost_of_ring(over, ring * 0.9) || ring <= 4 * MIB);
    }
    fill(30, MIB, 0, 0);
    assert_int_equal(make(30, 20 * MIB, ALL).ring, 4 * MIB); /* several reads at once */
    assert_int_equal(make(30, 2 * MIB, ALL).ring, 2 * MIB);
}

static void test_dense_does_not_fit(void ** state) {
    (void) state;
    fill(200, MIB, 0, 0);
    const struct placement p = make(200, 140 * MIB, ALL);
    assert_true(p.pinned + p.ring > 138ull * MIB); /* but for a piece, all is used */
    assert_int_equal(p.left, 0);
    /* What is streamed lies evenly: in ten pieces, what is due of ten. */
    for (uint32_t from = 0; from + 10 <= 200; from++) {
        unsigned streamed = 0;
        for (uint32_t i = from; i < from + 10; i++) { streamed += classes[i] == PLACE_STREAM; }
        assert_in_range(streamed, 3, 5);
    }
    const struct placement pin = make(200, 140 * MIB, PLACE_MAY_PIN);
    assert_int_equal(pin.pinned, 140ull * MIB);
    assert_int_equal(pin.left, 60ull * MIB);
    const struct placement stream = make(200, 140 * MIB, PLACE_MAY_STREAM);
    assert_int_equal(stream.streamed, 200ull * MIB);
    assert_int_equal(stream.ring, 140ull * MIB);
}

static uint64_t streamed_of(uint32_t from, uint32_t to) {
    uint64_t streamed = 0;
    for (uint32_t i = from; i < to; i++) { streamed += classes[i] == PLACE_STREAM ? items[i].bytes : 0; }
    return streamed;
}

/* What one operation needs is in memory together: all of it is pinned if it is larger than the ring, or else what is
 * not fits in the ring, beside what the operation before uses. */
static void test_large_operation(void ** state) {
    (void) state;
    fill(80, MIB, 0, 0);
    for (uint32_t i = 51; i < 80; i++) { items[i].with_last = true; } /* the last 30 are one tensor */
    const struct placement all = make(80, 48 * MIB, ALL);
    assert_int_equal(streamed_of(50, 80), 0);
    assert_true(all.pinned + all.ring > 46ull * MIB);
    for (uint32_t from = 0; from + 10 <= 50; from++) {
        assert_in_range(streamed_of(from, from + 10), 6 * MIB, 8 * MIB);
    }
    const struct placement p = make(80, 32 * MIB, ALL);
    const uint64_t streamed = streamed_of(50, 80);
    const uint64_t room = p.ring / 4 * 3;
    assert_true(streamed <= room && streamed + 2 * MIB > room);
    assert_true(p.pinned + p.ring > 30ull * MIB);
}

/* The dense part first; experts get the rest, and a quarter at least. */
static void test_experts_do_not_fit(void ** state) {
    (void) state;
    fill(40, MIB, 300, MIB);
    struct placement p = make(340, 150 * MIB, ALL);
    assert_int_equal(p.pinned, 40ull * MIB);
    assert_int_equal(p.ring, 0);
    assert_int_equal(p.cache, 110ull * MIB);
    assert_int_equal(p.cached, 300ull * MIB);
    p = make(340, 40 * MIB, ALL);
    assert_true(p.cache >= 10ull * MIB && p.pinned + p.ring <= 30ull * MIB && p.streamed > 0);
    p = make(340, 150 * MIB, PLACE_MAY_PIN); /* without a cache, those that come first */
    assert_int_equal(p.pinned, 150ull * MIB);
    assert_int_equal(classes[40 + 109], PLACE_PIN);
    assert_int_equal(classes[40 + 110], PLACE_LEAVE);
    p = make(340, 150 * MIB, 0);
    assert_int_equal(p.left, 340ull * MIB);
}

static void test_edges(void ** state) {
    (void) state;
    const struct placement none = make(0, MIB, ALL);
    assert_int_equal(none.pinned + none.ring + none.cache, 0);
    fill(3, MIB, 3, MIB);
    for (unsigned may = 0; may <= ALL; may++) {
        const struct placement p = make(6, 0, may);
        assert_int_equal(p.pinned + p.ring + p.cache, 0);
        make(6, 1, may);
        make(6, 4096, may);
    }
    fill(1, 64 * MIB, 1, 64 * MIB); /* larger than all memory */
    for (unsigned may = 0; may <= ALL; may++) {
        const struct placement p = make(2, 10 * MIB, may);
        assert_int_equal(p.pinned, 0);
    }
    fill(0, 0, 10, MIB);
    assert_int_equal(make(10, 4 * MIB, ALL).cache, 4ull * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_random),       cmocka_unit_test(test_all_fits),
        cmocka_unit_test(test_size_of_ring),    cmocka_unit_test(test_dense_does_not_fit),
        cmocka_unit_test(test_large_operation), cmocka_unit_test(test_experts_do_not_fit),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
