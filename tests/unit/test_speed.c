/* SPDX-License-Identifier: MIT
 *
 * Why a run is not faster: each limit once, in traces made for it, on a machine whose roofs are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "analysis/speed/speed.h"
#include "section.h"

enum { LAYERS = 4, TOKENS = 90, WIDTH = 64, CALLBACKS = LAYERS + 1, TOKEN_NS = 10000000, SECOND = 1000000000 };
enum { TOKEN_BYTES = LAYERS * WIDTH * WIDTH * 4 + WIDTH * 4, TOKEN_FLOPS = LAYERS * 2 * WIDTH * WIDTH };

static char folder[] = "/tmp/tat_test_speed_XXXXXX";
static const char host[] = "{\"cpu\": \"made up\", \"cpus\": 2, \"memory_bytes\": 1000}";

/* ---- the trace ---- */

static void begin(struct trace_builder * b) {
    static const char * const weights[] = { "blk.0.ffn_up.weight", "blk.1.ffn_up.weight", "blk.2.ffn_up.weight",
                                            "blk.3.ffn_up.weight" };
    static const char * const results[] = { "ffn_up-0", "ffn_up-1", "ffn_up-2", "ffn_up-3" };
    struct tb_tensor weight = { .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .ne = { WIDTH, WIDTH } };
    const struct tb_tensor result = {
        .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { WIDTH }, .name = "inp_embd"
    };
    enum { LEAVES = LAYERS + 2 };
    struct tb_entry entries[LEAVES + CALLBACKS];
    tb_begin(b);
    weight.name = "token_embd.weight";
    const uint32_t embd = tb_tensor(b, weight), x = tb_tensor(b, result);
    entries[0] = (struct tb_entry){ .name = weight.name, .tensor = embd, .ne = { WIDTH, WIDTH } };
    entries[1] = (struct tb_entry){ .name = "inp_tokens", .tensor = x, .ne = { 1 } };
    entries[LEAVES] = (struct tb_entry){
        .name = "inp_embd", .op = "GET_ROWS", .tensor = x, .ne = { WIDTH }, .facts = TAT_NODE_COMPUTE, .src = { 1, 2 }
    };
    for (int i = 0; i < LAYERS; i++) {
        weight.name = weights[i];
        entries[2 + i] =
            (struct tb_entry){ .name = weights[i], .tensor = tb_tensor(b, weight), .ne = { WIDTH, WIDTH } };
        entries[LEAVES + 1 + i] = (struct tb_entry){ .name = results[i],
                                                     .op = "MUL_MAT",
                                                     .tensor = x,
                                                     .ne = { WIDTH },
                                                     .facts = TAT_NODE_COMPUTE,
                                                     .src = { 3 + i, LEAVES + 1 + i } };
    }
    const struct tb_capture rows = { TAT_CAPTURE_ROWS, 1, 0, 1 };
    tb_template(b, 1, entries, LEAVES, CALLBACKS, &rows, 1);
}

static void evaluate(struct trace_builder * b, const uint64_t * waits) {
    struct payload p;
    uint64_t durations[CALLBACKS];
    for (int i = 0; i < CALLBACKS; i++) { durations[i] = TOKEN_NS / CALLBACKS; }
    payload_begin(&p);
    tb_put_series(&p.out, (const int64_t[]){ 7 }, 1);
    tb_evaluation(b, (struct tb_evaluation){ .flags = waits ? TAT_EVALUATION_EXACT : 0,
                                             .n_callbacks = CALLBACKS,
                                             .captures = p.bytes,
                                             .captures_bytes = (size_t) (p.out.at - p.bytes),
                                             .durations = durations,
                                             .waits = waits,
                                             .n_waits = waits ? CALLBACKS : 0 });
}

/* Over a second, in which the graphs took 0.91: processors that the process used, and others; faults that read. */
static void machine(struct trace_builder * b, double own, double others, uint64_t faults) {
    const uint64_t used = (uint64_t) (own * 1e6), busy = (uint64_t) ((own + others) * 1e6);
    tb_event(b, TAT_EVENT_USAGE, 1, (const uint64_t[]){ 0, 0, 0, 0, 0, 0, 0 }, 7, NULL);
    tb_event(b, TAT_EVENT_MACHINE, 1, (const uint64_t[]){ 2, 1, 0, 0, 0, 0, 0 }, 7, NULL);
    tb_event(b, TAT_EVENT_USAGE, SECOND + 1, (const uint64_t[]){ used, 0, 0, faults, 0, 0, 4096 * faults }, 7, NULL);
    tb_event(b, TAT_EVENT_MACHINE, SECOND + 1, (const uint64_t[]){ 2, 1 + busy, 0, 0, 0, 0, 0 }, 7, NULL);
}

