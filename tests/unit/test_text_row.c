/* SPDX-License-Identifier: MIT
 *
 * Rows of text, whatever is in the names; numbers for layouts; files that are replaced whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "export/file_replace.h"
#include "export/layout_table.h"
#include "export/text_row.h"

/* ---- rows ---- */

enum format { CSV, TSV, JSON };

/* One cell as a row; the caller frees it. */
static char * row_of(enum format format, struct cell cell) {
    static const char * const names[] = { "name" };
    static struct text_out out;
    char * text = NULL;
    size_t size = 0;
    FILE * file = open_memstream(&text, &size);
    text_out_begin(&out, file);
    if (format == CSV) { row_csv(&out, &cell, 1); }
    if (format == TSV) { row_tsv(&out, &cell, 1); }
    if (format == JSON) { row_json(&out, names, &cell, 1); }
    assert_int_equal(text_out_end(&out), 0);
    fclose(file);
    return text;
}

static void check_row(enum format format, struct cell cell, const char * expected) {
    char * text = row_of(format, cell);
    if (strlen(text) == 0 || text[strlen(text) - 1] != '\n') { fail_msg("'%s' does not end with a line's end", text); }
    text[strlen(text) - 1] = '\0';
    assert_string_equal(text, expected);
    free(text);
}

#define FFFD "\xef\xbf\xbd"

static void names_of_any_bytes(void ** state) {
    static const struct {
        const char *name, *csv, *tsv, *json;
    } cases[] = {
        { "blk.0.attn_q.weight", "blk.0.attn_q.weight", "blk.0.attn_q.weight", "\"blk.0.attn_q.weight\"" },
        { "", "", "", "null" },
        { "a,b", "\"a,b\"", "a,b", "\"a,b\"" },
        { "say \"x\"", "\"say \"\"x\"\"\"", "say \"x\"", "\"say \\\"x\\\"\"" },
        { "a\tb\nc\rd", "\"a\tb\nc\rd\"", "a\\x09b\\x0ac\\x0dd", "\"a\\u0009b\\u000ac\\u000dd\"" },
        { "\\x09", "\\x09", "\\\\x09", "\"\\\\x09\"" },
        { "\x1b[31m", "\"\x1b[31m\"", "\\x1b[31m", "\"\\u001b[31m\"" },
        { "\x7f", "\"\x7f\"", "\\x7f", "\"\\u007f\"" },
        { "\xc2\x9b"
          "1m",
          "\"\xc2\x9b"
          "1m\"",
          "\\xc2\\x9b1m", "\"\\u009b1m\"" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
          "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "a\xff"
          "b",
          "\"a" FFFD "b\"", "a\\xffb", "\"a" FFFD "b\"" },
        { "\xc0\xaf", "\"" FFFD FFFD "\"", "\\xc0\\xaf", "\"" FFFD FFFD "\"" },                    /* overlong */
        { "\xed\xa0\x80", "\"" FFFD FFFD FFFD "\"", "\\xed\\xa0\\x80", "\"" FFFD FFFD FFFD "\"" }, /* a surrogate */
        { "\xf4\x90\x80\x80", "\"" FFFD FFFD FFFD FFFD "\"", "\\xf4\\x90\\x80\\x80", "\"" FFFD FFFD FFFD FFFD "\"" },
        { "\xe2\x82", "\"" FFFD FFFD "\"", "\\xe2\\x82", "\"" FFFD FFFD "\"" }, /* cut short */
    };
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"name\":%s}", cases[i].json);
        check_row(CSV, cell_text(cases[i].name), cases[i].csv);
        check_row(TSV, cell_text(cases[i].name), cases[i].tsv);
        check_row(JSON, cell_text(cases[i].name), json);
    }
}

