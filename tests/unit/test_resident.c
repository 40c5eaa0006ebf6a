/* SPDX-License-Identifier: MIT
 *
 * Pieces of a file come and go while made-up graphs need them and threads read them. Whatever happens, each address of
 * the mapping holds the file's bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "manage/map_count.h"
#include "manage/thread.h"
#include "resident_world.h"

/* ---- what streams ---- */

/* Each round reads what is streamed once, and nothing else: no policy could read less. */
static void stream(enum reader_kind reader) {
    enum { RING = 32, TURNS = 30 };
    struct world w = { .seed = 1 };
    map_file(&w);
    cut(&w, every_third_pinned);
    const struct resident_order all = in_order(&w);
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
    struct world w = { .seed = 1 };
    uint64_t pages = 0;
    (void) state;
    map_file(&w);
    cut(&w, all_stream);
    const struct resident_order all = in_order(&w);
    struct resident_options options = options_of(&w, (uint64_t) RING * PAGE, (uint64_t) RING * PAGE);
    options.reader = READER_THREADS;
    options.on_demand = true;
    begin_with(&w, &options);
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

/* Too little memory for what is wanted, orders that change, graphs that stop half-way: nobody waits for ever. */
static void no_address_is_ever_wrong(void ** state) {
    (void) state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        struct world w;
        static struct wild x;
        prepare(&w, &x, seed);
        begin(&w, (uint64_t) (20 + 30 * seed) * PAGE, 16 * PAGE, seed % 2 ? READER_THREADS : READER_ANY);
        start_readers(&w);
        go_wild(&w, &x, 60);
        stop_readers(&w);
        const struct resident_totals t = resident_totals(w.resident);
        assert_true(t.loads > 0 && t.drops > 0);
        assert_int_equal(t.errors, 0);
        assert_int_equal(t.wrong, 0);
        end(&w);
    }
}

/* ---- less memory ---- */

/* What was pinned is streamed, and the memory goes back to the system while graphs go on. */
static void memory_is_given_back(void ** state) {
    (void) state;
    enum { RING = 24, TURNS = 10 };
    struct world w = { .seed = 1 };
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    memset(classes, PLACE_STREAM, sizeof classes);
    const struct resident_order all = in_order(&w);
    begin(&w, (pages_of(&w, PLACE_PIN) + 2 * RING) * PAGE, (uint64_t) 2 * RING * PAGE, READER_ANY);
    start_readers(&w);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        if (turn == 2) { resident_resize(w.resident, (uint64_t) RING * PAGE, (uint64_t) RING * PAGE, 0, classes); }
        take_turn(&w, &all);
    }
    stop_readers(&w);
    for (int i = 0; i < PATIENCE_MS && resident_totals(w.resident).pool > RING * PAGE; i++) { usleep(1000); }
    assert_int_equal(resident_totals(w.resident).pool, RING * PAGE);
    assert_int_equal(resident_totals(w.resident).errors, 0);
    resident_hand_back(w.resident);
    for (int i = 0; i < PATIENCE_MS && !resident_is_broken(w.resident); i++) { usleep(1000); }
    assert_true(resident_is_broken(w.resident));
    end(&w);
}

/* What was read ahead for the next turn does not keep what was pinned in memory. */
static void memory_is_given_back_between_turns(void ** state) {
    (void) state;
    enum { RING = 24 };
    struct world w = { .seed = 1 };
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    memset(classes, PLACE_STREAM, sizeof classes);
    const struct resident_order all = in_order(&w);
    begin(&w, (pages_of(&w, PLACE_PIN) + RING) * PAGE, (uint64_t) RING * PAGE, READER_ANY);
    take_turn(&w, &all);
    usleep(20000); /* the next one's first pieces are read meanwhile */
    resident_resize(w.resident, (uint64_t) 2 * RING * PAGE, (uint64_t) 2 * RING * PAGE, 0, classes);
    for (int i = 0; i < PATIENCE_MS && resident_totals(w.resident).pool > 2 * RING * PAGE; i++) { usleep(1000); }
    assert_int_equal(resident_totals(w.resident).pool, 2 * RING * PAGE);
    take_turn(&w, &all);
    end(&w);
}

/* With more memory, what was streamed is pinned: a later turn reads nothing. */
static void more_memory_is_used(void ** state) {
    (void) state;
    enum { RING = 32 };
    struct world w = { .seed = 1 };
    uint8_t classes[PIECES_MOST];
    map_file(&w);
    cut(&w, every_third_pinned);
    memset(classes, PLACE_PIN, sizeof classes);
    const uint64_t all_pages = pages_of(&w, PLACE_PIN) + pages_of(&w, PLACE_STREAM);
    const struct resident_order all = in_order(&w);
    struct resident_options options = options_of(&w, (pages_of(&w, PLACE_PIN) + RING) * PAGE, RING * PAGE);
    options.pool_most = all_pages * PAGE;
    options.check = false;
    begin_with(&w, &options);
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
        go_wild(&w, &x, 5);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            resident_after_fork(w.resident);
            _exit(all_is_right(&w) ? 0 : 1);
        }
        go_wild(&w, &x, 5); /* what covers the parent's is used anew meanwhile */
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
    go_wild(&w, &x, 20);
    resident_forget(w.resident, w.at + (size_t) 7 * PAGE, PAGE);
    assert_ptr_equal(
        mmap(w.at, (size_t) PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
        w.at);
    memset(w.at, 0x55, (size_t) PAGES * PAGE);
    go_wild(&w, &x, 20);
    for (uint32_t i = 0; i < w.n_pieces; i++) { assert_false(resident_is_in(w.resident, i)); }
    resident_free(w.resident);
    for (size_t i = 0; i < (size_t) PAGES * PAGE; i++) { assert_int_equal(w.at[i], 0x55); }
    munmap(w.at, (size_t) PAGES * PAGE);
}

