/* SPDX-License-Identifier: MIT
 *
 * Page faults of a program that touches known pages in a known order, and notes when. The program is this one again,
 * because faults are recorded from exec on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io_recorder.h"
#include "tat/io.h"

enum { PAGES = 512, TOUCHES = 100, THREADS_MOST = 2, PAGE = 4096 };

struct touch {
    uint64_t address, begin_ns, end_ns;
    uint32_t tid, page;
};

static char folder[] = "/tmp/tat_test_recorder_XXXXXX";

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

/* ---- the program ---- */

struct toucher {
    const volatile uint8_t * bytes;
    struct touch * touches;
    unsigned number, threads;
};

/* Each thread has every so-manieth of the pages, in an order that nobody reads ahead. */
static void * touch_pages(void * argument) {
    struct toucher * t = argument;
    for (unsigned i = 0; i < TOUCHES; i++) {
        const unsigned page = (i * 211 + 17) % (PAGES / THREADS_MOST) * THREADS_MOST + t->number;
        t->touches[i] = (struct touch){ .address = (uint64_t) (uintptr_t) &t->bytes[page * PAGE], .page = page };
        t->touches[i].begin_ns = now();
        (void) t->bytes[page * PAGE];
        t->touches[i].end_ns = now();
        t->touches[i].tid = (uint32_t) gettid();
    }
    return NULL;
}

static int be_program(const char * path, const char * threads, const char * out) {
    static struct touch touches[THREADS_MOST][TOUCHES];
    const int fd = open(path, O_RDONLY);
    void * bytes = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    struct toucher touchers[THREADS_MOST];
    pthread_t thread[THREADS_MOST];
    const unsigned n = (unsigned) atoi(threads);
    if (bytes == MAP_FAILED || madvise(bytes, PAGES * PAGE, MADV_RANDOM) != 0) { return 1; }
    memset(touches, 0, sizeof touches); /* no fault of these pages is to be in a time */
    for (unsigned i = 0; i < n; i++) {
        touchers[i] = (struct toucher){ bytes, touches[i], i, n };
        if (pthread_create(&thread[i], NULL, touch_pages, &touchers[i]) != 0) { return 1; }
    }
    for (unsigned i = 0; i < n; i++) { pthread_join(thread[i], NULL); }
    FILE * file = fopen(out, "wb");
    return !file || fwrite(touches, sizeof touches, 1, file) != 1 || fclose(file) != 0;
}

/* ---- the tests ---- */

