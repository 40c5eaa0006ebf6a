/* SPDX-License-Identifier: MIT
 *
 * Pieces of a file come and go while made-up graphs need them and threads read them. Whatever happens, each address of
 * the mapping holds the file's bytes.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "manage/map_count.h"
#include "manage/resident.h"

enum { PAGE = 4096, PAGES = 512, PIECES_MOST = 128, READERS = 2, ROUNDS = 60 };

static char path[256];
static uint64_t content(uint64_t word) {
    return (word + 1) * 0x9e3779b97f4a7c15u;
}

struct world {
    uint64_t * at; /* the mapping */
    struct resident * resident;
    struct resident_piece piece[PIECES_MOST];
    uint32_t n_pieces;
    struct resident_file file;
    bool stop, on_demand, reads_ahead;
    uint64_t wrong, looked;
    pthread_t reader[READERS];
    uint32_t seed;
};

static uint32_t dice(uint32_t * seed, uint32_t sides) {
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t) (((uint64_t) (*seed >> 8) * sides) >> 24);
}

static void make_file(void) {
    static uint64_t page[PAGE / sizeof(uint64_t)];
    const char * folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tat_resident.XXXXXX", folder ? folder : "/var/tmp");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (uint64_t p = 0; p < PAGES; p++) {
        for (uint64_t i = 0; i < PAGE / sizeof *page; i++) { page[i] = content(p * (PAGE / sizeof *page) + i); }
        assert_int_equal(write(fd, page, PAGE), PAGE);
    }
    fsync(fd);
    close(fd);
}

static void map_file(struct world * w) {
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    w->at = mmap(NULL, (size_t) PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(w->at, MAP_FAILED);
    close(fd);
    w->file = (struct resident_file){ .mapped = { .at = (char *) w->at,
                                                  .bytes = (size_t) PAGES * PAGE,
                                                  .fd = -1,
                                                  .protection = PROT_READ,
                                                  .is_shared = true },
                                      .path = path,
                                      .size = (uint64_t) status.st_size };
}

/* Neighbours share a page now and then, as experts' slices do. */
static void cut(struct world * w, uint8_t (*class_of)(struct world * w, uint32_t piece)) {
    uint32_t page = 0;
    for (w->n_pieces = 0; page + 8 < PAGES && w->n_pieces < PIECES_MOST; w->n_pieces++) {
        const uint32_t pages = 2 + dice(&w->seed, 6);
        w->piece[w->n_pieces] = (struct resident_piece){ 0, page, pages, class_of(w, w->n_pieces) };
        page += pages - dice(&w->seed, 2);
    }
}

static void begin(struct world * w, uint64_t pool, uint64_t ring, enum reader_kind reader) {
    const struct resident_options options = { .files = &w->file,
                                              .n_files = 1,
                                              .pieces = w->piece,
                                              .n_pieces = w->n_pieces,
                                              .pool = pool,
                                              .ring = ring,
                                              .reader = reader,
                                              .depth = 4,
                                              .on_demand = w->on_demand,
                                              .reads_ahead = w->reads_ahead,
                                              .check = true };
    w->resident = resident_new(&options);
    assert_non_null(w->resident);
}

static bool page_is_right(const struct world * w, uint64_t page) {
    const uint64_t words = PAGE / sizeof *w->at;
    for (uint64_t i = page * words; i < (page + 1) * words; i += 61) {
        if (w->at[i] != content(i)) { return false; }
    }
    return true;
}

static bool all_is_right(const struct world * w) {
    for (uint64_t page = 0; page < PAGES; page++) {
        if (!page_is_right(w, page)) { return false; }
    }
    return true;
}

static void * keep_reading(void * user) {
    struct world * w = user;
    uint32_t seed = (uint32_t) (uintptr_t) &seed;
    uint64_t looked = 0, wrong = 0;
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        wrong += !page_is_right(w, dice(&seed, PAGES));
        looked++;
    }
    __atomic_fetch_add(&w->looked, looked, __ATOMIC_RELAXED);
    __atomic_fetch_add(&w->wrong, wrong, __ATOMIC_RELAXED);
    return NULL;
}

