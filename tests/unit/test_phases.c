/* SPDX-License-Identifier: MIT
 *
 * What the rows of a ubatch are, told from its graph and from what its context computed before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace_builder.h"

enum { ROWS_MAX = 512, VOCABULARY = 1 << 20 };
static const enum tat_phase P = TAT_PHASE_PROMPT, G = TAT_PHASE_GENERATE, V = TAT_PHASE_VERIFY, M = TAT_PHASE_MIXED,
                            O = TAT_PHASE_OTHER, U = TAT_PHASE_UNKNOWN;

/* A ubatch, and the phase that it must get. */
struct given {
    uint32_t rows, outputs;
    int64_t first; /* position; the others follow */
    enum tat_phase phase;
    const int64_t * at;   /* positions that do not follow each other */
    bool nowhere;         /* positions are not recorded */
    int64_t text;         /* ids of tokens are this plus their positions; 0: not recorded */
    bool call;            /* llama_decode is called for it; else it continues the call before, or nobody noted calls */
    const uint32_t * see; /* by row: cells skipped, cells seen */
    uint32_t streams;     /* of the mask */
    const char * result;  /* NULL: "result_output" */
};

#define IS(n, out, at, what, ...)                                                                                      \
    { .rows = (n), .outputs = (out), .first = (at), .phase = (what), __VA_ARGS__ }

struct fixture {
    struct trace_builder b;
    uint32_t embd, input, out;
};

static void begin(struct fixture * f) {
    tb_begin(&f->b);
    f->embd = tb_tensor(&f->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                   .kind = TAT_TENSOR_WEIGHT,
                                                   .memory = TAT_MEMORY_COPY,
                                                   .ne = { 2, VOCABULARY } });
    f->input = tb_tensor(&f->b, (struct tb_tensor){ .name = "inp",
                                                    .kind = TAT_TENSOR_INPUT,
                                                    .memory = TAT_MEMORY_BUFFER,
                                                    .ne = { ROWS_MAX, ROWS_MAX } });
    f->out = tb_tensor(&f->b, (struct tb_tensor){ .name = "result",
                                                  .kind = TAT_TENSOR_ACTIVATION,
                                                  .memory = TAT_MEMORY_BUFFER,
                                                  .ne = { 2, ROWS_MAX } });
}

static uint32_t graph(struct fixture * f, const struct given * g) {
    const uint64_t streams = g->streams ? g->streams : 1, rows = g->rows ? g->rows : 1;
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = f->embd, .ne = { 2, VOCABULARY } },
        { .name = "inp_tokens", .tensor = f->input, .ne = { rows } },
        { .name = "inp_pos", .tensor = f->input, .ne = { rows } },
        { .name = "mask", .tensor = f->input, .ne = { 256, rows / streams, 1, streams } },
        { .name = "embd", .op = g->rows ? "GET_ROWS" : "ADD", .tensor = f->out, .ne = { 2, rows }, .src = { 1, 2 } },
        { .name = "Qcur-0", .op = "ROPE", .tensor = f->out, .ne = { 2, rows }, .src = { 5, 3 } },
        { .name = "kq-0", .op = "SOFT_MAX", .tensor = f->out, .ne = { 2, rows }, .src = { 6, 4 } },
        { .name = g->result ? g->result : "result_output",
          .op = "MUL_MAT",
          .tensor = f->out,
          .ne = { 2, g->outputs },
          .empty = g->outputs == 0,
          .src = { 7 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 },
                                           { TAT_CAPTURE_POSITIONS, 2, 1, 1 },
                                           { TAT_CAPTURE_MASK, 3, 2, 1 } };
    return tb_template(&f->b, 1, entries, 4, 4, captures, g->rows ? 3 : 0);
}

static void put_rows(struct tat_out * out, const struct given * g, bool known, int64_t from) {
    int64_t values[ROWS_MAX];
    for (uint32_t i = 0; i < g->rows; i++) { values[i] = from + (g->at ? g->at[i] : g->first + i); }
    if (known) {
        tb_put_series(out, values, g->rows);
    } else {
        tat_put_varint(out, 0);
    }
}

