/* SPDX-License-Identifier: MIT
 *
 * From what the kernel tells to faults, and from faults to a file and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/io_events.h"
#include "io/faults.h"
#include "io/io_writer.h"
#include "trace_builder.h"

/* ---- faults ---- */

enum { PID = 10, TID = 11, OTHER = 12, MODEL = 0x10000, LIBRARY = 0x50000, SIZE = 0x8000 };

static struct perf_event event(enum perf_kind kind, uint32_t tid, uint64_t ns) {
    return (struct perf_event){ .kind = kind, .pid = PID, .tid = tid, .ns = ns };
}

static bool see(struct faults * f, struct perf_event e, uint64_t address, struct fault * fault) {
    if (e.kind == PERF_FAULT_BEGINS || e.kind == PERF_FAULT_MAJOR || e.kind == PERF_FAULT_MINOR) {
        e.address = address;
    }
    return faults_see(f, &e, fault);
}

static void map(struct faults * f, uint32_t pid, uint64_t address, uint64_t inode, bool is_code) {
    struct fault none;
    const struct perf_event e = {
        .kind = PERF_MAPS, .pid = pid, .tid = pid, .map = { address, SIZE, inode, 1, NULL, is_code }
    };
    assert_false(faults_see(f, &e, &none));
}

/* Two threads are in faults at once; one is preempted in its, and waits in it too. */
static void time_is_of_the_fault(void ** state) {
    (void) state;
    struct faults f = { 0 };
    struct fault fault;
    map(&f, PID, MODEL, 7, false);
    assert_false(see(&f, event(PERF_FAULT_BEGINS, TID, 100), MODEL, &fault));
    assert_false(see(&f, event(PERF_FAULT_BEGINS, OTHER, 110), MODEL + 4096, &fault));
    assert_false(see(&f, event(PERF_STOPS, TID, 120), 0, &fault));
    assert_false(see(&f, event(PERF_GOES_ON, TID, 150), 0, &fault));
    struct perf_event preempted = event(PERF_STOPS, TID, 160);
    preempted.preempted = true;
    assert_false(see(&f, preempted, 0, &fault));
    assert_false(see(&f, event(PERF_GOES_ON, TID, 185), 0, &fault));
    assert_true(see(&f, event(PERF_FAULT_MINOR, OTHER, 190), MODEL + 4096, &fault));
    assert_true(!fault.major && fault.in_file && fault.begin_ns == 110 && fault.end_ns == 190 && !fault.preempted_ns);
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 200), MODEL, &fault));
    assert_true(fault.major && fault.in_file && fault.begin_ns == 100 && fault.preempted_ns == 25);
    assert_int_equal(fault.tid, TID);
    /* Preempted between faults: not in the next one's time. */
    preempted.ns = 210;
    assert_false(see(&f, preempted, 0, &fault));
    assert_false(see(&f, event(PERF_GOES_ON, TID, 300), 0, &fault));
    assert_false(see(&f, event(PERF_FAULT_BEGINS, TID, 310), MODEL, &fault));
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 320), MODEL, &fault));
    assert_true(fault.begin_ns == 310 && fault.preempted_ns == 0);
    faults_free(&f);
}

/* A library's data is not a model; what was mapped last counts; exec forgets, and fork passes on. */
static void which_minor_faults_count(void ** state) {
    (void) state;
    struct faults f = { 0 };
    struct fault fault;
    map(&f, PID, LIBRARY, 9, false);
    map(&f, PID, LIBRARY + SIZE, 9, true);
    assert_false(see(&f, event(PERF_FAULT_MINOR, TID, 10), LIBRARY, &fault));
    assert_false(see(&f, event(PERF_FAULT_MINOR, TID, 20), 0x999, &fault));
    assert_int_equal(f.ignored, 2);
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 30), LIBRARY, &fault));
    assert_false(fault.in_file);
    map(&f, PID, LIBRARY, 7, false);
    assert_true(see(&f, event(PERF_FAULT_MINOR, TID, 40), LIBRARY, &fault));
    const struct perf_event forked = { .kind = PERF_FORKS, .pid = 20, .tid = 20, .parent = PID };
    assert_false(faults_see(&f, &forked, &fault));
    const struct perf_event replaced = { .kind = PERF_EXECS, .pid = PID, .tid = PID };
    assert_false(faults_see(&f, &replaced, &fault));
    assert_false(see(&f, event(PERF_FAULT_MINOR, TID, 50), LIBRARY, &fault));
    struct perf_event of_child = event(PERF_FAULT_MINOR, 20, 60);
    of_child.pid = 20;
    assert_true(see(&f, of_child, LIBRARY, &fault));
    faults_free(&f);
}

