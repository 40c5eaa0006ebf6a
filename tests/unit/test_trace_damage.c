/* SPDX-License-Identifier: MIT
 *
 * Traces that were cut, flipped, shuffled or written by an enemy: what can be read is read, what is missing is counted,
 * and nothing crashes, hangs or takes much memory. Run it with AddressSanitizer too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tat/sums.h"
#include "trace_builder.h"

enum { EVALUATIONS = 20, BLOCKS_MAX = 256, SECONDS = 300, MEMORY = 1 << 30 };

/* A small run with everything that a block can hold. */
struct sample {
    struct trace_builder b;
    size_t block[BLOCKS_MAX + 1]; /* where they begin; then the end */
    size_t n_blocks;
};

static struct tat_block_header header_at(const struct sample * s, size_t at) {
    struct tat_block_header header;
    memcpy(&header, s->b.bytes + at, sizeof header);
    return header;
}

static void find_blocks(struct sample * s) {
    s->n_blocks = 0;
    for (size_t at = TAT_HEADER_BYTES; at < s->b.size;) {
        assert_true(s->n_blocks < BLOCKS_MAX);
        s->block[s->n_blocks++] = at;
        at += tat_block_bytes(header_at(s, at).payload_bytes);
    }
    s->block[s->n_blocks] = s->b.size;
}

static void put_captures(struct payload * p, int round) {
    static const int64_t rows[] = { 3, 4, 90, 7 };
    const float gates[4] = { 0.1f, 0.2f, 0.3f, (float) round };
    payload_begin(p);
    tb_put_series(&p->out, rows, 4);
    tb_put_each(&p->out, (const uint32_t[]){ 1, (uint32_t) round % 6, 5, 0 }, 4);
    tat_put_varint(&p->out, 4);
    tat_put_bytes(&p->out, gates, sizeof gates);
    tat_put_varint(&p->out, 2); /* a mask of two rows: cells 0 to 4, then 2 to 3 and 8 */
    for (const char * c = "\0\5\0\0\2\2\4\1\0\0"; c[0] || c[1] || c[2]; c++) { tat_put_varint(&p->out, (uint64_t) *c); }
    tat_put_varint(&p->out, 0);
    tat_put_varint(&p->out, 0);
}

static uint32_t add_template(struct trace_builder * b) {
    const struct tb_tensor tensors[] = {
        { .name = "token_embd.weight",
          .kind = TAT_TENSOR_WEIGHT,
          .memory = TAT_MEMORY_FILE,
          .ne = { 32, 100 },
          .type = "q4_0",
          .block = 32,
          .block_bytes = 18,
          .file = 1,
          .file_offset = 4096 },
        { .name = "blk.0.ffn_up_exps.weight",
          .kind = TAT_TENSOR_WEIGHT,
          .memory = TAT_MEMORY_COPY,
          .ne = { 32, 4, 6 },
          .file = 1,
          .file_offset = 8192 },
        { .name = "inp_tokens",
          .kind = TAT_TENSOR_INPUT,
          .memory = TAT_MEMORY_BUFFER,
          .ne = { 4 },
          .type = "i32",
          .block = 1,
          .block_bytes = 4 },
        { .name = "cache_k_l0", .kind = TAT_TENSOR_STATE, .memory = TAT_MEMORY_KV, .ne = { 32, 64 } },
        { .name = "l_out-0", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 32, 64 } },
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) { tb_tensor(b, tensors[i]); }
    enum { F = TAT_NODE_COMPUTE };
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .type = "q4_0", .tensor = 0, .ne = { 32, 100 } },
        { .name = "blk.0.ffn_up_exps.weight", .tensor = 1, .ne = { 32, 4, 6 } },
        { .name = "inp_tokens", .type = "i32", .tensor = 2, .ne = { 4 } },
        { .name = "ffn_moe_weights-0", .tensor = 4, .ne = { 1, 2, 2 } },
        { .name = "kq_mask", .tensor = 4, .ne = { 16, 8 } },
        { .name = "inp_embd", .op = "GET_ROWS", .tensor = 4, .ne = { 32, 4 }, .facts = F, .src = { 1, 3 } },
        { .name = "norm-0",
          .op = "RMS_NORM",
          .tensor = 4,
          .ne = { 32, 4 },
          .facts = F | TAT_NODE_FUSES_NEXT,
          .src = { 6 } },
        { .name = "mul-0", .op = "MUL", .tensor = 4, .ne = { 32, 4 }, .facts = F, .src = { 7, 4 } },
        { .name = "up-0", .op = "MUL_MAT_ID", .tensor = 4, .ne = { 4, 2, 2 }, .facts = F, .src = { 2, 8, 3 } },
        { .name = "view-0",
          .op = "VIEW",
          .tensor = 3,
          .ne = { 8, 4, 2 },
          .nb = { 4, 256, 64, 8192 },
          .offset = 128,
          .facts = F | TAT_NODE_EMPTY,
          .src = { 9 } },
        { .name = "soft-0", .op = "SOFT_MAX", .tensor = 4, .ne = { 16, 2 }, .facts = F, .src = { 10, 5 } },
    };
    const struct tb_capture captures[] = {
        { TAT_CAPTURE_ROWS, 2, 0, 1 },
        { TAT_CAPTURE_EXPERTS, 2, 3, 2 },
        { TAT_CAPTURE_GATES, 3, 3, 1 },
        { TAT_CAPTURE_MASK, 4, 5, 1 },
    };
    return tb_template(b, 1, entries, 5, 6, captures, 4);
}

