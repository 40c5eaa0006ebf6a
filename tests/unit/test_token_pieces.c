/* SPDX-License-Identifier: MIT
 *
 * The bytes that tokens stand for: by each kind of tokenizer, in files that are wrong, and, token by token, next to a
 * real llama.cpp. From the environment: LLAMA, its library, and MODELS, a folder; without them that is skipped.
 */
#include "test_gguf_builder.h"

#include <dlfcn.h>

#include "gguf/token_pieces.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

struct token {
    const char * text;
    int type;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void put_tokens(struct builder * b, const struct token * tokens, size_t n) {
    put_kv_array(b, "tokenizer.ggml.tokens", TAT_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) { put_string(b, tokens[i].text); }
    put_kv_array(b, "tokenizer.ggml.token_type", TAT_GGUF_INT32, n);
    for (size_t i = 0; i < n; i++) { put(b, (uint64_t) tokens[i].type, 4); }
}

/* A file with a vocabulary and no tensor. */
static struct builder vocabulary_of(const char * model, const struct token * tokens, size_t n) {
    struct builder b = { 0 };
    put_header(&b, 3, 0, 4);
    put_kv_string(&b, "general.architecture", "llama");
    put_kv_string(&b, "tokenizer.ggml.model", model);
    put_tokens(&b, tokens, n);
    put_padding(&b, 32);
    return b;
}

static struct token_pieces * read_of(const struct builder * b, struct tat_error * error) {
    char path[64];
    const int fd = builder_file(b->bytes, b->size, path);
    struct tat_gguf * gguf = tat_gguf_open(path, 0, error);
    if (!gguf) { fail_msg("%s", error->message); }
    struct token_pieces * pieces = token_pieces_read(gguf, error);
    tat_gguf_close(gguf);
    close(fd);
    return pieces;
}

static void expect(const char * model, const struct token * tokens, const struct token_piece * expected, size_t n) {
    struct tat_error error = { 0 };
    struct builder b = vocabulary_of(model, tokens, n);
    struct token_pieces * pieces = read_of(&b, &error);
    struct token_piece piece;
    if (!pieces) { fail_msg("%s", error.message); }
    for (size_t i = 0; i < n; i++) {
        assert_true(token_pieces_find(pieces, (int64_t) i, &piece));
        assert_int_equal(piece.n, expected[i].n);
        assert_memory_equal(piece.bytes, expected[i].bytes, piece.n);
        assert_int_equal(piece.is_control, expected[i].is_control);
    }
    assert_false(token_pieces_find(pieces, (int64_t) n, &piece));
    assert_false(token_pieces_find(pieces, -1, &piece));
    assert_false(token_pieces_find(pieces, INT64_MIN, &piece));
    token_pieces_free(pieces);
    builder_free(&b);
}

static void test_byte_level(void ** state) {
    (void) state;
    static const struct token tokens[] = {
        { "<|im_end|>", CONTROL }, { "\u0120robot", NORMAL },       { "\u010a", NORMAL },  { "\u00c3\u00a9", NORMAL },
        { "\u0100", NORMAL },      { "\u0143\u0142\u0121", NORMAL }, { "<think> ", USER_DEFINED },
        { "[PAD7]", UNUSED },      { "\u4e2d", NORMAL },            { "", NORMAL },
    };
    static const struct token_piece expected[] = {
        { "<|im_end|>", 10, true }, { " robot", 6, false }, { "\n", 1, false }, { "\xc3\xa9", 2, false },
        { "\0", 1, false },         { "\xad\xa0\x7f", 3, false }, { "<think> ", 8, false },
        { "", 0, false },           { "\u4e2d", 3, false }, { "", 0, false },
    };
    expect("gpt2", tokens, expected, COUNT(tokens));
}

static void test_sentence_piece(void ** state) {
    (void) state;
    static const struct token tokens[] = {
        { "<unk>", UNKNOWN }, { "<s>", CONTROL }, { "<0x0A>", BYTE },   { "<0xfF>", BYTE },        { "<0xg0>", BYTE },
        { "\u2581the", NORMAL }, { "\u2581\u2581", NORMAL }, { "\u0120", NORMAL }, { "<0x41>", NORMAL },
        { "\xe2\x96", NORMAL },
    };
    static const struct token_piece expected[] = {
        { "<unk>", 5, true }, { "<s>", 3, true }, { "\n", 1, false }, { "\xff", 1, false },
        { "<0xg0>", 6, false },
        { " the", 4, false }, { "  ", 2, false }, { "\u0120", 2, false }, { "<0x41>", 6, false },
        { "\xe2\x96", 2, false },
    };
    expect("llama", tokens, expected, COUNT(tokens));
    expect("bert", tokens, expected, COUNT(tokens));
    expect("t5", tokens, expected, COUNT(tokens));
}

static void test_others(void ** state) {
    (void) state;
    static const struct token tokens[] = {
        { "\\n\\t\\r\\\\", NORMAL }, { "\\x1b[", NORMAL }, { "\\x", NORMAL }, { "\\", NORMAL },
        { "\\xe4\\xb8", NORMAL },
    };
    static const struct token_piece expected[] = {
        { "\n\t\r\\", 4, false }, { "\x1b[", 2, false }, { "x", 1, false }, { "\\", 1, false },
        { "\xe4\xb8", 2, false },
    };
    expect("rwkv", tokens, expected, COUNT(tokens));
    static const struct token plamo[] = { { "<0x0A>", BYTE }, { " \u2581", NORMAL } };
    static const struct token_piece plamo_expected[] = { { "\n", 1, false }, { " \u2581", 4, false } };
    expect("plamo2", plamo, plamo_expected, COUNT(plamo));
}

static void test_refusals(void ** state) {
    (void) state;
    static const struct token tokens[] = { { "a", NORMAL } };
    struct tat_error error = { 0 };
    struct builder b = vocabulary_of("none", tokens, 1);
    assert_null(read_of(&b, &error));
    assert_non_null(strstr(error.message, "no tokenizer is known that is called none"));
    builder_free(&b);

    put_header(&b, 3, 0, 1);
    put_kv_string(&b, "general.architecture", "llama");
    put_padding(&b, 32);
    assert_null(read_of(&b, &error));
    assert_non_null(strstr(error.message, "it has no vocabulary"));
    builder_free(&b);

    put_header(&b, 3, 0, 3); /* the tokens are numbers */
    put_kv_string(&b, "general.architecture", "llama");
    put_kv_string(&b, "tokenizer.ggml.model", "llama");
    put_kv_array(&b, "tokenizer.ggml.tokens", TAT_GGUF_INT32, 1);
    put(&b, 7, 4);
    put_padding(&b, 32);
    assert_null(read_of(&b, &error));
    assert_non_null(strstr(error.message, "not an array of strings"));
    builder_free(&b);
}

/* Types that are missing, too few, or of another kind. */
static void test_types_are_optional(void ** state) {
    (void) state;
    struct tat_error error = { 0 };
    for (int few = 0; few < 2; few++) {
        struct builder b = { 0 };
        struct token_piece piece;
        put_header(&b, 3, 0, 3 + (uint64_t) few);
        put_kv_string(&b, "general.architecture", "llama");
        put_kv_string(&b, "tokenizer.ggml.model", "llama");
        put_kv_array(&b, "tokenizer.ggml.tokens", TAT_GGUF_STRING, 2);
        put_string(&b, "<s>");
        put_string(&b, "\u2581a");
        if (few) {
            put_kv_array(&b, "tokenizer.ggml.token_type", TAT_GGUF_INT32, 1);
            put(&b, CONTROL, 4);
        }
        put_padding(&b, 32);
        struct token_pieces * pieces = read_of(&b, &error);
        assert_non_null(pieces);
        assert_true(token_pieces_find(pieces, 0, &piece));
        assert_int_equal(piece.is_control, few);
        assert_true(token_pieces_find(pieces, 1, &piece));
        assert_int_equal(piece.n, 2);
        token_pieces_free(pieces);
        builder_free(&b);
    }
}

/* ---- next to llama.cpp ---- */

/* Of llama.h, as far as a vocabulary needs it: what comes behind `vocab_only` is passed on as it is. */
struct llama_model_params {
    void *devices, *overrides;
    int32_t numbers[5];
    void *split, *progress, *user, *kv;
    bool vocab_only;
    char others[183];
};

static struct {
    struct llama_model_params (*llama_model_default_params)(void);
    void * (*llama_model_load_from_file)(const char *, struct llama_model_params);
    const void * (*llama_model_get_vocab)(const void *);
    int32_t (*llama_vocab_n_tokens)(const void *);
    int32_t (*llama_token_to_piece)(const void *, int32_t, char *, int32_t, int32_t, bool);
    void (*llama_model_free)(void *);
    void (*llama_log_set)(void (*)(int, const char *, void *), void *);
} llama;

static void say_nothing(int level, const char * text, void * user) {
    (void) level, (void) text, (void) user;
}

/* Reads the symbols into the table above, whose members are in the order of these names. */
static bool load(void * library) {
    static const char * const names[] = {
        "llama_model_default_params", "llama_model_load_from_file", "llama_model_get_vocab", "llama_vocab_n_tokens",
        "llama_token_to_piece",       "llama_model_free",           "llama_log_set",
    };
    void ** slots = (void **) &llama;
    _Static_assert(sizeof llama == sizeof names, "a name for each function");
    for (size_t i = 0; i < COUNT(names); i++) {
        slots[i] = dlsym(library, names[i]);
        if (!slots[i]) { return false; }
    }
    llama.llama_log_set(say_nothing, NULL);
    return true;
}

static void * load_llama(void) {
    const char * path = getenv("LLAMA");
    void * library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    return library && load(library) ? library : NULL;
}

static void compare(const char * path) {
    struct llama_model_params params = llama.llama_model_default_params();
    params.vocab_only = true;
    void * model = llama.llama_model_load_from_file(path, params);
    struct tat_error error = { 0 };
    struct tat_gguf * gguf = tat_gguf_open(path, TAT_GGUF_SINGLE, &error);
    if (!model || !gguf) { fail_msg("%s: %s", path, model ? error.message : "llama.cpp does not take it"); }
    struct token_pieces * pieces = token_pieces_read(gguf, &error);
    if (!pieces) { fail_msg("%s", error.message); }
    const void * vocabulary = llama.llama_model_get_vocab(model);
    const int32_t n = llama.llama_vocab_n_tokens(vocabulary);
    struct token_piece piece;
    assert_true(n > 200);
    for (int32_t id = 0; id < n; id++) {
        char theirs[1024];
        const int32_t bytes = llama.llama_token_to_piece(vocabulary, id, theirs, sizeof theirs, 0, true);
        assert_true(token_pieces_find(pieces, id, &piece));
        if (bytes < 0 || (size_t) bytes != piece.n || memcmp(piece.bytes, theirs, piece.n) != 0) {
            fail_msg("%s: token %d is \"%.*s\" in llama.cpp, \"%.*s\" here", path, id, bytes, theirs, (int) piece.n,
                     piece.bytes);
        }
    }
    assert_false(token_pieces_find(pieces, n, &piece));
    token_pieces_free(pieces);
    tat_gguf_close(gguf);
    llama.llama_model_free(model);
}

static void test_real_model(void ** state) {
    char path[4096];
    const char * models = getenv("MODELS");
    snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", models ? models : "");
    if (!*state || access(path, R_OK) != 0) { skip(); }
    compare(path);
}

/* SentencePiece with all bytes, spaces and special tokens. llama.cpp wants scores, too, and a few hyper-parameters. */
static void test_sentence_piece_of_llama(void ** state) {
    static const char * const numbers[] = { "llama.context_length", "llama.embedding_length", "llama.block_count",
                                            "llama.feed_forward_length", "llama.attention.head_count" };
    struct token tokens[3 + 256 + 5] = { { "<unk>", UNKNOWN }, { "<s>", CONTROL }, { "</s>", CONTROL } };
    char names[256][8], path[] = "/tmp/tat-pieces-XXXXXX";
    struct builder b = { 0 };
    if (!*state) { skip(); }
    for (unsigned i = 0; i < 256; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", i);
        tokens[3 + i] = (struct token){ names[i], BYTE };
    }
    tokens[259] = (struct token){ "\u2581the", NORMAL };
    tokens[260] = (struct token){ "\u2581\u2581\u2581", NORMAL };
    tokens[261] = (struct token){ "\u2581<tool>\u2581", USER_DEFINED };
    tokens[262] = (struct token){ "\u00e9\u4e2d", NORMAL };
    tokens[263] = (struct token){ "<unused0>", UNUSED };
    put_header(&b, 3, 0, 4 + COUNT(numbers) + 2);
    put_kv_string(&b, "general.architecture", "llama");
    put_kv_string(&b, "tokenizer.ggml.model", "llama");
    put_tokens(&b, tokens, COUNT(tokens));
    for (size_t i = 0; i < COUNT(numbers); i++) { put_kv_u32(&b, numbers[i], 64); }
    put_key(&b, "llama.attention.layer_norm_rms_epsilon", TAT_GGUF_FLOAT32);
    put(&b, 0x3727c5ac, 4);
    put_kv_array(&b, "tokenizer.ggml.scores", TAT_GGUF_FLOAT32, COUNT(tokens));
    put_bytes(&b, NULL, 4 * COUNT(tokens));
    put_padding(&b, 32);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.bytes, b.size), b.size);
    close(fd);
    compare(path);
    unlink(path);
    builder_free(&b);
}

int main(void) {
    void * library = load_llama();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_level),
        cmocka_unit_test(test_sentence_piece),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_types_are_optional),
        cmocka_unit_test_prestate(test_real_model, library),
        cmocka_unit_test_prestate(test_sentence_piece_of_llama, library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