static void compute(struct fixture * f, const struct given * g) {
    static struct payload captures;
    const uint64_t call[] = { 7, 0 };
    if (g->call) { tb_event(&f->b, TAT_EVENT_CALL_BEGIN, f->b.tick - 10, call, 2, NULL); }
    payload_begin(&captures);
    if (g->rows) {
        put_rows(&captures.out, g, g->text != 0, g->text);
        put_rows(&captures.out, g, !g->nowhere, 0);
        tat_put_varint(&captures.out, g->see ? g->rows : 0);
    }
    for (uint32_t i = 0; g->see && i < g->rows; i++) {
        const uint32_t pairs[] = { g->see[2 * i], g->see[2 * i + 1], 0, 0 };
        for (int k = 0; k < 4; k++) { tat_put_varint(&captures.out, pairs[k]); }
    }
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = graph(f, g),
                                                 .n_callbacks = 4,
                                                 .captures = captures.bytes,
                                                 .captures_bytes = (size_t) (captures.out.at - captures.bytes) });
}

static void check(const struct given * given, uint32_t n) {
    struct fixture f;
    struct tat_error error = { 0 };
    uint32_t count, tokens = 0;
    begin(&f);
    for (uint32_t i = 0; i < n; i++) { compute(&f, &given[i]); }
    struct tat_trace * trace = tb_open(&f.b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    assert_int_equal(count, n);
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].phase != given[i].phase) {
            fail_msg("ubatch %u: %s, not %s", i, tat_phase_name(e[i].phase), tat_phase_name(given[i].phase));
        }
        assert_int_equal(e[i].token_first, tokens);
        tokens += e[i].n_tokens;
    }
    tat_trace_close(trace);
    tb_free(&f.b);
}
#define CHECK(...)                                                                                                     \
    check((const struct given[]){ __VA_ARGS__ }, sizeof((const struct given[]){ __VA_ARGS__ }) / sizeof(struct given))

static void prompt_row_by_row(void ** state) {
    (void) state;
    CHECK(IS(1, 0, 0, P), IS(1, 0, 1, P), IS(1, 1, 2, P), IS(1, 1, 3, G), IS(1, 1, 4, G), /* then another prompt */
          IS(1, 0, 0, P), IS(1, 0, 1, P), IS(1, 1, 2, P), IS(1, 1, 3, G));
    CHECK(IS(1, 0, 0, P, .nowhere = true), IS(1, 1, 0, P, .nowhere = true), IS(1, 1, 0, G, .nowhere = true),
          IS(1, 0, 0, P, .nowhere = true));
}

static void prompt_of_one_token(void ** state) {
    (void) state;
    CHECK(IS(1, 1, 0, P), IS(1, 1, 1, G), IS(1, 1, 2, G), IS(1, 1, 0, P), IS(1, 1, 1, G));
}

/* The cache still has a prompt; its last row is computed again for the logits. */
static void answer_again(void ** state) {
    (void) state;
    CHECK(IS(5, 1, 0, P), IS(1, 1, 5, G), IS(1, 1, 6, G), IS(1, 1, 4, P), IS(1, 1, 5, G));
    CHECK(IS(5, 1, 0, P), IS(1, 1, 5, G), IS(0, 1, 0, O), IS(1, 1, 3, G)); /* not this time: the cache was shifted */
}

/* The target reads the prompt without its last token, which goes with the first draft. Drafts are accepted in part. */
static void target_of_drafts(void ** state) {
    (void) state;
    CHECK(IS(4, 0, 0, P, .call = true), IS(4, 4, 4, V, .call = true), IS(4, 4, 6, V, .call = true),
          IS(4, 4, 10, V, .call = true), IS(1, 1, 12, G, .call = true), IS(3, 3, 13, V, .call = true),
          IS(1, 1, 14, G, .call = true), IS(9, 9, 15, V, .call = true), IS(3, 3, 15, V, .call = true));
    CHECK(IS(30, 0, 0, P), IS(4, 4, 30, V), IS(1, 1, 31, G));
    CHECK(IS(30, 1, 0, P), IS(4, 4, 30, V), IS(4, 4, 34, V));
    CHECK(IS(4, 0, 0, P), IS(4, 4, 4, U)); /* pieces of a prompt look like this if nobody notes calls */
}

