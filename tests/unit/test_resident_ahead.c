/* SPDX-License-Identifier: MIT
 *
 * What is read though nobody waits for it: where the disk is idle, and what may be wanted next.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "resident_world.h"

/* ---- while there is nothing to do ---- */

static uint8_t pinned_or_cached(struct world * w, uint32_t piece) {
    (void) w;
    return piece % 4 == 0 ? PLACE_PIN : PLACE_CACHE;
}

static void begin_cached(struct world * w, uint64_t pool_pages, uint64_t scratch_pages) {
    *w = (struct world){ .seed = 1 };
    map_file(w);
    cut(w, pinned_or_cached);
    struct resident_options options = options_of(w, pool_pages * PAGE, 0);
    options.scratch = scratch_pages * PAGE;
    begin_with(w, &options);
}

static uint64_t bytes_of(const struct world * w, uint32_t piece) {
    return (uint64_t) w->piece[piece].pages * PAGE;
}

static uint32_t pieces_in(const struct world * w) {
    uint32_t in = 0;
    for (uint32_t i = 0; i < w->n_pieces; i++) { in += resident_is_in(w->resident, i); }
    return in;
}

static void wait_for_reads(const struct world * w, uint64_t loads) {
    for (int i = 0; i < PATIENCE_MS && resident_totals(w->resident).loads < loads; i++) { usleep(1000); }
    assert_int_equal(resident_totals(w->resident).loads, loads);
}

/* Each piece that there is room for is read once, though nobody asks for it. */
static void an_idle_disk_reads_what_there_is_room_for(void ** state) {
    (void) state;
    struct world w;
    begin_cached(&w, PAGES + PIECES_MOST, 0);
    wait_for_reads(&w, w.n_pieces);
    assert_int_equal(pieces_in(&w), w.n_pieces);
    assert_int_equal(resident_totals(w.resident).read_bytes,
                     (pages_of(&w, PLACE_PIN) + pages_of(&w, PLACE_CACHE)) * PAGE);
    assert_int_equal(resident_totals(w.resident).drops, 0);
    end(&w);
}

/* What was read unasked leaves the scratch free, and goes when something else is wanted; what was wanted stays. */
static void what_is_wanted_takes_the_room_of_what_is_not(void ** state) {
    (void) state;
    enum { SCRATCH = 24, POOL = 150, WANTED = 12 };
    struct world w;
    begin_cached(&w, POOL, SCRATCH);
    uint64_t free_pages;
    for (int i = 0; i < PATIENCE_MS; i++) {
        free_pages = resident_totals(w.resident).pool_free / PAGE;
        if (free_pages < SCRATCH + 8 && resident_totals(w.resident).loads > 20) { break; }
        usleep(1000);
    }
    assert_true(free_pages >= SCRATCH && free_pages < SCRATCH + 8);
    uint32_t wanted[WANTED];
    for (uint32_t i = 0; i < WANTED; i++) { wanted[i] = w.n_pieces - 1 - 2 * i; }
    resident_want(w.resident, wanted, WANTED);
    for (uint32_t i = 0; i < WANTED; i++) {
        resident_wait(w.resident, wanted[i], UINT64_MAX);
        assert_true(resident_is_in(w.resident, wanted[i]));
    }
    uint32_t others[PIECES_MOST];
    for (uint32_t i = 0; i < 2 * WANTED; i++) {
        others[i] = 2 * i + 1;
        resident_want(w.resident, &others[i], 1);
        resident_wait(w.resident, others[i], UINT64_MAX);
        assert_true(resident_is_in(w.resident, others[i]));
        resident_drop(w.resident, &others[i], 1);
    }
    for (uint32_t i = 0; i < WANTED; i++) { assert_true(resident_is_in(w.resident, wanted[i])); }
    const struct resident_totals t = resident_totals(w.resident);
    assert_true(t.drops > 0);
    assert_int_equal(t.given_up + t.errors + t.wrong, 0);
    end(&w);
}

static long switches(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_nvcsw;
}

/* So many bytes less than are taken. */
static void take_memory_away(const struct world * w, uint64_t bytes) {
    static uint8_t classes[PIECES_MOST];
    const struct resident_totals t = resident_totals(w->resident);
    memset(classes, PLACE_CACHE, sizeof classes);
    resident_resize(w->resident, t.pool - t.pool_free - bytes, 0, 0, classes);
}

/* A router's choice can push out what it chose as well. What goes takes no time as long as nobody needs its memory. */
static void what_goes_and_is_wanted_stays(void ** state) {
    const uint32_t pieces[] = { 1, 2, 3 };
    struct world w;
    (void) state;
    begin_cached(&w, PAGES + PIECES_MOST, 0);
    wait_for_reads(&w, w.n_pieces);
    resident_exchange(w.resident, &(struct pieces_asked){ pieces, 3 }, &(struct pieces_asked){ pieces, 1 }, NULL);
    usleep(10000);
    assert_int_equal(pieces_in(&w), w.n_pieces);
    take_memory_away(&w, bytes_of(&w, 2) + bytes_of(&w, 3));
    for (int i = 0; i < PATIENCE_MS && resident_totals(w.resident).drops < 2; i++) { usleep(1000); }
    assert_true(resident_is_in(w.resident, 1));
    assert_int_equal(pieces_in(&w), w.n_pieces - 2);
    end(&w);
}

