/* SPDX-License-Identifier: MIT
 *
 * The section "attention", of two layers of which the second sees through a window: whose cells are read, in which
 * order, by which heads.
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "section.h"

enum { HEADS = 4, KV_HEADS = 2, SIZE = 16, EMBD = HEADS * SIZE, KV_EMBD = KV_HEADS * SIZE, CELLS = 64, SEEN = 32 };
enum {
    CELL = KV_EMBD * 4 /* bytes of K, or of V, in a layer */,
    LAYERS = 2,
    PER_LAYER_LEAVES = 6,
    PER_LAYER_NODES = 7
};

struct run {
    struct trace_builder b;
    uint32_t cur, ids, mask, tensor[LAYERS][PER_LAYER_LEAVES];
    int64_t cell; /* the next token's */
    bool latent;  /* V is a view of K: the first half of each head */
};

/* ---- building ---- */

static uint32_t tensor(struct run * r, const char * name, enum tat_tensor_kind kind, uint64_t n0, uint64_t n1) {
    const enum tat_memory memory = kind == TAT_TENSOR_WEIGHT  ? TAT_MEMORY_FILE
                                   : kind == TAT_TENSOR_STATE ? TAT_MEMORY_KV
                                                              : TAT_MEMORY_BUFFER;
    return tb_tensor(
        &r->b, (struct tb_tensor){
                   .name = name, .kind = kind, .memory = memory, .ne = { n0, n1 }, .file = kind == TAT_TENSOR_WEIGHT });
}

static const char * const names[LAYERS][PER_LAYER_LEAVES] = {
    { "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "cache_k_l0",
      "cache_v_l0" },
    { "blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight", "blk.1.attn_output.weight", "cache_k_l1",
      "cache_v_l1" },
};

static void begin(struct run * r) {
    static const uint64_t rows[PER_LAYER_LEAVES] = { EMBD, KV_EMBD, KV_EMBD, EMBD, CELLS, CELLS };
    memset(r, 0, sizeof *r);
    tb_begin(&r->b);
    tb_model_file(&r->b, "/model.gguf");
    r->cur = tensor(r, "cur", TAT_TENSOR_ACTIVATION, 64, 64);
    r->ids = tensor(r, "idxs", TAT_TENSOR_INPUT, 64, 1);
    r->mask = tensor(r, "mask", TAT_TENSOR_INPUT, CELLS, 64);
    for (int l = 0; l < LAYERS; l++) {
        for (int i = 0; i < PER_LAYER_LEAVES; i++) {
            r->tensor[l][i] =
                tensor(r, names[l][i], i < 4 ? TAT_TENSOR_WEIGHT : TAT_TENSOR_STATE, i < 4 ? EMBD : KV_EMBD, rows[i]);
        }
    }
}

enum { INPUT, IDS, MASK, WINDOW, Q, FIRST_OF_LAYERS }; /* leaves that all layers share */