static void make_sample(struct sample * s) {
    static const uint64_t waits[] = { 3, 0, TB_CALLBACK_NS, 20 };
    const uint64_t clock[] = { 900, 900 }, mapping[] = { 1, 0x7000, 0x10000, 0 }, context[] = { 1, 5, 1 };
    tb_begin(&s->b);
    tb_event(&s->b, TAT_EVENT_CLOCK, 900, clock, 2, NULL);
    tb_model_file(&s->b, "/models/sample.gguf");
    tb_event(&s->b, TAT_EVENT_MAPPING, 950, mapping, 4, NULL);
    tb_event(&s->b, TAT_EVENT_CONTEXT, 960, context, 3, NULL);
    const uint32_t t = add_template(&s->b);
    for (int i = 0; i < EVALUATIONS; i++) {
        struct payload p;
        put_captures(&p, i);
        tb_evaluation(&s->b, (struct tb_evaluation){ .template_id = t,
                                                     .flags = TAT_EVALUATION_EXACT,
                                                     .rule = TAT_RULE_COUNT - 1,
                                                     .n_callbacks = 4,
                                                     .captures = p.bytes,
                                                     .captures_bytes = (size_t) (p.out.at - p.bytes),
                                                     .waits = waits,
                                                     .n_waits = 4 });
    }
    tb_event(&s->b, TAT_EVENT_NOTE, 100000, NULL, 0, "the end is near");
    tb_end(&s->b);
    find_blocks(s);
}

/* Checks for a part of the whole: what was stored is there, and no more than that. */
static void walk_waits(const struct tat_trace * trace, uint32_t n_evaluations) {
    struct tat_wait waits[3 * EVALUATIONS] = { { .ns = 0 } };
    const size_t room = sizeof waits / sizeof waits[0] - 1;
    size_t count;
    struct tat_error error = { 0 };
    if (tat_trace_waits(trace, 0, UINT32_MAX, waits, room, &count, &error) != 0) { fail_msg("%s", error.message); }
    for (size_t i = 0; i < count && i < room; i++) {
        assert_true(waits[i].evaluation < n_evaluations);
        assert_true(waits[i].ns <= UINT32_MAX);
    }
    assert_true(waits[room].ns == 0 && waits[room].evaluation == 0);
}

static bool count_tally(const struct tat_tally * t, void * user) {
    for (size_t i = 0; t->wait_ns && i < t->count; i++) {
        if (t->wait_ns[i] > t->ns[i]) { *(uint64_t *) user = UINT64_MAX; }
    }
    return true;
}

static bool count_records(const struct tat_access * records, size_t count, void * user) {
    for (size_t i = 0; i < count; i++) { *(uint64_t *) user += records[i].bytes != UINT64_MAX; }
    return true;
}

/* The only reason why a whole file cannot be asked. */
static void assert_too_much(const struct tat_error * error) {
    if (!strstr(error->message, "needs more work than")) { fail_msg("%s", error->message); }
}