static void start_readers(struct world * w) {
    for (int i = 0; i < READERS; i++) { assert_int_equal(pthread_create(&w->reader[i], NULL, keep_reading, w), 0); }
}

static void stop_readers(struct world * w) {
    __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++) { pthread_join(w->reader[i], NULL); }
    assert_true(w->looked > 0);
    assert_int_equal(w->wrong, 0);
}

static void end(struct world * w) {
    resident_free(w->resident);
    assert_true(all_is_right(w));
    munmap(w->at, (size_t) PAGES * PAGE);
}

/* ---- what streams ---- */

static uint8_t every_third_pinned(struct world * w, uint32_t piece) {
    (void) w;
    return piece % 3 == 0 ? PLACE_PIN : PLACE_STREAM;
}

static uint64_t pages_of(const struct world * w, uint8_t class) {
    uint64_t pages = 0;
    for (uint32_t i = 0; i < w->n_pieces; i++) { pages += w->piece[i].class == class ? w->piece[i].pages : 0; }
    return pages;
}

static void take_turn(struct world * w, const struct resident_order * order) {
    const uint64_t place = resident_begin(w->resident, order);
    for (uint32_t i = 0; i < order->count; i++) {
        resident_wait(w->resident, order->piece[i], place + i);
        resident_passed(w->resident, place + i);
    }
    resident_passed(w->resident, place + order->count);
}

/* Each round reads what is streamed once, and nothing else: no policy could read less. */
static void stream(enum reader_kind reader) {
    enum { RING = 32, TURNS = 30 };
    struct world w = { .seed = 1 };
    uint32_t order[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    for (uint32_t i = 0; i < w.n_pieces; i++) { order[i] = i; }
    const struct resident_order all = { order, w.n_pieces };
    const uint64_t pinned = pages_of(&w, PLACE_PIN), streamed = pages_of(&w, PLACE_STREAM);
    begin(&w, (pinned + RING) * PAGE, (uint64_t) RING * PAGE, reader);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        const uint64_t place = resident_begin(w.resident, &all);
        for (uint32_t i = 0; i < w.n_pieces; i++) {
            resident_wait(w.resident, i, place + i);
            assert_true(resident_is_in(w.resident, i));
            resident_passed(w.resident, place + i);
        }
        resident_passed(w.resident, place + w.n_pieces);
    }
    const struct resident_totals t = resident_totals(w.resident);
    assert_int_equal(t.given_up, 0);
    assert_int_equal(t.errors, 0);
    assert_int_equal(t.wrong, 0);
    assert_true(t.checked > 0);
    assert_true(t.read_bytes >= (pinned + TURNS * streamed - RING) * PAGE);
    assert_true(t.read_bytes <= (pinned + TURNS * streamed + RING) * PAGE);
    end(&w);
}

static void each_turn_reads_what_streams_once(void ** state) {
    (void) state;
    stream(READER_THREADS);
    stream(READER_ANY);
}

static uint8_t all_stream(struct world * w, uint32_t piece) {
    (void) w;
    (void) piece;
    return PLACE_STREAM;
}

/* What was not waited for is not read, however long the disk is idle. */
static void on_demand_nothing_is_read_ahead(void ** state) {
    enum { RING = 32, TURNS = 3 };
    struct world w = { .seed = 1, .on_demand = true };
    uint32_t order[PIECES_MOST];
    uint64_t pages = 0;
    (void) state;
    map_file(&w);
    cut(&w, all_stream);
    for (uint32_t i = 0; i < w.n_pieces; i++) { order[i] = i; }
    const struct resident_order all = { order, w.n_pieces };
    begin(&w, (uint64_t) RING * PAGE, (uint64_t) RING * PAGE, READER_THREADS);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        const uint64_t place = resident_begin(w.resident, &all);
        for (uint32_t i = 0; i < w.n_pieces; i++) {
            resident_wait(w.resident, i, place + i);
            assert_true(resident_is_in(w.resident, i));
            pages += w.piece[i].pages;
            assert_int_equal(resident_totals(w.resident).read_bytes, pages * PAGE);
            resident_passed(w.resident, place + i);
        }
        resident_passed(w.resident, place + w.n_pieces);
    }
    assert_int_equal(resident_totals(w.resident).given_up, 0);
    end(&w);
}