static void numbers(void ** state) {
    (void) state;
    check_row(CSV, cell_number(0), "0");
    check_row(TSV, cell_number(UINT64_MAX), "18446744073709551615");
    check_row(JSON, cell_number(1000000), "{\"name\":1000000}");
    check_row(CSV, cell_signed(INT64_MIN), "-9223372036854775808");
    check_row(JSON, cell_signed(-1), "{\"name\":-1}");
    check_row(TSV, cell_signed(INT64_MAX), "9223372036854775807");
}

/* Pieces end anywhere in the buffer, and one is longer than it. */
static void output_is_what_was_put(void ** state) {
    static struct text_out out;
    static char long_text[3 * TEXT_OUT_BYTES];
    char * text = NULL;
    size_t size = 0, put = 0;
    FILE * file = open_memstream(&text, &size);
    (void) state;
    memset(long_text, 'x', sizeof long_text - 1);
    text_out_begin(&out, file);
    for (uint64_t i = 0; i < 100000; i++, put += 6) { text_out_number(&out, 100000 + i); }
    text_out_string(&out, long_text);
    text_out_char(&out, '!');
    assert_int_equal(text_out_end(&out), 0);
    fclose(file);
    assert_int_equal(size, put + sizeof long_text);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_int_equal(strtoull((char[7]){ text[6 * i], text[6 * i + 1], text[6 * i + 2], text[6 * i + 3],
                                             text[6 * i + 4], text[6 * i + 5] },
                                  NULL, 10),
                         100000 + i);
    }
    assert_memory_equal(text + put, long_text, sizeof long_text - 1);
    assert_int_equal(text[size - 1], '!');
    free(text);
}

static void a_failed_write_is_kept(void ** state) {
    static struct text_out out;
    FILE * file = fopen("/dev/full", "w");
    (void) state;
    assert_non_null(file);
    text_out_begin(&out, file);
    for (int i = 0; i < 100000; i++) { text_out_string(&out, "something "); }
    assert_int_equal(out.error, ENOSPC);
    errno = 0;
    assert_int_equal(text_out_end(&out), ENOSPC);
    fclose(file);
    file = fopen("/dev/full", "w");
    text_out_begin(&out, file);
    text_out_char(&out, 'x'); /* fails only at the end */
    assert_int_equal(text_out_end(&out), ENOSPC);
    fclose(file);
}

/* ---- layouts ---- */

static void layouts_have_numbers(void ** state) {
    struct layout_table table = { 0 };
    (void) state;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i < UINT16_MAX; i++) {
            const struct tat_layout layout = { i % 1000, i * 4096 };
            assert_int_equal(layout_table_number(&table, layout), i);
            assert_int_equal(table.layouts[i].stride, layout.stride);
        }
    }
    assert_int_equal(layout_table_number(&table, (struct tat_layout){ 7, 7 }), 0); /* full */
    assert_int_equal(layout_table_number(&table, (struct tat_layout){ 1, 4096 }), 1);
    layout_table_free(&table);
}

/* ---- files ---- */

/* Not every file system can make a file without a name. The linker sends our calls of open here. */
static bool no_nameless_files;
int __wrap_open64(const char * path, int flags, ...);
int __real_open64(const char * path, int flags, ...);

