/* SPDX-License-Identifier: MIT
 *
 * The readers, both kinds: what they read, how they end, and how they are woken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manage/reader.h"
#include "paged_file.h"

enum { BYTES = 300 * PAGE + 1234, DEPTH = 8, SLOT = 16 * PAGE, JOBS = 600, SECOND = 1000000000 };

static const enum reader_kind kinds[] = { READER_URING, READER_THREADS };
static int file, direct;
static char * memory; /* a slot for each read at once */

/* A machine without io_uring tests the threads twice. */
static struct reader * new_reader(enum reader_kind kind, unsigned depth) {
    struct reader * r = reader_new(kind, depth);
    if (!r && kind == READER_URING) { r = reader_new(READER_ANY, depth); }
    assert_non_null(r);
    assert_int_equal(reader_room(r), depth);
    return r;
}

static char * slot(uint64_t tag) {
    return memory + tag * SLOT;
}

/* In two parts, the second one before the first one in memory. */
static struct read_job job_of(int fd, uint64_t page, uint32_t pages, uint64_t tag) {
    const size_t first = (size_t) (pages / 3) * PAGE, all = (size_t) pages * PAGE;
    struct read_job job = { .fd = fd, .offset = page * PAGE, .bytes = all, .tag = tag };
    memset(slot(tag), 0xee, SLOT);
    if (first) { job.part[job.n_parts++] = (struct iovec){ slot(tag) + (all - first), first }; }
    job.part[job.n_parts++] = (struct iovec){ slot(tag), all - first };
    return job;
}

static void check(const struct read_job * job, const struct read_done * done) {
    const uint64_t left = job->offset < BYTES ? BYTES - job->offset : 0, there = left < job->bytes ? left : job->bytes;
    uint64_t at = 0;
    assert_int_equal(done->error, 0);
    assert_int_equal(done->bytes, there);
    for (unsigned i = 0; i < job->n_parts; i++) {
        const char * part = job->part[i].iov_base;
        const uint64_t n = job->part[i].iov_len, good = at >= there ? 0 : there - at < n ? there - at : n;
        assert_true(paged_is_right(part, job->offset + at, good));
        for (uint64_t b = good; b < n; b++) { assert_int_equal(part[b], 0); }
        at += n;
    }
}

static struct read_done wait_for_one(struct reader * r) {
    struct read_done done = { 0 };
    while (reader_wait(r, &done, 1, SECOND) == 0) {}
    return done;
}

static void test_reads_many(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        struct reader * r = new_reader(kinds[k], DEPTH);
        struct read_job jobs[DEPTH] = { { 0 } };
        unsigned seed = 13, started = 0, ended = 0;
        while (ended < JOBS) {
            for (unsigned tag = 0; tag < DEPTH && started < JOBS; tag++) {
                if (jobs[tag].n_parts) { continue; }
                const int fd = rand_r(&seed) % 2 ? file : direct;
                const uint32_t pages = 1 + (uint32_t) rand_r(&seed) % 16;
                jobs[tag] = job_of(fd, (uint64_t) rand_r(&seed) % 310, pages, tag); /* the file ends before the last */
                assert_true(reader_room(r) > 0);
                reader_start(r, &jobs[tag]);
                started++;
            }
            struct read_done done[3];
            const unsigned n = reader_wait(r, done, 3, SECOND);
            for (unsigned i = 0; i < n; i++) {
                check(&jobs[done[i].tag], &done[i]);
                jobs[done[i].tag].n_parts = 0;
            }
            ended += n;
        }
        assert_int_equal(reader_room(r), DEPTH);
        reader_free(r);
    }
}

