/* SPDX-License-Identifier: MIT
 *
 * What the kernel does anywhere: pages of its trace buffer, made by hand and cut anywhere; and an instance of tracefs,
 * real where this is root.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/page_runs.h"
#include "io/system_events.h"
#include "io/trace_page.h"
#include "io/tracefs.h"
#include "io/tracepoints.h"

/* ---- a page ---- */

enum { PAGE = 4096, DELTA_SHIFT = 5 };

struct page {
    uint8_t bytes[PAGE];
    size_t used;
};

static void put_word(struct page * p, uint32_t word) {
    memcpy(p->bytes + TRACE_PAGE_HEADER + p->used, &word, sizeof word);
    p->used += sizeof word;
}

static void seal(struct page * p, uint64_t ns, uint32_t flags) {
    const uint64_t commit = p->used | flags;
    memcpy(p->bytes, &ns, sizeof ns);
    memcpy(p->bytes + sizeof ns, &commit, sizeof commit);
}

struct seen {
    uint64_t ns[8];
    uint32_t first[8], bytes[8];
    int count;
};

static void see(uint64_t ns, const uint8_t * entry, uint32_t bytes, void * user) {
    struct seen * s = user;
    assert_true(s->count < 8);
    s->ns[s->count] = ns;
    s->bytes[s->count] = bytes;
    memcpy(&s->first[s->count++], entry, sizeof(uint32_t));
}

/* A short entry, a long one, time that was extended, one that was discarded, and time said anew. */
static void fill(struct page * p) {
    memset(p, 0, sizeof *p);
    put_word(p, 2 | 100u << DELTA_SHIFT); /* 8 bytes, 100 ns later */
    put_word(p, 11);
    put_word(p, 0);
    put_word(p, 30 | 7u << DELTA_SHIFT); /* 2^27 + 7 ns more */
    put_word(p, 1);
    put_word(p, 0 | 1u << DELTA_SHIFT); /* of 16 bytes, its own length included */
    put_word(p, 16);
    put_word(p, 22);
    put_word(p, 0);
    put_word(p, 0);
    put_word(p, 29 | 50u << DELTA_SHIFT); /* discarded: its time does not pass */
    put_word(p, 8);
    put_word(p, 0);
    put_word(p, 31 | 5u << DELTA_SHIFT);
    put_word(p, 100);
    put_word(p, 1 | 1u << DELTA_SHIFT);
    put_word(p, 33);
}

static void entries_have_their_times(void ** state) {
    (void) state;
    struct page p;
    struct seen s = { 0 };
    fill(&p);
    seal(&p, 1000, 0);
    assert_int_equal(trace_page_read(p.bytes, PAGE, see, &s), 0);
    assert_int_equal(s.count, 3);
    assert_true(s.first[0] == 11 && s.bytes[0] == 8 && s.ns[0] == 1100);
    assert_true(s.first[1] == 22 && s.bytes[1] == 12 && s.ns[1] == 1100 + (1u << 27) + 7 + 1);
    assert_true(s.first[2] == 33 && s.bytes[2] == 4 && s.ns[2] == (100ull << 27) + 5 + 1);
}

static void what_was_overwritten_is_counted(void ** state) {
    (void) state;
    struct page p;
    struct seen s = { 0 };
    const uint64_t count = 41;
    fill(&p);
    seal(&p, 0, 1u << 31);
    assert_int_equal(trace_page_read(p.bytes, PAGE, see, &s), 1); /* nobody counted */
    seal(&p, 0, 1u << 31 | 1u << 30);
    memcpy(p.bytes + TRACE_PAGE_HEADER + p.used, &count, sizeof count);
    s.count = 0;
    assert_int_equal(trace_page_read(p.bytes, PAGE, see, &s), 41);
}

static void ignore(uint64_t ns, const uint8_t * entry, uint32_t bytes, void * user) {
    (void) ns;
    (void) user;
    for (uint32_t i = 0; i < bytes; i++) { (void) ((const volatile uint8_t *) entry)[i]; }
}

/* Whatever it says, nothing behind it is read: AddressSanitizer looks on. */
static void any_bytes(void ** state) {
    (void) state;
    struct page p;
    fill(&p);
    seal(&p, 5, 1u << 31 | 1u << 30);
    for (size_t size = 0; size < TRACE_PAGE_HEADER + p.used + 16; size++) {
        uint8_t * cut = malloc(size ? size : 1);
        memcpy(cut, p.bytes, size);
        trace_page_read(cut, size, ignore, NULL);
        if (size > TRACE_PAGE_HEADER) {
            for (size_t i = TRACE_PAGE_HEADER; i < size; i++) {
                cut[i] ^= 0xff;
                trace_page_read(cut, size, ignore, NULL);
                cut[i] ^= 0xff;
            }
        }
        free(cut);
    }
}

