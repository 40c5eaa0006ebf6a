/* SPDX-License-Identifier: MIT
 *
 * One field of a well-formed file is corrupted, and an error expected that names the field and its byte.
 */
#include "test_gguf_builder.h"

#include <inttypes.h>

enum change { PATCH, CUT, APPEND };

struct corruption {
    const char * name;
    enum change change;
    enum mark mark; /* PATCH: what is overwritten; CUT: where the file ends, together with value */
    unsigned width; /* PATCH: bytes; 0: one NUL byte is written into the text */
    uint64_t value;
    const char * expected;
    enum mark at; /* the byte the message must name; M_COUNT: any */
};

#define NEGATIVE(n) ((uint64_t) - (int64_t) (n))

static const struct corruption refused[] = {
    /* the fixed part */
    { "empty file", CUT, M_MAGIC, 0, 0, "the magic needs 4 bytes", M_MAGIC },
    { "magic cut", CUT, M_MAGIC, 0, 3, "the magic needs 4 bytes", M_MAGIC },
    { "other magic", PATCH, M_MAGIC, 4, 0x04034b50, "not a GGUF file: it begins with 50 4b 03 04", M_MAGIC },
    { "ggjt magic", PATCH, M_MAGIC, 4, 0x67676a74, "from before GGUF", M_MAGIC },
    { "ggml magic", PATCH, M_MAGIC, 4, 0x67676d6c, "from before GGUF", M_MAGIC },
    { "version cut", CUT, M_VERSION, 0, 2, "the version needs 4 bytes", M_VERSION },
    { "version 0", PATCH, M_VERSION, 4, 0, "GGUF version 0 is unknown", M_VERSION },
    { "version 1", PATCH, M_VERSION, 4, 1, "GGUF version 1 is not supported", M_VERSION },
    { "version 4", PATCH, M_VERSION, 4, 4, "GGUF version 4 is unknown", M_VERSION },
    { "version 2^32-1", PATCH, M_VERSION, 4, UINT32_MAX, "GGUF version 4294967295 is unknown", M_VERSION },
    { "big-endian version 1", PATCH, M_VERSION, 4, 1u << 24, "GGUF version 1 is not supported", M_VERSION },
    { "big-endian version, little-endian rest", PATCH, M_VERSION, 4, 3u << 24, "the number of tensors is",
      M_N_TENSORS },
    { "n_tensors cut", CUT, M_N_TENSORS, 0, 7, "the number of tensors needs 8 bytes", M_N_TENSORS },
    { "n_tensors 2^64-1", PATCH, M_N_TENSORS, 8, UINT64_MAX,
      "the number of tensors is 18446744073709551615; the maximum is", M_N_TENSORS },
    { "n_tensors negative", PATCH, M_N_TENSORS, 8, 1ull << 63, "the number of tensors is", M_N_TENSORS },
    { "n_tensors wraps an allocation", PATCH, M_N_TENSORS, 8, UINT64_MAX / 104 + 2, "the number of tensors is",
      M_N_TENSORS },
    { "n_tensors more than fit", PATCH, M_N_TENSORS, 8, 1000, "more than a file of", M_N_TENSORS },
    { "n_tensors one too many", PATCH, M_N_TENSORS, 8, 4, "", M_COUNT },
    { "n_kv 2^64-1", PATCH, M_N_KV, 8, UINT64_MAX,
      "the number of metadata keys is 18446744073709551615; the maximum is", M_N_KV },
    { "n_kv wraps an allocation", PATCH, M_N_KV, 8, UINT64_MAX / 56 + 2, "the number of metadata keys is", M_N_KV },
    { "n_kv more than fit", PATCH, M_N_KV, 8, 60000, "more than a file of", M_N_KV },
    { "n_kv one too many", PATCH, M_N_KV, 8, SAMPLE_N_KV + 1, "a tensor's name is", M_COUNT },
    { "n_kv one too few", PATCH, M_N_KV, 8, SAMPLE_N_KV - 1, "tensor 'uint64' has 10 dimensions", M_COUNT },
    /* metadata */
    { "key length 2^64-1", PATCH, M_KEY_LENGTH, 8, UINT64_MAX, "a metadata key is 18446744073709551615 bytes long",
      M_KEY_LENGTH },
    { "key length past the end", PATCH, M_KEY_LENGTH, 8, 1u << 20, "a metadata key is 1048576 bytes long",
      M_KEY_LENGTH },
    { "key length 0", PATCH, M_KEY_LENGTH, 8, 0, "a metadata key is empty", M_KEY_LENGTH },
    { "key cut", CUT, M_LAYERS, 0, NEGATIVE(8), "a metadata key is 17 bytes long, but the file ends", M_COUNT },
    { "NUL in a key", PATCH, M_KEY, 0, 0, "a metadata key holds a NUL byte", M_KEY_LENGTH },
    { "key twice", PATCH, M_SECOND_KEY, 20, 'e', "there are two keys 'general.architecture'", M_COUNT },
    { "value type 13", PATCH, M_KEY_TYPE, 4, 13, "the type of a metadata value is 13", M_KEY_TYPE },
    { "value type 2^32-1", PATCH, M_KEY_TYPE, 4, UINT32_MAX, "the type of a metadata value is 4294967295", M_KEY_TYPE },
    { "value type cut", CUT, M_LAYERS, 0, NEGATIVE(2), "the type of a metadata value needs 4 bytes", M_COUNT },
    { "string length 2^64-1", PATCH, M_STRING_LENGTH, 8, UINT64_MAX, "a metadata string is", M_STRING_LENGTH },
    { "string length past the end", PATCH, M_STRING_LENGTH, 8, 1u << 20, "a metadata string is 1048576 bytes",
      M_STRING_LENGTH },
    { "alignment is a float", PATCH, M_ALIGNMENT_TYPE, 4, TAT_GGUF_FLOAT32, "general.alignment has type float32",
      M_ALIGNMENT },
    { "alignment is an int", PATCH, M_ALIGNMENT_TYPE, 4, TAT_GGUF_INT32, "general.alignment has type int32",
      M_ALIGNMENT },
    { "alignment 0", PATCH, M_ALIGNMENT, 4, 0, "general.alignment is 0, but must be a power of two", M_ALIGNMENT },
    { "alignment 24", PATCH, M_ALIGNMENT, 4, 24, "general.alignment is 24", M_ALIGNMENT },
    { "alignment 2^32-1", PATCH, M_ALIGNMENT, 4, UINT32_MAX, "general.alignment is 4294967295", M_ALIGNMENT },
    { "alignment 2^31", PATCH, M_ALIGNMENT, 4, 1u << 31, "bytes after the file", M_COUNT },
    { "alignment 64", PATCH, M_ALIGNMENT, 4, 64, "does not begin at a multiple of the alignment, 64", M_COUNT },
    { "too many layers", PATCH, M_LAYERS, 4, 70000, "block_count is 70000; the maximum is", M_LAYERS },
    { "2^32-1 layers", PATCH, M_LAYERS, 4, UINT32_MAX, "block_count is 4294967295", M_LAYERS },
    { "array of arrays", PATCH, M_ARRAY_TYPE, 4, TAT_GGUF_ARRAY, "an array of arrays", M_ARRAY_TYPE },
    { "array of type 77", PATCH, M_ARRAY_TYPE, 4, 77, "the type of an array's elements is 77", M_ARRAY_TYPE },
    { "array length 2^64-1", PATCH, M_ARRAY_LENGTH, 8, UINT64_MAX, "an array of 18446744073709551615 elements",
      M_ARRAY_LENGTH },
    { "array size wraps", PATCH, M_ARRAY_LENGTH, 8, UINT64_MAX / 4 + 2, "an array of 4611686018427387905 elements",
      M_ARRAY_LENGTH },
    { "array past the end", PATCH, M_ARRAY_LENGTH, 8, 5000, "an array of 5000 elements", M_ARRAY_LENGTH },
    { "array of strings past the end", PATCH, M_STRINGS_LENGTH, 8, 4000, "an array of 4000 elements",
      M_STRINGS_LENGTH },
    { "array of strings 2^61", PATCH, M_STRINGS_LENGTH, 8, 1ull << 61, "an array of 2305843009213693952",
      M_STRINGS_LENGTH },
    { "string in an array 2^64-1", PATCH, M_STRINGS_FIRST, 8, UINT64_MAX, "a string of an array is", M_STRINGS_FIRST },
    { "string in an array past the end", PATCH, M_STRINGS_FIRST, 8, 9999, "a string of an array is 9999 bytes",
      M_STRINGS_FIRST },
    /* tensors */
    { "name length 2^64-1", PATCH, M_NAME_LENGTH, 8, UINT64_MAX, "a tensor's name is 18446744073709551615 bytes",
      M_NAME_LENGTH },
    { "name length 1025", PATCH, M_NAME_LENGTH, 8, 1025, "a tensor's name is 1025 bytes long; the maximum is 1024",
      M_NAME_LENGTH },
    { "NUL in a name", PATCH, M_NAME, 0, 0, "a tensor's name holds a NUL byte", M_NAME_LENGTH },
    { "name twice", PATCH, M_SECOND_NAME, 17, 'w', "there are two tensors 'token_embd.weight'", M_COUNT },
    { "5 dimensions", PATCH, M_N_DIMS, 4, 5, "'token_embd.weight' has 5 dimensions; the maximum is 4", M_N_DIMS },
    { "2^32-1 dimensions", PATCH, M_N_DIMS, 4, UINT32_MAX, "has 4294967295 dimensions", M_N_DIMS },
    { "dimension -1", PATCH, M_NE0, 8, NEGATIVE(1), "dimension 0 is negative: -1", M_NE0 },
    { "dimension 2^63", PATCH, M_NE1, 8, 1ull << 63, "dimension 1 is negative", M_NE1 },
    { "product wraps to 0", PATCH, M_NE1, 8, 1ull << 58, "the product of its dimensions exceeds", M_NE1 },
    { "product negative", PATCH, M_NE1, 8, 1ull << 57, "the product of its dimensions exceeds", M_NE1 },
    { "product of four wraps", PATCH, M_THIRD_NE3, 8, 1ull << 56, "the product of its dimensions exceeds",
      M_THIRD_NE3 },
    { "product wraps past 0", PATCH, M_THIRD_NE2, 8, (1ull << 57) + 1, "the product of its dimensions exceeds",
      M_THIRD_NE2 },
    { "size wraps", PATCH, M_NE1, 8, (1ull << 56) + 1, "'token_embd.weight' is larger than any file", M_TYPE },
    { "larger than the file", PATCH, M_NE1, 8, 1000, "", M_COUNT },
    { "1 TiB tensor", PATCH, M_THIRD_NE3, 8, 1ull << 32, "bytes after the file", M_THIRD_DATA },
    { "row is no whole block", PATCH, M_SECOND_NE0, 8, 65, "rows of 65 elements are not whole blocks of q8_0",
      M_SECOND_TYPE },
    { "type with larger blocks", PATCH, M_SECOND_TYPE, 4, 12, "rows of 64 elements are not whole blocks of q4_K",
      M_SECOND_TYPE },
    { "offset 2^64-1", PATCH, M_OFFSET, 8, UINT64_MAX, "its offset is 18446744073709551615", M_OFFSET },
    { "offset wraps to the header", PATCH, M_OFFSET, 8, NEGATIVE(32), "its offset is 18446744073709551584", M_OFFSET },
    { "offset 2^62", PATCH, M_OFFSET, 8, 1ull << 62, "its offset is 4611686018427387904", M_OFFSET },
    { "offset past the end", PATCH, M_THIRD_OFFSET, 8, 1ull << 40, "ends 1099511626464 bytes after the file", M_COUNT },
    { "offset odd", PATCH, M_OFFSET, 8, 1, "does not begin at a multiple of the alignment, 32", M_COUNT },
    { "offset overlaps", PATCH, M_SECOND_OFFSET, 8, 736, "'blk.0.attn_q.bias' overlaps 32 bytes", M_COUNT },
    { "same offset", PATCH, M_SECOND_OFFSET, 8, 0, "overlaps", M_DATA },
    { "data cut by a byte", CUT, M_END, 0, NEGATIVE(1), "'blk.1.ffn_gate_exps.weight' ends 1 bytes after the file",
      M_THIRD_DATA },
    { "no data", CUT, M_DATA, 0, 0, "'token_embd.weight' ends 768 bytes after the file", M_DATA },
    { "header cut by a byte", CUT, M_HEADER_END, 0, NEGATIVE(1), "a tensor's offset needs 8 bytes", M_THIRD_OFFSET },
};

