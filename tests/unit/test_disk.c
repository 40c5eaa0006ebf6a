/* SPDX-License-Identifier: MIT
 *
 * Reading a disk: which blocks, and what is said where it cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/disk_buffer.h"
#include "doctor/disk_round.h"

enum { ROUND_NS = 200000, BLOCK = 4096 };

static char path[] = "/tmp/tat_test_disk_XXXXXX";

/* A new file of the least size; its template becomes its name. */
static int fill(char * name) {
    static char block[1 << 20];
    const int fd = mkstemp(name);
    memset(block, 7, sizeof block);
    for (int i = 0; fd >= 0 && i < DISK_FILE_LEAST >> 20; i++) {
        if (write(fd, block, sizeof block) != sizeof block) { return -1; }
    }
    return fd < 0 || fsync(fd) != 0 || close(fd) != 0;
}

static int make_file(void ** state) {
    (void) state;
    return fill(path);
}

static int remove_file(void ** state) {
    (void) state;
    return unlink(path);
}

/* A round of as many requests as there are blocks has each once, in whatever order. */
static void each_block_once(void ** state) {
    (void) state;
    for (uint64_t blocks = 1; blocks < 70; blocks++) {
        for (int random = 0; random < 2; random++) {
            const struct disk_rate rate = { .random = random, .block = BLOCK, .depth = 1 };
            struct disk_places places = { .size = blocks * BLOCK + BLOCK / 2, .next = blocks / 3, .key = blocks };
            bool seen[70] = { false };
            for (uint64_t i = 0; i < blocks; i++) {
                const uint64_t at = disk_place(&places, &rate);
                assert_true(at % BLOCK == 0 && at / BLOCK < blocks && !seen[at / BLOCK]);
                seen[at / BLOCK] = true;
            }
        }
    }
}

static void random_is_not_in_order(void ** state) {
    (void) state;
    const struct disk_rate rate = { .random = true, .block = BLOCK, .depth = 1 };
    struct disk_places places = { .size = 1000 * BLOCK, .key = 1 };
    int follow = 0;
    for (uint64_t i = 0, last = disk_place(&places, &rate); i < 999; i++) {
        const uint64_t at = disk_place(&places, &rate);
        follow += at == last + BLOCK;
        last = at;
    }
    assert_in_range(follow, 0, 10);
}

/* Large pages are made of shared memory wherever the kernel can, as `tat run` makes them. */
static void reads_go_into_large_pages(void ** state) {
    (void) state;
    enum { LARGE = 2 << 20, COLLAPSE = 25 };
    struct disk_buffer buffer;
    char * place = mmap(NULL, 2 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char * at = place + (LARGE - (uintptr_t) place % LARGE) % LARGE;
    assert_true(mmap(at, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    *at = 0;
    const bool can = madvise(at, LARGE, COLLAPSE) == 0;
    munmap(place, 2 * LARGE);
    assert_int_equal(disk_buffer_make(&buffer, 2 * LARGE), 0);
    assert_int_equal((uintptr_t) buffer.at % BLOCK, 0);
    assert_true(buffer.page_bytes == (can ? LARGE : (size_t) sysconf(_SC_PAGESIZE)));
    memset(buffer.at, 1, 2 * LARGE);
    disk_buffer_free(&buffer);
}

/* Every rate, or the reason why there is none. A file in a tmpfs has no disk. */
static void rates_or_reasons(void ** state) {
    (void) state;
    static struct disk_rates r;
    struct tat_error error;
    assert_int_equal(disk_measure(&r, path, ROUND_NS, &error), 0);
    assert_int_equal(r.n_rates, 7 + 2 * DISK_BLOCKS * DISK_DEPTHS + 2 * DISK_BURST_BLOCKS * DISK_BURST_DEPTHS);
    assert_true(r.bytes == DISK_FILE_LEAST && *r.system);
    assert_true(r.into >= BLOCK && r.into % BLOCK == 0);
    assert_true(*r.direct || (r.together >= -1 && r.together <= 1));
    for (size_t i = 0; i < r.n_rates; i++) {
        const struct disk_rate * rate = &r.rate[i];
        if (*(disk_is_direct(rate->how) ? r.direct : r.through)) {
            assert_true(rate->per_second == 0);
            continue;
        }
        assert_true(0 < rate->low && rate->low <= rate->per_second && rate->per_second <= rate->high);
        assert_true(0 < rate->p50_ns && rate->p50_ns <= rate->p99_ns);
    }
}

/* Pages that another process has mapped stay in memory: reading them would not measure the disk. */
static void what_stays_in_memory_is_not_read(void ** state) {
    (void) state;
    static struct disk_rates r;
    struct tat_error error;
    char file[] = "/dev/shm/tat_test_disk_XXXXXX"; /* in memory alone */
    if (fill(file) != 0) { skip(); }
    assert_int_equal(disk_measure(&r, file, ROUND_NS, &error), 0);
    unlink(file);
    assert_non_null(strstr(r.through, "stays in memory"));
    assert_string_equal(r.system, "tmpfs");
    assert_string_equal(r.device, "");
    for (size_t i = 0; i < r.n_rates; i++) {
        if (!disk_is_direct(r.rate[i].how)) { assert_true(r.rate[i].per_second == 0); }
    }
}

static void not_a_file_to_read(void ** state) {
    (void) state;
    static const struct {
        const char *path, *words;
    } cases[] = { { "/tmp", "not a regular file" },
                  { "/dev/null", "not a regular file" },
                  { "/no/such/file", "No such file" },
                  { "/etc/passwd", "smaller than 8 MiB" } };
    static struct disk_rates r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tat_error error = { 0 };
        assert_int_equal(disk_measure(&r, cases[i].path, ROUND_NS, &error), -1);
        assert_non_null(strstr(error.message, cases[i].words));
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_block_once),
        cmocka_unit_test(random_is_not_in_order),
        cmocka_unit_test(reads_go_into_large_pages),
        cmocka_unit_test(rates_or_reasons),
        cmocka_unit_test(what_stays_in_memory_is_not_read),
        cmocka_unit_test(not_a_file_to_read),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
