/* SPDX-License-Identifier: MIT
 *
 * Reading well-formed models: every version, byte order, type and split; and files that are not models at all.
 */
#include "test_gguf_builder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "gguf/input.h"
#include "gguf/name_index.h"

static uint64_t uint_of(const struct tat_gguf * gguf, const char * key, uint64_t index) {
    uint64_t value = 0;
    if (!tat_gguf_uint(tat_gguf_find_key(gguf, key), index, &value)) { fail_msg("%s: no such number", key); }
    return value;
}

static void expect_tensor(const struct tat_gguf * gguf, const char * name, uint64_t offset, uint64_t bytes, int layer) {
    const struct tat_gguf_tensor * tensor = tat_gguf_find(gguf, name);
    assert_non_null(tensor);
    assert_string_equal(tensor->name, name);
    assert_int_equal(tensor->name_len, strlen(name));
    assert_int_equal(tensor->file_offset, offset);
    assert_int_equal(tensor->bytes, bytes);
    assert_int_equal(tensor->layer, layer);
}

static void expect_sample_tensors(const struct sample * s, const struct tat_gguf * gguf) {
    uint32_t count;
    tat_gguf_tensors(gguf, &count);
    assert_int_equal(count, 3);
    expect_tensor(gguf, "token_embd.weight", s->mark[M_DATA], 768, TAT_NO_LAYER);
    expect_tensor(gguf, "blk.0.attn_q.bias", s->mark[M_SECOND_DATA], 544, 0);
    expect_tensor(gguf, "blk.1.ffn_gate_exps.weight", s->mark[M_THIRD_DATA], 288, 1);
    assert_int_equal(tat_gguf_tensor_bytes(gguf), 768 + 544 + 288);
    const struct tat_gguf_tensor * experts = tat_gguf_find(gguf, "blk.1.ffn_gate_exps.weight");
    assert_int_equal(experts->n_slices, 4);
    assert_int_equal(experts->slice_bytes, 72);
    assert_int_equal(experts->component, TAT_COMPONENT_EXPERT_GATE);
    assert_int_equal(experts->n_dims, 4);
    assert_int_equal(experts->ne[1], 2);
    assert_null(tat_gguf_find(gguf, "no such tensor"));
}

static void expect_sample_metadata(const struct tat_gguf * gguf) {
    uint32_t count;
    int64_t signed_value;
    double float_value;
    uint64_t value;
    tat_gguf_metadata(gguf, &count);
    assert_int_equal(count, SAMPLE_N_KV);
    assert_string_equal(tat_gguf_string(tat_gguf_find_key(gguf, "general.architecture")), "llama");
    assert_int_equal(uint_of(gguf, "uint64", 0), 1ull << 40);
    assert_int_equal(uint_of(gguf, "bool", 0), 1);
    assert_int_equal(uint_of(gguf, "llama.attention.head_count_kv", 0), 2);
    assert_int_equal(uint_of(gguf, "llama.attention.head_count_kv", 1), 1);
    assert_false(tat_gguf_uint(tat_gguf_find_key(gguf, "llama.attention.head_count_kv"), 2, &value));
    assert_true(tat_gguf_int(tat_gguf_find_key(gguf, "int8"), 0, &signed_value));
    assert_int_equal(signed_value, -1);
    assert_false(tat_gguf_uint(tat_gguf_find_key(gguf, "int8"), 0, &value));
    assert_true(tat_gguf_float(tat_gguf_find_key(gguf, "float32"), 0, &float_value));
    assert_true(float_value == 2.5);
    assert_false(tat_gguf_uint(tat_gguf_find_key(gguf, "float32"), 0, &value));
    assert_false(tat_gguf_float(tat_gguf_find_key(gguf, "general.architecture"), 0, &float_value));
    assert_false(tat_gguf_uint(tat_gguf_find_key(gguf, "tokenizer.ggml.tokens"), 0, &value));
    assert_null(tat_gguf_find_key(gguf, "no.such.key"));
    assert_null(tat_gguf_string(NULL));
}