/* ---- anything at any time ---- */

static uint8_t any_class(struct world * w, uint32_t piece) {
    static const uint8_t classes[] = { PLACE_PIN, PLACE_STREAM, PLACE_STREAM, PLACE_CACHE, PLACE_CACHE, PLACE_LEAVE };
    (void) piece;
    return classes[dice(&w->seed, sizeof classes)];
}

static uint32_t random_order(struct world * w, uint32_t * order) {
    const uint32_t count = dice(&w->seed, w->n_pieces + 1);
    for (uint32_t i = 0; i < count; i++) { order[i] = dice(&w->seed, w->n_pieces); }
    return count;
}

static void expect(struct resident * r, const uint32_t * pieces, uint32_t count) {
    resident_exchange(r, &(struct pieces_asked){ 0 }, &(struct pieces_asked){ 0 },
                      &(struct pieces_asked){ pieces, count });
}

static void want_or_drop(struct world * w) {
    static void (*const calls[])(struct resident *, const uint32_t *, uint32_t) = { resident_want, resident_drop,
                                                                                    expect };
    uint32_t some[8];
    for (int i = 0; i < 8; i++) {
        do { some[i] = dice(&w->seed, w->n_pieces); } while (w->piece[some[i]].class != PLACE_CACHE);
    }
    calls[dice(&w->seed, sizeof calls / sizeof *calls)](w->resident, some, 1 + dice(&w->seed, 8));
    if (dice(&w->seed, 3) == 0) { resident_wait(w->resident, some[0], UINT64_MAX); }
}

static void go_wild(struct world * w, uint32_t * const orders[], struct resident_order * kinds, unsigned rounds) {
    for (unsigned round = 0; round < rounds; round++) {
        const unsigned kind = dice(&w->seed, 4);
        if (dice(&w->seed, 20) == 0 && kinds[kind].count == 0) { kinds[kind].count = random_order(w, orders[kind]); }
        const struct resident_order * order = &kinds[kind];
        const uint64_t place = resident_begin(w->resident, order);
        const uint32_t stop = dice(&w->seed, 8) ? order->count : dice(&w->seed, order->count + 1);
        for (uint32_t i = 0; i < stop; i++) {
            if (dice(&w->seed, 4)) { resident_wait(w->resident, order->piece[i], place + i); }
            if (dice(&w->seed, 2)) { resident_passed(w->resident, place + i); }
            if (dice(&w->seed, 4) == 0) { want_or_drop(w); }
        }
        if (dice(&w->seed, 3)) { resident_passed(w->resident, place + stop); }
    }
}

struct wild {
    uint32_t memory[4][PIECES_MOST];
    uint32_t * orders[4];
    struct resident_order kinds[4];
};

static void prepare(struct world * w, struct wild * x, uint32_t seed) {
    *w = (struct world){ .seed = seed };
    map_file(w);
    cut(w, any_class);
    w->piece[0].class = PLACE_CACHE;
    for (int i = 0; i < 4; i++) {
        x->orders[i] = x->memory[i];
        x->kinds[i] = (struct resident_order){ x->memory[i], random_order(w, x->memory[i]) };
    }
}