static void spin(unsigned turns) {
    for (volatile unsigned i = 0; i < turns; i++) {}
}

/* Where all is in memory, graphs wake nobody. */
static void nobody_is_woken_for_what_is_in_memory(void ** state) {
    (void) state;
    enum { TURNS = 20, SPIN = 20000 };
    struct world w;
    uint32_t order[PIECES_MOST], n = 0;
    begin_cached(&w, PAGES + PIECES_MOST, 0);
    for (uint32_t i = 0; i < w.n_pieces; i += 4) { order[n++] = i; }
    const struct resident_order all = { order, n };
    wait_for_reads(&w, w.n_pieces);
    take_turn(&w, &all);
    for (uint32_t i = 0; i < w.n_pieces; i++) { resident_want(w.resident, &i, 1); } /* they are not spare any more */
    usleep(10000);
    const long before = switches();
    for (unsigned turn = 0; turn < TURNS; turn++) {
        const uint64_t place = resident_begin(w.resident, &all);
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t cached = order[i] + 1 < w.n_pieces ? order[i] + 1 : 1;
            resident_want(w.resident, &cached, 1);
            resident_wait(w.resident, order[i], place + i);
            resident_passed(w.resident, place + i);
            spin(SPIN);
        }
    }
    assert_true(switches() - before < TURNS * n / 4);
    end(&w);
}

/* ---- what is left to the kernel ---- */

/* Whether the kernel reads around what is touched there. */
static bool is_read_ahead(const void * at) {
    char line[512];
    bool is_here = false, is_random = false;
    FILE * maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            is_here = from <= (uintptr_t) at && (uintptr_t) at < to;
        } else if (is_here && strncmp(line, "VmFlags:", 8) == 0) {
            is_random = strstr(line, " rr");
        }
    }
    fclose(maps);
    return !is_random;
}

static uint8_t half_left(struct world * w, uint32_t piece) {
    (void) w;
    return piece < 10 ? PLACE_LEAVE : PLACE_CACHE;
}

static const char * middle_of(const struct world * w, uint32_t piece) {
    return w->at + (size_t) w->piece[piece].page * PAGE + PAGE;
}

/* As without us, if there is room for it. In between, where only faults by chance come, it does not. */
static void what_is_left_is_read_ahead(void ** state) {
    (void) state;
    struct world w = { .seed = 1 };
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, half_left);
    begin(&w, 16 * PAGE, 0, READER_ANY);
    assert_false(is_read_ahead(middle_of(&w, 1)));
    end(&w);
    map_file(&w);
    struct resident_options options = options_of(&w, 16 * PAGE, 0);
    options.reads_ahead = true;
    begin_with(&w, &options);
    assert_true(is_read_ahead(middle_of(&w, 1)));
    assert_false(is_read_ahead(middle_of(&w, w.n_pieces - 2)));
    memset(classes, PLACE_LEAVE, sizeof classes);
    resident_resize(w.resident, (uint64_t) 16 * PAGE, 0, 0, classes);
    for (int i = 0; i < PATIENCE_MS && !is_read_ahead(middle_of(&w, w.n_pieces - 2)); i++) { usleep(1000); }
    assert_true(is_read_ahead(middle_of(&w, w.n_pieces - 2)));
    end(&w);
}

/* ---- what is expected ---- */

static uint8_t all_cached(struct world * w, uint32_t piece) {
    (void) w;
    (void) piece;
    return PLACE_CACHE;
}

/* The pool has so many pages, and as many as the first pieces. Nothing is read into it that is not expected. */
static void begin_expecting(struct world * w, uint64_t pages, uint32_t first) {
    *w = (struct world){ .seed = 1 };
    map_file(w);
    cut(w, all_cached);
    for (uint32_t i = 0; i < first; i++) { pages += w->piece[i].pages; }
    struct resident_options options = options_of(w, pages * PAGE, 0);
    options.scratch = pages * PAGE;
    begin_with(w, &options);
}

static void wait_in(const struct world * w, uint32_t piece, bool is_in) {
    for (int i = 0; i < PATIENCE_MS && resident_is_in(w->resident, piece) != is_in; i++) { usleep(1000); }
    assert_int_equal(resident_is_in(w->resident, piece), is_in);
}

