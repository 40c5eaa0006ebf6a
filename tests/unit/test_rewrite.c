/* SPDX-License-Identifier: MIT
 *
 * Model files written anew: every order, version and byte order, odd files, and files that must be refused. What was
 * written is read back here too, without the library's verification.
 */
#include "test_gguf_builder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "gguf/rewrite.h"

/* A model in memory, its new file, and what was planned. */
struct work {
    int from, to;
    char from_path[64], to_path[64];
    struct tat_gguf * gguf;
    struct rewrite r;
};

static void work_open(struct work * w, const void * bytes, size_t size, unsigned flags) {
    struct tat_error error = { 0 };
    w->from = builder_file(bytes, size, w->from_path);
    w->to = builder_file("", 0, w->to_path);
    w->gguf = tat_gguf_open(w->from_path, flags | TAT_GGUF_SINGLE, &error);
    if (!w->gguf) { fail_msg("%s", error.message); }
    w->r = (struct rewrite){ .from = -1 };
}

static void work_close(struct work * w) {
    rewrite_close(&w->r);
    tat_gguf_close(w->gguf);
    close(w->from);
    close(w->to);
}

static void plan(struct work * w, const uint32_t * order, uint32_t alignment) {
    struct tat_error error = { 0 };
    if (rewrite_open(&w->r, w->gguf, order, alignment, &error)) { fail_msg("%s", error.message); }
}

static void refuse(struct work * w, const uint32_t * order, uint32_t alignment, int kind, const char * message) {
    struct tat_error error = { 0 };
    assert_int_equal(rewrite_open(&w->r, w->gguf, order, alignment, &error), -1);
    assert_int_equal(error.kind, kind);
    if (!strstr(error.message, message)) { fail_msg("'%s' instead of '%s'", error.message, message); }
    rewrite_close(&w->r);
}

static void write_new(struct work * w) {
    struct tat_error error = { 0 };
    if (rewrite_write(&w->r, w->to, "new", NULL, NULL, &error) ||
        rewrite_verify(&w->r, w->to, "new", NULL, NULL, &error)) {
        fail_msg("%s", error.message);
    }
}

static void expect_bytes(int a, uint64_t at_a, int b, uint64_t at_b, uint64_t count) {
    unsigned char x[4096], y[4096];
    assert_in_range(count, 0, sizeof x);
    assert_int_equal(pread(a, x, count, (off_t) at_a), count);
    assert_int_equal(pread(b, y, count, (off_t) at_b), count);
    assert_memory_equal(x, y, count);
}

/* The new file: its tensors stand in `order`, one after the other, and are what they were. */
static void expect_new(const struct work * w, const uint32_t * order, uint32_t alignment) {
    struct tat_error error = { 0 };
    uint32_t n, count;
    const struct tat_gguf_tensor * old = tat_gguf_tensors(w->gguf, &n);
    struct tat_gguf * gguf = tat_gguf_open(w->to_path, TAT_GGUF_SINGLE, &error);
    if (!gguf) { fail_msg("%s", error.message); }
    const struct tat_gguf_file * file = tat_gguf_files(gguf, &count);
    const struct tat_gguf_tensor * new = tat_gguf_tensors(gguf, &count);
    assert_int_equal(count, n);
    assert_int_equal(file->alignment, alignment);
    uint64_t at = file->data_offset;
    for (uint32_t i = 0; i < n; i++) {
        const struct tat_gguf_tensor * t = &old[order[i]];
        assert_string_equal(new[i].name, t->name);
        assert_int_equal(new[i].type, t->type);
        assert_memory_equal(new[i].ne, t->ne, sizeof t->ne);
        assert_int_equal(new[i].n_dims, t->n_dims);
        assert_int_equal(new[i].file_offset, at);
        expect_bytes(w->from, t->file_offset, w->to, at, t->bytes);
        at = (at + t->bytes + alignment - 1) / alignment * alignment;
    }
    assert_int_equal(file->size, at);
    tat_gguf_close(gguf);
}

/* Bytes that differ wherever they are. */
static void fill(struct builder * b, size_t from) {
    for (size_t i = from; i < b->size; i++) { b->bytes[i] = (unsigned char) (i * 7 + i / 256 * 13); }
}

static const uint32_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

static void every_order_version_and_byte_order(void ** state) {
    (void) state;
    for (unsigned i = 0; i < 6 * 4; i++) {
        struct sample s;
        struct work w;
        const uint32_t * order = orders[i % 6];
        const bool big_endian = i / 6 % 2;
        sample_build(&s, i / 12 ? 2 : 3, big_endian);
        fill(&s.builder, s.mark[M_DATA]);
        work_open(&w, s.builder.bytes, s.builder.size, 0);
        plan(&w, order, 0);
        assert_int_equal(rewrite_is_needless(&w.r), order[0] == 0 && order[1] == 1);
        write_new(&w);
        expect_new(&w, order, 32);
        expect_bytes(w.from, 0, w.to, 0, s.mark[M_NAME_LENGTH]); /* counts and metadata */
        work_close(&w);
        builder_free(&s.builder);
    }
}

/* ---- alignment ---- */