/* Too little memory for what is wanted, orders that change, graphs that stop half-way: nobody waits for ever. */
static void no_address_is_ever_wrong(void ** state) {
    (void) state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        struct world w;
        static struct wild x;
        prepare(&w, &x, seed);
        begin(&w, (uint64_t) (20 + 30 * seed) * PAGE, 16 * PAGE, seed % 2 ? READER_THREADS : READER_ANY);
        start_readers(&w);
        go_wild(&w, x.orders, x.kinds, ROUNDS);
        stop_readers(&w);
        const struct resident_totals t = resident_totals(w.resident);
        assert_true(t.loads > 0 && t.drops > 0);
        assert_int_equal(t.errors, 0);
        assert_int_equal(t.wrong, 0);
        end(&w);
    }
}

/* ---- while there is nothing to do ---- */

static uint8_t pinned_or_cached(struct world * w, uint32_t piece) {
    (void) w;
    return piece % 4 == 0 ? PLACE_PIN : PLACE_CACHE;
}

static void begin_cached(struct world * w, uint64_t pool_pages, uint64_t scratch_pages) {
    *w = (struct world){ .seed = 1 };
    map_file(w);
    cut(w, pinned_or_cached);
    const struct resident_options options = { .files = &w->file,
                                              .n_files = 1,
                                              .pieces = w->piece,
                                              .n_pieces = w->n_pieces,
                                              .pool = pool_pages * PAGE,
                                              .scratch = scratch_pages * PAGE,
                                              .depth = 4,
                                              .check = true };
    w->resident = resident_new(&options);
    assert_non_null(w->resident);
}

static uint32_t pieces_in(const struct world * w) {
    uint32_t in = 0;
    for (uint32_t i = 0; i < w->n_pieces; i++) { in += resident_is_in(w->resident, i); }
    return in;
}

