/* SPDX-License-Identifier: MIT
 *
 * Where a file's bytes are. What the file system says is looked at with bytes that are read from the disk
 * itself, where that is possible: as root, on a file system with extents.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/extents.h"

enum { PIECES = 12, PIECE = 1 << 16 };

static char path[] = "/var/tmp/tat_test_extents_XXXXXX"; /* on a disk, where /tmp may be memory */

static void fill(char * bytes, unsigned number) {
    for (size_t i = 0; i < PIECE; i++) { bytes[i] = (char) (number * 31 + i * 7 + i / 251); }
}

/* A hole is in every third piece. */
static int make_file(void) {
    static char bytes[PIECE];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < PIECES; i++) {
        if (i % 3 == 1) { continue; }
        fill(bytes, i);
        assert_int_equal(pwrite(fd, bytes, PIECE, (off_t) i * PIECE), PIECE);
    }
    return fd;
}

/* From the disk itself. False: not allowed, or there is no node for it. */
static bool read_disk(const struct extents * e, uint64_t offset, char * bytes) {
    char device[64];
    snprintf(device, sizeof device, "/dev/%s", e->disk_name);
    const int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { return false; }
    posix_fadvise(fd, (off_t) offset, PIECE, POSIX_FADV_DONTNEED);
    const bool good = pread(fd, bytes, PIECE, (off_t) offset) == PIECE;
    close(fd);
    return good;
}

static uint64_t disk_offset_of(const struct extents * e, uint64_t offset) {
    for (size_t i = 0; i < e->count; i++) {
        const struct tat_io_extent * x = &e->at[i];
        if (offset >= x->file_offset && offset + PIECE <= x->file_offset + x->bytes) {
            return x->disk_offset + offset - x->file_offset;
        }
    }
    return 0;
}

static void extents_are_where_the_bytes_are(void ** state) {
    (void) state;
    static char wanted[PIECE], found[PIECE];
    struct extents e;
    struct tat_error error;
    struct stat status;
    const int fd = make_file();
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(fstat(fd, &status), 0);
    const int got = extents_of_path(path, &e, &error);
    close(fd);
    unlink(path);
    assert_int_equal(got, 0);
    assert_int_equal(e.device, status.st_dev);
    assert_int_equal(e.inode, status.st_ino);
    assert_int_equal(e.bytes, PIECES * PIECE);
    if (!e.count) {
        assert_true(*e.missing);
        assert_int_equal(e.disk, 0);
        print_message("no extents of a file in /var/tmp: %s\n", e.missing);
        extents_free(&e);
        return;
    }
    assert_string_equal(e.missing, "");
    unsigned compared = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        const uint64_t at = disk_offset_of(&e, (uint64_t) i * PIECE);
        if (i % 3 == 1) {
            assert_int_equal(at, 0);
            continue;
        }
        if (!at || !read_disk(&e, at, found)) { continue; } /* in two extents; or without privilege */
        fill(wanted, i);
        assert_memory_equal(wanted, found, PIECE);
        compared++;
    }
    if (!compared) { print_message("%s cannot be read: bytes were not compared\n", e.disk_name); }
    for (size_t i = 1; i < e.count; i++) {
        assert_true(e.at[i - 1].file_offset + e.at[i - 1].bytes <= e.at[i].file_offset);
    }
    extents_free(&e);
}

static void memory_has_none(void ** state) {
    (void) state;
    struct extents e;
    struct tat_error error;
    const int fd = memfd_create("extents", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, PIECE), 0);
    assert_int_equal(extents_of(fd, &e, &error), 0);
    close(fd);
    assert_int_equal(e.count, 0);
    assert_int_equal(e.disk, 0);
    assert_string_equal(e.missing, "the file is on tmpfs: it is in memory, and on no disk");
    extents_free(&e);
}

static void what_is_not_a_file_has_none(void ** state) {
    (void) state;
    struct extents e;
    struct tat_error error;
    assert_int_equal(extents_of_path("/dev/null", &e, &error), 0);
    assert_string_equal(e.missing, "it is not a regular file");
    assert_int_equal(extents_of_path("/proc/version", &e, &error), 0);
    assert_int_equal(e.count, 0);
    assert_true(*e.missing);
    assert_int_equal(extents_of_path("/no such file", &e, &error), -1);
    assert_non_null(strstr(error.message, "/no such file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_are_where_the_bytes_are),
        cmocka_unit_test(memory_has_none),
        cmocka_unit_test(what_is_not_a_file_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
