/* SPDX-License-Identifier: MIT
 *
 * The disk of a device, in folders as /sys has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "system/whole_disk.h"

#define DISK      "devices/pci0000:00/nvme/nvme0n1"
#define PARTITION DISK "/nvme0n1p2"

static char sys[] = "/tmp/tat-sys-XXXXXX";

static const char * const folders[] = {
    "dev", "dev/block", "devices",         "devices/pci0000:00", "devices/pci0000:00/nvme",
    DISK,  PARTITION,   DISK "/nvme0n1p3", DISK "/queue",        DISK "/device",
};
static const char * const files[][2] = {
    { DISK "/dev", "259:0\n" },
    { DISK "/queue/read_ahead_kb", "128\n" },
    { DISK "/device/model", "Some Disk 1 TB      \n" },
    { PARTITION "/dev", "259:2\n" },
    { PARTITION "/partition", "2\n" },
    { PARTITION "/start", "1050624\n" },
    { DISK "/nvme0n1p3/partition", "3\n" },
    { DISK "/nvme0n1p3/start", "no number\n" },
};
static const char * const links[][2] = {
    { "dev/block/259:0", "../../" DISK },
    { "dev/block/259:2", "../../" PARTITION },
    { "dev/block/259:3", "../../" DISK "/nvme0n1p3" },
};
enum { FOLDERS = sizeof folders / sizeof *folders, FILES = sizeof files / sizeof *files };
enum { LINKS = sizeof links / sizeof *links };

static const char * in_sys(const char * name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", sys, name);
    return path;
}

static int make(void ** state) {
    (void) state;
    if (!mkdtemp(sys)) { return -1; }
    for (int i = 0; i < FOLDERS; i++) {
        if (mkdir(in_sys(folders[i]), 0700) != 0) { return -1; }
    }
    for (int i = 0; i < FILES; i++) {
        FILE * file = fopen(in_sys(files[i][0]), "w");
        if (!file || fputs(files[i][1], file) < 0 || fclose(file) != 0) { return -1; }
    }
    for (int i = 0; i < LINKS; i++) {
        if (symlink(links[i][1], in_sys(links[i][0])) != 0) { return -1; }
    }
    return 0;
}

static int remove_all(void ** state) {
    (void) state;
    for (int i = 0; i < LINKS; i++) { unlink(in_sys(links[i][0])); }
    for (int i = 0; i < FILES; i++) { unlink(in_sys(files[i][0])); }
    for (int i = FOLDERS - 1; i >= 0; i--) { rmdir(in_sys(folders[i])); }
    return rmdir(sys);
}

/* A disk is found by the number of any of its partitions, and has one name. */
static void partitions_are_on_their_disk(void ** state) {
    (void) state;
    char line[64];
    const struct whole_disk whole = whole_disk_below(sys, makedev(259, 0));
    const struct whole_disk part = whole_disk_below(sys, makedev(259, 2));
    assert_string_equal(whole.name, "nvme0n1");
    assert_string_equal(part.name, "nvme0n1");
    assert_string_equal(part.folder, whole.folder);
    assert_true(whole.device == makedev(259, 0) && part.device == makedev(259, 0));
    assert_int_equal(whole.partition, 0);
    assert_int_equal(part.partition, 1050624 * 512);
    assert_null(whole.missing);
    assert_null(part.missing);
    whole_disk_read(&part, "device/model", line, sizeof line);
    assert_string_equal(line, "Some Disk 1 TB");
    whole_disk_read(&part, "queue/read_ahead_kb", line, sizeof line);
    assert_string_equal(line, "128");
    whole_disk_read(&part, "nothing", line, sizeof line);
    assert_string_equal(line, "");
}

static void what_is_not_told(void ** state) {
    (void) state;
    char line[64];
    const struct whole_disk part = whole_disk_below(sys, makedev(259, 3));
    assert_string_equal(part.name, "nvme0n1");
    assert_string_equal(part.missing, "where it begins");
    const uint64_t unknown[] = { makedev(259, 9), makedev(0, 42) };
    for (int i = 0; i < 2; i++) {
        const struct whole_disk none = whole_disk_below(sys, unknown[i]);
        assert_string_equal(none.name, "");
        whole_disk_read(&none, "dev/block", line, sizeof line);
        assert_string_equal(line, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_on_their_disk),
        cmocka_unit_test(what_is_not_told),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