static void put_file(const char * name, const void * bytes, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Roofs of 0: nobody has measured. */
static void measured(double read, double arithmetic) {
    char text[512];
    json_t * of = json_loads(host, 0, NULL);
    char * path = roofs_path(of);
    assert_non_null(path);
    json_decref(of);
    unlink(path);
    const int n =
        snprintf(text, sizeof text,
                 "{\"cache_bytes\": 1000, \"reads\": [{\"threads\": 1, \"buffer_bytes\": 9000, \"per_second\": "
                 "%f}, {\"threads\": 2, \"buffer_bytes\": 9000, \"per_second\": %f}], "
                 "\"arithmetic\": [{\"threads\": 2, \"per_second\": %f}]}",
                 read / 2, read, arithmetic);
    if (read > 0) { put_file(path + strlen(folder) + 1, text, (size_t) n); }
    free(path);
}

static json_t * speed_of(struct trace_builder * b) {
    static const char * const names[] = { "speed" };
    struct tat_error error = { 0 };
    char text[256];
    const int n = snprintf(text, sizeof text, "{\"host\": %s}", host);
    tb_end(b);
    put_file("tensor_access.bin", b->bytes, b->size);
    put_file("trace_metadata.json", text, (size_t) n);
    struct tat_trace * trace = tat_trace_open(folder, &error);
    if (!trace) { fail_msg("%s", error.message); }
    char * answers = tat_analyze(trace, names, 1, NULL, &error);
    if (!answers) { fail_msg("%s", error.message); }
    json_t * all = json_loads(answers, 0, NULL);
    json_t * section = json_incref(json_object_get(all, "speed"));
    json_decref(all);
    free(answers);
    tat_trace_close(trace);
    tb_free(b);
    return section;
}

/* ---- what is said ---- */

static double share(const json_t * section, const char * limit) {
    const json_t * shares = json_object_get(json_object_get(section, "values"), "shares");
    const json_t * found = json_object_get(shares, limit);
    return found ? json_number_value(found) : -1;
}

static void expect_about(double found, double expected) {
    if (found < expected * 0.999 || found > expected * 1.001) { fail_msg("%g is not %g", found, expected); }
}

static void expect_limit(json_t * section, const char * limit, const char * words) {
    const char * headline = json_string_value(json_object_get(section, "headline"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(section, "values"), "limit")), limit);
    if (!strstr(headline, words)) { fail_msg("%s", headline); }
}

static double value(const json_t * section, const char * key) {
    return json_number_value(json_object_get(json_object_get(section, "values"), key));
}

/* A trace of one prompt token and 90 generated ones, each of 10 ms and 100 ns. */
static void build(struct trace_builder * b, const uint64_t * waits) {
    begin(b);
    for (int i = 0; i <= TOKENS; i++) { evaluate(b, waits); }
}

static const double seconds = (TOKEN_NS + TB_CALLBACK_NS) / 1e9;

static void memory_is_the_limit(void ** state) {
    (void) state;
    struct trace_builder b;
    build(&b, NULL);
    measured(TOKEN_BYTES / seconds / 0.8, 1e15);
    json_t * s = speed_of(&b);
    expect_limit(s, "memory", "It is limited by memory bandwidth: at 80.0 % of the ");
    expect_about(share(s, "memory"), 0.8);
    expect_about(value(s, "token_bytes"), TOKEN_BYTES);
    expect_about(value(s, "ceiling_tokens_per_second"), 1 / (0.8 * seconds));
    json_decref(s);
}

static void arithmetic_is_the_limit(void ** state) {
    (void) state;
    struct trace_builder b;
    build(&b, NULL);
    measured(1e15, TOKEN_FLOPS / seconds / 0.9);
    json_t * s = speed_of(&b);
    expect_limit(s, "compute", "It is limited by arithmetic: 90.0 % of the time goes to it.");
    expect_about(value(s, "token_flops"), TOKEN_FLOPS);
    expect_about(value(s, "ceiling_tokens_per_second"), 1 / (0.9 * seconds));
    json_decref(s);
}

static void barriers_are_the_limit(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t waits[CALLBACKS];
    for (int i = 0; i < CALLBACKS; i++) { waits[i] = TOKEN_NS / CALLBACKS * 6 / 10; }
    build(&b, waits);
    measured(1e15, 1e15);
    json_t * s = speed_of(&b);
    expect_limit(s, "barriers", "It is limited by waiting at barriers: 60.0 % of the time goes to it.");
    json_decref(s);
}

/* One of two threads waits for the disk half of the time, and the other for it at a barrier: all of the time is missing
 * twice over. */