/* A layer's entries, counted from its first leaf and its first node. */
static void put_layer(const struct run * r, struct tb_entry * e, int l, unsigned n, bool k_first) {
    static const char * const results[LAYERS][PER_LAYER_NODES] = {
        { "Qcur-0", "Kcur-0", "Vcur-0", "k_rows-0", "v_rows-0", "fattn-0", "attn_out-0" },
        { "Qcur-1", "Kcur-1", "Vcur-1", "k_rows-1", "v_rows-1", "fattn-1", "attn_out-1" },
    };
    const uint32_t * t = r->tensor[l];
    const int leaf = FIRST_OF_LAYERS + l * PER_LAYER_LEAVES;
    const int node = FIRST_OF_LAYERS + LAYERS * PER_LAYER_LEAVES + l * PER_LAYER_NODES;
    const uint64_t rows[] = { EMBD, KV_EMBD, KV_EMBD, EMBD };
    for (int i = 0; i < 4; i++) {
        e[leaf + i] = (struct tb_entry){ .name = names[l][i], .tensor = t[i], .ne = { EMBD, rows[i] } };
    }
    for (int i = 4; i < 6; i++) {
        e[leaf + i] = (struct tb_entry){ .name = i == 4 ? "k_view" : "v_view",
                                         .tensor = t[r->latent ? 4 : i],
                                         .ne = { r->latent && i == 5 ? SIZE / 2 : SIZE, SEEN, KV_HEADS },
                                         .nb = { 4, CELL, SIZE * 4, CELL * CELLS } };
    }
    const int first = k_first ? 1 : 0; /* the weight that is used first */
    for (int i = 0; i < 3; i++) {
        const int w = i == 0 ? first : i == 1 ? 1 - first : 2;
        e[node + i] = (struct tb_entry){
            .op = "MUL_MAT", .tensor = r->cur, .ne = { rows[w], n }, .src = { leaf + w + 1, INPUT + 1 }
        };
    }
    for (int i = 3; i < 5; i++) {
        e[node + i] = (struct tb_entry){ .op = "SET_ROWS",
                                         .tensor = t[i + 1],
                                         .ne = { KV_EMBD, CELLS },
                                         .src = { node + i - 1, IDS + 1, leaf + i + 2 } };
    }
    e[node + 5] = (struct tb_entry){ .op = "FLASH_ATTN_EXT",
                                     .tensor = r->cur,
                                     .ne = { SIZE, HEADS, n },
                                     .src = { Q + 1, leaf + 5, leaf + 6, l ? WINDOW + 1 : MASK + 1 } };
    e[node + 6] =
        (struct tb_entry){ .op = "MUL_MAT", .tensor = r->cur, .ne = { EMBD, n }, .src = { leaf + 4, INPUT + 1 } };
    for (int i = 0; i < PER_LAYER_NODES; i++) {
        e[node + i].name = results[l][i];
        e[node + i].facts = TAT_NODE_COMPUTE;
    }
}

static uint32_t graph(struct run * r, unsigned n, bool second_differs) {
    enum { LEAVES = FIRST_OF_LAYERS + LAYERS * PER_LAYER_LEAVES, NODES = LAYERS * PER_LAYER_NODES };
    struct tb_entry e[LEAVES + NODES] = {
        [INPUT] = { .name = "inp_embd", .tensor = r->cur, .ne = { EMBD, n } },
        [IDS] = { .name = "idxs", .tensor = r->ids, .ne = { n } },
        [MASK] = { .name = "mask", .tensor = r->mask, .ne = { SEEN, n } },
        [WINDOW] = { .name = "mask_swa", .tensor = r->mask, .ne = { SEEN, n } },
        [Q] = { .name = "Q (permuted)",
                .tensor = r->cur,
                .ne = { SIZE, n, HEADS },
                .nb = { 4, 4 * EMBD, 4 * SIZE, 4 * EMBD * n } },
    };
    for (int l = 0; l < LAYERS; l++) { put_layer(r, e, l, n, l && second_differs); }
    e[LEAVES + NODES - 1].name = "result_output";
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, IDS, 3, 1 },
                                           { TAT_CAPTURE_MASK, MASK, 5, 3 },
                                           { TAT_CAPTURE_MASK, WINDOW, PER_LAYER_NODES + 5, 3 } };
    return tb_template(&r->b, 1, e, LEAVES, NODES, captures, 3);
}

/* A mask of n tokens, each of which sees itself and those before; in the second layer, only the last `window`. */
static void evaluate(struct run * r, uint32_t template_id, unsigned n, int64_t window) {
    int64_t cells[8];
    uint8_t bytes[512];
    struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
    for (unsigned i = 0; i < n; i++) { cells[i] = r->cell + i; }
    tb_put_series(&out, cells, n);
    for (int mask = 0; mask < 2; mask++) {
        tat_put_varint(&out, n);
        for (unsigned i = 0; i < n; i++) {
            const int64_t all = cells[i] + 1, seen = mask && all > window ? window : all;
            tat_put_varint(&out, (uint64_t) (all - seen));
            tat_put_varint(&out, (uint64_t) seen);
            tat_put_varint(&out, 0);
            tat_put_varint(&out, 0);
        }
    }
    assert_false(out.overflow);
    r->cell += n;
    tb_evaluation(&r->b, (struct tb_evaluation){ .template_id = template_id,
                                                 .n_callbacks = LAYERS * PER_LAYER_NODES,
                                                 .captures = bytes,
                                                 .captures_bytes = (size_t) (out.at - bytes) });
}

