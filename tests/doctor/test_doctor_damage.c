/* SPDX-License-Identifier: MIT
 *
 * Files that lie: whatever is in a program, the doctor says something or refuses, and does not crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/doctor.h"
#include "doctor/elf_facts.h"

enum { SIZE_MAX_ = 1 << 20, HEADERS = 0x400 };

static unsigned char bytes[SIZE_MAX_];
static size_t size;
static char damaged[] = "/tmp/tat_doctor_XXXXXX";

static int read_library(void ** state) {
    (void) state;
    FILE * file = fopen(TINY_GGML, "rb");
    size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file) { fclose(file); }
    const int fd = mkstemp(damaged);
    if (fd >= 0) { close(fd); }
    return size > HEADERS && size < sizeof bytes && fd >= 0 ? 0 : -1;
}

static int remove_damaged(void ** state) {
    (void) state;
    return unlink(damaged);
}

/* The answer does not matter, only that there is one. */
static void examine(size_t length) {
    FILE * file = fopen(damaged, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    struct elf_facts facts;
    struct tat_error error = { 0 };
    const int kind = elf_facts_read(damaged, &facts, &error);
    if (kind < 0) { assert_true(*error.message); }
    if (kind == 0) { elf_facts_free(&facts); }
}

static void test_whole(void ** state) {
    (void) state;
    struct elf_facts facts;
    assert_int_equal(elf_facts_read(TINY_GGML, &facts, NULL), 0);
    assert_true(facts.exports_compute && facts.holds_compute && facts.asks_compute && facts.has_names);
    assert_false(facts.is_foreign || facts.is_static || facts.is_symbolic || facts.has_agent);
    elf_facts_free(&facts);
}

static void test_cut(void ** state) {
    (void) state;
    for (size_t length = 0; length < size; length += length < HEADERS ? 1 : 61) { examine(length); }
}

static void change(size_t at, unsigned char value) {
    const unsigned char was = bytes[at];
    if (was == value) { return; }
    bytes[at] = value;
    examine(size);
    bytes[at] = was;
}

/* Every byte of the headers at the beginning and of the table of sections at the end. */
static void test_bytes(void ** state) {
    (void) state;
    uint64_t sections;
    memcpy(&sections, bytes + 0x28, sizeof sections); /* e_shoff */
    assert_true(sections < size);
    for (size_t at = 0; at < size; at = at + 1 == HEADERS ? (size_t) sections : at + 1) {
        change(at, 0xff);
        change(at, 0x7f);
        change(at, bytes[at] ^ 0x01);
    }
}

/* Everywhere else, a few bytes at once. */
static void test_random(void ** state) {
    enum { FILES = 3000, CHANGES = 8 };
    (void) state;
    static unsigned char good[SIZE_MAX_];
    memcpy(good, bytes, size);
    srandom(1);
    for (int i = 0; i < FILES; i++) {
        for (int j = 0; j < CHANGES; j++) { bytes[(size_t) random() % size] = (unsigned char) random(); }
        examine(size);
        memcpy(bytes, good, size);
    }
}

static void test_names_that_are_no_files(void ** state) {
    (void) state;
    struct findings findings = { 0 };
    struct tat_error error;
    char text[256];
    assert_int_equal(doctor_program("/nonexistent", &findings, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    assert_int_equal(doctor_program("/dev/zero", &findings, &error), -1);
    assert_int_equal(doctor_program("/", &findings, &error), -1);
    assert_null(doctor_reason("/nonexistent", text, sizeof text));
    assert_null(doctor_reason(TINY_GGML, text, sizeof text));
}

static void test_findings_have_an_end(void ** state) {
    (void) state;
    struct findings findings = { 0 };
    for (int i = 0; i < 2 * FINDINGS_MAX; i++) { finding_add(&findings, "many", VERDICT_GOOD, NULL, "%d", i); }
    assert_int_equal(findings.count, FINDINGS_MAX);
    assert_null(finding_bad(&findings));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_names_that_are_no_files),
        cmocka_unit_test(test_findings_have_an_end),
    };
    return cmocka_run_group_tests(tests, read_library, remove_damaged);
}