int __wrap_open64(const char * path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (no_nameless_files && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open64(path, flags, mode);
}

struct folder {
    char path[64], file[96], link[96];
};

static void make_folder(struct folder * f) {
    strcpy(f->path, "/tmp/test_text_row.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/file", f->path);
    snprintf(f->link, sizeof f->link, "%s/link", f->path);
}

static void expect_file(const char * path, const char * expected) {
    char text[64] = "";
    FILE * file = fopen(path, "r");
    if (!expected) {
        assert_null(file);
        return;
    }
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static int replace(const char * path, const char * text, int good) {
    struct file_replace r;
    struct tat_error error = { 0 };
    if (file_replace_open(&r, path, &error) != 0) { fail_msg("%s", error.message); }
    fputs(text, r.file);
    return file_replace_end(&r, good, &error);
}

static void check_replacing(void) {
    struct folder f;
    struct stat status;
    make_folder(&f);
    assert_int_equal(replace(f.file, "half", 0), -1);
    expect_file(f.file, NULL);
    assert_int_equal(rmdir(f.path), 0); /* nothing else is in it */
    assert_int_equal(mkdir(f.path, 0700), 0);
    const mode_t mask = umask(027);
    assert_int_equal(replace(f.file, "old", 1), 0);
    umask(mask);
    assert_int_equal(stat(f.file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(replace(f.file, "half", 0), -1);
    expect_file(f.file, "old");
    assert_int_equal(symlink("file", f.link), 0);
    assert_int_equal(replace(f.link, "new", 1), 0);
    expect_file(f.file, "new");
    assert_int_equal(lstat(f.link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(unlink(f.link), 0);
    assert_int_equal(unlink(f.file), 0);
    assert_int_equal(rmdir(f.path), 0);
}

static void a_file_is_replaced_whole_or_not_at_all(void ** state) {
    (void) state;
    check_replacing();
    no_nameless_files = true;
    check_replacing();
    no_nameless_files = false;
}

/* Ends with the file there, or with `expected` left as it was and nothing else in the folder. */
static void check_only_new(const struct folder * f, const char * expected) {
    struct file_replace r;
    struct tat_error error = { 0 };
    assert_int_equal(file_replace_open(&r, f->file, &error), 0);
    r.only_new = r.durable = true;
    fputs("new", r.file);
    assert_int_equal(file_replace_end(&r, 1, &error), expected ? -1 : 0);
    if (expected) { assert_non_null(strstr(error.message, "File exists")); }
    expect_file(f->file, expected ? expected : "new");
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
}

static void a_new_file_replaces_none(void ** state) {
    struct folder f;
    (void) state;
    make_folder(&f);
    for (int round = 0; round < 2; round++) {
        no_nameless_files = round;
        check_only_new(&f, NULL);
        assert_int_equal(replace(f.file, "old", 1), 0);
        check_only_new(&f, "old");
    }
    no_nameless_files = false;
    assert_int_equal(rmdir(f.path), 0);
}

static void what_is_not_a_regular_file_is_written_in_place(void ** state) {
    struct folder f;
    struct stat status;
    (void) state;
    make_folder(&f);
    assert_int_equal(mkfifo(f.file, 0600), 0);
    const int reader = open(f.file, O_RDONLY | O_NONBLOCK);
    assert_int_equal(replace(f.file, "through", 1), 0);
    char text[16] = "";
    assert_int_equal(read(reader, text, sizeof text - 1), 7);
    assert_string_equal(text, "through");
    close(reader);
    assert_int_equal(stat(f.file, &status), 0);
    assert_true(S_ISFIFO(status.st_mode));
    assert_int_equal(unlink(f.file), 0);
    assert_int_equal(rmdir(f.path), 0);
    assert_int_equal(replace("/dev/full", "nothing", 1), -1);
    assert_int_equal(stat("/dev/full", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void a_place_that_does_not_exist_is_named(void ** state) {
    struct file_replace r;
    struct tat_error error = { 0 };
    (void) state;
    assert_int_equal(file_replace_open(&r, "/nonexistent/file", &error), -1);
    assert_string_equal(error.message, "/nonexistent/file: cannot write: No such file or directory");
    assert_int_equal(file_replace_open(&r, "/tmp", &error), -1);
    assert_string_equal(error.message, "/tmp: cannot write: Is a directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_any_bytes),
        cmocka_unit_test(numbers),
        cmocka_unit_test(output_is_what_was_put),
        cmocka_unit_test(a_failed_write_is_kept),
        cmocka_unit_test(layouts_have_numbers),
        cmocka_unit_test(a_file_is_replaced_whole_or_not_at_all),
        cmocka_unit_test(a_new_file_replaces_none),
        cmocka_unit_test(what_is_not_a_regular_file_is_written_in_place),
        cmocka_unit_test(a_place_that_does_not_exist_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