static json_t * end(struct run * r) {
    return section_of_all(&r->b, "attention");
}

/* ---- answers ---- */

static const json_t * rows(const json_t * section, const char * table) {
    return json_object_get(json_object_get(json_object_get(section, "tables"), table), "rows");
}

static const json_t * row(const json_t * section, const char * table, size_t number) {
    if (number >= json_array_size(rows(section, table))) { fail_msg("%s has no row %zu", table, number); }
    return json_array_get(rows(section, table), number);
}

static double real(const json_t * object, const char * key) {
    const json_t * value = json_object_get(object, key);
    if (!json_is_number(value)) { fail_msg("no number %s", key); }
    return json_number_value(value);
}

static double value(const json_t * section, const char * key) {
    return real(json_object_get(section, "values"), key);
}

static bool says(const json_t * section, const char * words) {
    char * text = json_dumps(section, 0);
    const bool found = strstr(text, words) != NULL;
    free(text);
    return found;
}

#define assert_about(found, expected) assert_float_equal(found, expected, 1e-6)

/* ---- tests ---- */

/* A prompt of 3 tokens and 2 generated ones. The window of 8 cells hides nothing from them. */
static void test_cells(void ** state) {
    (void) state;
    struct run r;
    begin(&r);
    const uint32_t three = graph(&r, 3, false), one = graph(&r, 1, false);
    evaluate(&r, three, 3, 8);
    evaluate(&r, one, 1, 8);
    evaluate(&r, one, 1, 8);
    json_t * s = end(&r);
    const double both = 2 * LAYERS * CELL; /* one cell in K and V of all layers */
    assert_int_equal(json_array_size(rows(s, "growth")), 3);
    const json_t * prompt = row(s, "growth", 0);
    assert_string_equal(json_string_value(json_object_get(prompt, "phase")), "prompt");
    assert_about(real(prompt, "tokens"), 3);
    assert_about(real(prompt, "cells"), SEEN);
    assert_about(real(prompt, "visible_cells"), 2); /* 1, 2, 3 */
    assert_about(real(prompt, "fresh_bytes"), 3 * both);
    assert_about(real(prompt, "cached_bytes"), 0);
    assert_about(real(prompt, "hidden_bytes"), (SEEN - 3) * both);
    assert_about(real(prompt, "kv_written_bytes"), 3 * both);
    const json_t * last = row(s, "growth", 2);
    assert_about(real(last, "token"), 4);
    assert_about(real(last, "visible_cells"), 5);
    assert_about(real(last, "kv_read_bytes"), SEEN * both);
    assert_about(real(last, "fresh_bytes"), both);
    assert_about(real(last, "cached_bytes"), 4 * both);
    assert_about(real(last, "hidden_bytes"), (SEEN - 5) * both);
    assert_about(real(last, "weight_bytes"), LAYERS * 2 * (EMBD + KV_EMBD) * EMBD * 4);
    assert_about(value(s, "visible_cells_per_query"), 4.5);
    assert_about(value(s, "sliding_layers"), 0);
    /* The weights cost as much as so many cells. */
    assert_about(value(s, "cells_that_cost_the_weights"), (int) (LAYERS * 2 * (EMBD + KV_EMBD) * EMBD * 4 / both));
    json_decref(s);
}

/* Of a V that is a view of K, no byte is another one. */
static void test_latent(void ** state) {
    (void) state;
    struct run r;
    begin(&r);
    r.latent = true;
    const uint32_t one = graph(&r, 1, false);
    evaluate(&r, one, 1, 8);
    evaluate(&r, one, 1, 8);
    json_t * s = end(&r);
    const double k = LAYERS * CELL * SEEN, weights = LAYERS * 2 * (EMBD + KV_EMBD) * EMBD * 4;
    assert_about(value(s, "kv_read_bytes_per_token"), 1.5 * k);
    assert_about(value(s, "kv_distinct_bytes_per_token"), k);
    assert_about(real(row(s, "growth", 1), "kv_distinct_bytes"), k);
    assert_about(real(row(s, "growth", 1), "kv_of_weights"), k / weights);
    assert_about(real(row(s, "growth", 1), "fresh_bytes"), k / SEEN);
    assert_about(real(row(s, "growth", 1), "hidden_bytes"), k - 2 * k / SEEN);
    assert_about(real(row(s, "layers", 0), "kv_distinct_bytes_per_token"), k / LAYERS);
    assert_about(real(row(s, "layers", 0), "kv_of_weights"), k / weights);
    assert_about(value(s, "cells_that_cost_the_weights"), (int) (weights * SEEN / k));
    assert_true(says(s, "A generated token reads 8.00 KiB of KV cache (12.0 KiB if bytes that serve as both K and V"));
    json_decref(s);
}