/* A fault whose beginning was lost has no duration, rather than one since an older fault's beginning. */
static void after_a_loss_times_are_not_known(void ** state) {
    (void) state;
    struct faults f = { 0 };
    struct fault fault;
    assert_false(see(&f, event(PERF_FAULT_BEGINS, TID, 100), MODEL, &fault));
    struct perf_event lost = event(PERF_LOST, 0, 110);
    lost.count = 3;
    assert_false(faults_see(&f, &lost, &fault));
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 200), MODEL, &fault));
    assert_true(fault.begin_ns == 0 && f.lost == 3);
    assert_false(see(&f, event(PERF_FAULT_BEGINS, TID, 300), MODEL, &fault));
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 400), MODEL + 4096, &fault)); /* another one's end */
    assert_int_equal(fault.begin_ns, 0);
    faults_free(&f);
}

/* Told of late, a thread goes on before it stopped; and what a process had mapped goes with it. */
static void late_and_gone(void ** state) {
    (void) state;
    struct faults f = { 0 };
    struct fault fault;
    struct perf_event stops = event(PERF_STOPS, TID, 5000);
    stops.preempted = true;
    map(&f, PID, MODEL, 7, false);
    assert_false(see(&f, event(PERF_FAULT_BEGINS, TID, 1000), MODEL, &fault));
    assert_false(see(&f, stops, 0, &fault));
    assert_false(see(&f, event(PERF_GOES_ON, TID, 3000), 0, &fault));
    assert_true(see(&f, event(PERF_FAULT_MAJOR, TID, 9000), MODEL, &fault));
    assert_true(fault.in_file && fault.preempted_ns <= 8000);
    for (int i = 0; i < 1000; i++) { map(&f, PID, MODEL, 7, false); }
    assert_int_equal(f.files.count, 1);
    assert_false(see(&f, event(PERF_EXITS, TID, 9500), 0, &fault));
    assert_false(see(&f, event(PERF_EXITS, PID, 9600), 0, &fault));
    assert_true(f.files.count == 0 && f.threads.count == 0);
    faults_free(&f);
}

/* ---- the file ---- */

static const struct tat_io_fault faults[] = {
    { 5000, 900, 100, 0x7f0000001000, PID, TID, TAT_IO_MAJOR | TAT_IO_IN_FILE },
    { 4000, 0, 0, 0x1000, PID, PID, TAT_IO_MAJOR },
    { UINT64_MAX - 1, 7, 7, UINT64_MAX, UINT32_MAX, 1, 0 },
};
enum { N = sizeof faults / sizeof *faults };

static void put_all(struct payload * p) {
    struct io_state s = { 0 };
    payload_begin(p);
    for (int i = 0; i < N; i++) { io_put_fault(&p->out, &s, &faults[i]); }
    io_put_count(&p->out, TAT_IO_IGNORED, 41);
    io_put_count(&p->out, TAT_IO_LOST, 2);
    io_put_mark(&p->out, TAT_IO_PARTIAL);
    io_put_mark(&p->out, TAT_IO_END);
}

static void begin_io(struct trace_builder * b) {
    tb_begin(b);
    tb_header(b)->file_kind = TAT_FILE_IO_EVENTS;
    tb_seal(b);
}

static int read_built(const struct trace_builder * b, struct tat_io * io, struct tat_error * error) {
    char path[] = "/tmp/tat_test_io_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->bytes, b->size), b->size);
    close(fd);
    const int status = tat_io_read(path, io, error);
    unlink(path);
    return status;
}

static void what_is_written_is_read(void ** state) {
    (void) state;
    static struct payload p;
    struct trace_builder b;
    struct tat_io io;
    struct tat_error error;
    begin_io(&b);
    put_all(&p);
    tb_payload(&b, TAT_BLOCK_IO, &p);
    tb_payload(&b, TAT_BLOCK_IO, &p); /* a block does not depend on the one before */
    assert_int_equal(read_built(&b, &io, &error), 0);
    assert_int_equal(io.n_faults, 2 * N);
    static const int in_order[] = { 1, 1, 0, 0, 2, 2 };
    for (int i = 0; i < 2 * N; i++) { assert_memory_equal(&io.faults[i], &faults[in_order[i]], sizeof faults[0]); }
    assert_true(io.ignored == 82 && io.lost == 4 && io.damaged_bytes == 0 && io.partial && io.ended);
    tat_io_free(&io);
    tb_free(&b);
}

