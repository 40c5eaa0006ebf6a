/* SPDX-License-Identifier: MIT
 *
 * A random walk through the states of pieces. Between any two rounds of the thread that manages memory, a made-up
 * program does something: begins a graph, passes, waits, wants, drops, resizes, hands back, unmaps, forks. Reads end in
 * any order, some fail, some mappings are refused. After each step, what is looked at holds the file's bytes, and what
 * the thread knows agrees with itself.
 *
 * WALK_STEPS and WALK_SEED: how far, and which way; a failure prints the seed of its life.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "manage/resident_state.h"
#include "paged_file.h"
#include "staged_reader.h"

enum {
    PAGES = 160,
    BYTES = PAGES * PAGE - 1000, /* the last page is not whole */
    FILES = 2,
    FIRST_PAGES = 96, /* of the first mapping */
    PIECES_MOST = 80,
    ORDER_MOST = 120,
    KINDS = 3,
    LIFE = 1500, /* steps */
    THOUSAND = 1000,
    FOREIGN = 0x55,
};

/* As programs with much thread-local memory have it. */
static _Thread_local volatile char much[512 << 10];

static char path[64];
static uint32_t seed, life_seed;

static uint32_t roll(uint32_t sides) {
    return dice(&seed, sides);
}

/* ---- a system that refuses ---- */

static unsigned refusals; /* of a thousand mappings */
static uint32_t system_seed;
static unsigned must_succeed; /* the next ones */
static unsigned exchanges;    /* calls that put something else where pieces are */

void * __real_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to);
void * __wrap_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to);
void * __real_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset);
void * __wrap_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset);

static bool is_refused(void) {
    if (must_succeed) {
        must_succeed--;
        return false;
    }
    return dice(&system_seed, THOUSAND) < refusals;
}

/* A kernel without memory may have unmapped what was there. It is not as unlucky twice in a row. */
void * __wrap_mremap(void * from, size_t bytes, size_t new_bytes, int flags, void * to) {
    exchanges += (flags & MREMAP_FIXED) != 0;
    if (!is_refused()) { return __real_mremap(from, bytes, new_bytes, flags, to); }
    if (dice(&system_seed, 2) && flags & MREMAP_FIXED) {
        syscall(SYS_munmap, to, new_bytes);
        must_succeed = 1;
    }
    errno = ENOMEM;
    return MAP_FAILED;
}

