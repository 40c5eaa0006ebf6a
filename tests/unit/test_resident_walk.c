/* SPDX-License-Identifier: MIT
 *
 * A random walk through the states of pieces. Between any two rounds of the thread that manages memory, a made-up
 * program does something: begins a graph, passes, waits, wants, drops, resizes, hands back, unmaps, forks. Reads end in
 * any order, some fail, some mappings are refused. After each step, what is looked at holds the file's bytes, and what
 * the thread knows agrees with itself.
 *
 * WALK_STEPS and WALK_SEED: how far, and which way; a failure prints the seed of its life.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "staged_life.h"

enum { LIFE = 1500 /* steps */ };

/* As programs with much thread-local memory have it. */
static _Thread_local volatile char much[512 << 10];
static uint32_t seed;

static uint32_t roll(uint32_t sides) {
    return dice(&seed, sides);
}

/* ---- steps ---- */

static void new_kind(struct life * l, unsigned kind) {
    const uint32_t count = roll(ORDER_MOST + 1);
    for (uint32_t i = 0; i < count; i++) { l->places[kind][i] = roll(3) ? i % l->n_pieces : roll(l->n_pieces); }
    l->kind[kind] = (struct resident_order){ l->places[kind], count };
}

static void begin_graph(struct life * l) {
    l->now = &l->kind[roll(KINDS)];
    l->begin = l->next = resident_begin(l->resident, l->now);
}

/* The thread runs meanwhile. */
static void wait_for(struct life * l, uint32_t piece, uint64_t place) {
    stage_run();
    resident_wait(l->resident, piece, place);
    stage_hold();
}

static void go_on(struct life * l) {
    if (!l->now || l->next == l->begin + l->now->count) {
        begin_graph(l);
        return;
    }
    const uint32_t some = 1 + roll(4);
    for (uint32_t i = 0; i < some && l->next < l->begin + l->now->count; i++, l->next++) {
        if (roll(4) == 0) { wait_for(l, l->now->piece[l->next - l->begin], l->next); }
    }
    if (roll(8)) { resident_passed(l->resident, l->next); }
}

static void ask(struct life * l) {
    uint32_t some[8];
    const uint32_t count = roll(9);
    for (uint32_t i = 0; i < count; i++) { some[i] = roll(l->n_pieces); }
    (roll(2) ? resident_want : resident_drop)(l->resident, some, count);
    if (count && roll(6) == 0) { wait_for(l, some[0], UINT64_MAX); }
}

static uint8_t any_class(void) {
    static const uint8_t classes[] = { PLACE_PIN, PLACE_STREAM, PLACE_STREAM, PLACE_CACHE, PLACE_CACHE, PLACE_LEAVE };
    return classes[roll(sizeof classes)];
}

static void resize(struct life * l) {
    uint8_t classes[PIECES_MOST];
    for (uint32_t i = 0; i < l->n_pieces; i++) { classes[i] = roll(4) ? l->piece[i].class : any_class(); }
    const uint64_t pool = 8 + roll(PAGES), ring = roll((uint32_t) pool + 1);
    resident_resize(l->resident, pool * PAGE, ring * PAGE, roll(16) * (uint64_t) PAGE, classes);
}