/* ---- what says how long it is ---- */

static const struct tat_io_file model = {
    .number = 2,
    .device = 0xfe00,
    .inode = 77,
    .bytes = 1 << 20,
    .path = "/models/m.gguf",
    .file_system = "ext4",
    .disk = 0xfe00,
    .no_extents = "",
};
static const struct tat_io_extent extents[] = { { 0, 1 << 30, 8192 }, { 8192, 4096, 4096 }, { 16384, 1 << 20, 1 } };
static const struct tat_io_pages pages[] = {
    { 100, 7, 16, 2, PID, TID, false },
    { 150, 0, 1, 2, 0, 0, true },
};
static const struct tat_io_request requests[] = {
    { 100, 90, 0xfe00, 1 << 30, 65536, PID, TAT_IO_READ_AHEAD },
    { 120, 0, 0x700, 512, 512, 0, TAT_IO_WRITE | TAT_IO_FAILED },
};
static const struct tat_io_counter_value counters[] = { { 10, 5, TAT_IO_READ_BYTES }, { 20, UINT64_MAX, 99 } };
static struct tat_io_run runs[] = { { 3, 1 }, { 5, 10 }, { 100, 28 } };
static const struct tat_io_residency residency = { 30, 2, { 0, 128 }, runs, 3 };

static void put_long(struct payload * p) {
    struct io_state s = { 0 };
    payload_begin(p);
    assert_true(io_put_source(&p->out, TAT_IO_SOURCE_PAGES, ""));
    assert_true(io_put_source(&p->out, TAT_IO_SOURCE_REQUESTS, "no tracefs"));
    assert_true(io_put_file(&p->out, &model));
    assert_int_equal(io_put_extents(&p->out, 2, extents, 3), 3);
    for (int i = 0; i < 2; i++) { assert_true(io_put_pages(&p->out, &s, &pages[i])); }
    for (int i = 0; i < 2; i++) { assert_true(io_put_request(&p->out, &s, &requests[i])); }
    for (int i = 0; i < 2; i++) { assert_true(io_put_counter(&p->out, &s, &counters[i])); }
    assert_int_equal(io_put_residency(&p->out, &residency), 128);
}

static void check_long(const struct tat_io * io) {
    assert_true(io->recorded[TAT_IO_SOURCE_PAGES] && !io->recorded[TAT_IO_SOURCE_REQUESTS]);
    assert_string_equal(io->missing[TAT_IO_SOURCE_REQUESTS], "no tracefs");
    assert_int_equal(io->n_files, 2);
    assert_true(io->files[0].number == 1 && !*io->files[0].path && io->files[0].n_extents == 0);
    const struct tat_io_file * f = &io->files[1];
    assert_true(f->device == model.device && f->inode == 77 && f->bytes == model.bytes && f->disk == model.disk);
    assert_string_equal(f->path, model.path);
    assert_string_equal(f->file_system, "ext4");
    assert_int_equal(f->n_extents, 3);
    assert_memory_equal(f->extents, extents, sizeof extents);
    assert_true(io->n_pages == 2 && io->n_requests == 2 && io->n_counters == 2 && io->n_residency == 1);
    for (int i = 0; i < 2; i++) {
        assert_true(io->pages[i].ns == pages[i].ns && io->pages[i].first == pages[i].first);
        assert_true(io->pages[i].count == pages[i].count && io->pages[i].left == pages[i].left);
        assert_true(io->pages[i].file == 2 && io->pages[i].tid == pages[i].tid);
        assert_memory_equal(&io->requests[i], &requests[i], sizeof requests[i]);
        assert_true(io->counters[i].ns == counters[i].ns && io->counters[i].value == counters[i].value);
    }
    assert_int_equal(io->residency[0].n_runs, 3);
    assert_memory_equal(io->residency[0].runs, runs, sizeof runs);
}

static void what_has_a_length_is_read(void ** state) {
    (void) state;
    static struct payload p;
    static const uint8_t unknown[] = { 99, 2, 1, 2 };
    struct trace_builder b;
    struct tat_io io;
    struct tat_error error;
    begin_io(&b);
    put_long(&p);
    tat_put_bytes(&p.out, unknown, sizeof unknown); /* of a later writer */
    assert_true(io_put_mark(&p.out, TAT_IO_END));
    tb_payload(&b, TAT_BLOCK_IO, &p);
    assert_int_equal(read_built(&b, &io, &error), 0);
    check_long(&io);
    assert_true(io.ended && io.damaged_bytes == 0);
    tat_io_free(&io);
    tb_free(&b);
}