static void an_alignment_is_changed_in_its_place(void ** state) {
    (void) state;
    for (uint32_t alignment = 32; alignment <= 4096; alignment *= 2) {
        struct sample s;
        struct work w;
        sample_build(&s, 3, alignment & 0x550);
        fill(&s.builder, s.mark[M_DATA]);
        work_open(&w, s.builder.bytes, s.builder.size, 0);
        plan(&w, orders[4], alignment);
        write_new(&w);
        expect_new(&w, orders[4], alignment);
        expect_bytes(w.from, 0, w.to, 0, s.mark[M_ALIGNMENT]);
        expect_bytes(w.from, s.mark[M_ALIGNMENT] + 4, w.to, s.mark[M_ALIGNMENT] + 4,
                     s.mark[M_NAME_LENGTH] - s.mark[M_ALIGNMENT] - 4);
        work_close(&w);
        builder_free(&s.builder);
    }
}

/* Tensors of i8, one after the other, with `gap` bytes more than the padding between them. */
struct tensor {
    const char * name;
    uint64_t bytes;
};

static void build(struct builder * b, const struct tensor * tensors, uint32_t n, uint32_t alignment, bool says,
                  uint64_t gap) {
    uint64_t offset = 0;
    put_header(b, 3, n, 1 + says);
    put_kv_string(b, "general.architecture", "llama");
    if (says) { put_kv_u32(b, "general.alignment", alignment); }
    for (uint32_t i = 0; i < n; i++) {
        put_tensor(b, tensors[i].name, 1, &tensors[i].bytes, 24, offset);
        offset = (offset + tensors[i].bytes + alignment - 1) / alignment * alignment + gap;
    }
    put_padding(b, alignment);
    const size_t data = b->size;
    put_bytes(b, NULL, offset);
    fill(b, data);
}

static const struct tensor odd[] = { { "blk.0.a", 33 }, { "empty", 0 }, { "blk.0.b", 1 }, { "blk.1.a", 64 } };
enum { ODD = 4 };
static const uint32_t backwards[ODD] = { 3, 2, 1, 0 };

static void an_alignment_is_added(void ** state) {
    struct builder b = { 0 };
    struct work w;
    uint32_t count;
    uint64_t value;
    (void) state;
    build(&b, odd, ODD, 32, false, 0);
    work_open(&w, b.bytes, b.size, 0);
    plan(&w, backwards, 32); /* which is what a file without the key has */
    assert_false(w.r.adds_key);
    rewrite_close(&w.r);
    plan(&w, backwards, 4096);
    write_new(&w);
    expect_new(&w, backwards, 4096);
    struct tat_gguf * new = tat_gguf_open(w.to_path, 0, NULL);
    assert_non_null(new);
    tat_gguf_metadata(new, &count);
    assert_int_equal(count, 2);
    assert_true(tat_gguf_uint(tat_gguf_find_key(new, "general.alignment"), 0, &value));
    assert_int_equal(value, 4096);
    assert_string_equal(tat_gguf_string(tat_gguf_find_key(new, "general.architecture")), "llama");
    tat_gguf_close(new);
    work_close(&w);
    builder_free(&b);
}

static void odd_files_become_sound_ones(void ** state) {
    static const uint32_t alignments[] = { 1, 8, 32, 4096 };
    (void) state;
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        for (uint64_t gaps = 0; gaps < 2; gaps++) {
            struct builder b = { 0 };
            struct work w;
            build(&b, odd, ODD, alignments[i], true, gaps * alignments[i]);
            put_bytes(&b, "behind the tensors", 18);
            work_open(&w, b.bytes, b.size, 0);
            plan(&w, backwards, 0);
            write_new(&w);
            expect_new(&w, backwards, alignments[i]);
            rewrite_close(&w.r);
            const uint32_t same[ODD] = { 0, 1, 2, 3 };
            plan(&w, same, 0);
            assert_int_equal(rewrite_is_needless(&w.r), gaps == 0);
            work_close(&w);
            builder_free(&b);
        }
    }
}

static void a_model_without_tensors(void ** state) {
    struct builder b = { 0 };
    struct work w;
    (void) state;
    build(&b, odd, 0, 32, false, 0);
    work_open(&w, b.bytes, b.size, 0);
    plan(&w, NULL, 0);
    assert_true(rewrite_is_needless(&w.r));
    rewrite_close(&w.r);
    plan(&w, NULL, 64);
    write_new(&w);
    work_close(&w);
    builder_free(&b);
}

/* ---- refusals ---- */

static void what_is_no_order_is_refused(void ** state) {
    struct sample s;
    struct work w;
    (void) state;
    sample_build(&s, 3, false);
    work_open(&w, s.builder.bytes, s.builder.size, 0);
    refuse(&w, (const uint32_t[]){ 0, 1, 1 }, 0, TAT_ERROR_USAGE, "has a place already");
    refuse(&w, (const uint32_t[]){ 0, 3, 1 }, 0, TAT_ERROR_USAGE, "does not exist");
    refuse(&w, (const uint32_t[]){ UINT32_MAX, 0, 1 }, 0, TAT_ERROR_USAGE, "does not exist");
    static const uint32_t alignments[] = { 1, 16, 31, 48, 131072, UINT32_MAX };
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        refuse(&w, orders[1], alignments[i], TAT_ERROR_USAGE, "is not a power of two");
    }
    work_close(&w);
    builder_free(&s.builder);
}

