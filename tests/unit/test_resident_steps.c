/* SPDX-License-Identifier: MIT
 *
 * Single steps of pieces that come and go: when each does, in how many calls, and whom it wakes.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "staged_life.h"

enum { EVEN = 4, EVEN_PIECES = 20 };

/* Pieces of four pages each, so many pages from each other, in a ring of 8 of them. */
static void begin_at_distance(struct life * l, uint8_t class, uint32_t distance) {
    *l = (struct life){ .n_pieces = EVEN_PIECES };
    system_begin(1);
    stage_begin(1, BYTES, 0);
    life_map(l);
    for (uint32_t i = 0; i < EVEN_PIECES; i++) {
        l->piece[i] = (struct resident_piece){ 0, i * distance, EVEN, class };
        l->places[0][i] = i;
    }
    l->kind[0] = (struct resident_order){ l->places[0], EVEN_PIECES };
    const struct resident_options options = { .files = l->file,
                                              .n_files = FILES,
                                              .pieces = l->piece,
                                              .n_pieces = l->n_pieces,
                                              .pool = (uint64_t) 16 * EVEN * PAGE,
                                              .ring = (uint64_t) 8 * EVEN * PAGE,
                                              .scratch = (uint64_t) 16 * EVEN * PAGE, /* nothing is read unasked */
                                              .depth = 4 };
    l->resident = resident_new(&options);
    assert_non_null(l->resident);
    stage_hold();
}

static void begin_even(struct life * l, uint8_t class) {
    begin_at_distance(l, class, EVEN);
}

static void end_even(struct life * l) {
    stage_run();
    resident_free(l->resident);
    assert_true(all_is_right(l));
    life_unmap(l);
}

/* Although it was streamed, and passed, before. */
static void what_is_pinned_from_now_on_stays(void ** state) {
    (void) state;
    enum { PINNED = 8, ROUNDS = 100 };
    static struct life l;
    uint8_t classes[EVEN_PIECES];
    begin_even(&l, PLACE_STREAM);
    const uint64_t place = resident_begin(l.resident, &l.kind[0]);
    stage_step(ROUNDS);
    for (uint32_t i = 0; i < EVEN_PIECES; i++) {
        classes[i] = i < PINNED ? PLACE_PIN : PLACE_STREAM;
        assert_int_equal(resident_is_in(l.resident, i), i < PINNED);
    }
    resident_resize(l.resident, (uint64_t) 12 * EVEN * PAGE, (uint64_t) 4 * EVEN * PAGE, 0, classes);
    for (uint32_t i = 0; i <= EVEN_PIECES; i++) {
        resident_passed(l.resident, place + i);
        stage_step(ROUNDS);
        for (uint32_t p = 0; p < PINNED; p++) { assert_true(resident_is_in(l.resident, p)); }
    }
    end_even(&l);
}

/* It is dropped later. */
static void what_cannot_be_dropped_keeps_its_place(void ** state) {
    (void) state;
    static struct life l;
    begin_even(&l, PLACE_STREAM);
    const uint64_t place = resident_begin(l.resident, &l.kind[0]);
    stage_step(100);
    resident_passed(l.resident, place + EVEN);
    system_seed = 2;
    refusals = THOUSAND;
    stage_step(3);
    refusals = 0;
    check_thread(&l);
    end_even(&l);
}

/* ---- who waits ---- */

static struct life * late;

/* Pieces 0 to 15 are all that there is room for. */
static void * come_late(void * unused) {
    (void) unused;
    const uint32_t goes = 0;
    resident_drop(late->resident, &goes, 1);
    resident_wait(late->resident, 16, UINT64_MAX);
    return NULL;
}

static pthread_t late_one;

static void let_come_late(void) {
    if (pthread_create(&late_one, NULL, come_late, NULL) != 0) { abort(); }
    while (!__atomic_load_n(&late->resident->waiting, __ATOMIC_SEQ_CST)) { sched_yield(); }
}

/* The thread has found no room for a piece when another one goes, and only then somebody waits. */
static void what_goes_meanwhile_makes_room(void ** state) {
    (void) state;
    enum { ROOM = 16, ROUNDS = 100 };
    static struct life l;
    uint32_t pieces[ROOM + 1];
    begin_even(&l, PLACE_CACHE);
    late = &l;
    for (uint32_t i = 0; i <= ROOM; i++) { pieces[i] = i; }
    resident_want(l.resident, pieces, ROOM);
    stage_step(ROUNDS);
    resident_want(l.resident, &pieces[ROOM], 1);
    stage_meanwhile(let_come_late);
    stage_step(ROUNDS);
    pthread_join(late_one, NULL);
    assert_true(resident_is_in(l.resident, ROOM));
    assert_int_equal(resident_totals(l.resident).given_up, 0);
    end_even(&l);
}

/* ---- what streams ---- */

static uint64_t pass_some(struct life * l, uint64_t place, uint32_t count) {
    enum { ROUNDS = 3 };
    resident_passed(l->resident, place + count);
    stage_step(ROUNDS);
    return place + count;
}

/* Lets graphs need all pieces again and again. */
static void stream_turns(struct life * l, unsigned turns) {
    enum { AT_ONCE = 2 };
    for (unsigned turn = 0; turn < turns; turn++) {
        uint64_t place = resident_begin(l->resident, &l->kind[0]);
        for (uint32_t i = 0; i < EVEN_PIECES; i += AT_ONCE) { place = pass_some(l, place, AT_ONCE); }
        check(all_is_right(l), "wrong bytes");
        check_thread(l);
    }
}

