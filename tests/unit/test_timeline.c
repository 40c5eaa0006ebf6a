/* SPDX-License-Identifier: MIT
 *
 * Computing, one thread that reads and maps, and a disk: cases computed by hand, and what holds of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan/timeline.h"

enum { READS_MOST = 64 };

static const enum timeline_kind STREAM = TIMELINE_STREAM, CHOSEN = TIMELINE_CHOSEN, WASTED = TIMELINE_WASTED;

static struct timeline_loss lost[READS_MOST];
static uint64_t ahead;

static struct timeline_machine of_disk(struct timeline_machine m, struct disk_bursts disk) {
    m.disk = m.while_computing = disk;
    return m;
}

/* A byte a nanosecond, and nothing else takes time. */
static struct timeline_machine machine(void) {
    return of_disk((struct timeline_machine){ .at_once = 8, .guesses_at_once = 2, .ring = 1 },
                   disk_bursts_of_rate(1e9));
}

static double run(const struct timeline_machine * m, const struct timeline_read * reads, uint32_t n) {
    double sum = 0;
    assert_true(timeline_run(m, reads, n, lost, &ahead));
    for (uint32_t i = 0; i < n; i++) { sum += lost[i].waited + lost[i].taken; }
    return sum;
}

static void is(double found, double expected) {
    assert_true(found > expected - 0.01 && found < expected + 0.01);
}

static void what_comes_late_is_waited_for(void ** state) {
    const struct timeline_machine m = machine();
    (void) state;
    is(run(&m, NULL, 0), 0);
    is(run(&m, &(struct timeline_read){ 1000, 400, 400, 500, CHOSEN, 0 }, 1), 0);
    is(run(&m, &(struct timeline_read){ 1000, 400, 400, 900, CHOSEN, 0 }, 1), 300);
    is(run(&m, &(struct timeline_read){ 1000, 400, 400, 900, STREAM, 0 }, 1), 300);
    assert_int_equal(ahead, 900);
    is(run(&m, &(struct timeline_read){ 10, 10, 10, 900, TIMELINE_FAULT, 70 }, 1), 70);
}

/* The first one has a hundred bytes of the disk's two hundred; then the second has it alone. */
static void reads_share_the_disk(void ** state) {
    const struct timeline_read reads[] = { { 0, 0, 0, 100, CHOSEN, 0 }, { 0, 0, 0, 300, CHOSEN, 0 } };
    struct timeline_machine m = machine();
    (void) state;
    is(run(&m, reads, 2), 400);
    is(lost[0].waited, 200);
    m.together = true; /* it says so only of both */
    is(run(&m, reads, 2), 400);
    is(lost[0].waited, 400);
    m.at_once = 1;
    run(&m, reads, 2);
    is(lost[0].waited, 100);
}

static void bursts_are_as_measured(void ** state) {
    const struct timeline_read reads[] = { { 0, 0, 0, 150, CHOSEN, 0 }, { 0, 0, 0, 150, CHOSEN, 0 } };
    struct timeline_machine m = machine();
    (void) state;
    m = of_disk(m,
                (struct disk_bursts){ .n_blocks = 2, .block = { 100, 200 }, .ns = { { 1000, 1100 }, { 2000, 2300 } } });
    is(disk_burst_ns(&m.disk, 1, 150), 1500);
    is(disk_burst_ns(&m.disk, 1, 250), 2500);
    is(disk_burst_ns(&m.disk, 1, 50), 1000); /* no less than the smallest that was measured */
    is(run(&m, reads, 1), 1500);
    is(run(&m, reads, 2), 1700);
}

/* Of 900 bytes, half are read until they are needed. */
static void a_disk_may_be_slower_while_others_compute(void ** state) {
    const struct timeline_read read = { 900, 0, 0, 900, CHOSEN, 0 };
    struct timeline_machine m = machine();
    (void) state;
    m.while_computing = disk_bursts_of_rate(0.5e9);
    is(run(&m, &read, 1), 450);
}

static void mapping_takes_the_threads_time(void ** state) {
    const struct timeline_read chosen = { 0, 0, 0, 100, CHOSEN, 0 }, stream = { 0, 0, 0, 100, STREAM, 0 };
    struct timeline_machine m = machine();
    (void) state;
    m.map_ns_per_byte = 2;
    is(run(&m, &chosen, 1), 200); /* what goes does so while the disk reads */
    is(run(&m, &stream, 1), 300); /* here it must go first */
    m.map_ns_per_byte = 0;
    m.wake_ns = 10;
    m.start_ns = 5;
    is(run(&m, &chosen, 1), 10 + 5 + 100 + 10);
}