static void damaged_files_are_refused(void ** state) {
    static const struct {
        enum mark mark;
        uint64_t value;
        unsigned width;
        const char * message;
    } cases[] = {
        { M_SECOND_OFFSET, 736, 8, "overlaps 32 bytes" },
        { M_SECOND_OFFSET, 776, 8, "does not begin at a multiple" },
        { M_THIRD_OFFSET, 1 << 20, 8, "after the file" },
        { M_TYPE, 4711, 4, "tensor 'token_embd.weight' is of unknown type 4711" },
    };
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample s;
        struct work w;
        sample_build(&s, 3, false);
        store(&s.builder, s.mark[cases[i].mark], cases[i].value, cases[i].width);
        work_open(&w, s.builder.bytes, s.builder.size, TAT_GGUF_TOLERANT);
        refuse(&w, orders[1], 0, TAT_ERROR_INPUT, cases[i].message);
        work_close(&w);
        builder_free(&s.builder);
    }
}

static void a_file_that_changes_is_refused(void ** state) {
    struct sample s;
    struct work w;
    struct tat_error error = { 0 };
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };
    (void) state;
    sample_build(&s, 3, false);
    work_open(&w, s.builder.bytes, s.builder.size, 0);
    plan(&w, orders[1], 0);
    assert_int_equal(futimens(w.from, times), 0);
    assert_int_equal(rewrite_write(&w.r, w.to, "new", NULL, NULL, &error), -1);
    assert_non_null(strstr(error.message, "was changed meanwhile"));
    assert_int_equal(ftruncate(w.from, (off_t) s.mark[M_SECOND_DATA]), 0);
    assert_int_equal(rewrite_write(&w.r, w.to, "new", NULL, NULL, &error), -1);
    assert_non_null(strstr(error.message, "became shorter"));
    rewrite_close(&w.r);
    refuse(&w, orders[1], 0, TAT_ERROR_INPUT, "was changed meanwhile");
    work_close(&w);
    builder_free(&s.builder);
}

/* ---- faults ---- */

static bool stop_at(uint64_t done, void * user) {
    uint64_t * most = user;
    return done < *most;
}

static void stopping_and_a_full_disk_are_errors(void ** state) {
    struct sample s;
    struct work w;
    struct tat_error error = { 0 };
    uint64_t most = 800;
    (void) state;
    sample_build(&s, 3, false);
    work_open(&w, s.builder.bytes, s.builder.size, 0);
    plan(&w, orders[1], 0);
    assert_int_equal(rewrite_write(&w.r, w.to, "new", stop_at, &most, &error), -1);
    assert_string_equal(error.message, "new: stopped");
    write_new(&w);
    assert_int_equal(rewrite_verify(&w.r, w.to, "new", stop_at, &most, &error), -1);
    assert_string_equal(error.message, "new: stopped");
    const int full = memfd_create("full", MFD_ALLOW_SEALING);
    assert_int_equal(fcntl(full, F_ADD_SEALS, F_SEAL_GROW), 0);
    assert_int_equal(rewrite_write(&w.r, full, "new", NULL, NULL, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    close(full);
    work_close(&w);
    builder_free(&s.builder);
}

/* Whatever byte the disk lost, it is noticed; but for those that belong to nothing. */
static void verification_finds_every_flipped_byte(void ** state) {
    struct sample s;
    struct work w;
    struct tat_error error = { 0 };
    unsigned char byte;
    size_t unnoticed = 0;
    (void) state;
    sample_build(&s, 3, false);
    fill(&s.builder, s.mark[M_DATA]);
    work_open(&w, s.builder.bytes, s.builder.size, 0);
    plan(&w, orders[5], 0);
    write_new(&w);
    const size_t padding = s.mark[M_DATA] - s.mark[M_HEADER_END];
    for (off_t at = 0; at < (off_t) w.r.size; at++) {
        assert_int_equal(pread(w.to, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(w.to, &byte, 1, at), 1);
        if (rewrite_verify(&w.r, w.to, "new", NULL, NULL, &error) == 0) { unnoticed++; }
        byte ^= 1;
        assert_int_equal(pwrite(w.to, &byte, 1, at), 1);
    }
    assert_int_equal(unnoticed, padding + 1); /* and the version: 2 and 3 are read alike */
    work_close(&w);
    builder_free(&s.builder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_version_and_byte_order),
        cmocka_unit_test(an_alignment_is_changed_in_its_place),
        cmocka_unit_test(an_alignment_is_added),
        cmocka_unit_test(odd_files_become_sound_ones),
        cmocka_unit_test(a_model_without_tensors),
        cmocka_unit_test(what_is_no_order_is_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_file_that_changes_is_refused),
        cmocka_unit_test(stopping_and_a_full_disk_are_errors),
        cmocka_unit_test(verification_finds_every_flipped_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
