/* SPDX-License-Identifier: MIT
 *
 * Our table of types, and our reading of real models, against a real ggml. From the environment: GGML, its library, and
 * MODELS, a folder. Skipped without them.
 */
#include "test_gguf_builder.h"

#include <dlfcn.h>
#include <glob.h>

/* The few functions of ggml's C interface that are needed. They have not changed since GGUF exists. */
struct gguf_init_params {
    bool no_alloc;
    void ** ctx;
};

static struct {
    const char * (*ggml_type_name)(int);
    int64_t (*ggml_blck_size)(int);
    size_t (*ggml_type_size)(int);
    void * (*gguf_init_from_file)(const char *, struct gguf_init_params);
    void (*gguf_free)(void *);
    int64_t (*gguf_get_n_tensors)(const void *);
    size_t (*gguf_get_data_offset)(const void *);
    const char * (*gguf_get_tensor_name)(const void *, int64_t);
    size_t (*gguf_get_tensor_offset)(const void *, int64_t);
    size_t (*gguf_get_tensor_size)(const void *, int64_t);
    int (*gguf_get_tensor_type)(const void *, int64_t);
} ggml;

/* Reads the symbols into the table above, whose members are in the order of these names. */
static bool load(void * library) {
    static const char * const names[] = {
        "ggml_type_name",
        "ggml_blck_size",
        "ggml_type_size",
        "gguf_init_from_file",
        "gguf_free",
        "gguf_get_n_tensors",
        "gguf_get_data_offset",
        "gguf_get_tensor_name",
        "gguf_get_tensor_offset",
        "gguf_get_tensor_size",
        "gguf_get_tensor_type",
    };
    void ** slots = (void **) &ggml;
    _Static_assert(sizeof ggml == sizeof names, "a name for each function");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        slots[i] = dlsym(library, names[i]);
        if (!slots[i]) { return false; }
    }
    return true;
}

static void * load_ggml(void) {
    const char * path = getenv("GGML");
    void * library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    return library && load(library) ? library : NULL;
}

static void test_types_are_ggmls(void ** state) {
    if (!*state) { skip(); }
    for (int id = 0; id < 43; id++) {
        const struct tat_type * type = tat_type_of((uint32_t) id);
        /* ggml no longer has the sizes of types that it removed. */
        if (ggml.ggml_blck_size(id) == 0) { continue; }
        if (!type) { fail_msg("type %d, %s, is missing", id, ggml.ggml_type_name(id)); }
        assert_string_equal(type->name, ggml.ggml_type_name(id));
        assert_int_equal(type->block, ggml.ggml_blck_size(id));
        assert_int_equal(type->block_bytes, ggml.ggml_type_size(id));
    }
}

static void compare(const char * path) {
    void * theirs = ggml.gguf_init_from_file(path, (struct gguf_init_params){ .no_alloc = true });
    struct tat_error error = { 0 };
    struct tat_gguf * ours = tat_gguf_open(path, TAT_GGUF_SINGLE, &error);
    uint32_t count;
    if (!ours) { fail_msg("%s", error.message); }
    if (!theirs) { fail_msg("%s: ggml does not take it", path); }
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(ours, &count);
    assert_int_equal(count, ggml.gguf_get_n_tensors(theirs));
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(tensors[i].name, ggml.gguf_get_tensor_name(theirs, i));
        assert_int_equal(tensors[i].type, ggml.gguf_get_tensor_type(theirs, i));
        assert_int_equal(tensors[i].bytes, ggml.gguf_get_tensor_size(theirs, i));
        assert_int_equal(tensors[i].file_offset,
                         ggml.gguf_get_data_offset(theirs) + ggml.gguf_get_tensor_offset(theirs, i));
    }
    tat_gguf_close(ours);
    ggml.gguf_free(theirs);
}

static void test_models_read_as_ggml_reads_them(void ** state) {
    const char * models = getenv("MODELS");
    char pattern[4096];
    glob_t found = { 0 };
    snprintf(pattern, sizeof pattern, "%s/*.gguf", models ? models : "");
    if (!*state || !models || glob(pattern, 0, NULL, &found)) {
        globfree(&found);
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) { compare(found.gl_pathv[i]); }
    globfree(&found);
}

int main(void) {
    void * library = load_ggml();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_types_are_ggmls, library),
        cmocka_unit_test_prestate(test_models_read_as_ggml_reads_them, library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