/* Reads everything that a reader hands out. */
static uint64_t walk(const struct tat_trace * trace) {
    static int64_t values[64];
    uint32_t n, n_captures = 0;
    uint64_t records = 0, letters = 0, longer = 0;
    struct tat_error error = { 0 };
    for (const struct tat_tensor * t = tat_trace_tensors(trace, &n); n; n--, t++) { letters += strlen(t->name); }
    for (const struct tat_event * e = tat_trace_events(trace, &n); n; n--, e++) { letters += strlen(e->text); }
    for (const struct tat_model_file * f = tat_trace_model_files(trace, &n); n; n--, f++) {
        letters += strlen(f->path);
    }
    const struct tat_template * t = tat_trace_templates(trace, &n);
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    for (uint32_t i = 0; i < n; i++) {
        n_captures = t[e[i].template_id].n_captures;
        for (uint32_t c = 0; c < n_captures; c++) { tat_trace_capture(trace, i, c, values, 64); }
    }
    if (tat_trace_expand(trace, 0, n, count_records, &records, &error) < 0) { assert_too_much(&error); }
    walk_waits(trace, n);
    if (tat_trace_tally(trace, 0, n, count_tally, &longer, &error) < 0) { assert_too_much(&error); }
    assert_int_equal(longer, 0);
    return records + (letters == UINT64_MAX);
}

static struct tat_trace * open_anyway(const struct trace_builder * b) {
    struct tat_error error = { 0 };
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    return trace;
}

static uint32_t evaluations(const struct tat_trace * trace) {
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    return count;
}

static void reseal(struct sample * s, size_t at) {
    struct tat_block_header * h = (struct tat_block_header *) (s->b.bytes + at);
    h->checksum = tat_block_checksum(at, (enum tat_block_type) h->type, s->b.bytes + at + sizeof *h, h->payload_bytes);
}

static size_t first_of(const struct sample * s, enum tat_block_type type) {
    for (size_t i = 0; i < s->n_blocks; i++) {
        if (header_at(s, s->block[i]).type == type) { return i; }
    }
    fail();
    return 0;
}

/* ---- accidents ---- */

static void test_whole(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    struct tat_trace * trace = open_anyway(&s.b);
    const struct tat_trace_summary * summary = tat_trace_summary(trace);
    assert_int_equal(summary->undecodable_blocks, 0);
    assert_int_equal(summary->damaged_bytes, 0);
    assert_int_equal(evaluations(trace), EVALUATIONS);
    assert_true(walk(trace) > EVALUATIONS * 10);
    int64_t values[16];
    assert_int_equal(tat_trace_capture(trace, 0, 3, values, 16), 10);
    assert_int_equal(values[1], 5);
    tat_trace_close(trace);
    tb_free(&s.b);
}

/* Exactly the whole blocks are there. */
static void test_truncated(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    const size_t size = s.b.size;
    srandom(1);
    for (int round = 0; round < 1000; round++) {
        s.b.size = TAT_HEADER_BYTES + (size_t) random() % (size - TAT_HEADER_BYTES);
        uint32_t whole = 0, all = 0;
        size_t used = TAT_HEADER_BYTES;
        for (size_t i = 0; i < s.n_blocks; i++) {
            const struct tat_block_header h = header_at(&s, s.block[i]);
            if (s.block[i] + sizeof h + h.payload_bytes > s.b.size) { break; } /* padding may be missing */
            whole += h.type == TAT_BLOCK_EVALUATION;
            used = s.block[i + 1];
            all++;
        }
        struct tat_trace * trace = open_anyway(&s.b);
        const struct tat_trace_summary * summary = tat_trace_summary(trace);
        uint32_t blocks = 0;
        for (int type = 0; type < TAT_BLOCK_ROOM; type++) { blocks += summary->n_blocks[type]; }
        assert_int_equal(evaluations(trace), whole);
        assert_int_equal(blocks, all);
        assert_int_equal(summary->used_bytes, used);
        assert_int_equal(summary->undecodable_blocks, 0);
        assert_true(used + summary->damaged_bytes <= s.b.size + TAT_BLOCK_ALIGN);
        walk(trace);
        tat_trace_close(trace);
    }
    tb_free(&s.b);
}