static void wait_for_reads(const struct world * w, uint64_t loads) {
    for (int i = 0; i < 5000 && resident_totals(w->resident).loads < loads; i++) { usleep(1000); }
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
    for (int i = 0; i < 5000; i++) {
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

/* A router's choice can push out what it chose as well. */
static void what_goes_and_is_wanted_stays(void ** state) {
    const uint32_t pieces[] = { 1, 2, 3 };
    struct world w;
    (void) state;
    begin_cached(&w, PAGES + PIECES_MOST, 0);
    wait_for_reads(&w, w.n_pieces);
    resident_exchange(w.resident, &(struct pieces_asked){ pieces, 3 }, &(struct pieces_asked){ pieces, 1 }, NULL);
    for (int i = 0; i < 5000 && resident_totals(w.resident).drops < 2; i++) { usleep(1000); }
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
    return (const char *) w->at + (size_t) w->piece[piece].page * PAGE + PAGE;
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
    w.reads_ahead = true;
    begin(&w, 16 * PAGE, 0, READER_ANY);
    assert_true(is_read_ahead(middle_of(&w, 1)));
    assert_false(is_read_ahead(middle_of(&w, w.n_pieces - 2)));
    memset(classes, PLACE_LEAVE, sizeof classes);
    resident_resize(w.resident, (uint64_t) 16 * PAGE, 0, 0, classes);
    for (int i = 0; i < 5000 && !is_read_ahead(middle_of(&w, w.n_pieces - 2)); i++) { usleep(1000); }
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
    const struct resident_options options = { .files = &w->file,
                                              .n_files = 1,
                                              .pieces = w->piece,
                                              .n_pieces = w->n_pieces,
                                              .pool = pages * PAGE,
                                              .scratch = pages * PAGE,
                                              .depth = 4,
                                              .check = true };
    w->resident = resident_new(&options);
    assert_non_null(w->resident);
}

static void wait_in(const struct world * w, uint32_t piece, bool is_in) {
    for (int i = 0; i < 5000 && resident_is_in(w->resident, piece) != is_in; i++) { usleep(1000); }
    assert_int_equal(resident_is_in(w->resident, piece), is_in);
}

static uint64_t bytes_of(const struct world * w, uint32_t piece) {
    return (uint64_t) w->piece[piece].pages * PAGE;
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
    const uint32_t other = 30;
    resident_want(w.resident, &other, 1);
    resident_wait(w.resident, other, UINT64_MAX);
    wait_in(&w, 20, false);
    assert_true(resident_is_in(w.resident, 10));
    resident_want(w.resident, some, 1);
    resident_drop(w.resident, &other, 1);
    wait_in(&w, other, false);
    const struct resident_totals t = resident_totals(w.resident);
    assert_int_equal(t.spared, bytes_of(&w, 10));
    assert_int_equal(t.reads, 3);
    assert_int_equal(t.ahead_read + t.ahead_wasted, 0);
    end(&w);
}

/* ---- less memory ---- */

/* What was pinned is streamed, and the memory goes back to the system while graphs go on. */
static void memory_is_given_back(void ** state) {
    (void) state;
    enum { RING = 24, TURNS = 10 };
    struct world w = { .seed = 1 };
    uint32_t order[PIECES_MOST];
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    for (uint32_t i = 0; i < w.n_pieces; i++) {
        order[i] = i;
        classes[i] = PLACE_STREAM;
    }
    const struct resident_order all = { order, w.n_pieces };
    begin(&w, (pages_of(&w, PLACE_PIN) + 2 * RING) * PAGE, (uint64_t) 2 * RING * PAGE, READER_ANY);
    start_readers(&w);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        if (turn == 2) { resident_resize(w.resident, (uint64_t) RING * PAGE, (uint64_t) RING * PAGE, 0, classes); }
        take_turn(&w, &all);
    }
    stop_readers(&w);
    assert_int_equal(resident_totals(w.resident).pool, RING * PAGE);
    assert_int_equal(resident_totals(w.resident).errors, 0);
    resident_hand_back(w.resident);
    for (int i = 0; i < 1000 && !resident_is_broken(w.resident); i++) { usleep(1000); }
    assert_true(resident_is_broken(w.resident));
    end(&w);
}

/* With more memory, what was streamed is pinned: a later turn reads nothing. */
/* What was read ahead for the next turn does not keep what was pinned in memory. */
static void memory_is_given_back_between_turns(void ** state) {
    (void) state;
    enum { RING = 24 };
    struct world w = { .seed = 1 };
    uint32_t order[PIECES_MOST];
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    for (uint32_t i = 0; i < w.n_pieces; i++) {
        order[i] = i;
        classes[i] = PLACE_STREAM;
    }
    const struct resident_order all = { order, w.n_pieces };
    begin(&w, (pages_of(&w, PLACE_PIN) + RING) * PAGE, (uint64_t) RING * PAGE, READER_ANY);
    take_turn(&w, &all);
    usleep(20000); /* the next one's first pieces are read meanwhile */
    resident_resize(w.resident, (uint64_t) 2 * RING * PAGE, (uint64_t) 2 * RING * PAGE, 0, classes);
    for (int i = 0; i < 5000 && resident_totals(w.resident).pool > 2 * RING * PAGE; i++) { usleep(1000); }
    assert_int_equal(resident_totals(w.resident).pool, 2 * RING * PAGE);
    take_turn(&w, &all);
    end(&w);
}

static void more_memory_is_used(void ** state) {
    (void) state;
    enum { RING = 32 };
    struct world w = { .seed = 1 };
    uint32_t order[PIECES_MOST];
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    for (uint32_t i = 0; i < w.n_pieces; i++) {
        order[i] = i;
        classes[i] = PLACE_PIN;
    }
    const uint64_t all_pages = pages_of(&w, PLACE_PIN) + pages_of(&w, PLACE_STREAM);
    const struct resident_order all = { order, w.n_pieces };
    const struct resident_options options = { .files = &w.file,
                                              .n_files = 1,
                                              .pieces = w.piece,
                                              .n_pieces = w.n_pieces,
                                              .pool = (pages_of(&w, PLACE_PIN) + RING) * PAGE,
                                              .ring = RING * PAGE,
                                              .pool_most = all_pages * PAGE,
                                              .depth = 4 };
    w.resident = resident_new(&options);
    assert_non_null(w.resident);
    take_turn(&w, &all);
    resident_resize(w.resident, all_pages * PAGE, 0, 0, classes);
    take_turn(&w, &all);
    take_turn(&w, &all);
    const uint64_t before = resident_totals(w.resident).reads;
    take_turn(&w, &all);
    assert_int_equal(resident_totals(w.resident).reads, before);
    assert_int_equal(resident_totals(w.resident).pool, all_pages * PAGE);
    for (uint32_t i = 0; i < w.n_pieces; i++) { assert_true(resident_is_in(w.resident, i)); }
    end(&w);
}

/* ---- what the program does ---- */

static void a_child_has_the_file(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 77);
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    for (int i = 0; i < 5; i++) {
        go_wild(&w, x.orders, x.kinds, 5);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            resident_after_fork(w.resident);
            _exit(all_is_right(&w) ? 0 : 1);
        }
        go_wild(&w, x.orders, x.kinds, 5); /* what covers the parent's is used anew meanwhile */
        int status;
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
    }
    end(&w);
}

