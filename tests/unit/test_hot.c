/* SPDX-License-Identifier: MIT
 *
 * What is hot, in traces of which it is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "section.h"
#include "small_model.h"

enum { WEIGHTS = 10, RULE = TAT_RULE_SKIP_UNASKED };

static json_t * hot_of(struct trace_builder * b, const struct tat_analysis_options * options) {
    return section_of(b, small_model_open(b), "hot", options);
}

static json_t * row(const json_t * hot, const char * table, size_t number) {
    json_t * rows = json_object_get(json_object_get(json_object_get(hot, "tables"), table), "rows");
    return json_array_get(rows, number);
}

static json_int_t count(const json_t * object, const char * key) {
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static json_int_t value(const json_t * hot, const char * key) {
    return count(json_object_get(hot, "values"), key);
}

static bool is_uniform(const json_t * hot) {
    return json_is_true(json_object_get(json_object_get(hot, "values"), "uniform"));
}

static void expect_headline(const json_t * hot, const char * text) {
    assert_string_equal(json_string_value(json_object_get(hot, "headline")), text);
}

static void expect_tensor(const json_t * hot, const char * table, size_t number, const char * name) {
    assert_string_equal(json_string_value(json_object_get(row(hot, table, number), "tensor")), name);
}

/* ---- weights in a chain ---- */

static const char * const names[WEIGHTS] = { "blk.0.a", "blk.1.b", "blk.2.c", "blk.3.d", "blk.4.e",
                                             "blk.5.f", "blk.6.g", "blk.7.h", "blk.8.i", "blk.9.j" };

struct chain {
    struct trace_builder b;
    uint32_t weight[WEIGHTS], embd, x;
};

/* Ten weights of 1,024 bytes. The embedding beside them, which makes graphs have tokens, is not a weight. */
static void chain_begin(struct chain * c) {
    struct tb_tensor t = { .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .ne = { 16, 16 }, .file = 1 };
    tb_begin(&c->b);
    tb_model_file(&c->b, "/model.gguf");
    for (uint32_t i = 0; i < WEIGHTS; i++) {
        t.name = names[i];
        t.file_offset = 4096 + 1024 * i;
        c->weight[i] = tb_tensor(&c->b, t);
    }
    t = (struct tb_tensor){ .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 16 } };
    t.name = "inp_embd";
    c->embd = tb_tensor(&c->b, t);
    t.name = "x";
    t.kind = TAT_TENSOR_ACTIVATION;
    c->x = tb_tensor(&c->b, t);
}

/* A graph of one token that reads these weights, each in an operation of its own. `reads`: 1 + weight, ended by 0.
 * `also`: a weight that the first operation reads too, after the other. */
static uint32_t chain_template(struct chain * c, const int * reads, int also) {
    struct tb_entry entries[1 + WEIGHTS + 32];
    uint32_t n = 0;
    entries[n++] = (struct tb_entry){ .name = "inp_embd", .tensor = c->embd, .ne = { 16 } };
    for (int i = 0; i < WEIGHTS; i++) {
        entries[n++] = (struct tb_entry){ .name = names[i], .tensor = c->weight[i], .ne = { 16, 16 } };
    }
    const uint32_t n_leaves = n;
    for (int i = 0; reads[i]; i++) {
        entries[n++] = (struct tb_entry){ .name = "x",
                                          .op = "MUL_MAT",
                                          .tensor = c->x,
                                          .ne = { 16 },
                                          .facts = TAT_NODE_COMPUTE,
                                          .src = { 1 + reads[i], 1, i == 0 && also ? 1 + also : 0 } };
    }
    return tb_template(&c->b, 1, entries, n_leaves, n - n_leaves, NULL, 0);
}

static void evaluate(struct chain * c, uint32_t template_id, uint32_t callbacks, int times) {
    for (int i = 0; i < times; i++) {
        tb_evaluation(&c->b,
                      (struct tb_evaluation){ .template_id = template_id, .rule = RULE, .n_callbacks = callbacks });
    }
}

/* The model's weights again, as after unloading and loading: at the same places in the same file. */
static void load_again(struct chain * c) {
    for (uint32_t i = 0; i < WEIGHTS; i++) {
        c->weight[i] = tb_tensor(&c->b, (struct tb_tensor){ .name = names[i],
                                                            .kind = TAT_TENSOR_WEIGHT,
                                                            .memory = TAT_MEMORY_FILE,
                                                            .ne = { 16, 16 },
                                                            .file = 1,
                                                            .file_offset = 4096 + 1024 * i });
    }
}

