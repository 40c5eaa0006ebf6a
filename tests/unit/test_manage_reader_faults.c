/* SPDX-License-Identifier: MIT
 *
 * Readers where the system does not do what was asked: short reads, errors, no io_uring, no threads, a descriptor that
 * the program took away.
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
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manage/reader_kind.h"
#include "paged_file.h"

enum { PAGES = 64, BYTES = PAGES * PAGE, SECOND = 1000000000 };

static int file;
static char * memory;

/* ---- the system, with faults ---- */

static unsigned reads, calls;
static enum { WHOLE, SHORT, FAILS, NEVER_READY } fault; /* FAILS: with EIO, from the second call on */
static unsigned threads_left = 1000;
static bool hides_probe;

ssize_t __real_preadv64(int fd, const struct iovec * parts, int n, off_t offset);
ssize_t __wrap_preadv64(int fd, const struct iovec * parts, int n, off_t offset);
int __real_pthread_create(pthread_t * t, const pthread_attr_t * a, void * (*f)(void *), void * argument);
int __wrap_pthread_create(pthread_t * t, const pthread_attr_t * a, void * (*f)(void *), void * argument);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
struct io_uring;
void * __real_io_uring_get_probe_ring(struct io_uring * ring);
void * __wrap_io_uring_get_probe_ring(struct io_uring * ring);

ssize_t __wrap_preadv64(int fd, const struct iovec * parts, int n, off_t offset) {
    const unsigned i = __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
    if (fault == WHOLE) { return __real_preadv64(fd, parts, n, offset); }
    if (fault == NEVER_READY || (fault == SHORT && i % 7 == 2)) { return errno = EAGAIN, -1; }
    if (fault == SHORT && i % 5 == 1) { return errno = EINTR, -1; }
    if (fault == FAILS && i > 0) { return errno = EIO, -1; }
    struct iovec less = parts[0];
    if (less.iov_len > PAGE) { less.iov_len = PAGE + (less.iov_len - PAGE) * (i % 4) / 40; }
    return __real_preadv64(fd, &less, 1, offset);
}

int __wrap_pthread_create(pthread_t * t, const pthread_attr_t * a, void * (*f)(void *), void * argument) {
    if (threads_left == 0) { return EAGAIN; }
    threads_left--;
    return __real_pthread_create(t, a, f, argument);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return __real_syscall(number, a, b, c, d, e, f);
}

void * __wrap_io_uring_get_probe_ring(struct io_uring * ring) {
    return hides_probe ? NULL : __real_io_uring_get_probe_ring(ring);
}

/* ---- */

/* scripts/test.sh reads the reason. */
static void skip_for(const char * reason) {
    print_message("# %s\n", reason);
    skip();
}

static struct read_job whole_file(uint64_t tag) {
    memset(memory, 0xee, BYTES);
    return (struct read_job){ .fd = file,
                              .bytes = BYTES,
                              .part = { { memory, 5 * PAGE }, { memory + 5 * PAGE, BYTES - 5 * PAGE } },
                              .n_parts = 2,
                              .tag = tag };
}

static struct read_done read_whole(struct reader * r) {
    const struct read_job job = whole_file(1);
    struct read_done done = { 0 };
    reader_start(r, &job);
    while (reader_wait(r, &done, 1, SECOND) == 0) {}
    return done;
}

static bool is_good(const struct read_done * done) {
    return done->error == 0 && done->bytes == BYTES && paged_is_right(memory, 0, BYTES);
}

static struct read_done read_with(unsigned as) {
    struct reader * r = reader_new(READER_THREADS, 2);
    reads = 0;
    fault = as;
    const struct read_done done = read_whole(r);
    fault = WHOLE;
    const struct read_done next = read_whole(r);
    assert_true(is_good(&next));
    reader_free(r);
    return done;
}

static void test_faults_of_preadv(void ** state) {
    (void) state;
    const struct read_done in_parts = read_with(SHORT);
    assert_true(in_parts.error == 0 && in_parts.bytes == BYTES && reads > 10);
    assert_int_equal(read_with(FAILS).error, EIO);
    assert_int_equal(read_with(NEVER_READY).error, EAGAIN);
}

/* The same for both kinds, whatever the kernel answers. */
static void test_how_a_read_continues(void ** state) {
    (void) state;
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    const struct read_job job = { .bytes = 8 * page,
                                  .part = { { memory, 3 * page }, { memory + 4 * page, 5 * page } },
                                  .n_parts = 2 };
    struct read_slot s = { .job = job, .part = { job.part[0], job.part[1] }, .n_parts = 2 };
    memset(memory, 0xee, 9 * page);
    assert_false(read_slot_went(&s, -EINTR));
    assert_false(read_slot_went(&s, (int64_t) page + 100)); /* from the page on, as O_DIRECT needs it */
    assert_true(s.from == page && s.n_parts == 2 && s.part[0].iov_base == memory + page &&
                s.part[0].iov_len == 2 * page);
    assert_false(read_slot_went(&s, (int64_t) (3 * page)));
    assert_true(s.from == 4 * page && s.n_parts == 1 && s.part[0].iov_base == memory + 5 * page);
    assert_false(read_slot_went(&s, (int64_t) page + 7));
    assert_true(read_slot_went(&s, 7)); /* no more than before: the end */
    assert_true(s.error == 0 && s.got == 5 * page + 7);
    assert_int_equal((uint8_t) memory[6 * page + 6], 0xee); /* what was read stays */
    for (size_t i = 6 * page + 7; i < 9 * page; i++) { assert_int_equal(memory[i], 0); }

    s = (struct read_slot){ .job = job, .part = { job.part[0], job.part[1] }, .n_parts = 2 };
    assert_false(read_slot_went(&s, (int64_t) page));
    assert_true(read_slot_went(&s, -EIO));
    assert_int_equal(s.error, EIO);
}