/* ---- runs ---- */

struct told {
    struct tat_io_pages runs[16];
    int count;
};

static void tell(const struct tat_io_pages * pages, void * user) {
    struct told * t = user;
    assert_true(t->count < 16);
    t->runs[t->count++] = *pages;
}

static void pages_side_by_side_are_one_run(void ** state) {
    (void) state;
    struct told t = { 0 };
    struct page_runs r = { .sink = tell, .user = &t };
    const uint64_t late = 10 + PAGE_RUN_NS;
    const struct tat_io_pages all[] = {
        { 10, 5, 1, 1, 7, 7, false },  { 11, 50, 4, 1, 7, 8, false },      { 12, 6, 1, 1, 7, 7, false },
        { 13, 54, 4, 1, 7, 8, false }, { 14, 7, 1, 2, 7, 7, false }, /* another file */
        { 15, 6, 1, 1, 7, 9, true },                                 /* page 6 leaves, so no run goes on */
        { 16, 7, 1, 1, 7, 7, false },  { late + 6, 8, 1, 1, 7, 7, false }, { late + 7, 9, 1, 1, 7, 7, false },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) { page_runs_add(&r, &all[i]); }
    page_runs_flush(&r, UINT64_MAX);
    static const struct tat_io_pages runs[] = {
        { 10, 5, 2, 1, 7, 7, false }, { 11, 50, 8, 1, 7, 8, false }, { 14, 7, 1, 2, 7, 7, false },
        { 15, 6, 1, 1, 7, 9, true },  { 16, 7, 2, 1, 7, 7, false },  { 10 + PAGE_RUN_NS + 7, 9, 1, 1, 7, 7, false },
    };
    assert_int_equal(t.count, sizeof runs / sizeof *runs);
    for (int i = 0; i < t.count; i++) {
        assert_true(t.runs[i].ns == runs[i].ns && t.runs[i].first == runs[i].first);
        assert_true(t.runs[i].count == runs[i].count && t.runs[i].left == runs[i].left);
    }
}

/* What a fault brings in did not come before it. */
static void a_fault_begins_another_run(void ** state) {
    (void) state;
    struct told t = { 0 };
    struct page_runs r = { .sink = tell, .user = &t };
    page_runs_add(&r, &(struct tat_io_pages){ 10, 5, 1, 1, 7, 7, false });
    page_runs_add(&r, &(struct tat_io_pages){ 11, 50, 1, 1, 7, 8, false });
    page_runs_break(&r, 7);
    page_runs_add(&r, &(struct tat_io_pages){ 12, 6, 1, 1, 7, 7, false });
    page_runs_add(&r, &(struct tat_io_pages){ 13, 51, 1, 1, 7, 8, false });
    page_runs_flush(&r, UINT64_MAX);
    assert_int_equal(t.count, 3);
    assert_true(t.runs[0].first == 5 && t.runs[0].count == 1);
    assert_true(t.runs[1].first == 50 && t.runs[1].count == 2);
    assert_true(t.runs[2].first == 6 && t.runs[2].ns == 12);
}

/* ---- a kernel that lacks some ---- */

