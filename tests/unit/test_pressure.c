/* SPDX-License-Identifier: MIT
 *
 * Where a memory cgroup can be made, by what /proc and the hierarchy say; and what a run needs beside the weights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "made_tree.h"
#include "pressure/memory_place.h"
#include "pressure/needs.h"
#include "test_gguf_builder.h"

static int find(struct memory_place * place, struct tat_error * error) {
    char proc[128];
    snprintf(proc, sizeof proc, "%s/proc", made_root);
    return memory_place_find(proc, place, error);
}

static struct memory_place assert_found(const char * folder, unsigned version) {
    struct memory_place place;
    struct tat_error error = { 0 };
    char whole[256];
    snprintf(whole, sizeof whole, "%s/cg%s", made_root, folder);
    if (find(&place, &error) != 0) { fail_msg("%s", error.message); }
    assert_int_equal(place.version, version);
    assert_string_equal(place.folder, whole);
    return place;
}

static void assert_refused(const char * word) {
    struct memory_place place;
    struct tat_error error = { 0 };
    assert_int_equal(find(&place, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    if (!strstr(error.message, word)) { fail_msg("%s", error.message); }
}

static void version_1_is_below_this_process(void ** state) {
    (void) state;
    made_proc("5:devices:/x\n4:cpu,memory:/a/b\n0::/\n", "cgroup", "/", ",cpu,memory");
    made_file("cg/a/b/cgroup.procs", "");
    assert_found("/a/b", 1);
    made_proc("4:memory:/\n", "cgroup", "/", ",memory");
    made_file("cg/cgroup.procs", "");
    assert_found("", 1);
}

/* Without a namespace of its own, a container sees its group as the root of the mount, but its path from outside. */
static void a_container_sees_a_part(void ** state) {
    (void) state;
    made_proc("4:memory:/docker/1f/b\n", "cgroup", "/docker/1f", ",memory");
    made_file("cg/b/cgroup.procs", "");
    assert_found("/b", 1);
    made_proc("4:memory:/docker/1fb\n", "cgroup", "/docker/1f", ",memory");
    assert_refused("limit the container's memory");
    made_proc("4:memory:/../x\n", "cgroup", "/", ",memory");
    assert_refused("limit the container's memory");
}

static void version_2_is_beside_this_process(void ** state) {
    (void) state;
    made_proc("0::/user.slice/one.scope\n", "cgroup2", "/", "");
    made_file("cg/cgroup.controllers", "cpu memory\n");
    made_file("cg/cgroup.subtree_control", "cpu memory\n");
    made_file("cg/cgroup.procs", "");
    made_file("cg/user.slice/cgroup.subtree_control", "memory pids\n");
    made_file("cg/user.slice/cgroup.procs", "");
    made_file("cg/user.slice/one.scope/cgroup.subtree_control", "\n");
    made_file("cg/user.slice/one.scope/cgroup.procs", "1\n");
    assert_found("/user.slice", 2);
    made_file("cg/user.slice/cgroup.subtree_control", "pids\n"); /* it does not pass memory on */
    assert_found("", 2);
}

/* systemd-run --scope -p MemoryMax=...: the sibling would be free of it. */
static void a_limit_that_is_left_still_holds(void ** state) {
    (void) state;
    made_proc("0::/user.slice/one.scope\n", "cgroup2", "/", "");
    made_file("cg/user.slice/cgroup.subtree_control", "memory\n");
    made_file("cg/user.slice/cgroup.procs", "");
    made_file("cg/user.slice/memory.max", "1000000\n"); /* holds for the sibling too */
    made_file("cg/user.slice/one.scope/memory.max", "max\n");
    assert_true(assert_found("/user.slice", 2).limit == UINT64_MAX);
    made_file("cg/user.slice/one.scope/memory.max", "2000000\n");
    assert_int_equal(assert_found("/user.slice", 2).limit, 2000000);
}

static void version_2_says_what_to_do(void ** state) {
    (void) state;
    made_proc("0::/user.slice/one.scope\n", "cgroup2", "/", "");
    made_file("cg/cgroup.controllers", "cpu memory_recursiveprot\n");
    made_file("cg/cgroup.subtree_control", "\n");
    made_file("cg/user.slice/one.scope/cgroup.subtree_control", "\n");
    assert_refused("is not available");
    made_file("cg/cgroup.controllers", "cpu memory\n");
    assert_refused("echo +memory");
    made_file("cg/cgroup.subtree_control", "memory\n"); /* but there is no cgroup.procs that may be written */
    assert_refused("systemd-run --user --scope");
    made_file("proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n");
    assert_refused("mount -t cgroup2");
}