/* One flipped byte costs one block. If that is a tensor or template, what needs it is visibly missing too. */
static void test_flipped(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    srandom(2);
    for (int round = 0; round < 4000; round++) {
        const size_t at = TAT_HEADER_BYTES + (size_t) random() % (s.b.size - TAT_HEADER_BYTES);
        const uint8_t mask = (uint8_t) (random() % 255 + 1);
        s.b.bytes[at] ^= mask;
        struct tat_trace * trace = open_anyway(&s.b);
        const struct tat_trace_summary * summary = tat_trace_summary(trace);
        uint32_t blocks = 0;
        for (int type = 0; type < TAT_BLOCK_ROOM; type++) { blocks += summary->n_blocks[type]; }
        assert_true(blocks >= s.n_blocks - 1);
        if (blocks < s.n_blocks) { assert_true(summary->damaged_bytes > 0); }
        const uint32_t found = evaluations(trace) + summary->orphan_evaluations;
        assert_true(found >= EVALUATIONS - 1 && found <= EVALUATIONS);
        walk(trace);
        tat_trace_close(trace);
        s.b.bytes[at] ^= mask;
    }
    tb_free(&s.b);
}

static void test_lost_evaluation(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    const size_t i = first_of(&s, TAT_BLOCK_EVALUATION);
    memset(s.b.bytes + s.block[i], 0, s.block[i + 1] - s.block[i]);
    struct tat_trace * trace = open_anyway(&s.b);
    const struct tat_trace_summary * summary = tat_trace_summary(trace);
    assert_int_equal(evaluations(trace), EVALUATIONS - 1);
    assert_int_equal(summary->evaluations_stored, EVALUATIONS); /* so says the END block; one is missing */
    assert_int_equal(summary->damaged_bytes, s.block[i + 1] - s.block[i]);
    walk(trace);
    tat_trace_close(trace);
    tb_free(&s.b);
}

static void test_lost_template(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    const size_t i = first_of(&s, TAT_BLOCK_TEMPLATE);
    memset(s.b.bytes + s.block[i], 0, s.block[i + 1] - s.block[i]);
    struct tat_trace * trace = open_anyway(&s.b);
    assert_int_equal(evaluations(trace), 0);
    assert_int_equal(tat_trace_summary(trace)->orphan_evaluations, EVALUATIONS);
    assert_int_equal(walk(trace), 0);
    tat_trace_close(trace);
    tb_free(&s.b);
}

/* A missing tensor takes along the template that names it, and nothing is made up in its place. */
static void test_lost_tensor(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    const size_t i = first_of(&s, TAT_BLOCK_TENSOR);
    memset(s.b.bytes + s.block[i], 0, s.block[i + 1] - s.block[i]);
    struct tat_trace * trace = open_anyway(&s.b);
    assert_int_equal(evaluations(trace), 0);
    assert_int_equal(tat_trace_summary(trace)->orphan_evaluations, EVALUATIONS);
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 1);
    tat_trace_close(trace);
    tb_free(&s.b);
}

/* Without its string an operation has no name; it must not get another's. */
static void test_lost_strings(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    for (size_t i = 0; i < s.n_blocks; i++) {
        if (header_at(&s, s.block[i]).type != TAT_BLOCK_STRING) { continue; }
        const size_t bytes = s.block[i + 1] - s.block[i];
        uint8_t before[4096];
        uint32_t n, n_templates;
        memcpy(before, s.b.bytes + s.block[i], bytes);
        memset(s.b.bytes + s.block[i], 0, bytes);
        struct tat_trace * trace = open_anyway(&s.b);
        const struct tat_template * t = tat_trace_templates(trace, &n_templates);
        for (n = 0; n_templates && t->known && n < t->n_leaves + t->n_nodes; n++) {
            assert_string_equal(t->entries[n].op, tat_trace_op_name(trace, t->entries[n].op_index));
        }
        walk(trace);
        tat_trace_close(trace);
        memcpy(s.b.bytes + s.block[i], before, bytes);
    }
    tb_free(&s.b);
}

