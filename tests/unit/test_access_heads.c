/* SPDX-License-Identifier: MIT
 *
 * Attention split by head, against where each byte of a cache or weight lies: the parts of an operand are its records,
 * each byte once, and each byte in the part of its head.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/access_heads.h"
#include "trace_builder.h"

enum { HEADS = 4, KV_HEADS = 2, SIZE = 64, EMBD = HEADS * SIZE, KV_EMBD = KV_HEADS * SIZE, CELLS = 64, SEEN = 32 };
enum { TOKENS_MAX = 8, WEIGHT_AT = 4096, TENSOR_MAX = 1 << 20 };

struct type {
    const char * name;
    uint32_t block, bytes;
};
static const struct type F16 = { "f16", 1, 2 }, Q8 = { "q8_0", 32, 34 }, Q4_K = { "q4_K", 256, 144 };

struct setting {
    bool flash;
    bool copied;      /* to views of the cache, as before SET_ROWS; the cache has one dimension */
    bool masked_by_k; /* no host does it, but a trace may say so */
    struct type weights, cache;
    const char * q_name;
    unsigned q_rows; /* 0: as many as the heads have */
    unsigned n_tokens;
    int64_t cells[TOKENS_MAX]; /* the cells that the tokens are written to */
};

struct fixture {
    struct setting s;
    struct trace_builder b;
    struct tat_trace * trace;
    uint32_t q, k, v, o, cache_k, cache_v; /* tensors */
};

static uint64_t row_of(struct type type, uint64_t elements) {
    return elements / type.block * type.bytes;
}

/* ---- building ---- */

static uint32_t tensor(struct fixture * f, const char * name, enum tat_tensor_kind kind, struct type type, uint64_t n0,
                       uint64_t n1) {
    const bool is_weight = kind == TAT_TENSOR_WEIGHT, is_state = kind == TAT_TENSOR_STATE;
    return tb_tensor(&f->b, (struct tb_tensor){
                                .name = name,
                                .kind = kind,
                                .memory = is_weight  ? TAT_MEMORY_FILE
                                          : is_state ? TAT_MEMORY_KV
                                                     : TAT_MEMORY_BUFFER,
                                .type = type.name,
                                .block = type.block,
                                .block_bytes = type.bytes,
                                .ne = { n0, n1 },
                                .file = is_weight,
                                .file_offset = is_weight ? WEIGHT_AT : 0,
                            });
}

static uint32_t cache(struct fixture * f, const char * name) {
    const uint64_t n0 = f->s.copied ? KV_EMBD * CELLS : KV_EMBD;
    return tensor(f, name, TAT_TENSOR_STATE, f->s.cache, n0, f->s.copied ? 1 : CELLS);
}

/* Adds the nodes that wrote the cache before SET_ROWS. */
static void copy(const struct fixture * f, struct tb_entry * k, struct tb_entry * v) {
    const struct setting * s = &f->s;
    const uint64_t n = s->n_tokens, first = (uint64_t) s->cells[0], row = row_of(s->cache, KV_EMBD);
    k->op = v->op = "CPY";
    memset(k->ne, 0, sizeof k->ne);
    memset(v->ne, 0, sizeof v->ne);
    k->ne[0] = v->ne[0] = n * KV_EMBD;
    k->offset = v->offset = (int64_t) (first * row);
    k->src[1] = k->src[2] = v->src[1] = v->src[2] = 0;
    if (!s->flash) {
        v->ne[0] = n;
        v->ne[1] = KV_EMBD;
        v->offset = (int64_t) row_of(s->cache, first);
        for (int i = 0; i < 4; i++) {
            v->nb[i] = i ? row_of(s->cache, CELLS) * (i == 1 ? 1 : KV_EMBD) : s->cache.bytes;
        }
    }
}

static void put_rows(struct tat_out * out, const struct setting * s, bool transposed) {
    int64_t ids[TOKENS_MAX * KV_EMBD];
    unsigned n = 0;
    for (unsigned t = 0; t < s->n_tokens; t++) {
        for (unsigned i = 0; i < (transposed ? KV_EMBD : 1); i++) {
            ids[n++] = (transposed ? i * CELLS : 0) + s->cells[t];
        }
    }
    tb_put_series(out, ids, n);
}