static void test_window(void ** state) {
    (void) state;
    struct run r;
    begin(&r);
    const uint32_t one = graph(&r, 1, false);
    for (int i = 0; i < 10; i++) { evaluate(&r, one, 1, 4); }
    json_t * s = end(&r);
    assert_about(value(s, "sliding_layers"), 1);
    assert_true(json_is_false(json_object_get(row(s, "layers", 0), "slides")));
    assert_true(json_is_true(json_object_get(row(s, "layers", 1), "slides")));
    assert_about(real(row(s, "layers", 0), "most_visible_cells"), 10);
    assert_about(real(row(s, "layers", 1), "most_visible_cells"), 4);
    assert_about(real(row(s, "layers", 1), "room_cells"), CELLS);
    /* The last token's second layer: its own cell, 3 before it, and all others hidden. */
    const json_t * last = row(s, "growth", 9);
    assert_about(real(last, "cached_bytes"), (9 + 3) * 2 * CELL);
    assert_about(real(last, "hidden_bytes"), (SEEN - 10 + SEEN - 4) * 2 * CELL);
    assert_null(json_object_get(json_object_get(s, "values"), "cells_that_cost_the_weights"));
    assert_true(says(s, "1 of 2 layers see no more than the last 4 cells, the others up to 10"));
    json_decref(s);
}

static void test_heads_and_order(void ** state) {
    (void) state;
    struct run r;
    begin(&r);
    const uint32_t one = graph(&r, 1, true);
    evaluate(&r, one, 1, 8);
    evaluate(&r, one, 1, 8);
    json_t * s = end(&r);
    assert_about(real(row(s, "sharing", 1), "heads"), HEADS);
    assert_about(real(row(s, "sharing", 1), "kv_heads"), KV_HEADS);
    /* q_weights of layer 0: a head's rows. Of a layer's 8 parts, each has as many bytes per head as there are heads. */
    assert_int_equal(json_array_size(rows(s, "head_bytes")), 8 * LAYERS);
    const json_t * q = json_object_get(row(s, "head_bytes", 0), "bytes");
    assert_int_equal(json_array_size(q), HEADS);
    assert_about(json_number_value(json_array_get(q, 3)), SIZE * EMBD * 4);
    const json_t * k = json_object_get(row(s, "head_bytes", 4), "bytes");
    assert_int_equal(json_array_size(k), KV_HEADS);
    assert_about(json_number_value(json_array_get(k, 1)), SEEN * SIZE * 4);
    assert_true(says(s, "4 query heads share 2 KV heads"));
    assert_about(value(s, "layer_orders"), 2);
    assert_string_equal(json_string_value(json_object_get(row(s, "order", 0), "order")),
                        "Q, K, V, write K cache, write V cache, read K cache, read V cache, O");
    assert_string_equal(json_string_value(json_object_get(row(s, "order", 1), "order")),
                        "K, Q, V, write K cache, write V cache, read K cache, read V cache, O");
    assert_about(real(row(s, "order_steps", 3), "bytes"), CELL);
    json_decref(s);
}

static void test_none(void ** state) {
    (void) state;
    struct run r;
    begin(&r);
    json_t * s = end(&r);
    assert_string_equal(json_string_value(json_object_get(s, "headline")), "No generated token was recorded.");
    json_decref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),           cmocka_unit_test(test_latent), cmocka_unit_test(test_window),
        cmocka_unit_test(test_heads_and_order), cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