static void make_file(const char * path) {
    static uint8_t bytes[PAGES * PAGE];
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    memset(bytes, 3, sizeof bytes);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(fsync(fd), 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* False: this system allows no perf events. */
static bool record(const char * path, const char * threads, const char * out, struct io_totals * totals) {
    int gate[2], status;
    char byte = 0;
    struct tat_error error;
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        close(gate[1]);
        if (read(gate[0], &byte, 1) < 0) { _exit(126); }
        execl("/proc/self/exe", "test_io_recorder", path, threads, out, (char *) NULL);
        _exit(127);
    }
    const struct io_options options = { .pid = child, .folder = folder, .bytes_most = UINT64_MAX };
    struct io_recorder * recorder = io_recorder_start(&options, &error);
    close(gate[0]);
    close(gate[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    io_recorder_stop(recorder, totals);
    if (!recorder) { fail_msg("%s", error.message); }
    if (*totals->no_faults) { print_message("%s\n", totals->no_faults); }
    return !*totals->no_faults;
}

/* Of the touches in order, the fault of each: exactly one, in that order, within the time that was noted. */
static void compare(const struct tat_io * io, const struct touch * touches, bool on_disk) {
    size_t at = 0;
    for (int i = 0; i < TOUCHES; i++) {
        const struct touch * t = &touches[i];
        while (at < io->n_faults && io->faults[at].address != t->address) { at++; }
        assert_true(at < io->n_faults);
        const struct tat_io_fault * f = &io->faults[at++];
        assert_true(f->flags & TAT_IO_IN_FILE);
        assert_int_equal(f->tid, t->tid);
        if (on_disk) { assert_true(f->flags & TAT_IO_MAJOR); }
        assert_true(t->begin_ns <= f->end_ns - f->duration_ns && f->end_ns <= t->end_ns);
        assert_true(f->duration_ns > 0 && f->preempted_ns <= f->duration_ns);
    }
    for (size_t i = 0, n = 0; i < io->n_faults; i++) { /* and no page twice */
        for (int k = 0; k < TOUCHES; k++) { n += io->faults[i].address == touches[k].address; }
        assert_true(i + 1 < io->n_faults || n == TOUCHES);
    }
}

/* How much of the noted time the faults explain: printed, as a busy machine takes the rest. */
static void say_share(const struct tat_io * io, const struct touch * touches) {
    uint64_t noted = 0, recorded = 0;
    for (int i = 0; i < TOUCHES; i++) { noted += touches[i].end_ns - touches[i].begin_ns; }
    for (size_t i = 0; i < io->n_faults; i++) {
        for (int k = 0; k < TOUCHES; k++) {
            if (io->faults[i].address == touches[k].address) { recorded += io->faults[i].duration_ns; }
        }
    }
    print_message("%.1f %% of the time that %d touches took was in faults\n",
                  100.0 * (double) recorded / (double) noted, TOUCHES);
}

static const struct tat_io_file * find_file(const struct tat_io * io, const char * path) {
    for (size_t i = 0; i < io->n_files; i++) {
        if (strcmp(io->files[i].path, path) == 0) { return &io->files[i]; }
    }
    fail_msg("%s is not among the files of the run", path);
    return NULL;
}

/* The page of each touch came into memory before the fault was over, once, and not before it was touched. */
static void check_fills(const struct tat_io * io, const char * path, const struct touch * touches) {
    const struct tat_io_file * file = find_file(io, path);
    for (int i = 0; i < TOUCHES; i++) {
        int fills = 0;
        for (size_t k = 0; k < io->n_pages; k++) {
            const struct tat_io_pages * p = &io->pages[k];
            if (p->file != file->number || p->left || touches[i].page - p->first >= p->count) { continue; }
            fills++;
            assert_true(touches[i].begin_ns <= p->ns && p->ns <= touches[i].end_ns);
            assert_int_equal(p->tid, touches[i].tid);
        }
        assert_int_equal(fills, 1);
    }
}

static bool covers(const struct tat_io_file * file, uint64_t file_offset, const struct tat_io_request * q) {
    for (size_t i = 0; i < file->n_extents; i++) {
        const struct tat_io_extent * e = &file->extents[i];
        if (file_offset - e->file_offset >= e->bytes) { continue; }
        return e->disk_offset + (file_offset - e->file_offset) - q->disk_offset < q->bytes && q->disk == file->disk;
    }
    return false;
}

/* Each page that came was read by a request that began no earlier. */
static void check_requests(const struct tat_io * io, const char * path) {
    const struct tat_io_file * file = find_file(io, path);
    if (*file->no_extents) {
        print_message("requests were not checked: %s\n", file->no_extents);
        return;
    }
    for (size_t i = 0; i < io->n_pages; i++) {
        const struct tat_io_pages * p = &io->pages[i];
        size_t k = 0;
        if (p->file != file->number || p->left) { continue; }
        while (k < io->n_requests &&
               (!covers(file, p->first * io->header.page_bytes, &io->requests[k]) || io->requests[k].end_ns < p->ns ||
                io->requests[k].end_ns - io->requests[k].duration_ns < p->ns)) {
            k++;
        }
        assert_true(k < io->n_requests);
    }
}

static void check_threads(unsigned threads) {
    static struct touch touches[THREADS_MOST][TOUCHES];
    char path[64], out[64], io_path[64], count[8];
    struct io_totals totals;
    struct tat_io io;
    struct tat_error error = { 0 };
    struct stat disk, memory;
    snprintf(path, sizeof path, "%s/pages", folder);
    snprintf(out, sizeof out, "%s/touches", folder);
    snprintf(io_path, sizeof io_path, "%s/io_events.bin", folder);
    snprintf(count, sizeof count, "%u", threads);
    make_file(path);
    const bool on_disk = stat(path, &disk) == 0 && (stat("/dev/shm", &memory) != 0 || disk.st_dev != memory.st_dev) &&
                         disk.st_dev >> 8 != 0; /* a device without a major number has no disk */
    if (!record(path, count, out, &totals)) { skip(); }
    FILE * file = fopen(out, "rb");
    assert_int_equal(fread(touches, sizeof touches, 1, file), 1);
    fclose(file);
    if (tat_io_read(folder, &io, &error) != 0) { fail_msg("%s", error.message); }
    assert_true(io.ended && io.lost == 0 && totals.lost == 0 && totals.unwritten == 0);
    assert_int_equal(io.n_faults, totals.major + totals.minor);
    assert_int_equal(io.header.pid, io.faults[0].pid);
    for (unsigned i = 0; i < threads; i++) {
        compare(&io, touches[i], on_disk);
        say_share(&io, touches[i]);
    }
    if (*totals.no_pages || *totals.no_requests) {
        print_message("page cache and disk were not checked: %s%s\n", totals.no_pages, totals.no_requests);
    } else if (on_disk) {
        for (unsigned i = 0; i < threads; i++) { check_fills(&io, path, touches[i]); }
        check_requests(&io, path);
    }
    tat_io_free(&io);
    assert_int_equal(unlink(io_path), 0);
    unlink(out);
    unlink(path);
}

static void one_thread(void ** state) {
    (void) state;
    check_threads(1);
}

static void two_threads(void ** state) {
    (void) state;
    check_threads(2);
}

static void a_folder_that_cannot_be_written(void ** state) {
    (void) state;
    struct tat_error error = { 0 };
    const struct io_options options = { .pid = getpid(), .folder = "/no/such/folder", .bytes_most = UINT64_MAX };
    assert_null(io_recorder_start(&options, &error));
    assert_true(*error.message);
    struct io_totals totals;
    io_recorder_stop(NULL, &totals);
    assert_int_equal(totals.major, 0);
}

static int make_folder(void ** state) {
    (void) state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void ** state) {
    (void) state;
    return rmdir(folder);
}

int main(int argc, char ** argv) {
    if (argc == 4) { return be_program(argv[1], argv[2], argv[3]); }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread),
        cmocka_unit_test(two_threads),
        cmocka_unit_test(a_folder_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
