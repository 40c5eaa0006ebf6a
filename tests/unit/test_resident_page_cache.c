/* SPDX-License-Identifier: MIT
 *
 * Pieces of a file that are kept in the page cache: what is there and what is locked, as the kernel tells it; and that
 * the mapping is the program's again afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "manage/advice.h"
#include "manage/resident.h"
#include "paged_file.h"

enum { PAGES = 1024, PIECES = 60, PIECE = 16, STEP = PIECE - 1, RING = 4 * PIECE };
static const size_t bytes = (size_t) PAGES * PAGE;
static const enum read_how ways[] = { READ_POPULATE, READ_WILLNEED, READ_THROUGH };
enum { WAYS = sizeof ways / sizeof *ways };

static char path[256];
static char * at; /* the program's mapping */
static uint32_t order[PIECES];
static struct resident_piece piece[PIECES];

/* Each piece shares a page with the next; two that are pinned are neighbours. */
static uint8_t class_of(uint32_t i) {
    static const uint8_t classes[] = { PLACE_PIN, PLACE_PIN, PLACE_STREAM, PLACE_STREAM, PLACE_LEAVE, PLACE_STREAM };
    return classes[i % 6];
}

static int make_file(void ** state) {
    const char * folder = getenv("TMPDIR");
    char * content = malloc(bytes);
    (void) state;
    snprintf(path, sizeof path, "%s/tat_page_cache.XXXXXX", folder ? folder : "/var/tmp");
    const int fd = mkstemp(path);
    if (fd < 0 || !content) { return -1; }
    paged_fill(content, 0, bytes);
    const bool good = write(fd, content, bytes) == (ssize_t) bytes && fsync(fd) == 0;
    free(content);
    close(fd);
    for (uint32_t i = 0; i < PIECES; i++) {
        order[i] = i;
        piece[i] = (struct resident_piece){ 0, i * STEP, PIECE, class_of(i) };
    }
    return good ? 0 : -1;
}

static int remove_file(void ** state) {
    (void) state;
    return unlink(path);
}

static void map_file(void) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    close(fd);
}

static const struct resident_order all = { order, PIECES };

static uint32_t pinned_pages(void) {
    uint32_t pages = 0;
    for (uint32_t i = 0; i < PIECES; i++) { pages += piece[i].class == PLACE_PIN ? piece[i].pages : 0; }
    return pages;
}

static struct resident * begin(enum read_how ahead, bool locks) {
    const struct resident_file file = {
        .mapped = { .at = at, .bytes = bytes, .fd = -1, .protection = PROT_READ, .is_shared = true },
        .path = path,
        .size = bytes
    };
    const struct resident_options options = { .files = &file,
                                              .n_files = 1,
                                              .pieces = piece,
                                              .n_pieces = PIECES,
                                              .pool = ((uint64_t) pinned_pages() + RING) * PAGE,
                                              .ring = (uint64_t) RING * PAGE,
                                              .depth = 4,
                                              .ahead = ahead,
                                              .locks = locks };
    struct resident * r = resident_new(&options);
    assert_non_null(r);
    return r;
}

static void take_turn(struct resident * r) {
    const uint64_t place = resident_begin(r, &all);
    for (uint32_t i = 0; i < PIECES; i++) {
        if (piece[i].class == PLACE_LEAVE) { continue; }
        resident_wait(r, i, place + i);
        assert_true(paged_is_right(at + (size_t) piece[i].page * PAGE, (uint64_t) piece[i].page * PAGE, PIECE * PAGE));
        resident_passed(r, place + i);
    }
    resident_passed(r, place + PIECES);
}

static uint64_t bytes_to_lock(void) {
    static bool is_pinned[PAGES];
    uint64_t sum = 0;
    memset(is_pinned, 0, sizeof is_pinned);
    for (uint32_t i = 0; i < PIECES; i++) {
        for (uint32_t p = 0; p < PIECE; p++) { is_pinned[piece[i].page + p] |= piece[i].class == PLACE_PIN; }
    }
    for (uint32_t p = 0; p < PAGES; p++) { sum += is_pinned[p] ? PAGE : 0; }
    return sum;
}

/* Pages of the pieces of a class that no other piece has, in the page cache. */
static uint32_t cached_pages(uint8_t class) {
    unsigned char here[PAGES];
    uint32_t pages = 0;
    assert_int_equal(mincore(at, bytes, here), 0);
    for (uint32_t i = 0; i < PIECES; i++) {
        for (uint32_t p = 1; p < PIECE - 1 && piece[i].class == class; p++) { pages += here[piece[i].page + p] & 1; }
    }
    return pages;
}