static const struct corruption found[] = {
    { "tensor beyond the file", PATCH, M_SECOND_OFFSET, 8, 4096 + 768, "'blk.0.attn_q.bias' ends", M_COUNT },
    { "gap between tensors", PATCH, M_NE1, 8, 1, "512 bytes after tensor 'token_embd.weight' belong to no tensor",
      M_COUNT },
    { "gap after the header", PATCH, M_OFFSET, 8, 64, "bytes after the header belong to no tensor", M_HEADER_END },
    { "trailing bytes", APPEND, M_END, 0, 100, "100 bytes at the end of the file belong to no tensor", M_END },
    { "unknown type", PATCH, M_SECOND_TYPE, 4, 99,
      "'blk.0.attn_q.bias' is of unknown type 99; up to the next tensor it has 544", M_SECOND_DATA },
    { "type without a meaning any more", PATCH, M_SECOND_TYPE, 4, 4, "is of unknown type 4", M_SECOND_DATA },
    { "type 2^32-1", PATCH, M_SECOND_TYPE, 4, UINT32_MAX, "is of unknown type 4294967295", M_SECOND_DATA },
    { "stray layer", PATCH, M_LAYERS, 4, 1, "is of layer 1, the model has 1", M_THIRD_DATA },
};

static void apply(const struct corruption * c, struct sample * s) {
    struct builder * b = &s->builder;
    const size_t at = s->mark[c->mark];
    switch (c->change) {
        case CUT: b->size = at + c->value; break;
        case APPEND: put_bytes(b, NULL, c->value); break;
        case PATCH:
            if (c->mark == M_SECOND_KEY) {
                memcpy(b->bytes + at, b->bytes + s->mark[M_KEY], c->width);
            } else if (c->mark == M_SECOND_NAME) {
                memcpy(b->bytes + at, b->bytes + s->mark[M_NAME], c->width);
            } else if (c->width == 0) {
                b->bytes[at + 2] = '\0';
            } else {
                store(b, at, c->value, c->width);
            }
            break;
    }
}