/* What is added to the reads under way would delay them. */
static void a_disk_that_tells_of_all_at_once_gets_batches(void ** state) {
    (void) state;
    enum { LEARNING = 10, TURNS = 20, SMALLEST = 2 };
    static struct life l;
    for (unsigned together = 0; together < 2; together++) {
        begin_even(&l, PLACE_STREAM);
        if (together) { stage_tell_together(); }
        stream_turns(&l, LEARNING);
        const struct stage_reads before = stage_reads();
        const uint64_t read = resident_totals(l.resident).reads;
        stream_turns(&l, TURNS);
        const unsigned added = stage_reads().added - before.added, batches = stage_reads().batches - before.batches;
        const uint64_t all = resident_totals(l.resident).reads - read;
        assert_in_range(all, (TURNS - 1) * EVEN_PIECES, (TURNS + 1) * EVEN_PIECES);
        if (together) {
            assert_int_equal(added, 0);
            assert_true(batches * SMALLEST <= all);
        } else {
            assert_true(added > TURNS);
        }
        end_even(&l);
    }
}

/* Of those that lie side by side. */
static void what_was_passed_goes_in_one_call(void ** state) {
    (void) state;
    enum { PASSED = 4, ROUNDS = 100 };
    static struct life l;
    begin_even(&l, PLACE_STREAM);
    const uint64_t place = resident_begin(l.resident, &l.kind[0]);
    stage_step(ROUNDS);
    exchanges = 0;
    resident_passed(l.resident, place + PASSED);
    stage_step(ROUNDS);
    for (uint32_t i = 0; i < EVEN_PIECES; i++) {
        assert_int_equal(resident_is_in(l.resident, i), PASSED <= i && i < PASSED + 8);
    }
    assert_int_equal(exchanges, 1 + PASSED); /* and as many came */
    end_even(&l);
}

static unsigned exchanges_of_want(struct life * l, uint32_t piece) {
    enum { ROUNDS = 20 };
    exchanges = 0;
    resident_want(l->resident, &piece, 1);
    stage_step(ROUNDS);
    assert_true(resident_is_in(l->resident, piece));
    assert_true(all_is_right(l));
    return exchanges;
}

/* It goes while another piece, which lies elsewhere, is read, and put with one exchange. */
static unsigned exchanges_of_drop(struct life * l, uint32_t piece, uint32_t other) {
    resident_drop(l->resident, &piece, 1);
    const unsigned both = exchanges_of_want(l, other);
    assert_false(resident_is_in(l->resident, piece));
    return both - 1;
}

/* The pages that it shares with both stay as they are. */
static void a_piece_comes_and_goes_between_others_with_a_call_each(void ** state) {
    (void) state;
    static struct life l;
    begin_at_distance(&l, PLACE_CACHE, EVEN - 1);
    for (uint32_t i = 0; i < 3; i++) { exchanges_of_want(&l, i); }
    assert_in_range(exchanges_of_drop(&l, 1, 6), 1, 2); /* its last page becomes the next piece's */
    assert_int_equal(exchanges_of_want(&l, 1), 1);
    assert_int_equal(exchanges_of_drop(&l, 1, 8), 1);
    exchanges_of_drop(&l, 0, 10);
    assert_int_equal(exchanges_of_want(&l, 1), 1);
    assert_in_range(exchanges_of_drop(&l, 2, 12), 1, 2);
    exchanges_of_drop(&l, 1, 14);
    end_even(&l);
}

static void ignore(int signal) {
    (void) signal;
}

static void * let_it_run(void * user) {
    enum { LATER = 300000 };
    (void) user;
    usleep(LATER);
    stage_run();
    return NULL;
}

/* As in a program that a profiler interrupts, while the disk is slow. */
static void a_wait_outlasts_signals(void ** state) {
    (void) state;
    static struct life l;
    const struct sigaction action = { .sa_handler = ignore }; /* without SA_RESTART */
    const struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
    const uint32_t wanted = 3;
    pthread_t thread;
    sigset_t alarm, before;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    begin_even(&l, PLACE_CACHE);
    resident_want(l.resident, &wanted, 1);
    pthread_sigmask(SIG_BLOCK, &alarm, &before);
    assert_int_equal(pthread_create(&thread, NULL, let_it_run, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    setitimer(ITIMER_REAL, &often, NULL);
    resident_wait(l.resident, wanted, UINT64_MAX);
    setitimer(ITIMER_REAL, &never, NULL);
    const bool is_in = resident_is_in(l.resident, wanted);
    pthread_join(thread, NULL);
    assert_true(is_in);
    end_even(&l);
}

int main(void) {
    if (sysconf(_SC_PAGESIZE) != PAGE) { return 77; }
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_pinned_from_now_on_stays),
                                        cmocka_unit_test(what_cannot_be_dropped_keeps_its_place),
                                        cmocka_unit_test(a_piece_comes_and_goes_between_others_with_a_call_each),
                                        cmocka_unit_test(what_goes_meanwhile_makes_room),
                                        cmocka_unit_test(a_disk_that_tells_of_all_at_once_gets_batches),
                                        cmocka_unit_test(what_was_passed_goes_in_one_call),
                                        cmocka_unit_test(a_wait_outlasts_signals) };
    return cmocka_run_group_tests(tests, life_make_file, life_remove_file);
}