static void a_model_loaded_twice_has_its_weights_once(void ** state) {
    (void) state;
    struct chain c = { 0 };
    const int all[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0 };
    chain_begin(&c);
    evaluate(&c, chain_template(&c, all, 0), 10, 3);
    load_again(&c);
    evaluate(&c, chain_template(&c, all, 0), 10, 2);
    json_t * hot = hot_of(&c.b, NULL);
    assert_true(is_uniform(hot));
    expect_headline(hot, "Uniform, no hot set: 10 of 10 weights are read 5 times each, in 5 tokens.");
    assert_int_equal(value(hot, "weight_bytes"), 10 * 1024);
    assert_int_equal(value(hot, "unique_bytes"), 10 * 1024);
    assert_int_equal(value(hot, "again_within_bytes"), 0);
    assert_int_equal(value(hot, "again_across_bytes"), 40 * 1024);
    assert_int_equal(value(hot, "untouched_tensors"), 0);
    assert_null(row(hot, "tensors", 10));
    json_decref(hot);
}

static void read_twice_in_one_graph_after_loading_again(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    load_again(&c);
    evaluate(&c, chain_template(&c, (const int[]){ 1, 2, 3, 0 }, 1), 3, 2);
    json_t * hot = hot_of(&c.b, NULL);
    assert_int_equal(value(hot, "again_within_bytes"), 2 * 1024);
    assert_int_equal(value(hot, "again_across_bytes"), 3 * 1024);
    assert_int_equal(value(hot, "untouched_tensors"), 7);
    json_decref(hot);
}

/* A tied weight: rows of the mapped one, products of a repacked copy. Of the file both are the same bytes. */
static void a_copy_is_the_same_bytes_of_the_file(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    const uint32_t copy = tb_tensor(&c.b, (struct tb_tensor){ .name = names[0],
                                                              .kind = TAT_TENSOR_WEIGHT,
                                                              .memory = TAT_MEMORY_COPY,
                                                              .ne = { 16, 16 },
                                                              .file = 1,
                                                              .file_offset = 4096 });
    const struct tb_entry entries[] = {
        { .name = "inp_embd", .tensor = c.embd, .ne = { 16 } },
        { .name = "blk.0.a", .tensor = c.weight[0], .ne = { 16, 16 } },
        { .name = "blk.0.a", .tensor = copy, .ne = { 16, 16 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 1 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 3, 1 } },
    };
    evaluate(&c, tb_template(&c.b, 1, entries, 3, 2, NULL, 0), 2, 3);
    json_t * tokens = section_of(&c.b, small_model_open(&c.b), "tokens", NULL);
    const json_t * first = row(tokens, "tokens", 0);
    const json_int_t evaluations = count(first, "tokens");
    assert_int_equal(count(first, "weight_bytes"), evaluations * 2 * 1024);
    assert_int_equal(count(first, "unique_weight_bytes"), 1024);
    assert_true(json_real_value(json_object_get(first, "distinct_weight_bytes_per_token")) == 1024);
    assert_true(json_real_value(json_object_get(first, "model_share")) == 1024.0 / (1 << 20));
    json_decref(tokens);
}

static void all_alike_is_uniform(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    evaluate(&c, chain_template(&c, (const int[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0 }, 0), 10, 3);
    json_t * hot = hot_of(&c.b, NULL);
    assert_true(is_uniform(hot));
    expect_headline(hot, "Uniform, no hot set: 10 of 10 weights are read 3 times each, in 3 tokens.");
    assert_int_equal(value(hot, "accesses"), 30);
    assert_int_equal(value(hot, "bytes"), 30 * 1024);
    assert_int_equal(value(hot, "unique_bytes"), 10 * 1024);
    assert_int_equal(value(hot, "again_within_bytes"), 0);
    assert_int_equal(value(hot, "again_across_bytes"), 20 * 1024);
    assert_int_equal(value(hot, "untouched_bytes"), 0);
    json_decref(hot);
}

static void one_weight_is_hot(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    /* Each graph reads the seventh weight twice and the last never. */
    evaluate(&c, chain_template(&c, (const int[]){ 1, 2, 3, 7, 4, 5, 6, 7, 8, 9, 0 }, 0), 10, 3);
    json_t * hot = hot_of(&c.b, NULL);
    assert_false(is_uniform(hot));
    expect_headline(
        hot,
        "A byte of the hottest 10 % of the weights (1, 1.00 KiB) is read 2.00 times per token, one of the coldest 50 % "
        "0.80 times. First is blk.6.g: 2.00 times.");
    expect_tensor(hot, "hottest", 0, "blk.6.g");
    assert_int_equal(count(row(hot, "hottest", 0), "accesses"), 6);
    assert_int_equal(count(row(hot, "sets", 0), "slices"), 1);
    assert_int_equal(count(row(hot, "sets", 0), "accesses"), 6);
    assert_int_equal(count(row(hot, "sets", 2), "accesses"), 12);
    assert_int_equal(value(hot, "again_within_bytes"), 3 * 1024);
    assert_int_equal(value(hot, "again_across_bytes"), 18 * 1024);
    assert_int_equal(value(hot, "untouched_bytes"), 1024);
    assert_int_equal(value(hot, "untouched_tensors"), 1);
    expect_tensor(hot, "untouched", 0, "blk.9.j");
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(json_object_get(hot, "tables"), "hottest"), "rows")),
        9); /* an untouched weight is not hot */
    json_decref(hot);
}