static void test_swapped(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    const size_t i = first_of(&s, TAT_BLOCK_EVALUATION), bytes = s.block[i + 1] - s.block[i];
    assert_int_equal(s.block[i + 2] - s.block[i + 1], bytes);
    uint8_t other[4096];
    memcpy(other, s.b.bytes + s.block[i], bytes);
    memmove(s.b.bytes + s.block[i], s.b.bytes + s.block[i + 1], bytes);
    memcpy(s.b.bytes + s.block[i + 1], other, bytes);
    struct tat_trace * trace = open_anyway(&s.b); /* a block is valid only where it was written */
    assert_int_equal(evaluations(trace), EVALUATIONS - 2);
    assert_int_equal(tat_trace_summary(trace)->damaged_bytes, 2 * bytes);
    tat_trace_close(trace);
    reseal(&s, s.block[i]);
    reseal(&s, s.block[i + 1]);
    trace = open_anyway(&s.b); /* forged; their times restore the order */
    assert_int_equal(evaluations(trace), EVALUATIONS);
    walk(trace);
    tat_trace_close(trace);
    tb_free(&s.b);
}

static void test_duplicated(void ** state) {
    (void) state;
    for (int type = TAT_BLOCK_STRING; type <= TAT_BLOCK_END; type++) {
        struct sample s;
        make_sample(&s);
        if (type == TAT_BLOCK_LOSS) {
            tb_free(&s.b);
            continue;
        }
        const size_t i = first_of(&s, (enum tat_block_type) type);
        const struct tat_block_header h = header_at(&s, s.block[i]);
        uint8_t payload[4096];
        memcpy(payload, s.b.bytes + s.block[i] + sizeof h, h.payload_bytes);
        tb_block(&s.b, (enum tat_block_type) type, payload, h.payload_bytes);
        struct tat_trace * trace = open_anyway(&s.b);
        const struct tat_trace_summary * summary = tat_trace_summary(trace);
        const bool numbered = type <= TAT_BLOCK_TEMPLATE;
        assert_int_equal(summary->undecodable_blocks, numbered);
        assert_int_equal(evaluations(trace), EVALUATIONS + (type == TAT_BLOCK_EVALUATION));
        assert_int_equal(summary->evaluations_stored, EVALUATIONS);
        walk(trace);
        tat_trace_close(trace);
        tb_free(&s.b);
    }
}

/* It looks as if a block began every 16 bytes, each as long as the rest of the file. Summing up all would take
 * hours. */
static void test_blocks_everywhere(void ** state) {
    (void) state;
    enum { BYTES = 8 << 20, STEP = 16 };
    struct sample s;
    make_sample(&s);
    uint8_t * more = calloc(1, BYTES);
    for (uint32_t at = 0; at + sizeof(struct tat_block_header) <= BYTES; at += STEP) {
        const uint32_t fields[] = { TAT_BLOCK_MAGIC, TAT_BLOCK_EVENT, BYTES - at - STEP - 8, 0 };
        memcpy(more + at, fields, sizeof fields);
    }
    s.b.bytes = realloc(s.b.bytes, s.b.size + BYTES);
    memcpy(s.b.bytes + s.b.size, more, BYTES);
    s.b.size += BYTES;
    free(more);
    struct tat_trace * trace = open_anyway(&s.b);
    assert_int_equal(evaluations(trace), EVALUATIONS);
    assert_true(tat_trace_summary(trace)->damaged_bytes > BYTES - 2 * STEP);
    tat_trace_close(trace);
    tb_free(&s.b);
}

static void test_unknown_block(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    tb_block(&s.b, (enum tat_block_type) 99, "what is this", 12);
    tb_block(&s.b, (enum tat_block_type)(TAT_BLOCK_ROOM - 1), "and this", 8);
    tb_block(&s.b, TAT_BLOCK_EVENT, "\x63\x01\x01 what is that", 15);
    tb_block(&s.b, TAT_BLOCK_EVENT, "\x00\x01\x01 there is none", 16);
    struct tat_trace * trace = open_anyway(&s.b);
    assert_int_equal(tat_trace_summary(trace)->unknown_blocks, 3); /* a later tat may know them */
    assert_int_equal(tat_trace_summary(trace)->n_blocks[TAT_BLOCK_ROOM - 1], 1);
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 1);
    assert_int_equal(evaluations(trace), EVALUATIONS);
    tat_trace_close(trace);
    tb_free(&s.b);
}

static void put_event(struct tat_out * out, const char * event, size_t bytes) {
    tat_put_string(out, event, bytes);
}