/* Other memory is there from then on. */
static void unmap(struct life * l) {
    const unsigned f = roll(FILES);
    if (l->is_gone[f]) { return; }
    const struct mapped_file * m = &l->file[f].mapped;
    stage_run();
    resident_forget(l->resident, m->at + (size_t) roll((uint32_t) (m->bytes / PAGE)) * PAGE, PAGE);
    check(__real_mmap64(m->at, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
              m->at,
          "mmap");
    memset(m->at, FOREIGN, m->bytes);
    l->is_gone[f] = true;
    stage_hold();
}

static void fork_child(struct life * l) {
    const pid_t child = fork();
    if (child == 0) {
        refusals = 0;
        resident_after_fork(l->resident);
        _exit(all_is_right(l) ? 0 : 1);
    }
    int status = -1;
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child has other bytes");
}

static void step(struct life * l) {
    const uint32_t what = roll(THOUSAND);
    if (what < 400) {
        stage_step(1 + roll(2));
    } else if (what < 650) {
        go_on(l);
    } else if (what < 960) {
        ask(l);
    } else if (what < 980) {
        begin_graph(l); /* the last one was aborted */
    } else if (what < 992) {
        resize(l);
    } else if (what < 996) {
        new_kind(l, l->now == &l->kind[0] ? 1 : 0);
    } else if (what < 997) {
        unmap(l);
    } else if (what == 997 && roll(4) == 0) {
        resident_hand_back(l->resident);
    } else if (what == 998 && roll(4) == 0) {
        fork_child(l);
    }
}
/* ---- beginning and end ---- */

/* Neighbours share a page now and then, as experts' slices do. */
static void cut(struct life * l) {
    for (uint32_t f = 0; f < FILES; f++) {
        const uint32_t end = f ? PAGES - FIRST_PAGES : FIRST_PAGES;
        for (uint32_t page = roll(3); page < end;) {
            const uint32_t most = end - page < 7 ? end - page : 7, pages = 1 + roll(most);
            l->piece[l->n_pieces++] = (struct resident_piece){ f, page, pages, any_class() };
            page += pages > 1 && roll(2) ? pages - 1 : pages + roll(2);
            if (pages == 1 || l->n_pieces == PIECES_MOST - 1) { page++; }
            if (l->n_pieces == (f + 1) * PIECES_MOST / FILES) { break; }
        }
    }
}

/* What is wanted comes, if nothing else is there and nothing fails. */
static void check_that_it_comes(struct life * l) {
    static const struct resident_order nothing = { NULL, 0 };
    const uint32_t wanted = roll(l->n_pieces);
    uint32_t all[PIECES_MOST];
    uint8_t classes[PIECES_MOST];
    for (uint32_t i = 0; i < l->n_pieces; i++) { all[i] = i; }
    memset(classes, PLACE_CACHE, sizeof classes);
    resident_resize(l->resident, (uint64_t) PAGES * PAGE, 0, 0, classes);
    resident_passed(l->resident, resident_begin(l->resident, &nothing));
    resident_drop(l->resident, all, l->n_pieces);
    stage_step(60);
    check_thread(l);
    if (l->before[wanted] == PIECE_LOST || pool_pages_free(l->resident->pool) < l->piece[wanted].pages) { return; }
    resident_want(l->resident, &wanted, 1);
    wait_for(l, wanted, UINT64_MAX);
    check(resident_is_in(l->resident, wanted), "what is wanted does not come");
}

static uint32_t live(uint32_t steps) {
    static struct life l;
    l = (struct life){ .resident = NULL };
    seed = life_seed;
    system_begin(life_seed);
    const unsigned kind = roll(4), faults = kind == 1 ? 1 + roll(20) : 0;
    stage_begin(roll(UINT16_MAX), BYTES, faults);
    if (roll(3) == 0) { stage_tell_together(); }
    life_map(&l);
    cut(&l);
    for (unsigned i = 0; i < KINDS; i++) { new_kind(&l, i); }
    const uint64_t pool = 8 + roll(PAGES);
    const struct resident_options options = { .files = l.file,
                                              .n_files = FILES,
                                              .pieces = l.piece,
                                              .n_pieces = l.n_pieces,
                                              .pool = pool * PAGE,
                                              .pool_most = (uint64_t) 2 * PAGES * PAGE,
                                              .ring = roll((uint32_t) pool + 1) * (uint64_t) PAGE,
                                              .scratch = roll(16) * (uint64_t) PAGE,
                                              .depth = 1 + roll(8),
                                              .check = roll(4) == 0 };
    l.resident = resident_new(&options);
    check(l.resident != NULL, "it does not begin");
    stage_hold();
    if (kind == 2) { refusals = 1 + roll(20); }
    uint32_t done = 0, after = 50; /* steps, once all was handed back */
    for (; done < steps && after; done++) {
        step(&l);
        check(page_is_right(&l, roll(PAGES)), "wrong bytes");
        if (done % 64 == 0) { check(all_is_right(&l), "wrong bytes"); }
        stage_hold();
        check_thread(&l);
        after -= resident_is_broken(l.resident);
    }
    refusals = 0;
    if (kind == 0) { check_that_it_comes(&l); }
    refusals = kind == 3 ? roll(THOUSAND) : 0;
    stage_run();
    resident_free(l.resident);
    refusals = 0;
    check(all_is_right(&l), "wrong bytes at the end");
    life_unmap(&l);
    return done;
}

static uint64_t number(const char * name, uint64_t otherwise) {
    const char * text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_address_holds_the_files_bytes_at_every_step(void ** state) {
    (void) state;
    enum { STEPS = 40000 };
    const uint64_t steps = number("WALK_STEPS", STEPS);
    uint64_t done = 0, lives = 0;
    much[0] = 1;
    life_seed = (uint32_t) number("WALK_SEED", (uint64_t) time(NULL));
    for (; done < steps; lives++, life_seed++) { done += live(LIFE); }
    print_message("%" PRIu64 " steps, %" PRIu64 " lives\n", done, lives);
}

int main(void) {
    if (sysconf(_SC_PAGESIZE) != PAGE) { return 77; }
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_address_holds_the_files_bytes_at_every_step) };
    return cmocka_run_group_tests(tests, life_make_file, life_remove_file);
}