void * __wrap_mmap64(void * at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (flags & MAP_FIXED && is_refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap64(at, bytes, protection, flags, fd, offset);
}

/* ---- a life ---- */

struct life {
    struct resident * resident;
    struct resident_file file[FILES];
    bool is_gone[FILES]; /* other memory is there */
    struct resident_piece piece[PIECES_MOST];
    uint32_t n_pieces;
    uint32_t places[KINDS][ORDER_MOST];
    struct resident_order kind[KINDS], *now;
    uint64_t begin, next; /* places of the graph at hand */
    uint8_t before[PIECES_MOST];
};

static void check(bool good, const char * what) {
    if (good) { return; }
    print_error("%s; WALK_SEED=%" PRIu32 "\n", what, life_seed);
    fail();
}

static bool page_is_right(const struct life * l, uint32_t page) {
    static char foreign[PAGE];
    const unsigned f = page >= FIRST_PAGES;
    const char * at = l->file[f].mapped.at + (size_t) (page - f * FIRST_PAGES) * PAGE;
    const size_t from = (size_t) page * PAGE, there = BYTES - from < PAGE ? BYTES - from : PAGE;
    memset(foreign, FOREIGN, sizeof foreign);
    if (l->is_gone[f]) { return memcmp(at, foreign, PAGE) == 0; }
    for (size_t i = there; i < PAGE; i++) {
        if (at[i]) { return false; }
    }
    return paged_is_right(at, from, there);
}

static bool all_is_right(const struct life * l) {
    for (uint32_t page = 0; page < PAGES; page++) {
        if (!page_is_right(l, page)) { return false; }
    }
    return true;
}

/* ---- what the thread knows; it is held ---- */

static void check_piece(const struct held * h, uint8_t before) {
    const bool has_memory = h->memory.n_runs > 0;
    uint32_t pages = 0;
    for (unsigned i = 0; i < h->memory.n_runs; i++) { pages += h->memory.run[i].count; }
    check(!has_memory || pages == h->is.pages, "a piece has memory of another size");
    check(before != PIECE_LOST || h->state == PIECE_LOST, "a piece was lost, and is not");
    switch ((enum piece_state) h->state) {
        case PIECE_ABSENT:
        case PIECE_ASKED: check(!has_memory && !h->in_ring, "a piece that is absent has memory"); break;
        case PIECE_LOADING:
        case PIECE_IN: check(has_memory, "a piece without memory"); break;
        case PIECE_LOST: break;
        default: check(false, "a piece in no state");
    }
}

/* What streams is dropped in the order of its places, so it must have one. */
static void check_ring(const struct life * l) {
    const struct resident * r = l->resident;
    bool has_place[PIECES_MOST] = { false };
    for (uint64_t i = r->ring.first; i < r->ring.end; i++) {
        const uint32_t piece = r->ring.piece[i % r->ring.capacity];
        has_place[piece] |= r->piece[piece].entry == i;
    }
    for (uint32_t i = 0; i < l->n_pieces; i++) {
        const struct held * h = &r->piece[i]; /* one that was lost while it was read goes by itself */
        check(!h->in_ring || h->state == PIECE_LOST || has_place[i], "a piece in the ring has no place there");
    }
}

static void check_thread(struct life * l) {
    const struct resident * r = l->resident;
    uint64_t in_ring = 0, taken = 0, loading = 0;
    for (uint32_t i = 0; i < l->n_pieces; i++) {
        const struct held * h = &r->piece[i];
        check_piece(h, l->is_gone[h->is.file] ? PIECE_LOST : l->before[i]);
        l->before[i] = (uint8_t) h->state;
        in_ring += h->in_ring ? h->is.pages : 0;
        taken += h->memory.n_runs ? h->is.pages : 0;
        loading += h->state == PIECE_LOADING;
    }
    check_ring(l);
    check(in_ring == r->ring_used, "the ring is of another size than what is in it");
    check(taken + pool_pages_free(r->pool) == pool_pages(r->pool), "memory was lost, or given twice");
    check(loading <= r->in_flight, "a piece is loaded by no read");
    check(r->wanted.end - r->wanted.first <= l->n_pieces && r->ring.end - r->ring.first <= r->ring.capacity &&
              r->asked.end - r->asked.first <= l->n_pieces,
          "a queue is too long");
    check(r->totals.wrong == 0 && stage_overlaps() == 0, "memory was used twice");
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

static void map_files(struct life * l) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd >= 0, "open");
    for (unsigned f = 0; f < FILES; f++) {
        const uint64_t pages = f ? PAGES - FIRST_PAGES : FIRST_PAGES, from = f ? FIRST_PAGES : 0;
        char * at = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, (off_t) (from * PAGE));
        check(at != MAP_FAILED, "mmap");
        l->file[f] = (struct resident_file){ .mapped = { .at = at,
                                                         .bytes = pages * PAGE,
                                                         .offset = from * PAGE,
                                                         .fd = -1,
                                                         .protection = PROT_READ,
                                                         .is_shared = true },
                                             .path = path,
                                             .size = BYTES };
    }
    close(fd);
}

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
    seed = system_seed = life_seed;
    refusals = must_succeed = 0;
    const unsigned kind = roll(4), faults = kind == 1 ? 1 + roll(20) : 0;
    stage_begin(roll(UINT16_MAX), BYTES, faults);
    if (roll(3) == 0) { stage_tell_together(); }
    map_files(&l);
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
    for (unsigned f = 0; f < FILES; f++) { munmap(l.file[f].mapped.at, l.file[f].mapped.bytes); }
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

/* ---- single steps ---- */

enum { EVEN = 4, EVEN_PIECES = 20 };

/* Pieces of four pages each, so many pages from each other, in a ring of 8 of them. */
static void begin_at_distance(struct life * l, uint8_t class, uint32_t distance) {
    *l = (struct life){ .n_pieces = EVEN_PIECES };
    refusals = 0;
    stage_begin(1, BYTES, 0);
    map_files(l);
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
    for (unsigned f = 0; f < FILES; f++) { munmap(l->file[f].mapped.at, l->file[f].mapped.bytes); }
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

static int make_file(void ** state) {
    (void) state;
    static char content[BYTES + 8];
    const char * folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tat_walk.XXXXXX", folder && strlen(folder) < 40 ? folder : "/var/tmp");
    const int fd = mkstemp(path);
    paged_fill(content, 0, BYTES);
    const bool good = fd >= 0 && write(fd, content, BYTES) == BYTES && fsync(fd) == 0;
    close(fd);
    return good ? 0 : -1;
}

static int remove_file(void ** state) {
    (void) state;
    return unlink(path);
}

int main(void) {
    if (sysconf(_SC_PAGESIZE) != PAGE) { return 77; }
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_address_holds_the_files_bytes_at_every_step),
                                        cmocka_unit_test(what_is_pinned_from_now_on_stays),
                                        cmocka_unit_test(what_cannot_be_dropped_keeps_its_place),
                                        cmocka_unit_test(a_piece_comes_and_goes_between_others_with_a_call_each),
                                        cmocka_unit_test(what_goes_meanwhile_makes_room),
                                        cmocka_unit_test(a_disk_that_tells_of_all_at_once_gets_batches),
                                        cmocka_unit_test(what_was_passed_goes_in_one_call),
                                        cmocka_unit_test(a_wait_outlasts_signals) };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