/* Many events in one block count as many blocks of one event, or as none if one makes no sense. */
static void test_events_together(void ** state) {
    (void) state;
    static const char note[] = "\x0d\x20\x4d\x05later", unknown[] = "\x63\x01\x01", none[] = "\x00\x01\x01",
                      clock[] = "\x01\x10\x4d\x10\x20";
    uint32_t n, before;
    struct sample s;
    make_sample(&s);
    struct tat_trace * trace = open_anyway(&s.b);
    tat_trace_events(trace, &before);
    tat_trace_close(trace);
    for (int senseless = 0; senseless < 2; senseless++) {
        struct payload p;
        payload_begin(&p);
        tat_put_varint(&p.out, 3u + (unsigned) senseless);
        put_event(&p.out, note, sizeof note - 1);
        put_event(&p.out, unknown, sizeof unknown - 1);
        put_event(&p.out, clock, sizeof clock - 1);
        if (senseless) { put_event(&p.out, none, sizeof none - 1); }
        tb_payload(&s.b, TAT_BLOCK_EVENTS, &p);
    }
    trace = open_anyway(&s.b);
    const struct tat_event * events = tat_trace_events(trace, &n);
    const struct tat_trace_summary * summary = tat_trace_summary(trace);
    assert_int_equal(n, before + 2);
    assert_int_equal(events[1].type, TAT_EVENT_CLOCK); /* by their ticks */
    assert_string_equal(events[2].text, "later");
    assert_int_equal(summary->n_blocks[TAT_BLOCK_EVENTS], 2);
    assert_int_equal(summary->unknown_blocks, 1);
    assert_int_equal(summary->undecodable_blocks, 1);
    walk(trace);
    tat_trace_close(trace);
    tb_free(&s.b);
}

/* ---- enemies ---- */

/* Contents are changed and the checksum is made to agree, so that the decoders see them. */
static void test_forged_bytes(void ** state) {
    (void) state;
    struct sample s;
    make_sample(&s);
    srandom(3);
    for (int round = 0; round < 10000; round++) {
        const size_t i = (size_t) random() % s.n_blocks;
        const struct tat_block_header h = header_at(&s, s.block[i]);
        uint8_t before[4096];
        uint8_t * const payload = s.b.bytes + s.block[i] + sizeof h;
        memcpy(before, payload, h.payload_bytes);
        for (int k = (int) (random() % 4); k >= 0; k--) { payload[random() % h.payload_bytes] = (uint8_t) random(); }
        reseal(&s, s.block[i]);
        struct tat_trace * trace = open_anyway(&s.b);
        walk(trace);
        tat_trace_close(trace);
        memcpy(payload, before, h.payload_bytes);
        reseal(&s, s.block[i]);
    }
    tb_free(&s.b);
}

/* The trace again, with `with` in place of `bytes` bytes at `at` in the payload of block i. */
static void open_spliced(const struct sample * s, size_t i, size_t at, size_t bytes, const struct payload * with) {
    struct trace_builder b = { .bytes = NULL };
    static struct payload p;
    const struct tat_block_header h = header_at(s, s->block[i]);
    const uint8_t * from = s->b.bytes + s->block[i] + sizeof h;
    tb_begin(&b);
    for (size_t k = 0; k < s->n_blocks; k++) {
        const struct tat_block_header other = header_at(s, s->block[k]);
        if (k != i) {
            tb_block(&b, (enum tat_block_type) other.type, s->b.bytes + s->block[k] + sizeof other,
                     other.payload_bytes);
            continue;
        }
        payload_begin(&p);
        tat_put_bytes(&p.out, from, at);
        tat_put_bytes(&p.out, with->bytes, (size_t) (with->out.at - with->bytes));
        tat_put_bytes(&p.out, from + at + bytes, h.payload_bytes - at - bytes);
        tb_payload(&b, (enum tat_block_type) h.type, &p);
    }
    struct tat_trace * trace = open_anyway(&b);
    walk(trace);
    tat_trace_close(trace);
    tb_free(&b);
}