/* One layer: Q, K, V, the cache written and read, the output. */
static void build(struct fixture * f, struct setting s) {
    memset(f, 0, sizeof *f);
    f->s = s;
    const bool turns = !s.flash; /* V is transposed */
    const uint64_t n = s.n_tokens, q_rows = s.q_rows ? s.q_rows : EMBD, row = row_of(s.cache, KV_EMBD),
                   part = row_of(s.cache, SIZE), v_line = row_of(s.cache, CELLS);
    tb_begin(&f->b);
    tb_model_file(&f->b, "/model.gguf");
    f->q = tensor(f, s.q_name ? s.q_name : "blk.0.attn_q.weight", TAT_TENSOR_WEIGHT, s.weights, EMBD, q_rows);
    f->k = tensor(f, "blk.0.attn_k.weight", TAT_TENSOR_WEIGHT, s.weights, EMBD, KV_EMBD);
    f->v = tensor(f, "blk.0.attn_v.weight", TAT_TENSOR_WEIGHT, s.weights, EMBD, KV_EMBD);
    f->o = tensor(f, "blk.0.attn_output.weight", TAT_TENSOR_WEIGHT, s.weights, EMBD, EMBD);
    f->cache_k = cache(f, "cache_k_l0");
    f->cache_v = cache(f, "cache_v_l0");
    const struct type f32 = { "f32", 1, 4 };
    const uint32_t cur = tensor(f, "norm-0", TAT_TENSOR_ACTIVATION, f32, EMBD, TOKENS_MAX);
    const uint32_t ids = tensor(f, "idxs", TAT_TENSOR_INPUT, (struct type){ "i64", 1, 8 }, TOKENS_MAX * KV_EMBD, 1);
    const char *w = s.weights.name, *c = s.cache.name;
    const uint64_t n_ids = turns ? n * KV_EMBD : n;
    struct tb_entry e[32] = {
        { .name = "q", .type = w, .tensor = f->q, .ne = { EMBD, q_rows } },
        { .name = "k", .type = w, .tensor = f->k, .ne = { EMBD, KV_EMBD } },
        { .name = "v", .type = w, .tensor = f->v, .ne = { EMBD, KV_EMBD } },
        { .name = "o", .type = w, .tensor = f->o, .ne = { EMBD, EMBD } },
        { .name = "norm-0", .tensor = cur, .ne = { EMBD, n } },
        { .name = "k_idxs", .type = "i64", .tensor = ids, .ne = { n } },
        { .name = "v_idxs", .type = "i64", .tensor = ids, .ne = { n_ids } },
        { .name = "k_view",
          .type = c,
          .tensor = f->cache_k,
          .ne = { SIZE, SEEN, KV_HEADS },
          .nb = { s.cache.bytes, row, part, row * CELLS } },
        { .name = "v_view",
          .type = c,
          .tensor = f->cache_v,
          .ne = { SIZE, SEEN, KV_HEADS },
          .nb = { s.cache.bytes, row, part, row * CELLS } },
        { .name = "Q-0 (permuted)",
          .tensor = cur,
          .ne = { SIZE, n, HEADS },
          .nb = { 4, 4 * EMBD, 4 * SIZE, 4 * EMBD * n } },
        { .name = "Qcur-0",
          .op = "MUL_MAT",
          .tensor = cur,
          .ne = { q_rows, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 5 } },
        { .name = "Kcur-0",
          .op = "MUL_MAT",
          .tensor = cur,
          .ne = { KV_EMBD, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 2, 5 } },
        { .name = "Vcur-0",
          .op = "MUL_MAT",
          .tensor = cur,
          .ne = { KV_EMBD, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 3, 5 } },
        { .name = "cache_k_l0 (view)",
          .op = "SET_ROWS",
          .type = c,
          .tensor = f->cache_k,
          .ne = { KV_EMBD, CELLS },
          .facts = TAT_NODE_COMPUTE,
          .src = { 12, 6, 8 } },
        { .name = "cache_v_l0 (view)",
          .op = "SET_ROWS",
          .type = c,
          .tensor = f->cache_v,
          .ne = { KV_EMBD, CELLS },
          .facts = TAT_NODE_COMPUTE,
          .src = { 13, 7, 9 } },
        { .name = "fattn-0",
          .op = "FLASH_ATTN_EXT",
          .tensor = cur,
          .ne = { SIZE, HEADS, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 10, 8, 9 } },
        { .name = "attn_out-0",
          .op = "MUL_MAT",
          .tensor = cur,
          .ne = { EMBD, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 4, 5 } },
    };
    uint32_t n_nodes = 7;
    if (turns) {
        e[8] = (struct tb_entry){ .name = "v_view",
                                  .type = c,
                                  .tensor = f->cache_v,
                                  .ne = { SEEN, SIZE, KV_HEADS },
                                  .nb = { s.cache.bytes, v_line, v_line * SIZE, v_line * KV_EMBD } };
        e[14].ne[0] = 1;
        e[14].ne[1] = (uint64_t) KV_EMBD * CELLS;
        e[17] = e[16];
        e[15] = (struct tb_entry){ .name = "kq-0",
                                   .op = "MUL_MAT",
                                   .tensor = cur,
                                   .ne = { SEEN, n, HEADS },
                                   .facts = TAT_NODE_COMPUTE,
                                   .src = { 8, 10 } };
        e[16] = (struct tb_entry){ .name = "kqv-0",
                                   .op = "MUL_MAT",
                                   .tensor = cur,
                                   .ne = { SIZE, n, HEADS },
                                   .facts = TAT_NODE_COMPUTE,
                                   .src = { 9, 16 } };
        n_nodes++;
    }
    if (s.masked_by_k) { e[15].src[3] = 8; }
    if (s.copied) { copy(f, &e[13], &e[14]); }
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 5, 3, 1 }, { TAT_CAPTURE_ROWS, 6, 4, 1 } };
    const uint32_t t = tb_template(&f->b, 1, e, 10, n_nodes, captures, s.copied ? 0 : 2);
    static uint8_t bytes[1 << 15];
    struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
    put_rows(&out, &s, false);
    put_rows(&out, &s, turns);
    assert_false(out.overflow);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = t,
                                                 .n_callbacks = n_nodes,
                                                 .captures = bytes,
                                                 .captures_bytes = s.copied ? 0 : (size_t) (out.at - bytes) });
    tb_end(&f->b);
    struct tat_error error = { 0 };
    f->trace = tb_open(&f->b, &error);
    if (!f->trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(f->trace)->undecodable_blocks, 0);
}