static void expect_sample_params(const struct tat_gguf * gguf) {
    const struct tat_gguf_params * params = tat_gguf_params(gguf);
    assert_string_equal(params->architecture, "llama");
    assert_string_equal(params->name, "");
    assert_int_equal(params->n_layer, 2);
    assert_int_equal(params->n_embd, 64);
    assert_int_equal(params->n_vocab, 3);
    assert_int_equal(params->n_head, 4);
    assert_int_equal(params->n_head_kv, 2);
    assert_int_equal(params->layer_n_head[1], 4);
    assert_int_equal(params->layer_n_head_kv[1], 1);
    assert_int_equal(params->n_embd_head_k, 16);
    assert_int_equal(params->n_ff, 0);
}

static void read_sample(uint32_t version, bool big_endian) {
    struct sample s;
    sample_build(&s, version, big_endian);
    struct tat_gguf * gguf = builder_open_good(&s.builder, 0);
    uint32_t count;
    uint64_t total;
    const struct tat_gguf_file * file = tat_gguf_files(gguf, &count);
    assert_int_equal(count, 1);
    assert_int_equal(file->version, version);
    assert_int_equal(file->big_endian, big_endian);
    assert_int_equal(file->size, s.builder.size);
    assert_int_equal(file->header_bytes, s.mark[M_HEADER_END]);
    assert_int_equal(file->data_offset, s.mark[M_DATA]);
    assert_true(file->header_hash == XXH64(s.builder.bytes, s.mark[M_HEADER_END], 0));
    assert_true(tat_gguf_hash(gguf) == file->header_hash);
    tat_gguf_findings(gguf, &count, &total);
    assert_int_equal(total, 0);
    expect_sample_tensors(&s, gguf);
    expect_sample_metadata(gguf);
    expect_sample_params(gguf);
    tat_gguf_close(gguf);
    builder_free(&s.builder);
}

static void test_version_3(void ** state) {
    (void) state;
    read_sample(3, false);
}

static void test_version_2(void ** state) {
    (void) state;
    read_sample(2, false);
}

static void test_big_endian(void ** state) {
    (void) state;
    read_sample(3, true);
}

/* Every type has its size, known or not; an unknown one does not stop the rest. */
static void test_every_type(void ** state) {
    (void) state;
    enum { TYPES = 64 };
    struct builder b = { 0 };
    uint64_t offset = 0;
    put_header(&b, 3, TYPES, 0);
    for (uint32_t id = 0; id < TYPES; id++) {
        const struct tat_type * type = tat_type_of(id);
        char name[16];
        snprintf(name, sizeof name, "blk.0.t%u", id);
        put_tensor(&b, name, 1, (uint64_t[]){ 512 }, id, offset);
        offset += type ? (512 / type->block * type->block_bytes + 31) / 32 * 32 : 320;
    }
    put_padding(&b, 32);
    put_bytes(&b, NULL, offset);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    uint32_t count;
    uint64_t unknown;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    assert_int_equal(count, TYPES);
    for (uint32_t id = 0; id < TYPES; id++) {
        const struct tat_type * type = tat_type_of(id);
        assert_int_equal(tensors[id].bytes, type ? 512 / type->block * type->block_bytes : 320);
    }
    tat_gguf_findings(gguf, &count, &unknown);
    for (uint32_t id = 0; id < TYPES; id++) { unknown -= tat_type_of(id) == NULL; }
    assert_int_equal(unknown, 0);
    tat_gguf_close(gguf);
    builder_free(&b);
}

/* If the size is a guess, the experts' slices would be guesses too. */
static void test_no_slices_of_unknown_type(void ** state) {
    (void) state;
    struct sample s;
    sample_build(&s, 3, false);
    store(&s.builder, s.mark[M_THIRD_OFFSET] - 4, 99, 4);
    struct tat_gguf * gguf = builder_open_good(&s.builder, 0);
    const struct tat_gguf_tensor * experts = tat_gguf_find(gguf, "blk.1.ffn_gate_exps.weight");
    assert_int_equal(experts->bytes, 288);
    assert_int_equal(experts->n_slices, 0);
    assert_int_equal(experts->slice_bytes, 0);
    tat_gguf_close(gguf);
    builder_free(&s.builder);
}

static void test_type_names(void ** state) {
    (void) state;
    char buffer[TAT_TYPE_NAME_SIZE];
    assert_string_equal(tat_type_name(12, buffer), "q4_K");
    assert_string_equal(tat_type_name(UINT32_MAX, buffer), "type 4294967295");
    assert_null(tat_type_of(4));
    assert_null(tat_type_of(UINT32_MAX));
}