static void expect(const struct corruption * c, const struct sample * s, const char * message) {
    char byte[40];
    if (!strstr(message, c->expected)) { fail_msg("%s: expected \"%s\", got \"%s\"", c->name, c->expected, message); }
    if (c->at == M_COUNT) { return; }
    snprintf(byte, sizeof byte, "byte %zu: ", s->mark[c->at]);
    if (!strstr(message, byte)) { fail_msg("%s: expected \"%s\", got \"%s\"", c->name, byte, message); }
}

static void test_each_corruption_is_named(void ** state) {
    (void) state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct sample s;
        struct tat_error error = { 0 };
        sample_build(&s, 3, false);
        apply(&refused[i], &s);
        struct tat_gguf * gguf = builder_open(&s.builder, 0, &error);
        if (gguf) { fail_msg("%s: was not refused", refused[i].name); }
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
        if (!strstr(error.message, "byte ")) { fail_msg("%s: no byte in \"%s\"", refused[i].name, error.message); }
        expect(&refused[i], &s, error.message);
        builder_free(&s.builder);
    }
}

static void test_what_can_be_lived_with_is_found(void ** state) {
    (void) state;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        struct sample s;
        sample_build(&s, 3, false);
        apply(&found[i], &s);
        struct tat_gguf * gguf = builder_open_good(&s.builder, TAT_GGUF_TOLERANT);
        char all[4096] = "", line[300];
        uint32_t count;
        uint64_t total;
        const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
        assert_int_equal(count, total);
        for (uint32_t f = 0; f < count; f++) {
            strcat(all, tat_gguf_finding_text(gguf, &findings[f], line, sizeof line));
            strcat(all, "\n");
        }
        expect(&found[i], &s, all);
        tat_gguf_close(gguf);
        builder_free(&s.builder);
    }
}