static void done(struct fixture * f) {
    tat_trace_close(f->trace);
    tb_free(&f->b);
}

/* ---- the truth ---- */

/* The KV head or head that a byte of a tensor belongs to. *last: the last of the heads that share its block. */
static unsigned head_of(const struct fixture * f, uint32_t number, uint64_t at, unsigned * last) {
    const uint64_t row = row_of(f->s.weights, EMBD), cache_row = row_of(f->s.cache, KV_EMBD);
    const uint64_t line = row_of(f->s.cache, CELLS);
    unsigned head;
    if (number == f->q || number == f->k || number == f->v) {
        head = (unsigned) (at / row / SIZE);
    } else if (number == f->o) {
        const uint64_t first = at % row / f->s.weights.bytes * f->s.weights.block;
        *last = (unsigned) ((first + f->s.weights.block - 1) / SIZE);
        return (unsigned) (first / SIZE);
    } else if (number == f->cache_v && !f->s.flash) {
        head = (unsigned) (at / line / SIZE);
    } else {
        head = (unsigned) (at % cache_row / (cache_row / KV_HEADS));
    }
    *last = head;
    return head;
}

/* ---- what is made ---- */

struct count {
    const struct fixture * f;
    struct access_heads * heads;
    uint32_t tensor; /* the tensor whose records are looked at */
    int by;          /* what each byte adds */
    uint8_t * bytes;
    size_t parts, whole;
};