static void what_is_expected_is_read_and_goes_if_it_does_not_come(void ** state) {
    (void) state;
    struct world w;
    const uint32_t guess[] = { 10, 20, 30 }, next = 40;
    begin_expecting(&w, 100, 0);
    expect(w.resident, guess, 3);
    wait_in(&w, 30, true);
    const uint64_t reads = resident_totals(w.resident).reads;
    resident_want(w.resident, guess, 1);
    resident_wait(w.resident, guess[0], UINT64_MAX);
    assert_int_equal(resident_totals(w.resident).reads, reads);
    expect(w.resident, &next, 1);
    wait_in(&w, 20, false);
    wait_in(&w, 30, false);
    wait_in(&w, 40, true);
    assert_true(resident_is_in(w.resident, 10));
    const struct resident_totals t = resident_totals(w.resident);
    assert_int_equal(t.ahead_read, bytes_of(&w, 10) + bytes_of(&w, 20) + bytes_of(&w, 30) + bytes_of(&w, 40));
    assert_int_equal(t.ahead_used, bytes_of(&w, 10));
    assert_int_equal(t.ahead_wasted, bytes_of(&w, 20) + bytes_of(&w, 30));
    end(&w);
}

/* Memory for three pieces: two guesses and one that was wanted. */
static void a_guess_makes_room(void ** state) {
    (void) state;
    enum { KEPT = 10, GUESSES = 2, WANTED = 40 };
    struct world w;
    const uint32_t kept = KEPT, wanted[] = { WANTED, WANTED + 5 }, guess[GUESSES] = { 20, 30 };
    begin_expecting(&w, 21, 0); /* a piece has 2 to 7 pages */
    resident_want(w.resident, &kept, 1);
    resident_wait(w.resident, KEPT, UINT64_MAX);
    expect(w.resident, guess, GUESSES);
    wait_in(&w, guess[1], true);
    resident_want(w.resident, wanted, 2);
    for (int i = 0; i < 2; i++) { resident_wait(w.resident, wanted[i], UINT64_MAX); }
    assert_true(resident_is_in(w.resident, WANTED));
    assert_true(resident_is_in(w.resident, KEPT));
    assert_int_equal(resident_totals(w.resident).given_up, 0);
    end(&w);
}

/* No guess takes the place of what was wanted. */
static void a_guess_without_room_is_not_read(void ** state) {
    enum { WANTED = 4 };
    struct world w;
    const uint32_t some[WANTED] = { 0, 1, 2, 3 }, guess = 50;
    (void) state;
    begin_expecting(&w, 0, WANTED);
    resident_want(w.resident, some, WANTED);
    for (uint32_t i = 0; i < WANTED; i++) { resident_wait(w.resident, i, UINT64_MAX); }
    expect(w.resident, &guess, 1);
    usleep(10000); /* in which it could be read, if it were wrongly */
    for (uint32_t i = 0; i < WANTED; i++) { assert_true(resident_is_in(w.resident, i)); }
    assert_int_equal(resident_totals(w.resident).reads, WANTED);
    resident_drop(w.resident, some, WANTED);
    wait_in(&w, guess, true);
    assert_int_equal(resident_totals(w.resident).reads, WANTED + 1);
    end(&w);
}

static void what_goes_stays_while_it_is_expected(void ** state) {
    (void) state;
    struct world w;
    const uint32_t some[] = { 10, 20 };
    begin_expecting(&w, 100, 0);
    resident_want(w.resident, some, 2);
    for (int i = 0; i < 2; i++) { resident_wait(w.resident, some[i], UINT64_MAX); }
    resident_exchange(w.resident, &(struct pieces_asked){ some, 2 }, &(struct pieces_asked){ 0 },
                      &(struct pieces_asked){ some, 1 });
    const uint32_t other = 30, another = 40;
    resident_want(w.resident, &other, 1);
    resident_wait(w.resident, other, UINT64_MAX);
    wait_in(&w, 20, false);
    assert_true(resident_is_in(w.resident, 10));
    resident_want(w.resident, some, 1);
    resident_drop(w.resident, &other, 1);
    resident_want(w.resident, &another, 1);
    resident_wait(w.resident, another, UINT64_MAX);
    wait_in(&w, other, false);
    const struct resident_totals t = resident_totals(w.resident);
    assert_int_equal(t.spared, bytes_of(&w, 10));
    assert_int_equal(t.reads, 4);
    assert_int_equal(t.ahead_read + t.ahead_wasted, 0);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_disk_reads_what_there_is_room_for),
        cmocka_unit_test(what_is_wanted_takes_the_room_of_what_is_not),
        cmocka_unit_test(what_goes_and_is_wanted_stays),
        cmocka_unit_test(nobody_is_woken_for_what_is_in_memory),
        cmocka_unit_test(what_is_left_is_read_ahead),
        cmocka_unit_test(what_is_expected_is_read_and_goes_if_it_does_not_come),
        cmocka_unit_test(a_guess_makes_room),
        cmocka_unit_test(a_guess_without_room_is_not_read),
        cmocka_unit_test(what_goes_stays_while_it_is_expected),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