static void put_format(int folder, const char * kind, const char * event, const char * text) {
    char path[128];
    mkdirat(folder, "events", 0700);
    snprintf(path, sizeof path, "events/%s", kind);
    mkdirat(folder, path, 0700);
    snprintf(path, sizeof path, "events/%s/%s", kind, event);
    assert_int_equal(mkdirat(folder, path, 0700), 0);
    snprintf(path, sizeof path, "events/%s/%s/format", kind, event);
    const int fd = openat(folder, path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* One without events of disks, whose pages have no order and other places for their fields. */
static void what_a_kernel_has_is_recorded(void ** state) {
    (void) state;
    static const char format[] = "name: x\nID: %d\nformat:\n"
                                 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
                                 "\tfield:unsigned long i_ino;\toffset:8;\tsize:8;\tsigned:0;\n"
                                 "\tfield:unsigned long index;\toffset:16;\tsize:8;\tsigned:0;\n"
                                 "\tfield:dev_t s_dev;\toffset:24;\tsize:4;\tsigned:0;\n";
    char folder[] = "/tmp/tat_test_events_XXXXXX", text[512], command[64];
    struct tat_error error;
    assert_non_null(mkdtemp(folder));
    const int fd = open(folder, O_RDONLY | O_DIRECTORY);
    snprintf(text, sizeof text, format, 7);
    put_format(fd, "filemap", "mm_filemap_add_to_page_cache", text);
    snprintf(text, sizeof text, format, 8);
    put_format(fd, "filemap", "mm_filemap_delete_from_page_cache", text);
    struct tracepoints * t = tracepoints_find(fd, &error);
    assert_non_null(t);
    assert_string_equal(tracepoints_missing(t, TAT_IO_SOURCE_PAGES), "");
    assert_non_null(strstr(tracepoints_missing(t, TAT_IO_SOURCE_REQUESTS), "block/block_rq_"));
    struct {
        uint16_t type, zero;
        int32_t thread;
        uint64_t inode, index;
        uint32_t device;
    } entry = { 8, 0, 55, 1234, 9, 8u << 20 | 1 };
    struct perf_event event = { 0 };
    assert_true(tracepoint_read(t, (const uint8_t *) &entry, 28, &event));
    assert_true(event.kind == PERF_PAGES_LEAVE && event.tid == 55 && event.pages.inode == 1234);
    assert_true(event.pages.first == 9 && event.pages.count == 1 && event.pages.device == disk_of_kernel(8u << 20 | 1));
    entry.type = 99;
    assert_false(tracepoint_read(t, (const uint8_t *) &entry, 28, &event));
    tracepoints_free(t);
    close(fd);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---- an instance ---- */

static void skip_without(struct system_events * events, const struct tat_error * error) {
    if (events) { return; }
    print_message("no trace events: %s\n", error->message);
    skip();
}

static bool is_there(const char * name) {
    struct tat_error error;
    const int tracefs = tracefs_open(&error);
    char path[128];
    snprintf(path, sizeof path, "instances/%s", name);
    const bool is = faccessat(tracefs, path, F_OK, 0) == 0;
    close(tracefs);
    return is;
}

struct looked_for {
    uint64_t inode;
    unsigned come, leave;
};

static void look(const struct perf_event * event, void * user) {
    struct looked_for * l = user;
    if (event->kind != PERF_PAGES_COME && event->kind != PERF_PAGES_LEAVE) { return; }
    if (event->pages.inode != l->inode) { return; }
    *(event->kind == PERF_PAGES_COME ? &l->come : &l->leave) += (unsigned) event->pages.count;
}

/* A file of four pages is written, put out of memory, read, and put out of it again. */
static void pages_come_and_leave(void ** state) {
    (void) state;
    struct tat_error error;
    struct stat status;
    char path[] = "/var/tmp/tat_test_system_XXXXXX", bytes[4 * 4096] = { 0 };
    struct system_events * events = system_events_open(&error);
    skip_without(events, &error);
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(fsync(fd), 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    assert_int_equal(fstat(fd, &status), 0);
    struct looked_for l = { .inode = status.st_ino };
    system_events_read(events, look, &l);
    close(fd);
    unlink(path);
    system_events_close(events);
    if (status.st_dev >> 8 == 0) { skip(); } /* in memory, or a file system that answers with another number */
    assert_true(l.come >= 8 && l.leave >= 4);
}

/* Killed, it cannot remove its instance: the reaper does; and the next run does where that was killed too. */
static void nothing_is_left(void ** state) {
    (void) state;
    struct trace_instance instance;
    struct tat_error error;
    int told[2];
    char name[OWNER_NAME_SIZE] = "";
    pid_t reaper = 0;
    if (trace_instance_make(&instance, &error) != 0) { skip_without(NULL, &error); }
    trace_instance_remove(&instance);
    for (int with_reaper = 0; with_reaper < 2; with_reaper++) {
        assert_int_equal(pipe(told), 0);
        const pid_t child = fork();
        if (child == 0) {
            if (trace_instance_make(&instance, &error) != 0) { _exit(1); }
            const ssize_t n = write(told[1], instance.name, sizeof instance.name) +
                              write(told[1], &instance.reaper.pid, sizeof instance.reaper.pid);
            for (;;) { sleep(n > 0 ? 60 : 1); }
        }
        assert_int_equal(read(told[0], name, sizeof name), sizeof name);
        assert_int_equal(read(told[0], &reaper, sizeof reaper), sizeof reaper);
        close(told[0]);
        close(told[1]);
        assert_true(is_there(name));
        if (with_reaper) { kill(reaper, SIGKILL); }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (with_reaper) {
            assert_true(is_there(name));
            assert_int_equal(trace_instance_make(&instance, &error), 0);
            trace_instance_remove(&instance);
        }
        for (int i = 0; i < 500 && is_there(name); i++) { nanosleep(&(struct timespec){ 0, 10000000 }, NULL); }
        assert_false(is_there(name));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_have_their_times),
        cmocka_unit_test(what_was_overwritten_is_counted),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(pages_side_by_side_are_one_run),
        cmocka_unit_test(what_a_kernel_has_is_recorded),
        cmocka_unit_test(a_fault_begins_another_run),
        cmocka_unit_test(pages_come_and_leave),
        cmocka_unit_test(nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
