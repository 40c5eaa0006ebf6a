/* SPDX-License-Identifier: MIT */
#include "resident_world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

char path[256];

void make_file(void) {
    const size_t bytes = (size_t) PAGES * PAGE;
    const char * folder = getenv("TMPDIR");
    char * content = malloc(bytes);
    assert_non_null(content);
    paged_fill(content, 0, bytes);
    snprintf(path, sizeof path, "%s/tat_resident.XXXXXX", folder ? folder : "/var/tmp");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, bytes), bytes);
    fsync(fd);
    close(fd);
    free(content);
}

int begin_all(void ** state) {
    (void) state;
    make_file();
    return 0;
}

int end_all(void ** state) {
    (void) state;
    return unlink(path);
}

void map_file(struct world * w) {
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    w->at = mmap(NULL, (size_t) PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(w->at, MAP_FAILED);
    close(fd);
    w->file = (struct resident_file){
        .mapped = { .at = w->at, .bytes = (size_t) PAGES * PAGE, .fd = -1, .protection = PROT_READ, .is_shared = true },
        .path = path,
        .size = (uint64_t) status.st_size
    };
}

void cut(struct world * w, uint8_t (*class_of)(struct world * w, uint32_t piece)) {
    uint32_t page = 0;
    for (w->n_pieces = 0; page + 8 < PAGES && w->n_pieces < PIECES_MOST; w->n_pieces++) {
        const uint32_t pages = 2 + dice(&w->seed, 6);
        w->piece[w->n_pieces] = (struct resident_piece){ 0, page, pages, class_of(w, w->n_pieces) };
        w->order[w->n_pieces] = w->n_pieces;
        page += pages - dice(&w->seed, 2);
    }
}

struct resident_options options_of(const struct world * w, uint64_t pool, uint64_t ring) {
    return (struct resident_options){ .files = &w->file,
                                      .n_files = 1,
                                      .pieces = w->piece,
                                      .n_pieces = w->n_pieces,
                                      .pool = pool,
                                      .ring = ring,
                                      .depth = 4,
                                      .check = true };
}

void begin_with(struct world * w, const struct resident_options * options) {
    w->resident = resident_new(options);
    assert_non_null(w->resident);
}

void begin(struct world * w, uint64_t pool, uint64_t ring, enum reader_kind reader) {
    struct resident_options options = options_of(w, pool, ring);
    options.reader = reader;
    begin_with(w, &options);
}

bool page_is_right(const struct world * w, uint64_t page) {
    return paged_is_right(w->at + page * PAGE, page * PAGE, PAGE);
}

bool all_is_right(const struct world * w) {
    return paged_is_right(w->at, 0, (size_t) PAGES * PAGE);
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

void start_readers(struct world * w) {
    for (int i = 0; i < READERS; i++) { assert_int_equal(pthread_create(&w->reader[i], NULL, keep_reading, w), 0); }
}

void stop_readers(struct world * w) {
    __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++) { pthread_join(w->reader[i], NULL); }
    assert_true(w->looked > 0);
    assert_int_equal(w->wrong, 0);
}

void end(struct world * w) {
    resident_free(w->resident);
    assert_true(all_is_right(w));
    munmap(w->at, (size_t) PAGES * PAGE);
}

uint8_t every_third_pinned(struct world * w, uint32_t piece) {
    (void) w;
    return piece % 3 == 0 ? PLACE_PIN : PLACE_STREAM;
}

uint64_t pages_of(const struct world * w, uint8_t class) {
    uint64_t pages = 0;
    for (uint32_t i = 0; i < w->n_pieces; i++) { pages += w->piece[i].class == class ? w->piece[i].pages : 0; }
    return pages;
}

/* ---- graphs ---- */

struct resident_order in_order(const struct world * w) {
    return (struct resident_order){ w->order, w->n_pieces };
}

void take_turn(struct world * w, const struct resident_order * order) {
    const uint64_t place = resident_begin(w->resident, order);
    for (uint32_t i = 0; i < order->count; i++) {
        resident_wait(w->resident, order->piece[i], place + i);
        resident_passed(w->resident, place + i);
    }
    resident_passed(w->resident, place + order->count);
}

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

void expect(struct resident * r, const uint32_t * pieces, uint32_t count) {
    resident_exchange(r, &(struct pieces_asked){ 0 }, &(struct pieces_asked){ 0 },
                      &(struct pieces_asked){ pieces, count });
}

void want_or_drop(struct world * w) {
    static void (*const calls[])(struct resident *, const uint32_t *, uint32_t) = { resident_want, resident_drop,
                                                                                    expect };
    uint32_t some[8];
    for (int i = 0; i < 8; i++) {
        do { some[i] = dice(&w->seed, w->n_pieces); } while (w->piece[some[i]].class != PLACE_CACHE);
    }
    calls[dice(&w->seed, sizeof calls / sizeof *calls)](w->resident, some, 1 + dice(&w->seed, 8));
    if (dice(&w->seed, 3) == 0) { resident_wait(w->resident, some[0], UINT64_MAX); }
}

void go_wild(struct world * w, struct wild * x, unsigned rounds) {
    for (unsigned round = 0; round < rounds; round++) {
        const unsigned kind = dice(&w->seed, 4);
        if (dice(&w->seed, 20) == 0 && x->kinds[kind].count == 0) {
            x->kinds[kind].count = random_order(w, x->orders[kind]);
        }
        const struct resident_order * order = &x->kinds[kind];
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

void prepare(struct world * w, struct wild * x, uint32_t seed) {
    *w = (struct world){ .seed = seed };
    map_file(w);
    cut(w, any_class);
    w->piece[0].class = PLACE_CACHE;
    for (int i = 0; i < 4; i++) {
        x->orders[i] = x->memory[i];
        x->kinds[i] = (struct resident_order){ x->memory[i], random_order(w, x->memory[i]) };
    }
}