/* ---- what must fit ---- */

static struct tat_gguf * a_model(uint32_t context, uint32_t nextn) {
    struct builder b = { 0 };
    put_header(&b, 3, 0, 7);
    put_kv_string(&b, "general.architecture", "llama");
    put_kv_u32(&b, "llama.block_count", 30);
    put_kv_u32(&b, "llama.embedding_length", 576);
    put_kv_u32(&b, "llama.attention.head_count", 9);
    put_kv_u32(&b, "llama.attention.head_count_kv", 3);
    put_kv_u32(&b, "llama.context_length", context);
    put_kv_u32(&b, "llama.nextn_predict_layers", nextn);
    put_padding(&b, 32);
    struct tat_gguf * gguf = builder_open_good(&b, TAT_GGUF_TOLERANT);
    builder_free(&b);
    return gguf;
}

/* As llama.cpp prints of SmolLM2: "KV buffer size = 11.25 MiB" with -c 512, 180 MiB with its own context. */
static void the_kv_cache_is_as_llama_prints_it(void ** state) {
    (void) state;
    struct tat_gguf * gguf = a_model(8192, 0);
    struct needs n = needs_of(gguf, &(struct needs_options){ .context = 512 });
    assert_int_equal(n.kv, 45 << 18);
    assert_int_equal(n.context, 512);
    assert_true(n.program >= 6 << 20 && n.libraries > 0); /* apart, as only what is not of files stays in memory */
    n = needs_of(gguf, &(struct needs_options){ 0 });
    assert_int_equal(n.kv, 180 << 20);
    assert_int_equal(n.context, 8192);
    n = needs_of(gguf, &(struct needs_options){ .context = 500, .type_k = "q8_0", .type_v = "f32" });
    assert_int_equal(n.kv, 512 * 30 * (3 * 64 * 34 / 32 + 3 * 64 * 4)); /* cells in steps of 256 */
    tat_gguf_close(gguf);
}

static void types_that_are_repacked_count(void ** state) {
    struct builder b = { 0 };
    (void) state;
    put_header(&b, 3, 3, 1);
    put_kv_string(&b, "general.architecture", "llama");
    put_tensor(&b, "blk.0.ffn_up.weight", 2, (const uint64_t[]){ 32, 2 }, 2, 0);    /* Q4_0: 36 bytes */
    put_tensor(&b, "blk.0.ffn_gate.weight", 2, (const uint64_t[]){ 32, 2 }, 8, 64); /* Q8_0 */
    put_tensor(&b, "blk.0.ffn_up.scale", 1, (const uint64_t[]){ 32 }, 2, 160);      /* no matrix */
    put_padding(&b, 32);
    put_bytes(&b, NULL, 192);
    struct tat_gguf * gguf = builder_open_good(&b, TAT_GGUF_TOLERANT);
    builder_free(&b);
    assert_int_equal(needs_of(gguf, &(struct needs_options){ 0 }).repack_most, 36);
    tat_gguf_close(gguf);
}

static void what_a_file_claims_does_not_overflow(void ** state) {
    (void) state;
    struct tat_gguf * gguf = a_model(UINT32_MAX, UINT32_MAX);
    struct needs n = needs_of(gguf, &(struct needs_options){ 0 });
    assert_int_equal(n.kv, 0); /* all layers predict further tokens */
    tat_gguf_close(gguf);
    gguf = a_model(UINT32_MAX, 0);
    n = needs_of(gguf, &(struct needs_options){ .context = UINT64_MAX - 300 });
    assert_int_equal(n.kv, 1000000000000000000u);
    tat_gguf_close(gguf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(version_1_is_below_this_process, made_begin, made_end),
        cmocka_unit_test_setup_teardown(a_container_sees_a_part, made_begin, made_end),
        cmocka_unit_test_setup_teardown(version_2_is_beside_this_process, made_begin, made_end),
        cmocka_unit_test_setup_teardown(a_limit_that_is_left_still_holds, made_begin, made_end),
        cmocka_unit_test_setup_teardown(version_2_says_what_to_do, made_begin, made_end),
        cmocka_unit_test(the_kv_cache_is_as_llama_prints_it),
        cmocka_unit_test(types_that_are_repacked_count),
        cmocka_unit_test(what_a_file_claims_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
