/* SPDX-License-Identifier: MIT
 *
 * Maps of files to disks, and the alignment of the clocks of a block trace and a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "blocktrace/align.h"
#include "blocktrace/disk_map.h"

static int read_text(struct disk_map * map, const char * text, uint64_t partition, struct tat_error * error) {
    char path[] = "/tmp/tat_test_map_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    *map = (struct disk_map){ 0 };
    const int failed = disk_map_read(map, path, partition, error);
    unlink(path);
    return failed;
}

static const char filefrag[] = "Filesystem type is: ef53\n"
                               "File size of a is b is 20000000 (19532 blocks of 1024 bytes)\n"
                               " ext:     logical_offset:        physical_offset: length:   expected: flags:\n"
                               "   0:        0..    6143:      10241..     16384:   6144:            \n"
                               "   1:     6144..   10239:      20481..     24576:   4096:      16385: unwritten\n"
                               "   2:    10240..   19531:      26625..     35916:   9292:      24577: last,eof\n"
                               "a is b: 3 extents found\n"
                               "Filesystem type is: ef53\n"
                               "File size of c is 3424 (1 block of 4096 bytes)\n"
                               "   0:        0..       0:   46368326..  46368326:      1:             last,eof\n"
                               "c: 1 extent found\n";

static void filefrag_is_a_map(void ** state) {
    (void) state;
    struct disk_map map;
    struct tat_error error;
    assert_int_equal(read_text(&map, filefrag, 1 << 20, &error), 0);
    assert_int_equal(map.n_files, 2);
    assert_string_equal(map.files[0].path, "a is b");
    assert_int_equal(map.files[0].bytes, 20000000);
    assert_int_equal(map.files[0].disk, 0);
    assert_int_equal(map.files[0].n_extents, 2); /* what is not written yet is not read */
    assert_int_equal(map.files[0].extents[1].file_offset, 10240 * 1024);
    assert_int_equal(map.files[0].extents[1].disk_offset, (1 << 20) + 26625 * 1024);
    assert_int_equal(map.files[0].extents[1].bytes, 9292 * 1024);
    assert_string_equal(map.files[1].path, "c");
    assert_int_equal(map.files[1].extents[0].disk_offset, (1 << 20) + 46368326ull * 4096);
    disk_map_free(&map);
}

static void json_is_a_map(void ** state) {
    (void) state;
    static const char text[] =
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": 100, \"disk\": \"259:3\",\n"
        "\"disk_name\": \"nvme0n1\", \"extents\": [[0, 4096, 8192], [12288, 65536, 4096]]}]}\n";
    struct disk_map map;
    struct tat_error error;
    assert_int_equal(read_text(&map, text, 0, &error), 0);
    assert_int_equal(map.n_files, 1);
    assert_int_equal(map.files[0].disk, makedev(259, 3));
    assert_string_equal(map.files[0].disk_name, "nvme0n1");
    assert_int_equal(map.files[0].n_extents, 2);
    disk_map_free(&map);
    assert_int_equal(read_text(&map, text, 512, &error), -1); /* it has the partition in it */
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    disk_map_free(&map);
}

static void what_is_no_map_is_refused(void ** state) {
    (void) state;
    static const char * const bad[] = {
        "",
        "hello",
        "{",
        "{}",
        "[]",
        "{\"tat_disk_map\": 2, \"files\": []}",
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": -1, \"extents\": []}]}",
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": 1, \"extents\": [[0, 0]]}]}",
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": 1, \"extents\": [[0, 0, 9], [8, 99, 9]]}]}",
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": 1, \"disk\": \"sda\", \"extents\": []}]}",
        "File size of a is 10 (1 blocks of 0 bytes)\n",
        "File size of a is 10 (1 blocks of 4096 bytes)\n 0: 0.. 5: 7.. 9: 6: eof\n 1: 3.. 8: 20.. 25: 6: eof\n",
        "File size of a is 10 (1 blocks of 4096 bytes)\n 0: 0.. 9223372036854775807: 7.. 9: 6: eof\n",
        " 0: 0.. 5: 7.. 12: 6: eof\n",
        /* two parts at one place of the disk */
        "{\"tat_disk_map\": 1, \"files\": [{\"path\": \"m\", \"bytes\": 1, \"extents\": [[0, 512, 9], [9, 504, 9]]}]}",
        "File size of a is 10 (1 blocks of 4096 bytes)\n 0: 0.. 5: 7.. 12: 6:\n 1: 6.. 8: 7.. 9: 3: eof\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct disk_map map;
        struct tat_error error = { 0 };
        if (read_text(&map, bad[i], 0, &error) == 0) { fail_msg("taken: %s", bad[i]); }
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
        disk_map_free(&map);
    }
}

/* ---- clocks ---- */

enum { FAULTS = 500, EVERY = 7919 };

/* Each page is read in each of three rounds, as by three tokens, and waited for in the second. */
static void faults_tell_the_offset(void ** state) {
    (void) state;
    static struct align_span faults[FAULTS], reads[3 * FAULTS];
    const int64_t shift = INT64_C(-123456789012345);
    uint64_t order[FAULTS], random = 1, votes, rivals;
    int64_t offset;
    for (size_t i = 0; i < FAULTS; i++) { /* a shuffle */
        random = random * 6364136223846793005u + 1442695040888963407u;
        const size_t other = (random >> 33) % (i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (int64_t i = 0; i < FAULTS; i++) {
        const int64_t at = 1000000000 + i * 200000 + i * EVERY % 100000;
        const uint64_t page = order[i] * 4096;
        faults[i] = (struct align_span){ 1, page, 1, at, at + 90000 + i % 13 * 1000 };
        for (int64_t round = 0; round < 3; round++) {
            const int64_t then = at + (round - 1) * 150000000 + (round - 1) * (i * 31 % 97) * 50000;
            reads[3 * i + round] = (struct align_span){ 1, page >= 4096 ? page - 4096 : 0, 8192, then - shift + 10000,
                                                        then - shift + 80000 };
        }
    }
    assert_true(align_by_faults(faults, FAULTS, reads, 3 * FAULTS, &offset, &votes, &rivals));
    assert_true(offset > shift - 100000 && offset < shift + 100000);
    assert_true(votes >= FAULTS);
    assert_true(rivals < FAULTS / 2);
    assert_int_equal(align_overlaps(faults, FAULTS, reads, 3 * FAULTS, offset), FAULTS);
    assert_int_equal(align_overlaps(faults, FAULTS, reads, 3 * FAULTS, offset + 3600000000000), 0);
}

static void nothing_in_common_tells_nothing(void ** state) {
    (void) state;
    struct align_span fault = { 1, 4096, 1, 10, 20 }, read = { 2, 4096, 4096, 10, 20 };
    int64_t offset;
    uint64_t votes, rivals;
    assert_false(align_by_faults(&fault, 1, &read, 1, &offset, &votes, &rivals));
    assert_false(align_by_faults(&fault, 1, &read, 0, &offset, &votes, &rivals));
    assert_int_equal(align_overlaps(&fault, 1, &read, 1, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filefrag_is_a_map),
        cmocka_unit_test(json_is_a_map),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(faults_tell_the_offset),
        cmocka_unit_test(nothing_in_common_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