/* Where the model was, there is other memory soon. */
static void nothing_is_mapped_where_a_model_was(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 5);
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    go_wild(&w, x.orders, x.kinds, 20);
    resident_forget(w.resident, (char *) w.at + (size_t) 7 * PAGE, PAGE);
    assert_ptr_equal(
        mmap(w.at, (size_t) PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
        w.at);
    memset(w.at, 0x55, (size_t) PAGES * PAGE);
    go_wild(&w, x.orders, x.kinds, 20);
    for (uint32_t i = 0; i < w.n_pieces; i++) { assert_false(resident_is_in(w.resident, i)); }
    resident_free(w.resident);
    for (size_t i = 0; i < (size_t) PAGES * PAGE; i++) { assert_int_equal(((char *) w.at)[i], 0x55); }
    munmap(w.at, (size_t) PAGES * PAGE);
}

static void a_cut_file_is_handed_back(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 9);
    begin(&w, 100 * PAGE, 16 * PAGE, READER_ANY);
    assert_int_equal(truncate(path, (off_t) PAGES / 2 * PAGE), 0);
    go_wild(&w, x.orders, x.kinds, 40);
    for (int i = 0; i < 5000 && !resident_is_broken(w.resident); i++) { usleep(1000); }
    assert_true(resident_is_broken(w.resident));
    resident_free(w.resident);
    for (uint64_t page = 0; page < PAGES / 2; page++) { assert_true(page_is_right(&w, page)); }
    munmap(w.at, (size_t) PAGES * PAGE);
    unlink(path);
    make_file();
}

/* A mapping of one file, and another one at its path. */
static void another_file_at_the_path_is_refused(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    char old[sizeof path + 8];
    snprintf(old, sizeof old, "%s.old", path);
    prepare(&w, &x, 3);
    assert_int_equal(rename(path, old), 0);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t) PAGES * PAGE) == 0);
    close(fd);
    const struct resident_options options = { .files = &w.file,
                                              .n_files = 1,
                                              .pieces = w.piece,
                                              .n_pieces = w.n_pieces,
                                              .pool = 100 * PAGE,
                                              .ring = 16 * PAGE,
                                              .depth = 4 };
    assert_null(resident_new(&options));
    assert_int_equal(errno, ESTALE);
    assert_true(all_is_right(&w));
    munmap(w.at, (size_t) PAGES * PAGE);
    assert_int_equal(rename(old, path), 0);
}

/* What is in memory would be another file's. */
static void a_file_that_is_written_to_is_handed_back(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 21);
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    go_wild(&w, x.orders, x.kinds, 10);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const uint64_t words[2] = { content(0) + 1, content(1) + 1 };
    assert_int_equal(pwrite(fd, words, sizeof words, 0), sizeof words);
    for (int i = 0; i < 2000 && !resident_is_broken(w.resident); i++) {
        go_wild(&w, x.orders, x.kinds, 1);
        usleep(1000);
    }
    assert_true(resident_is_broken(w.resident));
    assert_string_equal(resident_why_broken(w.resident), "the model's file has changed");
    assert_true(w.at[0] == words[0] && w.at[1] == words[1]);
    const uint64_t before[2] = { content(0), content(1) };
    assert_int_equal(pwrite(fd, before, sizeof before, 0), sizeof before);
    close(fd);
    end(&w);
}