static void a_cut_file_is_handed_back(void ** state) {
    (void) state;
    struct world w;
    static struct wild x;
    prepare(&w, &x, 9);
    begin(&w, 100 * PAGE, 16 * PAGE, READER_ANY);
    assert_int_equal(truncate(path, (off_t) PAGES / 2 * PAGE), 0);
    go_wild(&w, &x, 40);
    for (int i = 0; i < PATIENCE_MS && !resident_is_broken(w.resident); i++) { usleep(1000); }
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
    const struct resident_options options = options_of(&w, 100 * PAGE, 16 * PAGE);
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
    go_wild(&w, &x, 10);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    char before[2 * sizeof(uint64_t)], after[sizeof before];
    paged_fill(before, 0, sizeof before);
    for (size_t i = 0; i < sizeof after; i++) { after[i] = (char) ~before[i]; }
    assert_int_equal(pwrite(fd, after, sizeof after, 0), sizeof after);
    for (int i = 0; i < PATIENCE_MS && !resident_is_broken(w.resident); i++) {
        go_wild(&w, &x, 1);
        usleep(1000);
    }
    assert_true(resident_is_broken(w.resident));
    assert_string_equal(resident_why_broken(w.resident), "the model's file has changed");
    assert_memory_equal(w.at, after, sizeof after);
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
    go_wild(&w, &x, 20);
    assert_true(shared_memory() > 0);
    assert_true(resident_forget(w.resident, w.at, PAGE));
    for (int i = 0; i < PATIENCE_MS && (!resident_is_broken(w.resident) || shared_memory()); i++) { usleep(1000); }
    assert_int_equal(shared_memory(), 0);
    end(&w);
}

/* ---- large files ---- */

/* A file with a hole of 4 GiB. */
static void pieces_may_lie_behind_4_gib(void ** state) {
    (void) state;
    enum { FAR = 1 << 20, BEFORE = 32, BEHIND = 64, EACH = 4 };
    char page[PAGE];
    const size_t bytes = (size_t) (FAR + BEHIND) * PAGE;
    struct world w = { .seed = 1 };
    char large[sizeof path + 8];
    snprintf(large, sizeof large, "%s.large", path);
    const int fd = open(large, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (uint64_t p = FAR - BEFORE; p < FAR + BEHIND; p++) {
        paged_fill(page, p * PAGE, PAGE);
        assert_int_equal(pwrite(fd, page, PAGE, (off_t) (p * PAGE)), PAGE);
    }
    w.at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(w.at, MAP_FAILED);
    close(fd);
    w.file = (struct resident_file){
        .mapped = { .at = w.at, .bytes = bytes, .fd = -1, .protection = PROT_READ, .is_shared = true },
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
    int status = -1, i = 0;
    const pid_t child = fork();
    if (child == 0) { be_interrupted(); }
    while (waitpid(child, &status, WNOHANG) == 0 && ++i < PATIENCE_MS) { usleep(1000); }
    if (i == PATIENCE_MS) {
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

/* ---- its thread ---- */

static bool get_scheduling(pid_t thread, struct scheduling * s) {
    return syscall(SYS_sched_getattr, thread, s, sizeof *s, 0) == 0;
}

/* Before Linux 6.12 there is none. */
static bool can_have_a_slice(void) {
    enum { SLICE_NS = 500000 };
    struct scheduling before, now;
    if (!get_scheduling(0, &before) || before.policy != SCHED_OTHER) { return false; }
    now = before;
    now.slice = SLICE_NS;
    if (syscall(SYS_sched_setattr, 0, &now, 0) != 0 || !get_scheduling(0, &now)) { return false; }
    syscall(SYS_sched_setattr, 0, &before, 0);
    return now.slice == SLICE_NS;
}

static bool has_slice(uint64_t ns) {
    bool found = false;
    DIR * threads = opendir("/proc/self/task");
    for (struct dirent * entry; threads && (entry = readdir(threads));) {
        struct scheduling s;
        const pid_t thread = (pid_t) atoi(entry->d_name);
        found |= thread > 0 && get_scheduling(thread, &s) && s.slice == ns;
    }
    if (threads) { closedir(threads); }
    return found;
}

/* Threads that compute, or wait for each other by spinning, would else keep it from a processor for milliseconds. */
static void its_thread_runs_as_soon_as_it_wakes(void ** state) {
    (void) state;
    enum { SLICE_NS = 100000 };
    struct world w;
    static struct wild x;
    if (!can_have_a_slice()) {
        print_message("# needs Linux 6.12\n"); /* scripts/test.sh reads it */
        skip();
    }
    prepare(&w, &x, 61);
    assert_false(has_slice(SLICE_NS));
    begin(&w, 200 * PAGE, 32 * PAGE, READER_ANY);
    for (int i = 0; i < PATIENCE_MS && !has_slice(SLICE_NS); i++) { usleep(1000); } /* it asks for it itself */
    assert_true(has_slice(SLICE_NS));
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_turn_reads_what_streams_once),
        cmocka_unit_test(on_demand_nothing_is_read_ahead),
        cmocka_unit_test(no_address_is_ever_wrong),
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
        cmocka_unit_test(its_thread_runs_as_soon_as_it_wakes),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