/* Every number in every kind of block in turn, as large as possible and as large as might pass. */
static void test_hostile_numbers(void ** state) {
    (void) state;
    static const uint64_t values[] = { 0, 1, 0xffff, 1 << 20, 1 << 24, UINT32_MAX, UINT64_C(1) << 47, UINT64_MAX };
    struct sample s;
    bool done[TAT_BLOCK_ROOM] = { false };
    make_sample(&s);
    for (size_t i = 0; i < s.n_blocks; i++) {
        const struct tat_block_header h = header_at(&s, s.block[i]);
        if (done[h.type] && h.type != TAT_BLOCK_EVENT) { continue; }
        done[h.type] = true;
        const uint8_t * payload = s.b.bytes + s.block[i] + sizeof h;
        for (size_t at = 0; at < h.payload_bytes;) {
            size_t bytes = 1;
            while (at + bytes < h.payload_bytes && (payload[at + bytes - 1] & 0x80)) { bytes++; }
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                struct payload with;
                payload_begin(&with);
                tat_put_varint(&with.out, values[v]);
                open_spliced(&s, i, at, bytes, &with);
            }
            at += bytes;
        }
    }
    tb_free(&s.b);
}

/* A small file whose shapes have 4,096 runs per operand, in more operands than memory has room for. */
static void test_many_runs(void ** state) {
    (void) state;
    enum { NODES = 4000 };
    static struct tb_entry entries[1 + NODES];
    struct trace_builder b;
    tb_begin(&b);
    const uint32_t t =
        tb_tensor(&b, (struct tb_tensor){
                          .name = "x", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 1 << 20 } });
    entries[0] = (struct tb_entry){ .name = "x", .tensor = t, .ne = { 1, 2, 4096 }, .nb = { 4, 8, 64, 1 << 18 } };
    for (int i = 1; i <= NODES; i++) {
        entries[i] = entries[0];
        entries[i].op = "ADD";
        entries[i].name = "y";
        for (int k = 0; k < 6; k++) { entries[i].src[k] = 1; }
        if (i % 400 == 0 || i == NODES) { /* as many as fit in a payload */
            const uint32_t number = tb_template(&b, 1, entries, 1, (uint32_t) ((i - 1) % 400) + 1, NULL, 0);
            tb_evaluation(&b, (struct tb_evaluation){ .template_id = number, .n_callbacks = 400 });
        }
    }
    struct tat_trace * trace = open_anyway(&b);
    assert_true(walk(trace) >= (uint64_t) NODES * 7);
    tat_trace_close(trace);
    tb_free(&b);
}

static void put_full_series(struct tat_out * out, uint64_t count) {
    tat_put_varint(out, count);
    tat_put_zigzag(out, 0);
    tat_put_zigzag(out, 1);
    tat_put_varint(out, count - 1);
}

/* A graph that picks rows by `captures` different sets of ids, with `count` ids each. */
static uint32_t picking_graph(struct trace_builder * b, uint32_t captures, uint64_t count) {
    static struct tb_entry entries[1 + 2 * 64];
    static struct tb_capture capture[64];
    const uint32_t t = tb_tensor(
        b, (struct tb_tensor){
               .name = "x", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 1, 1 << 24 } });
    entries[0] = (struct tb_entry){ .name = "x", .tensor = t, .ne = { 1, 1 << 24 } };
    for (uint32_t i = 0; i < captures; i++) {
        entries[1 + i] = (struct tb_entry){ .name = "ids", .tensor = t, .ne = { count } };
        entries[1 + captures + i] = (struct tb_entry){
            .name = "y", .op = "GET_ROWS", .tensor = t, .ne = { 1, count }, .src = { 1, 2 + (int) i }
        };
        capture[i] = (struct tb_capture){ TAT_CAPTURE_ROWS, 1 + i, i, 1 };
    }
    return tb_template(b, 1, entries, 1 + captures, captures, capture, captures);
}