static void time_decides_where_the_cut_ties(void ** state) {
    (void) state;
    const struct tat_analysis_options options = { .hot_share = 0.2 };
    struct chain c = { 0 };
    chain_begin(&c);
    /* Five weights are read twice as often as the others. The operation that reads the second has its time counted for
     * the third, so the second has none; the others have the same time. */
    evaluate(&c, chain_template(&c, (const int[]){ 3, 1, 4, 5, 6, 7, 8, 9, 10, 0 }, 2), 9, 1);
    evaluate(&c, chain_template(&c, (const int[]){ 3, 1, 4, 5, 0 }, 2), 4, 1);
    json_t * hot = hot_of(&c.b, &options);
    assert_false(is_uniform(hot));
    static const char * const ranked[] = { "blk.0.a", "blk.2.c", "blk.3.d", "blk.4.e", "blk.1.b", "blk.5.f" };
    for (size_t i = 0; i < sizeof ranked / sizeof ranked[0]; i++) { expect_tensor(hot, "hottest", i, ranked[i]); }
    assert_int_equal(count(row(hot, "hottest", 4), "tensor_ns"), 0);
    assert_int_equal(count(row(hot, "sets", 0), "slices"), 2);
    const json_t * notes = json_object_get(hot, "notes");
    assert_int_equal(json_array_size(notes), 3); /* the last: a prompt of one token may be longer */
    assert_non_null(strstr(json_string_value(json_array_get(notes, 1)), "time decides"));
    json_decref(hot);
}

/* Two reads of a row are more accesses than one of a whole weight, but less heat. */
static void a_row_is_not_the_whole(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    const struct tb_entry entries[] = {
        { .name = "inp_embd", .tensor = c.embd, .ne = { 16 } },
        { .name = "blk.0.a (view)", .tensor = c.weight[0], .ne = { 16, 1 } },
        { .name = "blk.1.b", .tensor = c.weight[1], .ne = { 16, 16 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 1 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 1 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 1 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 1 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 3, 1 } },
    };
    evaluate(&c, tb_template(&c.b, 1, entries, 3, 3, NULL, 0), 3, 2);
    json_t * hot = hot_of(&c.b, NULL);
    expect_tensor(hot, "hottest", 0, "blk.1.b");
    assert_int_equal(count(row(hot, "hottest", 0), "accesses"), 2);
    expect_tensor(hot, "hottest", 1, "blk.0.a");
    assert_int_equal(count(row(hot, "hottest", 1), "accesses"), 4);
    json_decref(hot);
}

static void early_and_late_layers(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    /* Layers 0 to 3 are the first third of ten, 7 to 9 the last. */
    evaluate(&c, chain_template(&c, (const int[]){ 1, 2, 3, 4, 8, 9, 10, 1, 2, 3, 4, 0 }, 0), 11, 1);
    json_t * hot = hot_of(&c.b, NULL);
    assert_int_equal(count(row(hot, "depths", 0), "layer_first"), 0);
    assert_int_equal(count(row(hot, "depths", 0), "layer_last"), 3);
    assert_int_equal(count(row(hot, "depths", 1), "layer_first"), 4);
    assert_int_equal(count(row(hot, "depths", 2), "layer_first"), 7);
    assert_int_equal(count(row(hot, "depths", 2), "layer_last"), 9);
    assert_int_equal(count(row(hot, "depths", 0), "accesses"), 8);
    assert_int_equal(count(row(hot, "depths", 1), "accesses"), 0);
    assert_int_equal(count(row(hot, "depths", 2), "accesses"), 3);
    assert_null(row(hot, "depths", 3));
    json_decref(hot);
}

/* ---- read again ---- */