/* Wherever the file ends, there is an error that says where, from a reader that stays within its bounds (the sanitizers
 * watch). */
static void test_truncated_at_every_byte(void ** state) {
    (void) state;
    struct sample s;
    sample_build(&s, 3, false);
    const size_t whole = s.builder.size;
    for (s.builder.size = 0; s.builder.size < whole; s.builder.size++) {
        struct tat_error error = { 0 };
        assert_null(builder_open(&s.builder, 0, &error));
        assert_int_equal(error.kind, TAT_ERROR_INPUT);
        assert_non_null(strstr(error.message, "byte "));
        struct tat_gguf * gguf = builder_open(&s.builder, TAT_GGUF_TOLERANT, &error);
        assert_int_equal(gguf != NULL, s.builder.size >= s.mark[M_HEADER_END]);
        tat_gguf_close(gguf);
    }
    builder_free(&s.builder);
}

/* Only survival is expected. */
static void test_every_byte_changed(void ** state) {
    (void) state;
    static const unsigned char masks[] = { 0x01, 0x80, 0xff };
    struct sample s;
    sample_build(&s, 3, false);
    for (size_t i = 0; i < s.mark[M_HEADER_END]; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            s.builder.bytes[i] ^= masks[m];
            tat_gguf_close(builder_open(&s.builder, TAT_GGUF_TOLERANT, NULL));
            s.builder.bytes[i] ^= masks[m];
        }
    }
    builder_free(&s.builder);
}