/* By bare calls: the thread that manages has a table of descriptors of its own, and ThreadSanitizer takes a descriptor
 * of this thread for the one of the same number there. */
static uint64_t locked_bytes(void) {
    static const char key[] = "VmLck:";
    char status[8192];
    const int fd = (int) syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
    const long n = syscall(SYS_read, fd, status, sizeof status - 1);
    syscall(SYS_close, fd);
    assert_true(n > 0);
    status[n] = '\0';
    const char * locked = strstr(status, key);
    return locked ? strtoull(locked + strlen(key), NULL, 10) << 10 : 0;
}

static bool all_is_right(void) {
    return paged_is_right(at, 0, bytes);
}

/* Maps the file with nothing of it in the page cache; what is being read leaves it a little later. False: on tmpfs
 * nothing does. */
static bool map_evicted(void) {
    uint32_t left = 1;
    map_file();
    for (int i = 0; i < 2000 && left; i++) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
        left = cached_pages(PLACE_LEAVE) + cached_pages(PLACE_STREAM) + cached_pages(PLACE_PIN);
        if (left) { usleep(1000); }
    }
    if (left) { munmap(at, bytes); }
    return !left;
}

/* What is advised is read while the thread goes on. One look at a time: what streams may all go before more comes. */
static uint32_t cached_in_the_end(uint8_t class, uint32_t expected) {
    uint32_t cached = cached_pages(class);
    for (int i = 0; i < PATIENCE_MS && cached < expected; i++) {
        usleep(1000);
        cached = cached_pages(class);
    }
    return cached;
}

static uint32_t count(uint8_t class) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < PIECES; i++) { n += piece[i].class == class; }
    return n;
}

/* ---- tests ---- */

static void what_is_pinned_stays_and_what_streams_goes(void ** state) {
    (void) state;
    for (unsigned w = 0; w < WAYS; w++) {
        if (!map_evicted()) { skip(); }
        struct resident * r = begin(ways[w], false);
        for (int turn = 0; turn < 3; turn++) { take_turn(r); }
        const uint32_t inside = PIECE - 2;
        assert_int_equal(cached_in_the_end(PLACE_PIN, count(PLACE_PIN) * inside), count(PLACE_PIN) * inside);
        assert_in_range(cached_in_the_end(PLACE_STREAM, 1), 1, RING);
        const struct resident_totals t = resident_totals(r);
        assert_int_equal(t.errors, 0);
        assert_int_equal(t.given_up, 0);
        assert_true(t.drops > 0);
        assert_int_equal(t.locked, 0);
        assert_in_range(t.pool_cached, (uint64_t) pinned_pages() * PAGE, t.pool);
        assert_true(all_is_right());
        resident_free(r);
        munmap(at, bytes);
    }
}

/* Which of the file's pages is read is nobody's but the caller's business: no read-ahead beside the pieces. */
static void nothing_else_is_read(void ** state) {
    (void) state;
    for (unsigned w = 0; w < WAYS; w++) {
        if (!map_evicted()) { skip(); }
        struct resident * r = begin(ways[w], false);
        take_turn(r);
        assert_int_equal(cached_pages(PLACE_LEAVE), 0);
        resident_free(r);
        munmap(at, bytes);
    }
}

/* Of the pages of pinned pieces each is locked, once. */
static void pinned_pieces_are_locked(void ** state) {
    (void) state;
    const uint64_t before = locked_bytes();
    for (unsigned w = 0; w < WAYS; w++) {
        map_file();
        struct resident * r = begin(ways[w], true);
        take_turn(r);
        take_turn(r);
        if (resident_lockable(r) < bytes_to_lock()) {
            resident_free(r);
            munmap(at, bytes);
            skip();
        }
        assert_int_equal(locked_bytes() - before, bytes_to_lock());
        resident_hand_back(r);
        for (int i = 0; i < PATIENCE_MS && !resident_is_broken(r); i++) { usleep(1000); }
        assert_true(resident_is_broken(r));
        assert_int_equal(locked_bytes(), before);
        assert_true(all_is_right());
        resident_free(r);
        munmap(at, bytes);
    }
}

/* ---- pieces that go together ---- */

/* Goes on to the piece, but passes only where one begins that shares no page with what came before: so neighbours go
 * together. Returns the place of the first. */