static void test_end_of_file(void ** state) {
    (void) state;
    static const struct {
        uint64_t page;
        uint32_t pages;
    } cases[] = {
        { 300, 1 }, { 299, 2 }, { 290, 16 }, { 300, 16 }, { 301, 1 }, { 5000, 7 },
    };
    for (int k = 0; k < 2; k++) {
        struct reader * r = new_reader(kinds[k], 1);
        for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
            const struct read_job job = job_of(i % 2 ? file : direct, cases[i / 2].page, cases[i / 2].pages, 0);
            reader_start(r, &job);
            assert_int_equal(reader_room(r), 0);
            const struct read_done done = wait_for_one(r);
            check(&job, &done);
        }
        reader_free(r);
    }
}

/* A file that is cut while it is read ends somewhere, whole pages before the cut are right. */
static void test_file_is_cut(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        const int fd = paged_file(16 * PAGE, NULL);
        struct reader * r = new_reader(kinds[k], 2);
        for (uint32_t pages = 16; pages > 0; pages--) {
            const struct read_job job = job_of(fd, 0, 16, 0);
            reader_start(r, &job);
            assert_int_equal(ftruncate(fd, (off_t) (pages - 1) * PAGE), 0);
            const struct read_done done = wait_for_one(r);
            assert_int_equal(done.error, 0);
            assert_in_range(done.bytes, (uint64_t) (pages - 1) * PAGE, (uint64_t) pages * PAGE);
        }
        reader_free(r);
        close(fd);
    }
}

static void test_errors_are_of_one_job(void ** state) {
    (void) state;
    const int folder = open("/", O_RDONLY | O_CLOEXEC), write_only = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const int fds[] = { -1, folder, write_only, 1 << 20 }, errors[] = { EBADF, EISDIR, EBADF, EBADF };
    for (int k = 0; k < 2; k++) {
        struct reader * r = new_reader(kinds[k], DEPTH);
        struct read_job jobs[DEPTH];
        for (unsigned i = 0; i < DEPTH; i++) {
            jobs[i] = job_of(i % 2 ? fds[i / 2] : file, 7 * i, 9, i);
            reader_start(r, &jobs[i]);
        }
        for (unsigned n = 0; n < DEPTH; n++) {
            const struct read_done done = wait_for_one(r);
            if (done.tag % 2 == 0) {
                check(&jobs[done.tag], &done);
            } else {
                assert_int_equal(done.error, errors[done.tag / 2]);
            }
        }
        reader_free(r);
    }
    close(folder);
    close(write_only);
}