static void test_strings_are_read_on_demand(void ** state) {
    (void) state;
    struct sample s;
    struct tat_error error = { 0 };
    char path[64];
    sample_build(&s, 3, false);
    const int fd = builder_file(s.builder.bytes, s.builder.size, path);
    struct tat_gguf * gguf = tat_gguf_open(path, 0, &error);
    const struct tat_gguf_kv * tokens = tat_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    struct tat_gguf_strings * got = tat_gguf_read_strings(gguf, tokens, &error);
    assert_non_null(got);
    assert_int_equal(got->n, 3);
    assert_string_equal(got->text + got->start[0], "a");
    assert_string_equal(got->text + got->start[1], "bc");
    assert_string_equal(got->text + got->start[2], "");
    assert_int_equal(got->start[3] - got->start[2] - 1, 0);
    free(got);

    assert_null(tat_gguf_read_strings(gguf, tat_gguf_find_key(gguf, "uint64"), &error));
    assert_non_null(strstr(error.message, "uint64 is not an array of strings"));
    assert_null(tat_gguf_read_strings(gguf, NULL, &error));

    assert_int_equal(ftruncate(fd, (off_t) s.builder.size - 1), 0);
    assert_null(tat_gguf_read_strings(gguf, tokens, &error));
    assert_non_null(strstr(error.message, "the file changed since it was opened"));
    tat_gguf_close(gguf);
    close(fd);
    builder_free(&s.builder);
}

static void test_long_values_are_cut_or_left(void ** state) {
    (void) state;
    struct builder b = { 0 };
    char * text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    put_header(&b, 3, 0, 3);
    put_kv_string(&b, "long", text);
    put_kv_array(&b, "numbers", TAT_GGUF_UINT32, 20000);
    put_bytes(&b, NULL, 80000);
    put_kv_u32(&b, "after", 7);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    const struct tat_gguf_kv * kv = tat_gguf_find_key(gguf, "long");
    assert_int_equal(kv->n, 100000);
    assert_int_equal(strlen(kv->value.string), TAT_GGUF_KEPT_BYTES);
    kv = tat_gguf_find_key(gguf, "numbers");
    assert_int_equal(kv->n, 20000);
    assert_int_equal(kv->bytes, 80000);
    assert_null(kv->value.array);
    assert_int_equal(uint_of(gguf, "after", 0), 7);
    tat_gguf_close(gguf);
    builder_free(&b);
    free(text);
}

/* What part of a model a file holds, by its metadata. */
static void test_parts(void ** state) {
    (void) state;
    static const struct {
        const char *architecture, *type;
        enum tat_part part;
    } files[] = {
        { "llama", NULL, TAT_PART_MODEL },          { "llama", "model", TAT_PART_MODEL },
        { "llama", "adapter", TAT_PART_ADAPTER },   { "controlvector", NULL, TAT_PART_CONTROL_VECTOR },
        { "clip", "mmproj", TAT_PART_PROJECTOR },   { "clip", NULL, TAT_PART_PROJECTOR },
        { "gemma3", "mmproj", TAT_PART_PROJECTOR },
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct builder b = { 0 };
        put_header(&b, 3, 0, files[i].type ? 2 : 1);
        put_kv_string(&b, "general.architecture", files[i].architecture);
        if (files[i].type) { put_kv_string(&b, "general.type", files[i].type); }
        struct tat_gguf * gguf = builder_open_good(&b, 0);
        assert_int_equal(tat_gguf_part(gguf), files[i].part);
        tat_gguf_close(gguf);
        builder_free(&b);
    }
}

static void test_no_tensors(void ** state) {
    (void) state;
    struct builder b = { 0 };
    put_header(&b, 3, 0, 0);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    uint32_t count;
    uint64_t total;
    tat_gguf_tensors(gguf, &count);
    assert_int_equal(count, 0);
    assert_null(tat_gguf_find(gguf, "a"));
    assert_null(tat_gguf_params(gguf)->layer_n_head);
    tat_gguf_findings(gguf, &count, &total);
    assert_int_equal(total, 0);
    tat_gguf_close(gguf);
    builder_free(&b);
}