/* Of a model that is gone, or handed back, no memory stays. */
static uint64_t shared_memory(void) {
    char line[256];
    uint64_t kib = 0;
    FILE * status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status)) { sscanf(line, "RssShmem: %" SCNu64, &kib); }
    if (status) { fclose(status); }
    return kib;
}

static void memory_goes_with_the_model(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 31);
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    go_wild(&w, x.orders, x.kinds, 20);
    assert_true(shared_memory() > 0);
    assert_true(resident_forget(w.resident, w.at, PAGE));
    for (int i = 0; i < 2000 && (!resident_is_broken(w.resident) || shared_memory()); i++) { usleep(1000); }
    assert_int_equal(shared_memory(), 0);
    end(&w);
}

/* ---- large files ---- */

/* A file with a hole of 4 GiB. */
static void pieces_may_lie_behind_4_gib(void ** state) {
    (void) state;
    enum { FAR = 1 << 20, BEFORE = 32, BEHIND = 64, EACH = 4 };
    static uint64_t page[PAGE / sizeof(uint64_t)];
    const size_t bytes = (size_t) (FAR + BEHIND) * PAGE;
    struct world w = { .seed = 1 };
    char large[sizeof path + 8];
    snprintf(large, sizeof large, "%s.large", path);
    const int fd = open(large, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (uint64_t p = FAR - BEFORE; p < FAR + BEHIND; p++) {
        for (uint64_t i = 0; i < PAGE / sizeof *page; i++) { page[i] = content(p * (PAGE / sizeof *page) + i); }
        assert_int_equal(pwrite(fd, page, PAGE, (off_t) (p * PAGE)), PAGE);
    }
    w.at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(w.at, MAP_FAILED);
    close(fd);
    w.file = (struct resident_file){
        .mapped = { .at = (char *) w.at, .bytes = bytes, .fd = -1, .protection = PROT_READ, .is_shared = true },
        .path = large,
        .size = bytes
    };
    for (; w.n_pieces < (BEFORE + BEHIND) / EACH; w.n_pieces++) {
        w.piece[w.n_pieces] = (struct resident_piece){ 0, FAR - BEFORE + EACH * w.n_pieces, EACH, PLACE_CACHE };
    }
    begin(&w, (uint64_t) (BEFORE + BEHIND) * PAGE, 0, READER_ANY);
    for (uint32_t p = 0; p < w.n_pieces; p++) {
        const uint32_t dropped = p / 2;
        resident_want(w.resident, &p, 1);
        resident_wait(w.resident, p, UINT64_MAX);
        assert_true(resident_is_in(w.resident, p));
        if (p % 2) { resident_drop(w.resident, &dropped, 1); }
        for (uint64_t i = FAR - BEFORE; i < FAR + BEHIND; i++) { assert_true(page_is_right(&w, i)); }
    }
    assert_int_equal(resident_totals(w.resident).wrong + resident_totals(w.resident).errors, 0);
    resident_free(w.resident);
    munmap(w.at, bytes);
    unlink(large);
}

/* ---- handlers of signals ---- */

static struct world * interrupted;
static unsigned interruptions;

/* As in a profiler, which has memory of its own; the last one ends the program, model and all. */
static void on_signal(int signal) {
    static char other[PAGE];
    enum { MOST = 300 };
    (void) signal;
    const int error = errno;
    if (resident_forget(interrupted->resident, other, PAGE)) { _exit(1); }
    if (++interruptions == MOST) {
        resident_forget(interrupted->resident, interrupted->at, PAGE);
        _exit(0);
    }
    errno = error;
}

static void be_interrupted(void) {
    struct world w;
    static struct wild x;
    const struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
    const struct itimerval often = { { 0, 500 }, { 0, 500 } };
    prepare(&w, &x, 41);
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    interrupted = &w;
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0) { _exit(2); }
    for (;;) { want_or_drop(&w); }
}