static void work_while_others_compute_takes_from_them(void ** state) {
    const struct timeline_read read = { 1000, 0, 0, 100, CHOSEN, 0 };
    struct timeline_machine m = machine();
    (void) state;
    m.start_ns = 50;
    m.map_ns_per_byte = 2;
    is(run(&m, &read, 1), 0);
    m.taken = 1;
    is(run(&m, &read, 1), 50 + 100 + 100);
    is(lost[0].taken, 50 + 100 + 100);
    m.taken = 0.5;
    is(run(&m, &read, 1), (50 + 100 + 100) / 2.);
}

static void guesses_are_read_while_nothing_else_is(void ** state) {
    const struct timeline_read right[] = { { 1000, 1000, 100, 600, CHOSEN, 0 } };
    const struct timeline_read late[] = { { 800, 0, 0, 500, STREAM, 0 }, { 1000, 1000, 100, 600, CHOSEN, 0 } };
    const struct timeline_read wrong[] = { { 100, 100, 0, 400, WASTED, 0 }, { 100, 100, 100, 300, CHOSEN, 0 } };
    const struct timeline_read unread[] = { { 100, 100, 0, 400, WASTED, 0 }, { 900, 100, 100, 300, CHOSEN, 0 } };
    struct timeline_machine m = machine();
    (void) state;
    is(run(&m, right, 1), 0);
    is(run(&m, late, 2), 100);
    is(run(&m, wrong, 2), 600); /* nobody can call it back: the two share the disk */
    m.guesses_at_once = 0;
    is(run(&m, right, 1), 600);
    is(run(&m, wrong, 2), 300);
    is(run(&m, unread, 2), 0);
}

/* Half of the ring at a time: of four reads, the third waits until the first two have come. */
static void batches_are_half_of_the_ring(void ** state) {
    struct timeline_read reads[4];
    struct timeline_machine m = machine();
    (void) state;
    for (int i = 0; i < 4; i++) { reads[i] = (struct timeline_read){ i < 2 ? 100 : 10000, 0, 0, 100, STREAM, 0 }; }
    m.together = true;
    m.ring = 400;
    is(run(&m, reads, 4), 100);
    m.ring = 800; /* all four at once, and so much later */
    is(run(&m, reads, 4), 300);
    m.together = false;
    is(run(&m, reads, 4), 300);
}

static uint32_t at_random(struct timeline_read * reads, enum timeline_kind kind) {
    const uint32_t n = 1 + (uint32_t) rand() % READS_MOST;
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t from = at;
        at += (uint64_t) rand() % 1000;
        reads[i] = (struct timeline_read){ at, from, from, 1 + (uint64_t) rand() % 2000, kind, 0 };
    }
    return n;
}

/* The bounds: never less than the disk or computing takes, never more than both; a faster disk is never slower. */
static void bounds(void ** state) {
    struct timeline_read reads[READS_MOST];
    (void) state;
    srand(3);
    for (int round = 0; round < 2000; round++) {
        struct timeline_machine m = machine();
        const uint32_t n = at_random(reads, round % 2 ? STREAM : CHOSEN);
        const double end = (double) reads[n - 1].at;
        double bytes = 0;
        for (uint32_t i = 0; i < n; i++) { bytes += (double) reads[i].bytes; }
        const double slow = run(&m, reads, n);
        assert_true(slow >= bytes - end - 0.01 && slow <= bytes + 0.01);
        m = of_disk(m, disk_bursts_of_rate(2e9));
        assert_true(run(&m, reads, n) <= slow + 0.01);
        m = of_disk(m, disk_bursts_of_rate(1e30));
        is(run(&m, reads, n), 0);
        for (uint32_t i = 0; i < n; i++) { reads[i].at = reads[i].from = reads[i].guessed = 0; }
        m = machine();
        is(run(&m, reads, n), bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_late_is_waited_for),
        cmocka_unit_test(reads_share_the_disk),
        cmocka_unit_test(bursts_are_as_measured),
        cmocka_unit_test(a_disk_may_be_slower_while_others_compute),
        cmocka_unit_test(mapping_takes_the_threads_time),
        cmocka_unit_test(work_while_others_compute_takes_from_them),
        cmocka_unit_test(guesses_are_read_while_nothing_else_is),
        cmocka_unit_test(batches_are_half_of_the_ring),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