/* Large enough to show anything quadratic; in another order than the file's. */
static void test_hundred_thousand_tensors(void ** state) {
    (void) state;
    enum { N = 100000 };
    struct builder b = { 0 };
    char name[40];
    put_header(&b, 3, N, 0);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "blk.%u.ffn_up.%u.weight", i % 1000, i / 1000);
        put_tensor(&b, name, 1, (uint64_t[]){ 8 }, 0, 32ull * (N - 1 - i));
    }
    put_padding(&b, 32);
    put_bytes(&b, NULL, 32ull * N);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    uint32_t count;
    uint64_t total;
    tat_gguf_findings(gguf, &count, &total);
    assert_int_equal(total, 0);
    for (uint32_t i = 0; i < N; i += 997) {
        snprintf(name, sizeof name, "blk.%u.ffn_up.%u.weight", i % 1000, i / 1000);
        const struct tat_gguf_tensor * tensor = tat_gguf_find(gguf, name);
        assert_non_null(tensor);
        assert_int_equal(tensor->layer, i % 1000);
        assert_int_equal(tensor->expert, i / 1000);
    }
    tat_gguf_close(gguf);
    builder_free(&b);
}

/* A table whose names all want the same slot must give up, not become quadratic. */
static void test_colliding_names_are_refused(void ** state) {
    (void) state;
    enum { N = 1100 };
    static struct {
        const char * name;
        char text[16];
    } names[N];
    struct name_index index = { 0 };
    assert_int_equal(name_index_reserve(&index, sizeof *names, N), 0);
    uint64_t number = 0;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < N; i++) {
        do {
            snprintf(names[i].text, sizeof names[i].text, "%llu", (unsigned long long) number++);
        } while (XXH64(names[i].text, strlen(names[i].text), 0) & (index.capacity - 1));
        names[i].name = names[i].text;
        refused += name_index_add(&index, names, i) == NAME_INDEX_CROWDED;
    }
    assert_int_equal(refused, N - 1024);
    assert_int_equal(name_index_find(&index, names, names[1000].name), 1000);
    name_index_free(&index);
}

/* ---- split models ---- */

struct folder {
    char path[64];
};

static int folder_setup(void ** state) {
    struct folder * folder = calloc(1, sizeof *folder);
    strcpy(folder->path, "/tmp/tat-gguf-XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static int folder_teardown(void ** state) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", ((struct folder *) *state)->path);
    free(*state);
    return system(command);
}

static void write_file(const char * path, const struct builder * b) {
    FILE * file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(b->bytes, 1, b->size, file), b->size);
    assert_int_equal(fclose(file), 0);
}

/* A part with one tensor. The first has the metadata. */
static void write_part(const char * path, unsigned no, unsigned count, unsigned tensors) {
    struct builder b = { 0 };
    char name[32];
    snprintf(name, sizeof name, "blk.%u.attn_q.weight", no);
    put_header(&b, 3, 1, no == 0 ? 5 : 3);
    put_key(&b, "split.no", TAT_GGUF_UINT16);
    put(&b, no, 2);
    put_key(&b, "split.count", TAT_GGUF_UINT16);
    put(&b, count, 2);
    put_key(&b, "split.tensors.count", TAT_GGUF_INT32);
    put(&b, tensors, 4);
    if (no == 0) {
        put_kv_string(&b, "general.architecture", "llama");
        put_kv_u32(&b, "llama.block_count", 3);
    }
    put_tensor(&b, name, 1, (uint64_t[]){ 8 }, 0, 0);
    put_padding(&b, 32);
    put_bytes(&b, NULL, 32);
    write_file(path, &b);
    builder_free(&b);
}

static const char * part_of(const struct folder * folder, unsigned part, unsigned total) {
    static char path[128];
    snprintf(path, sizeof path, "%s/m-%05u-of-%05u.gguf", folder->path, part, total);
    return path;
}

static void write_parts(const struct folder * folder) {
    for (unsigned part = 1; part <= 3; part++) { write_part(part_of(folder, part, 3), part - 1, 3, 3); }
}

static void expect_refused(const char * path, const char * expected) {
    struct tat_error error = { 0 };
    assert_null(tat_gguf_open(path, 0, &error));
    if (!strstr(error.message, expected)) { fail_msg("expected \"%s\", got \"%s\"", expected, error.message); }
}