static bool count_part(const struct tat_access * a, struct tat_layout layout, void * user) {
    struct count * c = user;
    if (a->tensor != c->tensor || a->bytes == 0) { return true; }
    const uint64_t base = a->kind >> 4 == TAT_MEMORY_FILE ? WEIGHT_AT : 0;
    const uint64_t run = a->rows > 1 ? layout.run_bytes : a->bytes;
    assert_int_equal(a->bytes, run * a->rows);
    assert_int_equal(a->rows > 1, (a->flags & TAT_ACCESS_STRIDED) != 0);
    *(a->head_first == TAT_NO_HEAD ? &c->whole : &c->parts) += 1;
    for (uint64_t r = 0; r < a->rows; r++) {
        for (uint64_t i = 0; i < run; i++) {
            const uint64_t at = a->offset - base + r * layout.stride + i;
            unsigned last;
            assert_true(at < TENSOR_MAX);
            c->bytes[at] = (uint8_t) (c->bytes[at] + c->by);
            if (a->head_first == TAT_NO_HEAD) { continue; }
            const unsigned first = head_of(c->f, c->tensor, at, &last);
            if (first < a->head_first || last >= a->head_first + a->head_count) {
                fail_msg("byte %d of heads %u to %u is in the part of %u to %u", (int) at, first, last, a->head_first,
                         a->head_first + a->head_count - 1);
            }
        }
    }
    return true;
}

static bool count_records(const struct tat_access * records, size_t n, void * user) {
    struct count * c = user;
    for (size_t i = 0; i < n; i++) {
        struct tat_layout layout = { 0 };
        if (records[i].layout) { layout = tat_trace_layout(c->f->trace, records[i].layout); }
        count_part(&records[i], layout, c);
    }
    return true;
}

static bool split_records(const struct tat_access * records, size_t n, void * user) {
    struct count * c = user;
    return tat_access_heads_split(c->heads, records, n, count_part, c);
}

/* Checks that the tensor's bytes are the same, split or not. Returns how many parts there were, 0 if it stays whole. */
static size_t parts_of(const struct fixture * f, uint32_t tensor_number) {
    struct tat_error error = { 0 };
    struct count c = { .f = f, .tensor = tensor_number, .bytes = calloc(TENSOR_MAX, 1), .by = 1 };
    c.heads = tat_access_heads_new(f->trace, &error);
    assert_non_null(c.heads);
    assert_non_null(c.bytes);
    assert_int_equal(tat_trace_expand(f->trace, 0, 1, split_records, &c, &error), 0);
    const size_t parts = c.parts, whole = c.whole;
    assert_true(parts + whole > 0);
    assert_true(parts == 0 || whole == 0 || f->s.masked_by_k);
    c.by = -1;
    assert_int_equal(tat_trace_expand(f->trace, 0, 1, count_records, &c, &error), 0);
    for (size_t i = 0; i < TENSOR_MAX; i++) { assert_int_equal(c.bytes[i], 0); }
    free(c.bytes);
    tat_access_heads_free(c.heads);
    return parts;
}

/* ---- tests ---- */

static const struct setting flash = {
    .flash = true, .weights = { "q8_0", 32, 34 }, .cache = { "f16", 1, 2 }, .n_tokens = 1, .cells = { 7 }
};

static void weights_are_split_by_rows_and_columns(void ** state) {
    (void) state;
    struct fixture f;
    build(&f, flash);
    assert_int_equal(parts_of(&f, f.q), HEADS);
    assert_int_equal(parts_of(&f, f.k), KV_HEADS);
    assert_int_equal(parts_of(&f, f.v), KV_HEADS);
    assert_int_equal(parts_of(&f, f.o), HEADS);
    done(&f);
}

/* 256 elements in a block, 64 in a head. */
static void heads_that_share_blocks_are_one_part(void ** state) {
    (void) state;
    struct fixture f;
    struct setting s = flash;
    s.weights = Q4_K;
    build(&f, s);
    assert_int_equal(parts_of(&f, f.q), HEADS);
    assert_int_equal(parts_of(&f, f.o), 1);
    done(&f);
}