static void the_disk_is_the_limit(void ** state) {
    (void) state;
    struct trace_builder b;
    build(&b, NULL);
    machine(&b, 0.91 * 1.3, 0, 500);
    measured(TOKEN_BYTES / seconds / 0.3, 1e15);
    json_t * s = speed_of(&b);
    expect_limit(s, "disk", "It is limited by the disk: 70.0 % of the time goes to it.");
    json_decref(s);
    build(&b, NULL);
    machine(&b, 0.91 * 1.3, 0, 50); /* not even one a graph */
    s = speed_of(&b);
    expect_limit(s, "none", "No single limit that was measured explains half of its time.");
    json_decref(s);
}

/* Waiting that was recorded is not the time of others, and no estimate takes its place. */
static void recorded_waiting_is_not_the_time_of_others(void ** state) {
    (void) state;
    const struct machine_roofs roofs = { 0 };
    const struct pace p = {
        .threads = 2, .token_ns = 100, .missing = 0.7, .others_share = 0.7, .faults = 5, .blocked_share = 0.625
    };
    const struct limits l = limits_of(&p, &roofs);
    assert_true(l.share[LIMIT_DISK] == 0.625 && l.share[LIMIT_OTHERS] == 0.375);
    assert_int_equal(verdict_of(&l), LIMIT_DISK);
}

static void other_programs_are_the_limit(void ** state) {
    (void) state;
    struct trace_builder b;
    build(&b, NULL);
    machine(&b, 0.6, 1.4, 0);
    measured(TOKEN_BYTES / seconds / 0.3, 1e15);
    json_t * s = speed_of(&b);
    expect_limit(s, "others", "It is limited by other programs: 67.0 % of the time goes to them.");
    json_decref(s);
}

static void what_was_not_measured_is_said(void ** state) {
    (void) state;
    struct trace_builder b;
    build(&b, NULL);
    measured(0, 0);
    json_t * s = speed_of(&b);
    expect_limit(s, "none", "was not measured: `tat doctor --memory` does that.");
    assert_true(share(s, "memory") < 0 && share(s, "barriers") < 0 && share(s, "others") < 0);
    json_decref(s);
}

/* ---- roofs ---- */

static void roofs_are_those_of_the_bytes_and_threads(void ** state) {
    (void) state;
    const struct machine_roofs r = { .known = true,
                                     .n_reads = 4,
                                     .n_arithmetic = 1,
                                     .read = { { 1, 100, 50 }, { 4, 100, 90 }, { 1, 1000, 20 }, { 4, 1000, 15 } },
                                     .arithmetic = { { 2, 0, 7 } } };
    assert_true(roofs_read(&r, 1, 100) == 50);
    assert_true(roofs_read(&r, 3, 999) == 50); /* the next fewer threads, the next smaller buffer */
    assert_true(roofs_read(&r, 8, 10) == 90);  /* no smaller buffer: the smallest */
    assert_true(roofs_read(&r, 4, 5000) == 15);
    assert_true(roofs_arithmetic(&r, 1) == 7);
    assert_int_equal(roofs_best_threads(&r, 200), 4);
    assert_int_equal(roofs_best_threads(&r, 2000), 1);
    assert_true(ceiling_of(&r, 1, 2000, 7) == 0.01);
    assert_true(ceiling_of(&r, 1, 2000, 7000) == 0.001);
    const struct machine_roofs none = { 0 };
    assert_true(roofs_read(&none, 2, 100) == 0 && ceiling_of(&none, 2, 1, 1) == 0);
}

static int make_folder(void ** state) {
    char kept[64];
    (void) state;
    if (!mkdtemp(folder)) { return -1; }
    snprintf(kept, sizeof kept, "%s/tat", folder);
    return setenv("XDG_STATE_HOME", folder, 1) || mkdir(kept, 0700);
}

static int remove_folder(void ** state) {
    char path[300];
    (void) state;
    measured(0, 0);
    static const char * const names[] = { "tensor_access.bin", "trace_metadata.json" };
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/tat", folder);
    rmdir(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_the_limit),
        cmocka_unit_test(arithmetic_is_the_limit),
        cmocka_unit_test(barriers_are_the_limit),
        cmocka_unit_test(the_disk_is_the_limit),
        cmocka_unit_test(recorded_waiting_is_not_the_time_of_others),
        cmocka_unit_test(other_programs_are_the_limit),
        cmocka_unit_test(what_was_not_measured_is_said),
        cmocka_unit_test(roofs_are_those_of_the_bytes_and_threads),
    };
    return cmocka_run_group_tests_name("speed", tests, make_folder, remove_folder);
}