/* Rows count as read again if the same graph reads the whole too, and only then. */
static void rows_and_the_whole(void ** state) {
    (void) state;
    struct trace_builder b;
    struct small_model m;
    small_model_begin(&b, &m);
    const uint32_t prompt = small_model_template(&b, &m, 2), generate = small_model_template(&b, &m, 1);
    small_model_evaluate(&b, prompt, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
    small_model_evaluate(&b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 2 });
    small_model_end_early(&b, generate, (const int64_t[]){ 4 }, 1, 1);
    small_model_end_early(&b, generate, (const int64_t[]){ 5 }, 1, 2);
    small_model_evaluate(&b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 2, 1 });
    json_t * hot = hot_of(&b, NULL);
    const json_int_t unique = EMBD_BYTES + QUERY_BYTES + 3 * EXPERT_BYTES;
    const json_int_t bytes = 6 * EMBD_ROW + 3 * EMBD_BYTES + 4 * QUERY_BYTES + 7 * EXPERT_BYTES;
    assert_int_equal(value(hot, "bytes"), bytes);
    assert_int_equal(value(hot, "unique_bytes"), unique);
    assert_int_equal(value(hot, "again_within_bytes"), 4 * EMBD_ROW);
    assert_int_equal(value(hot, "again_across_bytes"), bytes - unique - 4 * EMBD_ROW);
    assert_int_equal(value(hot, "untouched_bytes"), EXPERT_BYTES);
    assert_int_equal(value(hot, "untouched_tensors"), 0);
    json_decref(hot);
}

/* Two views of one weight that overlap; and a third weight in pieces, which are not read twice. */
static void views_that_overlap(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    const struct tb_entry entries[] = {
        { .name = "inp_embd", .tensor = c.embd, .ne = { 16 } },
        { .name = "blk.0.a (view)", .tensor = c.weight[0], .ne = { 16, 8 } },
        { .name = "blk.0.a (view)", .tensor = c.weight[0], .ne = { 16, 8 }, .offset = 256 },
        { .name = "blk.1.b (view)", .tensor = c.weight[1], .ne = { 1, 3, 2 }, .nb = { 4, 64, 320, 640 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 8 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 1 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 8 }, .facts = TAT_NODE_COMPUTE, .src = { 3, 1 } },
        { .name = "x", .op = "MUL_MAT", .tensor = c.x, .ne = { 8 }, .facts = TAT_NODE_COMPUTE, .src = { 4, 1 } },
    };
    evaluate(&c, tb_template(&c.b, 1, entries, 4, 3, NULL, 0), 3, 2);
    json_t * hot = hot_of(&c.b, NULL);
    assert_int_equal(value(hot, "bytes"), 2 * (512 + 512 + 24));
    assert_int_equal(value(hot, "accesses"), 2 * 3);
    assert_int_equal(value(hot, "unique_bytes"), 768 + 24);
    assert_int_equal(value(hot, "again_within_bytes"), 2 * 256);
    assert_int_equal(value(hot, "again_across_bytes"), 768 + 24);
    json_decref(hot);
}

/* A percentage is not an exact binary number: three tenths of ten are three, 70 % are seven. */
static void shares_of_the_weights(void ** state) {
    (void) state;
    static const struct {
        double hot, cold;
        json_int_t n_hot, n_cold;
    } shares[] = {
        { 0.1 + 0.2, 0.7 - 1e-16, 3, 7 },    { 0.01, 0.05, 1, 0 }, { 1, 1, 10, 0 }, { 0, 0, 1, 5 },
        /* the defaults, */ { -1, 2, 1, 5 }, /* which also replace nonsense */
    };
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct chain c = { 0 };
        chain_begin(&c);
        evaluate(&c, chain_template(&c, (const int[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0 }, 0), 10, 1);
        json_t * hot =
            hot_of(&c.b, &(struct tat_analysis_options){ .hot_share = shares[i].hot, .cold_share = shares[i].cold });
        assert_int_equal(count(row(hot, "sets", 0), "slices"), shares[i].n_hot);
        assert_int_equal(count(row(hot, "sets", 2), "slices"), shares[i].n_cold);
        json_decref(hot);
    }
}

static void nothing_was_touched(void ** state) {
    (void) state;
    struct chain c = { 0 };
    chain_begin(&c);
    json_t * hot = hot_of(&c.b, NULL);
    expect_headline(hot, "Neither a prompt nor a generated token touched a weight.");
    assert_null(json_object_get(hot, "tables"));
    json_decref(hot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_loaded_twice_has_its_weights_once),
        cmocka_unit_test(read_twice_in_one_graph_after_loading_again),
        cmocka_unit_test(a_copy_is_the_same_bytes_of_the_file),
        cmocka_unit_test(all_alike_is_uniform),
        cmocka_unit_test(one_weight_is_hot),
        cmocka_unit_test(time_decides_where_the_cut_ties),
        cmocka_unit_test(a_row_is_not_the_whole),
        cmocka_unit_test(early_and_late_layers),
        cmocka_unit_test(rows_and_the_whole),
        cmocka_unit_test(views_that_overlap),
        cmocka_unit_test(shares_of_the_weights),
        cmocka_unit_test(nothing_was_touched),
    };
    return cmocka_run_group_tests_name("hot", tests, NULL, NULL);
}