/* Reads a file of these blocks up to where its sources are known; how many faults were read. */
static size_t faults_until_known(const struct trace_builder * b) {
    struct tat_error error;
    struct tat_io io;
    char path[32];
    const int fd = memfd_create("io_events", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(write(fd, b->bytes, b->size), b->size);
    assert_int_equal(io_read_beginning(path, &io, &error), 0);
    const size_t count = io.n_faults;
    tat_io_free(&io);
    close(fd);
    return count;
}

static void put_fault(struct trace_builder * b) {
    static struct payload p;
    struct io_state s = { 0 };
    payload_begin(&p);
    assert_true(io_put_fault(&p.out, &s, &(struct tat_io_fault){ 100, 50, 0, MODEL, PID, TID, 0 }));
    tb_payload(b, TAT_BLOCK_IO, &p);
}

/* A long file need not be read to know of what it tells. */
static void sources_are_known_early(void ** state) {
    static struct payload p;
    struct trace_builder b;
    (void) state;
    begin_io(&b);
    put_fault(&b);
    put_fault(&b);
    assert_int_equal(faults_until_known(&b), 2); /* nothing says whether there are requests */
    payload_begin(&p);
    assert_true(io_put_source(&p.out, TAT_IO_SOURCE_REQUESTS, "no tracefs"));
    tb_payload(&b, TAT_BLOCK_IO, &p);
    put_fault(&b);
    put_fault(&b);
    assert_int_equal(faults_until_known(&b), 2);
    tb_free(&b);
}

/* Into whatever room: what is written whole is read, and nothing half. */
static void what_does_not_fit_is_not_there(void ** state) {
    (void) state;
    static struct payload p;
    put_long(&p);
    const size_t whole = (size_t) (p.out.at - p.bytes);
    for (size_t room = 0; room < whole; room++) {
        struct io_state s = { 0 }, before;
        struct tat_out out = { p.bytes, p.bytes + room, false };
        const uint8_t * at;
        do {
            at = out.at;
            before = s;
        } while (io_put_pages(&out, &s, &pages[0]));
        assert_true(out.at == at && !out.overflow && memcmp(&before, &s, sizeof s) == 0);
        out.at = p.bytes;
        const size_t n = io_put_extents(&out, 2, extents, 3);
        assert_true(n <= 3 && (n > 0 || out.at == p.bytes));
        out.at = p.bytes;
        assert_true(io_put_residency(&out, &residency) <= 128 && !out.overflow);
    }
}

/* A list too long for one event is told in several, and nothing of it is lost. */
static void long_lists(void ** state) {
    (void) state;
    enum { RUNS = 5000 };
    static struct tat_io_run many[RUNS];
    static struct tat_io_extent pieces[RUNS];
    static struct payload p;
    struct trace_builder b;
    struct tat_io io;
    struct tat_error error;
    for (uint64_t i = 0; i < RUNS; i++) {
        many[i] = (struct tat_io_run){ 1000 * i + 10, 500 };
        pieces[i] = (struct tat_io_extent){ 8192 * i, (RUNS - i) << 20, 4096 };
    }
    begin_io(&b);
    payload_begin(&p);
    const struct tat_io_residency all = { 5, 1, { 0, 1000 * RUNS }, many, RUNS };
    assert_int_equal(io_put_residency(&p.out, &all), 1000 * RUNS);
    assert_int_equal(io_put_extents(&p.out, 1, pieces, RUNS), RUNS);
    tb_payload(&b, TAT_BLOCK_IO, &p);
    assert_int_equal(read_built(&b, &io, &error), 0);
    assert_true(io.n_residency > 1 && io.files[0].n_extents == RUNS);
    assert_memory_equal(io.files[0].extents, pieces, sizeof pieces);
    uint64_t at = 0, n = 0;
    for (size_t i = 0; i < io.n_residency; i++) {
        assert_int_equal(io.residency[i].of.first, at);
        at += io.residency[i].of.count;
        for (size_t k = 0; k < io.residency[i].n_runs; k++, n++) {
            assert_memory_equal(&io.residency[i].runs[k], &many[n], sizeof *many);
        }
    }
    assert_true(at == 1000 * RUNS && n == RUNS);
    tat_io_free(&io);
    tb_free(&b);
}

/* Damage costs the block's rest, and is counted. */
static void damage_is_counted(void ** state) {
    (void) state;
    static struct payload p;
    struct tat_io io;
    struct tat_error error;
    put_all(&p);
    const size_t whole = (size_t) (p.out.at - p.bytes);
    for (size_t cut = 1; cut < whole; cut++) {
        struct trace_builder b;
        begin_io(&b);
        tb_block(&b, TAT_BLOCK_IO, p.bytes, cut);
        p.bytes[cut] ^= 0xff;
        tb_block(&b, TAT_BLOCK_IO, p.bytes, whole);
        p.bytes[cut] ^= 0xff;
        assert_int_equal(read_built(&b, &io, &error), 0);
        assert_true(io.n_faults <= 2 * N);
        for (size_t i = 0; i < io.n_faults; i++) {
            assert_true(io.faults[i].duration_ns <= io.faults[i].end_ns);
            assert_true(io.faults[i].preempted_ns <= io.faults[i].duration_ns);
        }
        tat_io_free(&io);
        tb_free(&b);
    }
}

/* ---- the writer ---- */

static struct io_writer writer;

static void begin_writing(char folder[static 32], uint64_t most) {
    struct tat_error error;
    strcpy(folder, "/tmp/tat_test_io_XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(io_writer_open(&writer, folder, PID, most, &error), 0);
}

static void end_writing(const char * folder, uint64_t lost, struct tat_io * io) {
    struct tat_error error;
    char path[64];
    io_writer_close(&writer, lost);
    if (tat_io_read(folder, io, &error) != 0) { fail_msg("%s", error.message); }
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    unlink(path);
    rmdir(folder);
}

/* It has an end, and says how much is missing, whatever it may hold. */
static void a_full_file_says_so(void ** state) {
    (void) state;
    enum { MANY = 50000 };
    char folder[32];
    struct tat_io io;
    for (uint64_t most = TAT_HEADER_BYTES; most < 1 << 18; most += 9999) {
        begin_writing(folder, most);
        for (int i = 0; i < MANY; i++) { io_write_fault(&writer, &faults[i % 2]); }
        end_writing(folder, 7, &io);
        assert_true(io.ended && io.n_faults < MANY && io.damaged_bytes == 0);
        assert_int_equal(io.n_faults + io.lost, MANY + 7);
        tat_io_free(&io);
    }
}

/* The run's folder belongs to the user, whose program may do anything to it. */
static void a_file_that_is_cut_short_is_no_end(void ** state) {
    (void) state;
    char folder[32], path[64];
    struct tat_io io;
    begin_writing(folder, UINT64_MAX);
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    struct tat_file_header header;
    FILE * file = fopen(path, "rb");
    assert_int_equal(fread(&header, sizeof header, 1, file), 1);
    fclose(file);
    for (int i = 0; i < 20000; i++) {
        io_write_fault(&writer, &faults[0]);
        if (i == 10000) { assert_int_equal(truncate(path, 0), 0); }
    }
    file = fopen(path, "r+b"); /* it cannot be read without */
    assert_int_equal(fwrite(&header, sizeof header, 1, file), 1);
    fclose(file);
    end_writing(folder, 0, &io);
    assert_true(io.ended && io.n_faults > 0 && io.n_faults < 20000);
    tat_io_free(&io);
}

static void what_it_is_not(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_io io;
    struct tat_error error = { 0 };
    tb_begin(&b); /* a trace */
    assert_int_equal(read_built(&b, &io, &error), -1);
    assert_non_null(strstr(error.message, "expected 2 (I/O events)"));
    assert_int_equal(tat_io_read("/no/such/file", &io, &error), -1);
    tb_free(&b);
    static const uint8_t unknown[] = { 0, 1, 2, 3 };
    begin_io(&b);
    tb_block(&b, TAT_BLOCK_IO, unknown, sizeof unknown);
    assert_int_equal(read_built(&b, &io, &error), 0);
    assert_int_equal(io.damaged_bytes, 3);
    tat_io_free(&io);
    tb_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_of_the_fault),
        cmocka_unit_test(which_minor_faults_count),
        cmocka_unit_test(after_a_loss_times_are_not_known),
        cmocka_unit_test(late_and_gone),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_has_a_length_is_read),
        cmocka_unit_test(what_does_not_fit_is_not_there),
        cmocka_unit_test(sources_are_known_early),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(damage_is_counted),
        cmocka_unit_test(a_full_file_says_so),
        cmocka_unit_test(a_file_that_is_cut_short_is_no_end),
        cmocka_unit_test(what_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