static void forbid_uring(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Between two reads, while others are under way. */
static void read_while_forbidden(void) {
    struct reader * r = new_reader(READER_URING, DEPTH);
    for (unsigned round = 0; round < 5; round++) {
        struct read_job jobs[DEPTH];
        for (unsigned i = 0; i < DEPTH; i++) {
            if (round == 1 && i == DEPTH / 2) { forbid_uring(); }
            jobs[i] = job_of(direct, 16 * i + round, 1 + i, i);
            reader_start(r, &jobs[i]);
        }
        for (unsigned n = 0; n < DEPTH; n++) {
            const struct read_done done = wait_for_one(r);
            check(&jobs[done.tag], &done);
        }
        assert_int_equal(reader_room(r), DEPTH);
    }
    reader_free(r);
}

static void test_goes_on_with_threads(void ** state) {
    (void) state;
    int status;
    const pid_t child = fork(); /* what is forbidden stays so */
    if (child == 0) {
        read_while_forbidden();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_frees_while_it_reads(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        struct reader * r = new_reader(kinds[k], DEPTH);
        struct read_job jobs[DEPTH];
        for (unsigned i = 0; i < DEPTH; i++) {
            jobs[i] = job_of(direct, 16 * i, 16, i);
            reader_start(r, &jobs[i]);
        }
        reader_free(r);
        for (unsigned i = 0; i < DEPTH; i++) { check(&jobs[i], &(struct read_done){ i, 0, jobs[i].bytes, 0 }); }
    }
    reader_free(NULL);
}

/* ---- waking ---- */

static struct reader * woken;
static unsigned heard;

static void * wake_in_turn(void * unused) {
    (void) unused;
    for (unsigned i = 0; i < 30; i++) {
        while (__atomic_load_n(&heard, __ATOMIC_ACQUIRE) < i) { usleep(100); }
        usleep(i % 3 * 1000); /* so that it sleeps */
        reader_wake(woken);
    }
    return NULL;
}

static void test_wakes(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        struct read_done done;
        woken = new_reader(kinds[k], 2);
        reader_wake(woken); /* before the wait */
        assert_int_equal(reader_wait(woken, &done, 1, UINT64_MAX), 0);
        assert_int_equal(reader_wait(woken, &done, 1, 1000000), 0); /* once only */
        pthread_t thread;
        heard = 0;
        pthread_create(&thread, NULL, wake_in_turn, NULL);
        for (unsigned i = 0; i < 30; i++) {
            assert_int_equal(reader_wait(woken, &done, 1, UINT64_MAX), 0);
            __atomic_fetch_add(&heard, 1, __ATOMIC_RELEASE);
        }
        pthread_join(thread, NULL);
        reader_free(woken);
    }
}

static void * wake_often(void * unused) {
    (void) unused;
    for (unsigned i = 0; i < 20000; i++) { reader_wake(woken); }
    return NULL;
}

/* Many wakes at once, and reads beside them: nothing hangs, nothing is lost. */
static void test_wakes_while_it_reads(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        pthread_t threads[3];
        woken = new_reader(kinds[k], DEPTH);
        for (int i = 0; i < 3; i++) { pthread_create(&threads[i], NULL, wake_often, NULL); }
        for (unsigned i = 0; i < 200; i++) {
            const struct read_job job = job_of(i % 2 ? file : direct, i, 8, i % DEPTH);
            reader_start(woken, &job);
            struct read_done done;
            while (reader_wait(woken, &done, 1, UINT64_MAX) == 0) {}
            check(&job, &done);
        }
        for (int i = 0; i < 3; i++) { pthread_join(threads[i], NULL); }
        reader_free(woken);
    }
}

/* ---- manners ---- */

static void test_takes_no_signals(void ** state) {
    (void) state;
    sigset_t mine, pending;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    for (int k = 0; k < 2; k++) {
        struct reader * r = new_reader(kinds[k], DEPTH);
        pthread_sigmask(SIG_BLOCK, &mine, NULL);
        kill(getpid(), SIGUSR1); /* which would end the process */
        const struct read_job job = job_of(file, 0, 16, 0);
        reader_start(r, &job);
        wait_for_one(r);
        sigpending(&pending);
        assert_true(sigismember(&pending, SIGUSR1));
        signal(SIGUSR1, SIG_IGN);
        pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
        signal(SIGUSR1, SIG_DFL);
        reader_free(r);
    }
}

static void test_refuses_what_makes_no_sense(void ** state) {
    (void) state;
    for (int k = 0; k < 2; k++) {
        assert_null(reader_new(kinds[k], 0));
        assert_int_equal(errno, EINVAL);
        assert_null(reader_new(kinds[k], 1u << 31));
    }
}

int main(void) {
    memory = aligned_alloc(PAGE, (size_t) DEPTH * SLOT);
    file = paged_file(BYTES, &direct);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wakes), /* first: the thread that wakes is the process's second one */

        cmocka_unit_test(test_reads_many),
        cmocka_unit_test(test_end_of_file),
        cmocka_unit_test(test_file_is_cut),
        cmocka_unit_test(test_errors_are_of_one_job),
        cmocka_unit_test(test_goes_on_with_threads),
        cmocka_unit_test(test_frees_while_it_reads),

        cmocka_unit_test(test_wakes_while_it_reads),
        cmocka_unit_test(test_takes_no_signals),
        cmocka_unit_test(test_refuses_what_makes_no_sense),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return failed;
}