static void test_findings_are_bounded(void ** state) {
    (void) state;
    const uint32_t n = 3000;
    struct builder b = { 0 };
    put_header(&b, 3, n, 0);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        put_tensor(&b, name, 1, (uint64_t[]){ 8 }, 99, 32ull * i);
    }
    /* The only error comes after more warnings than are kept; it must not be lost. */
    struct tat_error error = { 0 };
    assert_null(builder_open(&b, 0, &error));
    assert_non_null(strstr(error.message, "after the file"));

    put_padding(&b, 32);
    put_bytes(&b, NULL, 32 * n);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    uint32_t count;
    uint64_t total;
    tat_gguf_findings(gguf, &count, &total);
    assert_int_equal(count, TAT_GGUF_MAX_FINDINGS);
    assert_int_equal(total, n);
    tat_gguf_close(gguf);
    builder_free(&b);
}

static void test_messages_hold_no_control_characters(void ** state) {
    (void) state;
    struct builder b = { 0 };
    struct tat_error error = { 0 };
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "\033[2Jevil\n", 4, (uint64_t[]){ 1, 1, 1, UINT64_MAX }, 0, 0);
    assert_null(builder_open(&b, 0, &error));
    assert_non_null(strstr(error.message, "'?[2Jevil?'"));
    builder_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_corruption_is_named), cmocka_unit_test(test_what_can_be_lived_with_is_found),
        cmocka_unit_test(test_truncated_at_every_byte),  cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_findings_are_bounded),     cmocka_unit_test(test_messages_hold_no_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