static void test_split_opens_by_any_part(void ** state) {
    uint64_t hash = 0;
    write_parts(*state);
    for (unsigned part = 1; part <= 3; part++) {
        struct tat_error error = { 0 };
        struct tat_gguf * gguf = tat_gguf_open(part_of(*state, part, 3), 0, &error);
        uint32_t count;
        const struct tat_gguf_tensor * tensors;
        if (!gguf) { fail_msg("%s", error.message); }
        const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
        assert_int_equal(count, 3);
        tensors = tat_gguf_tensors(gguf, &count);
        assert_int_equal(count, 3);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(tensors[i].file, i);
            assert_int_equal(files[i].first_tensor, i);
            assert_string_equal(files[i].path, part_of(*state, i + 1, 3));
            assert_int_equal(tensors[i].file_offset, files[i].data_offset);
        }
        assert_int_equal(tat_gguf_params(gguf)->n_layer, 3);
        if (part == 1) { hash = tat_gguf_hash(gguf); }
        assert_true(tat_gguf_hash(gguf) == hash);
        assert_true(tat_gguf_hash(gguf) != files[0].header_hash);
        tat_gguf_close(gguf);
    }
}

static void test_split_part_alone(void ** state) {
    struct tat_error error = { 0 };
    uint32_t count;
    write_parts(*state);
    struct tat_gguf * gguf = tat_gguf_open(part_of(*state, 2, 3), TAT_GGUF_SINGLE, &error);
    assert_non_null(gguf);
    assert_string_equal(tat_gguf_tensors(gguf, &count)->name, "blk.1.attn_q.weight");
    assert_int_equal(count, 1);
    tat_gguf_close(gguf);
}

static void test_split_gone_wrong(void ** state) {
    char path[128];
    write_parts(*state);
    assert_int_equal(unlink(part_of(*state, 3, 3)), 0);
    expect_refused(part_of(*state, 1, 3), "m-00003-of-00003.gguf: cannot be opened: No such file");

    write_part(part_of(*state, 3, 3), 1, 3, 3);
    expect_refused(part_of(*state, 1, 3), "m-00003-of-00003.gguf: byte 106: is not part 3 of 3");
    expect_refused(part_of(*state, 3, 3), "its name says part 3, but its split.no says otherwise");

    write_part(part_of(*state, 3, 3), 2, 3, 3);
    write_part(part_of(*state, 1, 3), 0, 3, 9);
    expect_refused(part_of(*state, 1, 3), "split.tensors.count is 9, but the 3 parts hold 3 tensors");

    snprintf(path, sizeof path, "%s/renamed.gguf", ((struct folder *) *state)->path);
    write_part(path, 0, 3, 3);
    expect_refused(path, "is one of 3 parts, but not named");
    write_part(part_of(*state, 1, 4), 0, 3, 3);
    expect_refused(part_of(*state, 1, 4), "is one of 3 parts, but not named");

    /* The same tensor in two parts. */
    write_part(part_of(*state, 1, 2), 0, 2, 2);
    struct sample s;
    sample_build(&s, 3, false);
    write_file(part_of(*state, 2, 2), &s.builder);
    expect_refused(part_of(*state, 1, 2), "is not part 2 of 2");
    builder_free(&s.builder);
}

/* A name alone does not make a split. */
static void test_name_of_a_part_without_being_one(void ** state) {
    struct sample s;
    struct tat_error error = { 0 };
    sample_build(&s, 3, false);
    write_file(part_of(*state, 2, 3), &s.builder);
    struct tat_gguf * gguf = tat_gguf_open(part_of(*state, 2, 3), 0, &error);
    assert_non_null(gguf);
    tat_gguf_close(gguf);
    builder_free(&s.builder);
}

/* ---- files that are not models ---- */