/* A few bytes stand for 2^24 ids. They are skipped without a step for each, or this test would take hours. */
static void test_long_series(void ** state) {
    (void) state;
    enum { CAPTURES = 64, MANY = 50 };
    struct trace_builder b;
    struct payload p;
    int64_t values[3];
    tb_begin(&b);
    const uint32_t t = picking_graph(&b, CAPTURES, 1 << 24);
    payload_begin(&p);
    for (int i = 0; i < CAPTURES; i++) { put_full_series(&p.out, i % 2 ? 1 << 24 : 1 << 12); }
    for (int i = 0; i < MANY; i++) {
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                                  .n_callbacks = CAPTURES,
                                                  .captures = p.bytes,
                                                  .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    struct tat_trace * trace = open_anyway(&b);
    walk(trace);
    assert_int_equal(tat_trace_capture(trace, 0, CAPTURES - 2, values, 3), 1 << 12);
    assert_int_equal(values[2], 2);
    assert_int_equal(tat_trace_capture(trace, 0, CAPTURES - 1, values, 3), 0); /* too many for so few bytes */
    tat_trace_close(trace);
    tb_free(&b);
}

/* Rows are picked again and again, from operands of one shape after the other. */
static void test_more_work_than_bytes(void ** state) {
    (void) state;
    enum { NODES = 300, IDS = 1 << 17 };
    static struct tb_entry entries[2 + NODES];
    struct tat_error error = { 0 };
    struct trace_builder b;
    struct payload p;
    uint64_t records = 0;
    tb_begin(&b);
    const uint32_t x = tb_tensor(
        &b, (struct tb_tensor){
                .name = "x", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 1, 1 << 24 } });
    entries[0] = (struct tb_entry){ .name = "ids", .tensor = x, .ne = { IDS } };
    entries[1] = (struct tb_entry){ .name = "x", .tensor = x, .ne = { 1, 1 << 24 } };
    for (uint64_t i = 0; i < NODES; i++) {
        entries[2 + i] =
            (struct tb_entry){ .name = "y", .op = "SET_ROWS", .tensor = x, .ne = { 1, IDS + i }, .src = { 2, 1 } };
    }
    const struct tb_capture capture = { TAT_CAPTURE_ROWS, 0, 0, 1 };
    const uint32_t t = tb_template(&b, 1, entries, 2, NODES, &capture, 1);
    payload_begin(&p);
    put_full_series(&p.out, IDS);
    for (int i = 0; i < 10; i++) {
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                                  .n_callbacks = NODES,
                                                  .captures = p.bytes,
                                                  .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    struct tat_trace * trace = open_anyway(&b);
    assert_int_equal(tat_trace_expand(trace, 0, 10, count_records, &records, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    assert_too_much(&error);
    tat_trace_close(trace);
    tb_free(&b);
}

/* Each block says that all numbers before its own were lost, but together these are no more than fit in the file. */
static void test_lost_numbers(void ** state) {
    (void) state;
    enum { MANY = 1000, STEP = 1 << 15 };
    struct trace_builder b;
    tb_begin(&b);
    for (uint64_t i = 1; i <= MANY; i++) {
        struct payload p;
        payload_begin(&p);
        tat_put_varint(&p.out, i * STEP);
        tat_put_varint(&p.out, 1);
        tat_put_string(&p.out, "x", 1);
        tb_payload(&b, TAT_BLOCK_STRING, &p);
    }
    struct tat_trace * trace = open_anyway(&b);
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, MANY - b.size / STEP);
    tat_trace_close(trace);
    tb_free(&b);
}

/* A hang is a failure, and so is the use of much memory. A sanitizer reserves so much address space that no limit fits
 * it: gcc says by a macro that there is one, clang by a feature. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static int limits(void ** state) {
    (void) state;
    const struct rlimit limit = { MEMORY, MEMORY };
    alarm(SECONDS);
    return IS_SANITIZED ? 0 : setrlimit(RLIMIT_AS, &limit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_lost_evaluation),
        cmocka_unit_test(test_lost_template),
        cmocka_unit_test(test_lost_tensor),
        cmocka_unit_test(test_lost_strings),
        cmocka_unit_test(test_swapped),
        cmocka_unit_test(test_duplicated),
        cmocka_unit_test(test_unknown_block),
        cmocka_unit_test(test_events_together),
        cmocka_unit_test(test_forged_bytes),
        cmocka_unit_test(test_hostile_numbers),
        cmocka_unit_test(test_many_runs),
        cmocka_unit_test(test_blocks_everywhere),
        cmocka_unit_test(test_long_series),
        cmocka_unit_test(test_more_work_than_bytes),
        cmocka_unit_test(test_lost_numbers),
    };
    return cmocka_run_group_tests(tests, limits, NULL);
}