/* As in latent attention, which first makes something smaller. */
static void a_weight_whose_rows_are_no_heads_stays_whole(void ** state) {
    (void) state;
    struct fixture f;
    struct setting s = flash;
    s.q_name = "blk.0.attn_q_a.weight";
    s.q_rows = EMBD / 2;
    build(&f, s);
    assert_int_equal(parts_of(&f, f.q), 0);
    assert_int_equal(parts_of(&f, f.k), KV_HEADS);
    done(&f);
}

static void cache_read_and_written(void ** state) {
    static const struct {
        unsigned n;
        int64_t cells[TOKENS_MAX];
    } places[] = { { 1, { 7 } },       { 3, { 4, 5, 6 } }, { 4, { 3, 4, 9, 10 } },
                   { 3, { 1, 5, 6 } }, { 2, { 0, 63 } },   { 4, { 2, 4, 6, 8 } } };
    (void) state;
    for (int transposed = 0; transposed < 2; transposed++) {
        for (int quantized = 0; quantized < 2 - transposed; quantized++) { /* a transposed V is never quantized */
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
                struct fixture f;
                struct setting s = flash;
                s.flash = !transposed;
                s.cache = quantized ? Q8 : F16;
                s.n_tokens = places[p].n;
                memcpy(s.cells, places[p].cells, sizeof s.cells);
                build(&f, s);
                assert_true(parts_of(&f, f.cache_k) >= 2 * KV_HEADS); /* read and written */
                assert_true(parts_of(&f, f.cache_v) >= 2 * KV_HEADS);
                done(&f);
            }
        }
    }
}

static void cache_written_by_copies(void ** state) {
    (void) state;
    for (int transposed = 0; transposed < 2; transposed++) {
        for (unsigned n = 1; n <= TOKENS_MAX; n += 3) {
            struct fixture f;
            struct setting s = flash;
            s.flash = !transposed;
            s.copied = true;
            s.n_tokens = n;
            build(&f, s);
            assert_int_equal(parts_of(&f, f.cache_k), 2 * KV_HEADS);
            assert_int_equal(parts_of(&f, f.cache_v), 2 * KV_HEADS);
            done(&f);
        }
    }
}

/* Only some rows of a mask are read, so it has no planes. */
static void a_mask_in_the_cache_has_no_heads(void ** state) {
    (void) state;
    struct fixture f;
    struct setting s = flash;
    s.masked_by_k = true;
    build(&f, s);
    assert_int_equal(parts_of(&f, f.cache_k), 2 * KV_HEADS);
    done(&f);
}

static bool stop(const struct tat_access * a, struct tat_layout layout, void * user) {
    (void) a;
    (void) layout;
    return --*(int *) user > 0;
}

struct stopping {
    struct access_heads * heads;
    int left;
};

static bool split_and_stop(const struct tat_access * records, size_t n, void * user) {
    struct stopping * s = user;
    return tat_access_heads_split(s->heads, records, n, stop, &s->left);
}

static void the_sink_can_end_it_within_a_record(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error = { 0 };
    build(&f, flash);
    for (int most = 1; most < 12; most++) {
        struct stopping s = { tat_access_heads_new(f.trace, &error), most };
        assert_int_equal(tat_trace_expand(f.trace, 0, 1, split_and_stop, &s, &error), 1);
        assert_int_equal(s.left, 0);
        tat_access_heads_free(s.heads);
    }
    done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_split_by_rows_and_columns),
        cmocka_unit_test(heads_that_share_blocks_are_one_part),
        cmocka_unit_test(a_weight_whose_rows_are_no_heads_stays_whole),
        cmocka_unit_test(cache_read_and_written),
        cmocka_unit_test(cache_written_by_copies),
        cmocka_unit_test(a_mask_in_the_cache_has_no_heads),
        cmocka_unit_test(the_sink_can_end_it_within_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