/* The draft model goes over its proposal again once it is checked: the same tokens at the same positions. */
static void model_that_drafts(void ** state) {
    (void) state;
    CHECK(IS(4, 1, 0, P, .text = 100), IS(1, 1, 4, G, .text = 100), IS(1, 1, 5, G, .text = 100),
          IS(1, 1, 6, G, .text = 100), IS(4, 1, 4, V, .text = 100), IS(1, 1, 6, G, .text = 200),
          IS(1, 1, 7, G, .text = 200), IS(2, 1, 6, V, .text = 200), IS(1, 1, 7, G, .text = 200));
    CHECK(IS(4, 1, 0, P, .text = 100), IS(1, 1, 4, G, .text = 100), IS(1, 1, 5, G, .text = 100),
          IS(3, 1, 4, P, .text = 300), IS(1, 1, 7, G, .text = 300)); /* another text after the same prompt */
    CHECK(IS(4, 1, 0, P), IS(1, 1, 4, G), IS(1, 1, 5, G), IS(3, 1, 4, U), IS(1, 1, 5, G)); /* a private trace */
}

static void logits_of_a_text(void ** state) {
    (void) state;
    CHECK(IS(128, 128, 0, P), IS(128, 128, 128, P), IS(128, 128, 0, P), IS(128, 128, 128, P));
    CHECK(IS(128, 0, 0, P), IS(128, 128, 128, P), IS(128, 128, 256, P));
    CHECK(IS(8, 0, 0, P, .call = true), IS(8, 8, 8, P), IS(8, 8, 16, P));
    CHECK(IS(8, 8, 0, P), IS(8, 8, 8, U));
    CHECK(IS(5, 1, 0, P), IS(1, 1, 5, G), IS(90, 90, 6, U), IS(90, 90, 0, P));
    CHECK(IS(8, 8, 0, P, .nowhere = true), IS(8, 8, 0, U, .nowhere = true), IS(90, 90, 0, P, .nowhere = true));
}

static void rows_of_several_sequences(void ** state) {
    (void) state;
    const int64_t ones[] = { 20, 40 }, drafts[] = { 20, 21, 22, 40 }, both[] = { 0, 1, 2, 3, 41 };
    const uint32_t apart[] = { 0, 11, 16, 12 }, together[] = { 0, 11, 0, 12 };
    CHECK(IS(5, 1, 0, P), IS(2, 2, 0, G, .at = ones), IS(4, 4, 0, V, .at = drafts), IS(5, 2, 0, M, .at = both));
    CHECK(IS(5, 0, 0, P, .at = both));
    /* Positions follow each other by chance; what each row sees shows the difference. */
    CHECK(IS(10, 1, 0, P), IS(2, 2, 10, G, .see = apart), IS(2, 2, 11, G, .see = apart));
    CHECK(IS(10, 1, 0, P), IS(2, 2, 10, V, .see = together));
    CHECK(IS(10, 1, 0, P), IS(2, 2, 10, G, .see = together, .streams = 2));
}

static void texts_as_a_whole(void ** state) {
    (void) state;
    CHECK(IS(9, 9, 0, P, .result = "result_norm", .nowhere = true),
          IS(9, 9, 0, P, .result = "result_norm", .nowhere = true),
          IS(1, 1, 0, P, .result = "result_embd_pooled", .nowhere = true),
          IS(1, 1, 0, P, .result = "result_embd_pooled", .nowhere = true));
}

/* If other backends compute some nodes, the graph that takes tokens does not tell how many rows come out. */
static void pieces_of_a_ubatch(void ** state) {
    (void) state;
    CHECK(IS(9, 9, 0, P, .result = "attn_norm-0"), IS(1, 1, 9, G), IS(1, 1, 10, G),
          IS(9, 9, 11, P, .result = "attn_norm-0"), IS(1, 1, 20, G));
    CHECK(IS(1, 1, 9, U), IS(1, 1, 10, G)); /* what came before is not in the trace */
    CHECK(IS(9, 9, 0, P, .result = "attn_norm-0"), IS(9, 9, 9, P, .result = "attn_norm-0"),
          IS(1, 1, 18, G, .result = "attn_norm-0"), IS(4, 4, 19, U, .result = "attn_norm-0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompt_row_by_row),  cmocka_unit_test(prompt_of_one_token),
        cmocka_unit_test(answer_again),       cmocka_unit_test(target_of_drafts),
        cmocka_unit_test(model_that_drafts),  cmocka_unit_test(logits_of_a_text),
        cmocka_unit_test(texts_as_a_whole),   cmocka_unit_test(rows_of_several_sequences),
        cmocka_unit_test(pieces_of_a_ubatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