/* ---- io_uring's descriptor ---- */

static int find_ring(void) {
    for (int fd = 0; fd < 1000; fd++) {
        char path[64], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "io_uring")) { return fd; }
    }
    return -1;
}

/* The program closes what it does not know, or has another file there; also while the ring waits for the bell. Threads
 * go on, if there may be any. */
static void test_ring_is_taken_away(void ** state) {
    (void) state;
    for (unsigned way = 0; way < 4; way++) {
        const bool reused = way % 2, no_threads = way / 2;
        struct reader * r = reader_new(READER_URING, 4);
        if (!r) { skip_for("needs io_uring"); }
        struct read_done done = read_whole(r);
        assert_true(is_good(&done));
        assert_int_equal(reader_wait(r, &done, 1, 1000000), 0);
        const struct read_job job = whole_file(7);
        reader_start(r, &job); /* is under way */
        const int ring = find_ring(), other = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (!reused || dup2(other, ring) < 0) { close(ring); }
        while (reader_wait(r, &done, 1, SECOND) == 0) {}
        assert_true(done.tag == 7 && is_good(&done));
        threads_left = no_threads ? 0 : 1000;
        done = read_whole(r);
        threads_left = 1000;
        if (no_threads) {
            assert_int_equal(done.error, EBADF);
        } else {
            assert_true(is_good(&done));
        }
        reader_wake(r);
        assert_int_equal(reader_wait(r, &done, 1, UINT64_MAX), 0);
        assert_int_equal(reader_wait(r, &done, 1, 1000000), 0);
        assert_int_equal(reader_room(r), 4);
        reader_free(r);
        close(other);
    }
}

static int exit_of(pid_t child) {
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_descriptors(void ** state) {
    (void) state;
    const pid_t child = fork();
    if (child == 0) {
        close(STDIN_FILENO);
        struct reader * r = reader_new(READER_URING, 4);
        const int ring = r ? find_ring() : 3;
        const bool good =
            ring > STDERR_FILENO && fcntl(STDIN_FILENO, F_GETFD) < 0 && (!r || (fcntl(ring, F_GETFD) & FD_CLOEXEC));
        const struct read_done done = r ? read_whole(r) : (struct read_done){ .error = 0 };
        reader_free(r);
        _exit(!good || done.error);
    }
    assert_int_equal(exit_of(child), 0);
}

/* ---- what may be missing ---- */

static bool forbid(int number, int error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned) number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* As in many containers. */
static void test_no_io_uring(void ** state) {
    (void) state;
    static const int errors[] = { EPERM, ENOSYS };
    for (int i = 0; i < 2; i++) {
        const pid_t child = fork();
        if (child == 0) {
            if (!forbid(SYS_io_uring_setup, errors[i])) { _exit(77); }
            if (reader_new(READER_URING, 2) || errno != errors[i]) { _exit(1); }
            struct reader * r = reader_new(READER_ANY, 2);
            if (!r || reader_kind_of(r) != READER_THREADS) { _exit(2); }
            const struct read_done done = read_whole(r);
            const bool good = is_good(&done);
            reader_free(r);
            _exit(good ? 0 : 3);
        }
        const int status = exit_of(child);
        if (status == 77) { skip_for("needs filters that forbid io_uring"); }
        assert_int_equal(status, 0);
    }
}

static void test_too_few_threads(void ** state) {
    (void) state;
    threads_left = 3;
    struct reader * r = reader_new(READER_THREADS, 8);
    assert_int_equal(reader_room(r), 3);
    const struct read_done done = read_whole(r);
    assert_true(is_good(&done));
    reader_free(r);
    threads_left = 0;
    assert_null(reader_new(READER_THREADS, 8));
    assert_int_equal(errno, EAGAIN);
    threads_left = 1000;
}

static struct reader * woken;

static void * wake(void * unused) {
    (void) unused;
    usleep(2000);
    reader_wake(woken);
    return NULL;
}

/* Before Linux 6.7 a ring cannot wait for the bell. */
static void test_ring_without_futex(void ** state) {
    (void) state;
    hides_probe = true;
    woken = reader_new(READER_URING, 2);
    hides_probe = false;
    if (!woken) { skip_for("needs io_uring"); }
    struct read_done done = read_whole(woken);
    assert_true(is_good(&done));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake, NULL), 0);
    assert_int_equal(reader_wait(woken, &done, 1, UINT64_MAX), 0);
    pthread_join(thread, NULL);
    reader_free(woken);
}

static void test_waking_costs_no_call(void ** state) {
    (void) state;
    for (enum reader_kind kind = READER_ANY; kind <= READER_THREADS; kind++) {
        struct reader * r = reader_new(kind, 2);
        if (!r) { continue; }
        const unsigned before = __atomic_load_n(&calls, __ATOMIC_RELAXED);
        for (int i = 0; i < 1000; i++) { reader_wake(r); }
        assert_int_equal(__atomic_load_n(&calls, __ATOMIC_RELAXED), before);
        reader_free(r);
    }
}

int main(void) {
    memory = aligned_alloc(PAGE, BYTES > 16 * sysconf(_SC_PAGESIZE) ? BYTES : 16 * (size_t) sysconf(_SC_PAGESIZE));
    file = paged_file(BYTES, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_of_preadv),   cmocka_unit_test(test_how_a_read_continues),
        cmocka_unit_test(test_ring_is_taken_away), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_no_io_uring),        cmocka_unit_test(test_too_few_threads),
        cmocka_unit_test(test_ring_without_futex), cmocka_unit_test(test_waking_costs_no_call),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return failed;
}