static void test_no_regular_file(void ** state) {
    const struct folder * folder = *state;
    char fifo[128], loop[128], file[128], link[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", folder->path);
    snprintf(loop, sizeof loop, "%s/loop", folder->path);
    snprintf(file, sizeof file, "%s/file", folder->path);
    snprintf(link, sizeof link, "%s/link", folder->path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(loop, loop), 0);
    expect_refused(fifo, "not a regular file");
    expect_refused(loop, "cannot be opened: Too many levels of symbolic links");
    expect_refused(folder->path, "not a regular file");
    expect_refused("/dev/zero", "not a regular file");
    expect_refused("", "cannot be opened");
    expect_refused("/no/such/file", "cannot be opened: No such file or directory");

    struct sample s;
    sample_build(&s, 3, false);
    write_file(file, &s.builder);
    assert_int_equal(symlink(file, link), 0);
    struct tat_gguf * gguf = tat_gguf_open(link, 0, NULL);
    assert_non_null(gguf);
    tat_gguf_close(gguf);
    builder_free(&s.builder);
}

/* With the longest path that the system allows, the message still has room for what is wrong. */
static void test_long_path(void ** state) {
    (void) state;
    char path[PATH_MAX];
    memset(path, '/', sizeof path);
    strcpy(path + sizeof path - 10, "/dev/zero");
    expect_refused(path, "not a regular file");
}

/* Sparse files can claim anything, so the header is bounded. */
static void test_endless_header(void ** state) {
    char path[128];
    struct builder b = { 0 };
    snprintf(path, sizeof path, "%s/sparse", ((struct folder *) *state)->path);
    put_header(&b, 3, 0, 1);
    put_kv_array(&b, "zeroes", TAT_GGUF_UINT8, 1ull << 39);
    write_file(path, &b);
    assert_int_equal(truncate(path, 1ll << 40), 0);
    expect_refused(path, "ends after 256 MiB");
    builder_free(&b);
}

static void test_file_that_shrinks(void ** state) {
    (void) state;
    struct sample s;
    struct input input;
    struct tat_error error = { 0 };
    char path[64];
    sample_build(&s, 3, false);
    const int fd = builder_file(s.builder.bytes, s.builder.size, path);
    assert_int_equal(input_open(&input, path, &error), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(input_bytes(&input, NULL, 100, "a field"), -1);
    assert_non_null(strstr(error.message, "the file became shorter while it was read"));
    input_close(&input, false);
    close(fd);
    builder_free(&s.builder);
}

struct cutting {
    int fd;
    off_t from, to; /* the file is as long as the one and the other in turn */
    bool over;      /* relaxed */
};

static void * cut(void * data) {
    struct cutting * c = data;
    while (!__atomic_load_n(&c->over, __ATOMIC_RELAXED)) {
        if (ftruncate(c->fd, c->from) != 0 || ftruncate(c->fd, c->to) != 0) { abort(); }
    }
    return NULL;
}

/* By another process, anywhere in the header and the data: it opens, or there is an error, and never a signal. */
static void test_file_cut_while_it_is_read(void ** state) {
    (void) state;
    struct sample s;
    char path[64];
    sample_build(&s, 3, false);
    for (int mark = M_MAGIC; mark < M_END; mark++) {
        pthread_t cutter;
        const int fd = builder_file(s.builder.bytes, s.builder.size, path);
        struct cutting c = { .fd = fd, .from = (off_t) s.mark[mark], .to = (off_t) s.builder.size };
        assert_int_equal(pthread_create(&cutter, NULL, cut, &c), 0);
        for (int i = 0; i < 6; i++) {
            struct tat_error error = { 0 };
            struct tat_gguf * gguf = tat_gguf_open(path, i % 2 ? TAT_GGUF_TOLERANT : 0, &error);
            assert_true(gguf || (error.kind == TAT_ERROR_INPUT && *error.message));
            tat_gguf_close(gguf);
        }
        __atomic_store_n(&c.over, true, __ATOMIC_RELAXED);
        pthread_join(cutter, NULL);
        close(fd);
    }
    builder_free(&s.builder);
}

static void test_no_descriptor_stays_open(void ** state) {
    (void) state;
    struct sample s;
    char path[64];
    sample_build(&s, 3, false);
    const int fd = builder_file(s.builder.bytes, s.builder.size, path);
    const int before = dup(fd);
    struct tat_gguf * gguf = tat_gguf_open(path, 0, NULL);
    const int after = dup(fd);
    assert_int_equal(after, before + 1);
    tat_gguf_close(gguf);
    tat_gguf_close(NULL);
    close(after);
    close(before);
    close(fd);
    builder_free(&s.builder);
}

/* ---- the page cache ---- */

enum { COLD_PAGES = 512, PAGE = 4096 };

static void evict(const char * path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* Puts a model on disk, with none of it in memory, whose header fills the first `header` pages. Returns a mapping to
 * ask. */
static unsigned char * cold_model(const char * path, unsigned header) {
    struct builder b = { 0 };
    put_header(&b, 3, 0, 1);
    put_kv_array(&b, "zeroes", TAT_GGUF_UINT8, header * PAGE - 64);
    put_bytes(&b, NULL, (size_t) COLD_PAGES * PAGE - b.size);
    write_file(path, &b);
    builder_free(&b);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char * map = mmap(NULL, COLD_PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(fd >= 0 && map != MAP_FAILED && fsync(fd) == 0);
    close(fd);
    evict(path);
    return map;
}

static unsigned resident(unsigned char * map, unsigned char there[COLD_PAGES]) {
    unsigned count = 0;
    assert_int_equal(mincore(map, COLD_PAGES * PAGE, there), 0);
    for (unsigned i = 0; i < COLD_PAGES; i++) { count += there[i] & 1; }
    return count;
}

static void read_page(const char * path, unsigned page) {
    char byte;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    assert_int_equal(pread(fd, &byte, 1, page * PAGE), 1);
    close(fd);
}

/* Opens it. `as_other`: as a user whom the kernel does not tell which pages of the file are in memory. */
static void open_quietly(const char * path, bool as_other) {
    const pid_t child = as_other ? fork() : -1;
    if (child > 0) {
        int status;
        assert_true(waitpid(child, &status, 0) == child && status == 0);
        return;
    }
    if (child == 0 && setresuid(65534, 65534, 65534) != 0) { _exit(1); }
    struct tat_gguf * gguf = tat_gguf_open(path, TAT_GGUF_TOLERANT, NULL);
    if (child == 0) { _exit(gguf ? 0 : 2); }
    assert_non_null(gguf);
    tat_gguf_close(gguf);
}

/* How many pages are in memory after a model is opened, of which `n` were there before. The kernel may keep a page
 * that is in use elsewhere when it is asked to let go. So a busy machine gets several tries; read-ahead would show
 * in each. */
static unsigned left_by_opening(const char * path, unsigned char * map, const unsigned * before, unsigned n,
                                bool as_other) {
    enum { TRIES = 10 };
    unsigned char there[COLD_PAGES];
    unsigned left = 0;
    for (int i = 0; i < TRIES; i++) {
        evict(path);
        for (unsigned k = 0; k < n; k++) { read_page(path, before[k]); }
        open_quietly(path, as_other);
        left = resident(map, there);
        for (unsigned k = 0; k < n; k++) { assert_true(there[before[k]] & 1); }
        if (left == n) { break; }
    }
    return left;
}

static void test_pages_stay_as_they_were(void ** state) {
    char path[128];
    unsigned char there[COLD_PAGES];
    struct tat_gguf_io was, is;
    struct folder * folder = *state;
    snprintf(path, sizeof path, "%s/cold.gguf", folder->path);
    unsigned char * map = cold_model(path, 50);
    assert_int_equal(chmod(folder->path, 0755) | chmod(path, 0644), 0);
    if (resident(map, there) == 0) { /* false in a tmpfs */
        tat_gguf_io(&was);
        open_quietly(path, false);
        tat_gguf_io(&is);
        assert_int_equal(is.read - was.read, 4 * 65536);
        assert_int_equal(is.fetched - was.fetched, is.read - was.read);
        for (int as_other = 0; as_other <= (geteuid() == 0); as_other++) {
            const unsigned before[] = { 3, 52, 100 }; /* 52: after the header, but read with its end */
            assert_int_equal(left_by_opening(path, map, NULL, 0, as_other), 0);
            assert_int_equal(left_by_opening(path, map, before, 3, as_other), 3);
        }
        tat_gguf_io(&was);
        for (unsigned i = 0; i < 64; i++) { read_page(path, i); }
        open_quietly(path, false);
        tat_gguf_io(&is);
        assert_int_equal(is.fetched, was.fetched);
    }
    munmap(map, COLD_PAGES * PAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_3),
        cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_big_endian),
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_no_slices_of_unknown_type),
        cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_strings_are_read_on_demand),
        cmocka_unit_test(test_long_values_are_cut_or_left),
        cmocka_unit_test(test_no_tensors),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_hundred_thousand_tensors),
        cmocka_unit_test(test_colliding_names_are_refused),
        cmocka_unit_test_setup_teardown(test_split_opens_by_any_part, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_split_part_alone, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_split_gone_wrong, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_name_of_a_part_without_being_one, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_no_regular_file, folder_setup, folder_teardown),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test_setup_teardown(test_endless_header, folder_setup, folder_teardown),
        cmocka_unit_test(test_file_that_shrinks),
        cmocka_unit_test(test_file_cut_while_it_is_read),
        cmocka_unit_test(test_no_descriptor_stays_open),
        cmocka_unit_test_setup_teardown(test_pages_stay_as_they_were, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