static uint64_t go_to(struct resident * r, uint32_t end) {
    enum { STRETCH = 6 };
    const uint64_t place = resident_begin(r, &all);
    for (uint32_t i = 0; i < end; i++) {
        if (i % STRETCH == 0) { resident_passed(r, place + i); }
        if (piece[i].class != PLACE_LEAVE) { resident_wait(r, i, place + i); }
    }
    return place;
}

static bool is_cached(uint32_t page) {
    unsigned char here;
    assert_int_equal(mincore(at + (size_t) page * PAGE, PAGE, &here), 0);
    return here & 1;
}

/* Once for certain: the kernel may keep a page that it is moving just then. */
static void the_page_between_two_that_go_goes_too(void ** state) {
    enum { FIRST = 2, LATER = 30, TURNS = 100 };
    (void) state;
    for (unsigned w = 0; w < WAYS; w++) {
        if (!map_evicted()) { skip(); }
        struct resident * r = begin(ways[w], false);
        bool goes = false;
        for (int turn = 0; turn < TURNS && !goes; turn++) {
            const uint64_t place = go_to(r, LATER);
            goes = !resident_is_in(r, FIRST) && !resident_is_in(r, FIRST + 1) && !is_cached((FIRST + 1) * STEP);
            resident_passed(r, place + PIECES);
        }
        assert_true(goes);
        resident_free(r);
        munmap(at, bytes);
    }
}

/* As root, the limit does not count, until that privilege is given up. */
static void limit_locking(uint64_t limit) {
    const struct rlimit most = { limit, limit };
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { 0 };
    if (setrlimit(RLIMIT_MEMLOCK, &most) != 0 || syscall(SYS_capset, &header, data) != 0) { _exit(2); }
}

static void no_more_is_locked_than_may_be(void ** state) {
    static const uint64_t limits[] = { 0, (uint64_t) 40 * PAGE };
    (void) state;
    for (size_t i = 0; i < 2; i++) {
        const pid_t child = fork();
        if (child == 0) {
            limit_locking(limits[i]);
            map_file();
            struct resident * r = begin(READ_WILLNEED, true);
            take_turn(r);
            take_turn(r);
            const uint64_t locked = locked_bytes();
            const bool good = locked == resident_totals(r).locked && locked <= resident_lockable(r) &&
                              resident_lockable(r) <= limits[i] && (locked > 0 || limits[i] == 0) &&
                              resident_totals(r).errors == 0 && all_is_right();
            resident_free(r);
            _exit(good && locked_bytes() == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static void the_programs_advice_is_put_back(void ** state) {
    static const int advice[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL };
    (void) state;
    for (size_t i = 0; i < 3; i++) {
        for (unsigned w = 0; w < WAYS; w++) {
            map_file();
            madvise(at, bytes, advice[i]);
            struct resident * r = begin(ways[w], false);
            take_turn(r);
            const pid_t child = fork();
            if (child == 0) {
                resident_after_fork(r);
                _exit(advice_at(at) == advice[i] && locked_bytes() == 0 && all_is_right() ? 0 : 1);
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
            resident_free(r);
            assert_int_equal(advice_at(at), advice[i]);
            munmap(at, bytes);
        }
    }
}

/* Where the model was, there is other memory soon: nobody advises the kernel about it, least of all to drop it. */
static void other_memory_at_its_place_is_left_alone(void ** state) {
    (void) state;
    for (unsigned w = 0; w < WAYS; w++) {
        map_file();
        const uint64_t before = locked_bytes();
        struct resident * r = begin(ways[w], true);
        take_turn(r);
        resident_begin(r, &all); /* reads are under way */
        assert_true(resident_forget(r, at + (size_t) 7 * PAGE, PAGE));
        assert_ptr_equal(mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
        memset(at, 0x55, bytes);
        resident_want(r, order, PIECES);
        resident_drop(r, order, PIECES);
        usleep(20000);
        resident_free(r);
        for (size_t i = 0; i < bytes; i++) { assert_int_equal(at[i], 0x55); }
        assert_int_equal(locked_bytes(), before);
        munmap(at, bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_pinned_stays_and_what_streams_goes),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(pinned_pieces_are_locked),
        cmocka_unit_test(the_page_between_two_that_go_goes_too),
        cmocka_unit_test(no_more_is_locked_than_may_be),
        cmocka_unit_test(the_programs_advice_is_put_back),
        cmocka_unit_test(other_memory_at_its_place_is_left_alone),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
