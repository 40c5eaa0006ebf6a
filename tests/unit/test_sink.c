/* SPDX-License-Identifier: MIT
 *
 * Sinks: files of blocks that several threads write at once, several files in one process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/keeper.h"
#include "agent/sink.h"
#include "format/block.h"

enum { WRITERS = 4, BLOCKS = 5000, PAYLOAD = 1000 }; /* more than is granted at once */

static char folder[] = "/tmp/tat-sink-XXXXXX";

static const char * path_of(const char * name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void open_sink(struct sink * sink, const char * name, enum tat_file_kind kind, uint64_t limit) {
    const char * why;
    struct tat_file_header header = { .version = TAT_FORMAT_VERSION,
                                      .header_bytes = TAT_HEADER_BYTES,
                                      .file_kind = kind };
    memcpy(header.magic, TAT_MAGIC, sizeof header.magic);
    assert_true(sink_open(sink, path_of(name), &header, limit, NULL, &why));
}

/* Goes through all blocks of a file and checks each. `count`: by the first byte of a payload, how many there are. */
static void count_blocks(const char * name, enum tat_file_kind kind, uint64_t count[256]) {
    struct stat status;
    const int fd = open(path_of(name), O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    uint8_t * bytes = malloc((size_t) status.st_size);
    assert_int_equal(read(fd, bytes, (size_t) status.st_size), status.st_size);
    close(fd);
    struct tat_file_header header;
    memcpy(&header, bytes, sizeof header);
    assert_int_equal(header.file_kind, kind);
    memset(count, 0, 256 * sizeof count[0]);
    for (uint64_t at = TAT_HEADER_BYTES; at < (uint64_t) status.st_size;) {
        struct tat_block_header block;
        memcpy(&block, bytes + at, sizeof block);
        assert_int_equal(block.magic, TAT_BLOCK_MAGIC);
        const uint8_t * payload = bytes + at + sizeof block;
        assert_int_equal(block.checksum, tat_block_checksum(at, block.type, payload, block.payload_bytes));
        count[payload[0]]++;
        at += tat_block_bytes(block.payload_bytes);
    }
    free(bytes);
}

struct writer {
    struct sink * sink;
    uint8_t mark;
    uint64_t stored;
};

static void * write_blocks(void * data) {
    struct writer * w = data;
    uint8_t payload[PAYLOAD];
    memset(payload, w->mark, sizeof payload);
    for (int i = 0; i < BLOCKS; i++) {
        if (sink_write(w->sink, TAT_BLOCK_EVENT, payload, sizeof payload)) { w->stored++; }
        if (i % 100 == 0) { usleep(1000); } /* the keeper's turn */
    }
    return NULL;
}

static void write_at_once(struct writer * writers, unsigned count) {
    pthread_t thread[WRITERS];
    for (unsigned i = 0; i < count; i++) { pthread_create(&thread[i], NULL, write_blocks, &writers[i]); }
    for (unsigned i = 0; i < count; i++) { pthread_join(thread[i], NULL); }
}

static void nothing(void) {}

static void test_two_files_at_once(void ** state) {
    (void) state;
    static struct sink accesses = SINK_INITIALIZER, io = SINK_INITIALIZER;
    uint64_t count[256];
    open_sink(&accesses, "accesses", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    open_sink(&io, "io", TAT_FILE_IO_EVENTS, UINT64_MAX);
    struct writer writers[WRITERS] = { { &accesses, 1, 0 }, { &io, 2, 0 }, { &accesses, 3, 0 }, { &io, 4, 0 } };
    write_at_once(writers, WRITERS);

    /* One is closed; the other goes on. */
    sink_close(&accesses, nothing);
    struct writer late[] = { { &accesses, 5, 0 }, { &io, 6, 0 } };
    write_at_once(late, 2);
    sink_close(&io, nothing);
    assert_int_equal(late[0].stored, 0);
    assert_true(late[1].stored > 0);

    count_blocks("accesses", TAT_FILE_TENSOR_ACCESS, count);
    assert_true(count[1] > 0 && count[1] == writers[0].stored && count[3] == writers[2].stored);
    assert_int_equal(count[2] + count[4] + count[5] + count[6], 0);
    count_blocks("io", TAT_FILE_IO_EVENTS, count);
    assert_true(count[2] == writers[1].stored && count[4] == writers[3].stored && count[6] == late[1].stored);
    assert_int_equal(count[1] + count[3] + count[5], 0);
}

static void test_a_file_at_its_limit_stops_no_other(void ** state) {
    (void) state;
    enum { LIMIT = 5 << 20 }; /* room for 5,242 of 10,000 blocks */
    static struct sink small = SINK_INITIALIZER, large = SINK_INITIALIZER;
    uint64_t count[256];
    open_sink(&small, "small", TAT_FILE_IO_EVENTS, LIMIT);
    open_sink(&large, "large", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    struct writer writers[] = { { &small, 1, 0 }, { &small, 2, 0 }, { &large, 3, 0 } };
    write_at_once(writers, 3);
    assert_int_equal(sink_refusal(&small), TAT_LOSS_MAX_SIZE);
    sink_close(&small, nothing);
    sink_close(&large, nothing);
    count_blocks("small", TAT_FILE_IO_EVENTS, count);
    assert_true(count[1] + count[2] == writers[0].stored + writers[1].stored);
    assert_true(count[1] + count[2] < 2 * BLOCKS);
    count_blocks("large", TAT_FILE_TENSOR_ACCESS, count);
    assert_int_equal(count[3], writers[2].stored);
}

/* A sink can be opened again, as in the child of a fork; the keeper's thread is the parent's. */
static void test_a_child_has_files_of_its_own(void ** state) {
    (void) state;
    static struct sink sink = SINK_INITIALIZER;
    uint64_t count[256];
    open_sink(&sink, "parent", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    const pid_t child = fork();
    if (child == 0) {
        keeper_after_fork();
        sink_after_fork(&sink);
        open_sink(&sink, "child", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
        struct writer writer = { &sink, 2, 0 };
        write_blocks(&writer);
        sink_close(&sink, nothing);
        _exit(writer.stored > 0 && writer.stored <= BLOCKS ? 0 : 1);
    }
    struct writer writer = { &sink, 1, 0 };
    write_blocks(&writer);
    sink_close(&sink, nothing);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    count_blocks("parent", TAT_FILE_TENSOR_ACCESS, count);
    assert_true(count[1] == writer.stored && count[2] == 0);
    count_blocks("child", TAT_FILE_TENSOR_ACCESS, count);
    assert_true(count[1] == 0 && count[2] > 0);
}

/* The smallest that there is: nearly all of it is for blocks. */
static void test_a_small_limit_is_used(void ** state) {
    (void) state;
    enum { LIMIT = 128 << 10, LEAST = LIMIT - (8 << 10) };
    static struct sink sink = SINK_INITIALIZER;
    const uint8_t payload[PAYLOAD] = { 1 };
    uint64_t bytes = 0;
    open_sink(&sink, "smallest", TAT_FILE_TENSOR_ACCESS, LIMIT);
    while (sink_write(&sink, TAT_BLOCK_EVENT, payload, sizeof payload)) { bytes += tat_block_bytes(sizeof payload); }
    sink_close(&sink, nothing);
    assert_in_range(bytes, LEAST, LIMIT);
}

/* The keeper serves few sinks at once, and looks only now and then which are closed. */
static struct sink sink = SINK_INITIALIZER;

static bool write_one(uint8_t mark) {
    uint8_t payload[PAYLOAD] = { mark };
    errno = ENOTTY;
    const bool written = sink_write(&sink, TAT_BLOCK_EVENT, payload, sizeof payload);
    assert_int_equal(errno, ENOTTY);
    return written;
}

/* The end is there, with the header; so is what was written since. A mapping would have ended the process. */
static void test_a_file_may_be_cut(void ** state) {
    (void) state;
    uint8_t block[sizeof(struct tat_block_header) + PAYLOAD];
    struct tat_file_header header;
    open_sink(&sink, "cut", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    for (int i = 0; i < 20; i++) { assert_true(write_one(1)); }
    assert_false(sink_was_cut(&sink));
    assert_int_equal(truncate(path_of("cut"), 0), 0);
    for (int i = 0; i < 20; i++) { assert_true(write_one(2)); }
    assert_true(sink_was_cut(&sink));
    assert_int_equal(truncate(path_of("cut"), 10000), 0); /* seen when it is closed */
    sink_close(&sink, nothing);
    const int fd = open(path_of("cut"), O_RDONLY);
    assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
    assert_memory_equal(header.magic, TAT_MAGIC, sizeof header.magic);
    const off_t size = TAT_HEADER_BYTES + 40 * (off_t) tat_block_bytes(PAYLOAD);
    assert_int_equal(lseek(fd, 0, SEEK_END), size);
    assert_int_equal(pread(fd, block, sizeof block, size - (off_t) sizeof block), sizeof block);
    close(fd);
}

/* The kernel would send SIGXFSZ, which ends the process. */
static void test_the_limit_on_files_may_be_lowered(void ** state) {
    (void) state;
    uint64_t count[256];
    struct rlimit before, low;
    struct stat file;
    open_sink(&sink, "limited", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    assert_true(write_one(1));
    assert_true(stat(path_of("limited"), &file) == 0 && getrlimit(RLIMIT_FSIZE, &before) == 0);
    low = before;
    low.rlim_cur = (rlim_t) file.st_size + 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_false(write_one(2));
    assert_false(write_one(2));
    assert_int_equal(sink_refusal(&sink), TAT_LOSS_MAX_SIZE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(write_one(3));
    sink_close(&sink, nothing);
    count_blocks("limited", TAT_FILE_TENSOR_ACCESS, count); /* the next block took the refused one's place */
    assert_true(count[1] == 1 && count[2] == 0 && count[3] == 1);
}

/* A signal of the host's own is not taken from it. */
static void test_a_signal_that_waited_still_waits(void ** state) {
    (void) state;
    sigset_t set, before, pending;
    struct rlimit limit, low;
    const struct timespec now = { 0 };
    open_sink(&sink, "waiting", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    pthread_kill(pthread_self(), SIGXFSZ);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = TAT_HEADER_BYTES;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_false(write_one(1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1);
    assert_int_equal(sigtimedwait(&set, NULL, &now), SIGXFSZ);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sink_close(&sink, nothing);
}

static int descriptor_of(const char * name) {
    struct stat file, open_file;
    int fd = 0;
    assert_int_equal(stat(path_of(name), &file), 0);
    while (fstat(fd, &open_file) != 0 || open_file.st_ino != file.st_ino || open_file.st_dev != file.st_dev) { fd++; }
    return fd;
}

/* The host closes the trace's descriptor, and has a file of its own at that number. */
static void test_no_other_file_is_written(void ** state) {
    (void) state;
    uint64_t count[256];
    struct stat file;
    char own_path[256];
    snprintf(own_path, sizeof own_path, "%s", path_of("own"));
    const int own = open(own_path, O_RDWR | O_CREAT, 0600);
    open_sink(&sink, "closed", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    assert_true(write_one(1));
    const int first = descriptor_of("closed");
    assert_true(first > STDERR_FILENO + 100); /* out of the way of the host's next files */
    close(first);
    assert_true(write_one(2));
    const int second = descriptor_of("closed");
    assert_int_equal(dup2(own, second), second);
    assert_true(write_one(3));
    count_blocks("closed", TAT_FILE_TENSOR_ACCESS, count);
    assert_true(count[1] == 1 && count[2] == 1 && count[3] == 1);

    /* Nor is one that stands where the trace was. */
    const int third = descriptor_of("closed");
    assert_int_equal(rename(own_path, path_of("closed")), 0);
    assert_int_equal(dup2(own, third), third);
    assert_false(write_one(4));
    assert_int_equal(sink_refusal(&sink), TAT_LOSS_NO_SPACE);
    sink_close(&sink, nothing);
    assert_true(fstat(own, &file) == 0 && file.st_size == 0);
    close(second);
    close(third);
    close(own);
}

/* A child that was made without telling anyone shares the descriptor, and has a copy of what is reserved. */
static void test_a_child_does_not_write_the_parents_file(void ** state) {
    (void) state;
    uint64_t count[256];
    int status;
    open_sink(&sink, "shared", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
    const pid_t child = fork();
    if (child == 0) { _exit(write_one(2) ? 1 : 0); }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(write_one(1));
    sink_close(&sink, nothing);
    count_blocks("shared", TAT_FILE_TENSOR_ACCESS, count);
    assert_true(count[1] == 1 && count[2] == 0);
}

/* What was written is there, whole, when the process is killed. */
static void test_nothing_is_lost_by_a_kill(void ** state) {
    (void) state;
    uint64_t count[256];
    int status;
    const pid_t child = fork();
    if (child == 0) {
        keeper_after_fork();
        open_sink(&sink, "killed", TAT_FILE_TENSOR_ACCESS, UINT64_MAX);
        for (int i = 0; i < 10; i++) { write_one(1); }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    count_blocks("killed", TAT_FILE_TENSOR_ACCESS, count);
    assert_int_equal(count[1], 10);
}

struct chore {
    unsigned calls;
    bool enough;
};

/* While its first call says so, the chore is asked for again. */
static bool ends_once(void * object) {
    struct chore * c = object;
    const bool is_first = __atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED) == 1;
    if (is_first) { keeper_add(ends_once, object); }
    return !is_first && !__atomic_load_n(&c->enough, __ATOMIC_RELAXED);
}

static bool goes_on(void * object) {
    const struct chore * c = object;
    return !__atomic_load_n(&c->enough, __ATOMIC_RELAXED);
}

static void test_a_chore_asked_for_again_while_it_ends_goes_on(void ** state) {
    (void) state;
    static struct chore chore;
    assert_true(keeper_add(ends_once, &chore));
    for (int i = 0; i < 20; i++) { assert_true(keeper_add(goes_on, &chore)); } /* that is one chore, too */
    for (int ms = 0; __atomic_load_n(&chore.calls, __ATOMIC_RELAXED) < 3; ms++) {
        assert_true(ms < 60000);
        usleep(1000);
    }
    __atomic_store_n(&chore.enough, true, __ATOMIC_RELAXED);
}

int main(void) {
    if (!mkdtemp(folder)) { return 1; }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_files_at_once),
        cmocka_unit_test(test_a_file_at_its_limit_stops_no_other),
        cmocka_unit_test(test_a_child_has_files_of_its_own),
        cmocka_unit_test(test_a_small_limit_is_used),
        cmocka_unit_test(test_a_file_may_be_cut),
        cmocka_unit_test(test_the_limit_on_files_may_be_lowered),
        cmocka_unit_test(test_a_signal_that_waited_still_waits),
        cmocka_unit_test(test_no_other_file_is_written),
        cmocka_unit_test(test_a_child_does_not_write_the_parents_file),
        cmocka_unit_test(test_nothing_is_lost_by_a_kill),
        cmocka_unit_test(test_a_chore_asked_for_again_while_it_ends_goes_on),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    const char * names[] = { "accesses", "io",  "small",   "smallest", "large",  "parent", "child",
                             "cut",      "own", "limited", "waiting",  "closed", "shared", "killed" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) { unlink(path_of(names[i])); }
    rmdir(folder);
    return failed;
}