/* Whatever its thread holds when the signal comes. */
static void a_signal_handler_may_unmap(void ** state) {
    (void) state;
    enum { TRIES = 4000 };
    int status = -1, i = 0;
    const pid_t child = fork();
    if (child == 0) { be_interrupted(); }
    while (waitpid(child, &status, WNOHANG) == 0 && ++i < TRIES) { usleep(5000); }
    if (i == TRIES) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    assert_int_equal(status, 0);
}

/* ---- mappings ---- */

/* Of what the program may still map, half stays its own. */
static void mappings_are_left_to_the_program(void ** state) {
    (void) state;
    enum { MOST = 70000, LEFT = 160, OWN = 30 };
    struct world w;
    static struct wild x;
    struct map_count maps;
    map_count_begin(&maps);
    const uint64_t most = 2 * maps.most - maps.now;
    if (most > MOST) {
        print_message("# needs a vm.max_map_count that can be reached\n"); /* scripts/test.sh reads it */
        skip();
    }
    char * many = mmap(NULL, 2ul * MOST * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(many, MAP_FAILED);
    size_t i = 1, own = 0;
    for (; maps.now + i + LEFT < most; i += 2) { assert_int_equal(mprotect(many + i * PAGE, PAGE, PROT_READ), 0); }
    prepare(&w, &x, 51);
    begin(&w, (uint64_t) PAGES * PAGE, 0, READER_ANY);
    for (uint32_t p = 0; p < w.n_pieces; p += 2) {
        resident_want(w.resident, &p, 1);
        resident_wait(w.resident, p, UINT64_MAX);
    }
    while (own < OWN && mprotect(many + (i + 2 * own) * PAGE, PAGE, PROT_READ) == 0) { own++; }
    const struct resident_totals t = resident_totals(w.resident);
    munmap(many, 2ul * MOST * PAGE);
    assert_int_equal(own, OWN);
    assert_true(t.loads > 0 && t.given_up > 0);
    assert_int_equal(t.errors, 0);
    end(&w);
}

static int begin_all(void ** state) {
    (void) state;
    make_file();
    return 0;
}

static int end_all(void ** state) {
    (void) state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_turn_reads_what_streams_once),
        cmocka_unit_test(on_demand_nothing_is_read_ahead),
        cmocka_unit_test(no_address_is_ever_wrong),
        cmocka_unit_test(an_idle_disk_reads_what_there_is_room_for),
        cmocka_unit_test(what_is_wanted_takes_the_room_of_what_is_not),
        cmocka_unit_test(what_goes_and_is_wanted_stays),
        cmocka_unit_test(nobody_is_woken_for_what_is_in_memory),
        cmocka_unit_test(what_is_left_is_read_ahead),
        cmocka_unit_test(what_is_expected_is_read_and_goes_if_it_does_not_come),
        cmocka_unit_test(a_guess_makes_room),
        cmocka_unit_test(a_guess_without_room_is_not_read),
        cmocka_unit_test(what_goes_stays_while_it_is_expected),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(memory_is_given_back_between_turns),
        cmocka_unit_test(more_memory_is_used),
        cmocka_unit_test(a_child_has_the_file),
        cmocka_unit_test(nothing_is_mapped_where_a_model_was),
        cmocka_unit_test(a_cut_file_is_handed_back),
        cmocka_unit_test(another_file_at_the_path_is_refused),
        cmocka_unit_test(a_file_that_is_written_to_is_handed_back),
        cmocka_unit_test(memory_goes_with_the_model),
        cmocka_unit_test(pieces_may_lie_behind_4_gib),
        cmocka_unit_test(a_signal_handler_may_unmap),
        cmocka_unit_test(mappings_are_left_to_the_program),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
