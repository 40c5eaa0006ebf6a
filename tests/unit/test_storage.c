/* SPDX-License-Identifier: MIT
 *
 * Each fault has its place, or the reason why it has none.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/io_events.h"
#include "storage_run.h"
#include "system/whole_disk.h"

static void each_has_its_place(void ** state) {
    (void) state;
    const uint64_t begin = put_trace();
    enum { ROWS = 50, QUERY = 150, EXPERTS = 250, OUTPUT = 350 }; /* in the time of each operation */
    struct tat_io_fault of_child = fault(2000, begin + QUERY, true), heap = of_child, elsewhere = of_child;
    of_child.pid = 5;
    heap.address = 0x10;
    heap.flags = TAT_IO_MAJOR;
    elsewhere.address = 0x20;
    const struct tat_io_fault faults[] = {
        fault(2000, 10, true),                           /* before the first graph */
        fault(1000 + 4 * EMBD_ROW, begin + ROWS, false), /* the row that is read */
        fault(1000 + 9 * EMBD_ROW, begin + ROWS, false), /* another row: nobody reads it now */
        fault(2000, begin + QUERY, true),
        fault(2000 + QUERY_BYTES - 1, begin + EXPERTS, true), /* another thread is still in the operation before */
        fault(3000 + EXPERT_BYTES, begin + EXPERTS, true),
        fault(3000, begin + EXPERTS, true),               /* an expert that was not chosen; its page is only its own */
        fault(1000 + 9 * EMBD_ROW, begin + OUTPUT, true), /* the output reads all rows */
        fault(10, begin + OUTPUT, false),                 /* the header */
        of_child,
        heap,
        elsewhere,
    };
    put_io(faults, sizeof faults / sizeof *faults, 0);
    json_t * s = storage();
    assert_int_equal(faults_in(s, "places", "place", "an operation"), 5);
    assert_int_equal(faults_in(s, "places", "place", "a weight, outside graphs"), 1);
    assert_int_equal(faults_in(s, "places", "place", "a weight that no operation read then"), 2);
    assert_int_equal(faults_in(s, "places", "place", "the model file, before its weights"), 1);
    assert_int_equal(faults_in(s, "places", "place", "another file"), 1);
    assert_int_equal(faults_in(s, "places", "place", "memory that is no file's, or code"), 1);
    assert_int_equal(faults_in(s, "places", "place", "another process"), 1);
    assert_int_equal(faults_in(s, "slices", "tensor", "blk.0.attn_q.weight"), 3);
    assert_int_equal(faults_in(s, "slices", "tensor", "token_embd.weight"), 3);
    assert_int_equal(faults_in(s, "phases", "phase", "loading"), 1);
    assert_int_equal(value(s, "major_faults"), 8); /* without the other process's */
    assert_int_equal(value(s, "minor_faults"), 3);
    assert_int_equal(value(s, "stall_ns"), 11 * FAULT_NS);
    assert_int_equal(value(s, "lost_events"), 0);
    json_decref(s);
}

/* Faults of two threads that overlap block a token once; those that are apart add up. */
static void a_token_is_blocked_once(void ** state) {
    (void) state;
    const uint64_t begin = put_trace() + (CALLBACKS + 2) * TB_CALLBACK_NS; /* the second graph, which is generated */
    struct tat_io_fault other = fault(2000, begin + 160, true);
    other.tid++;
    struct tat_io_fault of_child = fault(2000, begin + 155, true); /* another process's stands between them */
    of_child.pid = 5;
    const struct tat_io_fault faults[] = { fault(2000, begin + 150, true), of_child, other,
                                           fault(3000, begin + 260, true) };
    put_io(faults, 4, 5);
    json_t * s = storage();
    assert_int_equal(value(s, "stall_ns"), 3 * FAULT_NS);
    assert_int_equal(value(s, "token_blocked_p50_ns"), 30 + 20);
    /* Five times TB_CALLBACK_NS, of which the last is after the last operation, so that nothing explains it. */
    assert_int_equal(value(s, "token_ns"), 500);
    assert_int_equal(value(s, "token_blocked_ns"), 50);
    assert_int_equal(value(s, "token_preempted_ns"), 0);
    assert_int_equal(value(s, "token_compute_ns"), 350);
    assert_true(json_real_value(json_object_get(json_object_get(s, "values"), "token_unexplained_share")) == 0.2);
    assert_int_equal(value(s, "lost_events"), 5);
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(s, "notes"), 0)), "5 events"));
    json_decref(s);
    const struct tat_analysis_options first = { .scope = { .token_end = 1 } };
    s = storage_of(&first);
    assert_int_equal(value(s, "major_faults"), 0);
    json_decref(s);
}

/* ---- reading ---- */

/* The projection is in pages 62 to 70, experts 0 and 1 in 93 to 97 and 97 to 101. */
static void each_page_has_its_fate(void ** state) {
    (void) state;
    const uint64_t begin = put_trace(), query = begin + 100, second = begin + SECOND;
    struct tat_io_pages events[] = {
        pages(62, 4, 10, false),           /* read ahead while loading */
        pages(66, 2, query + 10, false),   /* the first is waited for, the other of the same operation */
        pages(100, 1, query + 20, false),  /* read ahead, for expert 1 */
        pages(94, 1, query + 30, false),   /* of expert 0, which was not chosen */
        pages(94, 1, begin + 500, true),   /* so it leaves before it is touched */
        pages(94, 1, begin + 510, false),  /* and comes again, and is never touched */
        pages(62, 3, begin + 550, true),   /* after they were touched */
        pages(63, 2, begin + 560, false),  /* again, ahead */
        pages(62, 1, second + 110, false), /* again, waited for */
        pages(63, 1, second + 120, true),  /* while it is touched */
        pages(64, 1, second + 130, true),  /* before it is touched, as it is waited for once more */
        pages(64, 1, second + 135, false),
    };
    struct tat_io_fault faults[] = { long_fault(66 * PAGE, query + 5, query + 50),
                                     long_fault(64 * PAGE, second + 133, second + 140),
                                     long_fault(2000, second + 105, second + 150) };
    struct tat_io io = { .files = model_file,
                         .n_files = 1,
                         .faults = faults,
                         .n_faults = 3,
                         .pages = events,
                         .n_pages = sizeof events / sizeof *events,
                         .recorded = { [TAT_IO_SOURCE_PAGES] = true } };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "wanted_bytes"), 2 * (EMBD_BYTES + QUERY_BYTES + 2 * EXPERT_BYTES));
    assert_int_equal(value(s, "disk_bytes"), 13 * PAGE);
    assert_int_equal(value(s, "unique_bytes"), 8 * PAGE);
    assert_int_equal(value(s, "demanded_bytes"), 3 * PAGE);
    assert_int_equal(value(s, "ahead_used_bytes"), 7 * PAGE);
    assert_int_equal(value(s, "ahead_late_bytes"), 0);
    assert_int_equal(value(s, "evicted_before_use_bytes"), 2 * PAGE);
    assert_int_equal(value(s, "never_used_bytes"), PAGE);
    assert_true(json_real_value(json_object_get(json_object_get(s, "values"), "placed_share")) == 1);
    assert_int_equal(cell(s, "reading", "phase", "loading", "read_bytes"), 4 * PAGE);
    assert_int_equal(cell(s, "reading", "phase", "loading", "ahead_bytes"), 4 * PAGE);
    assert_int_equal(cell(s, "reading", "phase", "no graph is computed", "again_bytes"), 3 * PAGE);
    assert_int_equal(cell(s, "reread", "tensor", "blk.0.attn_q.weight", "again_bytes"), 4 * PAGE);
    assert_int_equal(cell(s, "reread", "tensor", "blk.1.ffn_up_exps.weight", "again_bytes"), PAGE);
    void * first = json_object_iter(json_object_get(s, "tables"));
    assert_string_equal(json_object_iter_key(first),
                        "slices"); /* which weights waited, and were read again, comes first */
    first = json_object_iter_next(json_object_get(s, "tables"), first);
    assert_string_equal(json_object_iter_key(first), "reread");
    assert_true(contains(s, "MAP_POPULATE")); /* loading read pages, and no fault shows it */
    json_decref(s);
}

/* Of weights that were read again alike, those of lower layers come first, then those of none. */
static void ties_are_by_layer(void ** state) {
    (void) state;
    put_trace();
    struct tat_io_pages events[] = { pages(35, 1, 10, false), pages(65, 1, 11, false), pages(35, 1, 12, true),
                                     pages(65, 1, 13, true),  pages(35, 1, 14, false), pages(65, 1, 15, false) };
    struct tat_io_fault faults[] = { fault(35 * PAGE, 100, true), fault(65 * PAGE, 150, true) };
    const struct tat_io io = { .files = model_file,
                               .n_files = 1,
                               .faults = faults,
                               .n_faults = 2,
                               .pages = events,
                               .n_pages = 6,
                               .recorded = { [TAT_IO_SOURCE_PAGES] = true } };
    put_all(&io, 0);
    json_t * s = storage();
    static const char * const tables[] = { "slices", "reread" };
    for (int i = 0; i < 2; i++) {
        const json_t * rows = json_object_get(json_object_get(json_object_get(s, "tables"), tables[i]), "rows");
        assert_int_equal(json_array_size(rows), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "tensor")),
                            "blk.0.attn_q.weight");
    }
    json_decref(s);
}

/* A request is bytes of the disk, so of a file, so of slices. */
static void each_request_has_its_place(void ** state) {
    (void) state;
    const uint64_t begin = put_trace(), query = begin + 100;
    struct tat_io_request requests[] = {
        request(AT_DISK, 64, 5, 9, 0),                                           /* the header */
        request(AT_DISK + 3000, 256, query + 10, query + 25, TAT_IO_READ_AHEAD), /* experts 0 and 1: one is chosen */
        request(AT_DISK + 66 * PAGE, 64, query + 6, query + 40, 0),              /* waited for */
        request(AT_DISK + 66 * PAGE, 64, begin + 410, begin + 420, 0),           /* again, ahead for the next token */
        request(AT_DISK + 66 * PAGE, 64, begin + 421, begin + 422, TAT_IO_WRITE),
        request(AT_DISK + 66 * PAGE, 64, begin + 423, begin + 424, TAT_IO_METADATA),
        request(AT_DISK + 66 * PAGE, 64, begin + 425, begin + 426, TAT_IO_FAILED),
        request(300000, 512, begin + 427, begin + 428, 0),
        request(AT_DISK + 4000, 200, begin + 429, begin + 430, 0), /* across the end of the first extent */
        request(0, 512, begin + 431, begin + 432, 0),
    };
    requests[9].disk = 5;
    struct tat_io_fault faults[] = { long_fault(66 * PAGE, query + 5, query + 50) };
    struct tat_io io = { .files = model_file,
                         .n_files = 1,
                         .faults = faults,
                         .n_faults = 1,
                         .requests = requests,
                         .n_requests = sizeof requests / sizeof *requests,
                         .recorded = { [TAT_IO_SOURCE_REQUESTS] = true } };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "disk_bytes"), 64 + 256 + 64 + 64 + 96);
    assert_int_equal(value(s, "unique_bytes"), 64 + 256 + 64 + 96);
    assert_int_equal(cell(s, "requests", "place", "the model file, before its weights", "bytes"), 64);
    assert_int_equal(cell(s, "requests", "place", "an operation", "bytes"), 64);
    assert_int_equal(cell(s, "requests", "place", "read ahead for an operation", "bytes"), 128 + 64);
    assert_int_equal(cell(s, "requests", "place", "a weight, in vain", "bytes"), 128);
    assert_int_equal(cell(s, "requests", "place", "a weight, in vain", "parts"), 1);
    assert_int_equal(cell(s, "requests", "place", "a weight, in vain", "requests"), 1); /* the first of equal parts */
    assert_int_equal(cell(s, "requests", "place", "read ahead for an operation", "requests"), 1);
    assert_int_equal(cell(s, "requests", "place", "read ahead for an operation", "parts"), 2);
    assert_int_equal(cell(s, "requests", "place", "the model file, outside its weights", "bytes"), 96);
    assert_int_equal(cell(s, "requests", "place", "a write", "requests"), 1);
    assert_int_equal(cell(s, "requests", "place", "metadata of the file system", "requests"), 1);
    assert_int_equal(cell(s, "requests", "place", "a request that failed", "requests"), 1);
    assert_int_equal(cell(s, "requests", "place", "another disk", "bytes"), 512);
    assert_int_equal(cell(s, "requests", "place", "the model's disk, in no file of this run", "bytes"), 512 + 104);
    const int64_t parts = cell(s, "requests", "place", "an operation", "parts") +
                          cell(s, "requests", "place", "read ahead for an operation", "parts");
    json_decref(s);
    io.n_faults = 0; /* nothing tells whether an operation waited: what was for one is one row, with all its parts */
    io.missing[TAT_IO_SOURCE_FAULTS] = "perf says no";
    put_all(&io, 0);
    s = storage();
    assert_int_equal(cell(s, "requests", "place", "an operation", "parts"), parts);
    json_decref(s);
}

/* Samples of what is in memory, and counters: less is known, and it is said what is not. */
static void without_root(void ** state) {
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_run all = { 0, MAPPED / PAGE }, some[] = { { 0, 10 }, { 20, 5 } }, more[] = { { 5, 10 }, { 100, 3 } };
    struct tat_io_residency samples[] = { { START + 10, 1, all, some, 2 }, { START + begin, 1, all, more, 2 } };
    struct tat_io_counter_value counters[] = { { START + 10, 1000, TAT_IO_READ_BYTES },
                                               { START + 10, 3, TAT_IO_MAJOR_FAULTS },
                                               { START + 10, 5000, TAT_IO_LOCKED_BYTES },
                                               { START + begin, 5992, TAT_IO_READ_BYTES },
                                               { START + begin, 3, TAT_IO_MAJOR_FAULTS } };
    const struct tat_io io = { .files = model_file,
                               .n_files = 1,
                               .counters = counters,
                               .n_counters = 5,
                               .residency = samples,
                               .n_residency = 2,
                               .recorded = { [TAT_IO_SOURCE_FAULTS] = true, [TAT_IO_SOURCE_COUNTERS] = true },
                               .missing = { [TAT_IO_SOURCE_PAGES] = "you are not root" } };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "disk_bytes"), 4992);
    assert_string_equal(json_string_value(json_object_get(json_object_get(s, "values"), "disk_bytes_from")),
                        "/proc/PID/io, all files");
    assert_int_equal(value(s, "wanted_bytes"), 2 * (EMBD_BYTES + QUERY_BYTES + 2 * EXPERT_BYTES));
    assert_null(json_object_get(json_object_get(s, "values"), "unique_bytes"));
    assert_int_equal(value(s, "came_at_least_bytes"), 8 * PAGE); /* 10 to 14 and 100 to 102 */
    assert_true(has_note(s, "you are not root"));
    assert_int_equal(cell(s, "states", "state", "mapped and locked", "tensors"), 3);
    assert_int_equal(cell(s, "fault_totals", "source", "/proc/PID/stat", "value"), 0);
    json_decref(s);
}

/* An operation takes what it took where it hardly waited, whichever graph that was in; time that others took from a
 * thread in a fault is theirs; and what would help follows. */
static void what_a_token_is_made_of(void ** state) {
    (void) state;
    static const int64_t tokens[] = { 0, 1, 2, 3, 4 };
    put_trace_of(tokens, 5);
    const uint64_t token = 5000 + 2 * SECOND; /* the third: the projection is in faults for 60 ns, 20 of them others' */
    struct tat_io_fault faults[] = { long_fault(2000, token + 110, token + 170) };
    faults[0].preempted_ns = 20;
    struct tat_io_pages events[] = { pages(62, 2, token + 120, false), pages(94, 2, token + 120, false) };
    const struct tat_io io = { .files = model_file,
                               .n_files = 1,
                               .faults = faults,
                               .n_faults = 1,
                               .pages = events,
                               .n_pages = 2,
                               .recorded = { [TAT_IO_SOURCE_PAGES] = true } };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(cell(s, "explained", "phase", "generate", "tokens"), 4);
    assert_int_equal(value(s, "token_ns"), 500);
    assert_int_equal(value(s, "token_blocked_ns"), 10);
    assert_int_equal(value(s, "token_preempted_ns"), 5);
    assert_int_equal(value(s, "token_compute_ns"), 400); /* foretold from the tokens that did not wait */
    assert_int_equal(cell(s, "operations", "operation", "MUL_MAT", "waited"), 1);
    assert_int_equal(cell(s, "operations", "operation", "MUL_MAT", "p99_ns"), 40);
    assert_int_equal(cell(s, "bounds", "if", "nothing was waited for", "token_ns"), 490);
    assert_int_equal(cell(s, "bounds", "if", "nothing but computing took time", "token_ns"), 400);
    /* What is said comes to the whole. */
    assert_true(contains(s, "a generated token takes 500 ns on average: 10 ns in faults, 5 ns in which others ran in "
                            "place of a thread in a fault, 400 ns computing, 85 ns (+17.0 %) unexplained"));
    assert_true(contains(s, "of the 500 ns that a generated token takes on average"));
    assert_int_equal(value(s, "token_p50_ns"), 500);
    /* Two of four pages were in vain, so half of the waiting. */
    assert_int_equal(cell(s, "bounds", "if", "no page was read in vain", "token_ns"), 495);
    json_decref(s);
}

/* Where nothing waits, all the time of operations is computing, however uneven it is. */
static void a_slow_token_that_never_waited(void ** state) {
    (void) state;
    static const int64_t tokens[] = { 0, 1, 2, 3, 4 };
    const uint64_t begin = put_trace_slow_in(tokens, 5, 4);
    const struct tat_io_fault in_prompt = fault(2000, begin + 150, true);
    put_io(&in_prompt, 1, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "token_ns"), (3 + SLOW) * 500 / 4);
    assert_int_equal(value(s, "token_compute_ns"), (3 + SLOW) * 400 / 4);
    json_decref(s);
}

/* What the sections on speed and on caching say of waiting and of computing is what the one on storage finds. */
static void others_say_the_same_of_waiting(void ** state) {
    what_a_token_is_made_of(state); /* its files stay */
    json_t * s = section_named("speed", NULL);
    const json_t * share = json_object_get(json_object_get(json_object_get(s, "values"), "shares"), "disk");
    assert_true(json_is_real(share) && json_real_value(share) == 10 / 500.0);
    json_decref(s);
    s = section_named("caching", NULL);
    assert_int_equal((int) json_real_value(json_object_get(json_object_get(s, "values"), "compute_tokens_per_second")),
                     1000000000 / 400);
    expect_answer(s, "How fast could it be?", "that computing alone allows (400 ns of a token's 500 ns)");
    json_decref(s);
    char path[64];
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    unlink(path);
    s = section_named("caching", NULL);
    assert_int_equal((int) json_real_value(json_object_get(json_object_get(s, "values"), "compute_tokens_per_second")),
                     1000000000 / 500);
    expect_answer(s, "How fast could it be?", "never more than this run's own ");
    json_decref(s);
}

/* The order of requests at the disk is that in which they were given to it, and it is busy once with two at a time. */
static void what_the_disk_did(void ** state) {
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_request requests[] = {
        request(AT_DISK + 1024, 1024, begin + 100, begin + 200, 0),
        request(AT_DISK + 2048, 512, begin + 150, begin + 190, 0),     /* follows it */
        request(AT_DISK + 3072, 512, begin + 210, begin + 250, 0),     /* near */
        request(AT_DISK, 512, begin + 300, begin + 310, TAT_IO_WRITE), /* no read */
        request(200000, 512, begin + 320, begin + 330, 0),             /* near: 96 KiB on */
        request(AT_DISK + 4000, 96, begin + 340, begin + 350, 0),
        request(700000, 512, begin + 360, begin + 370, 0), /* of another file, far away */
    };
    struct tat_io io = { .files = model_file,
                         .n_files = 1,
                         .requests = requests,
                         .n_requests = 7,
                         .recorded = { [TAT_IO_SOURCE_REQUESTS] = true } };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "model_requests"), 5);
    assert_int_equal(value(s, "disk_busy_ns"), 100 + 40 + 10 + 10);
    const json_t * values = json_object_get(s, "values");
    assert_true(json_real_value(json_object_get(values, "disk_sequential_share")) == 0.25);
    assert_true(json_real_value(json_object_get(values, "disk_near_share")) == 0.75);
    assert_int_equal(cell(s, "extents", "file", "model.gguf", "fragments"), 2);
    assert_int_equal(cell(s, "totals", "source", "block requests, all reads", "value"), 1024 + 4 * 512 + 96);
    json_decref(s);
}

/* A disk of this machine, or a partition, by number; and what `tat doctor --disk` calls it. 0: there is none. */
static uint64_t some_disk(char name[static 64]) {
    unsigned upper, lower;
    uint64_t disk = 0;
    DIR * all = opendir("/sys/dev/block");
    for (struct dirent * e; all && !disk && (e = readdir(all));) {
        if (sscanf(e->d_name, "%u:%u", &upper, &lower) == 2) { disk = makedev(upper, lower); }
    }
    if (all) { closedir(all); }
    snprintf(name, 64, "%.63s", whole_disk_of(disk).name);
    return disk;
}

/* What the disk gives at best is the most that was measured, in whichever order. */
static void the_disk_at_best(void ** state) {
    (void) state;
    char name[64], path[128], kept[96];
    const uint64_t disk = some_disk(name);
    if (!disk) { skip(); }
    static const char rates[] = "{\"rates\": [{\"how\": \"direct\", \"order\": \"sequential\", \"per_second\": 1e9},"
                                "{\"how\": \"direct\", \"order\": \"random\", \"per_second\": 2e9}]}";
    snprintf(kept, sizeof kept, "tat/disk-%s.json", name);
    snprintf(path, sizeof path, "%s/tat", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    put(kept, (const uint8_t *) rates, strlen(rates));
    setenv("XDG_STATE_HOME", folder, 1);
    const uint64_t begin = put_trace();
    struct tat_io_file file = *model_file;
    file.disk = disk;
    struct tat_io_request one = request(AT_DISK + 1024, 1024, begin + 100, begin + 200, 0);
    one.disk = file.disk;
    const struct tat_io io = { .files = &file, .n_files = 1, .requests = &one, .n_requests = 1 };
    put_all(&io, 0);
    json_t * s = storage();
    unsetenv("XDG_STATE_HOME");
    snprintf(path, sizeof path, "%s/%s", folder, kept);
    unlink(path);
    snprintf(path, sizeof path, "%s/tat", folder);
    rmdir(path);
    assert_true(json_number_value(json_object_get(json_object_get(s, "values"), "disk_best_bytes_per_second")) == 2e9);
    json_decref(s);
}

/* Pages far beyond the file, more of them than there can be, extents that share bytes: an answer, and soon. */
static void what_no_program_causes(void ** state) {
    (void) state;
    put_trace();
    struct tat_io_extent many[] = { { 0, AT_DISK, 4096 }, { 4096, AT_DISK + 1000, 1ull << 40 } };
    struct tat_io_file file = *model_file;
    file.extents = many;
    struct tat_io_pages events[] = { pages(0, 1ull << 50, 10, false), pages(1ull << 49, 1ull << 50, 20, true) };
    struct tat_io_request requests[] = { request(0, 1ull << 61, 5, 9, 0), request(AT_DISK + 3000, 2000, 10, 12, 0) };
    struct tat_io_run runs[] = { { 0, 1ull << 49 } };
    struct tat_io_residency samples[] = { { START + 5, 1, runs[0], runs, 1 } };
    const struct tat_io io = { .files = &file,
                               .n_files = 1,
                               .pages = events,
                               .n_pages = 2,
                               .requests = requests,
                               .n_requests = 2,
                               .residency = samples,
                               .n_residency = 1 };
    put_all(&io, 0);
    json_t * s = storage();
    assert_true(has_note(s, "than a program can cause"));
    json_decref(s);
}

/* A stack of more experts than its tensor has bytes: damage, and no division by 0. */
static void an_expert_without_bytes(void ** state) {
    (void) state;
    struct trace_builder b;
    tb_begin(&b);
    tb_header(&b)->pid = PID;
    tb_seal(&b);
    tb_model_file(&b, "/model.gguf");
    tb_event(&b, TAT_EVENT_MAPPING, 1, (const uint64_t[]){ 1, ADDRESS, MAPPED, 0 }, 4, NULL);
    const uint32_t stack = tb_tensor(&b, (struct tb_tensor){ .name = "blk.0.ffn_up_exps.weight",
                                                             .kind = TAT_TENSOR_WEIGHT,
                                                             .memory = TAT_MEMORY_FILE,
                                                             .ne = { 8, 4, 60 },
                                                             .bytes = 1,
                                                             .file = 1 });
    const uint32_t ids = tb_tensor(&b, (struct tb_tensor){ .name = "ids", .kind = TAT_TENSOR_INPUT, .ne = { 2 } });
    const struct tb_entry entries[] = {
        { .name = "blk.0.ffn_up_exps.weight", .tensor = stack, .ne = { 8, 4, 60 } },
        { .name = "x", .tensor = ids, .ne = { 8 } },
        { .name = "ids", .type = "i32", .tensor = ids, .ne = { 2 } },
        { .name = "up", .op = "MUL_MAT_ID", .tensor = ids, .ne = { 4, 2 }, .src = { 1, 2, 3 } },
    };
    tb_template(&b, 1, entries, 3, 1, NULL, 0);
    tb_end(&b);
    put("tensor_access.bin", b.bytes, b.size);
    tb_free(&b);
    const struct tat_io_fault one = fault(0, 10, true);
    put_io(&one, 1, 0);
    json_t * s = storage();
    assert_int_equal(faults_in(s, "slices", "tensor", "blk.0.ffn_up_exps.weight"), 1);
    json_decref(s);
}

/* Further processes of a run have no file of their own. */
static void the_file_of_the_first_process(void ** state) {
    (void) state;
    char first[64], first_file[80];
    put_trace();
    const struct tat_io_fault one = fault(2000, 10, true);
    snprintf(first, sizeof first, "%s_123_2", folder);
    assert_int_equal(rename(folder, first), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    put_io(&one, 1, 0);
    static const char * const names[] = { "storage" };
    struct tat_error error = { 0 };
    struct tat_trace * trace = tat_trace_open(first, &error);
    assert_non_null(trace);
    char * answers = tat_analyze(trace, names, 1, NULL, &error);
    assert_non_null(strstr(answers, "Threads spent"));
    free(answers);
    tat_trace_close(trace);
    snprintf(first_file, sizeof first_file, "%s/io_events.bin", folder);
    assert_int_equal(unlink(first_file), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rename(first, folder), 0);
}

static void without_faults(void ** state) {
    (void) state;
    put_trace();
    put_io(NULL, 0, 0);
    json_t * s = storage();
    assert_non_null(strstr(json_string_value(json_object_get(s, "headline")), "No page fault waited"));
    assert_false(contains(s, "MAP_POPULATE"));
    json_decref(s);
    struct tat_io_counter_value counted = { START + 10, 6, TAT_IO_RUN_MAJOR_FAULTS }; /* those not recorded, too */
    const struct tat_io io = { .counters = &counted, .n_counters = 1, .partial = true };
    put_all(&io, 0);
    s = storage();
    assert_string_equal(
        json_string_value(json_object_get(s, "headline")),
        "No page fault that waited for the disk was recorded, but the kernel counted 6 of them. Faults inside system "
        "calls were not recorded.");
    assert_false(contains(s, "No thread waited"));
    assert_false(contains(s, "None: of"));
    json_decref(s);
    put("io_events.bin", (const uint8_t *) "no", 2);
    s = storage();
    assert_non_null(strstr(json_string_value(json_object_get(s, "headline")), "cannot be read"));
    json_decref(s);
    char path[64];
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    assert_int_equal(unlink(path), 0);
    s = storage();
    assert_true(json_is_true(json_object_get(s, "absent")));
    json_decref(s);
}

/* Faults that were not recorded, or are all of other processes: nothing says that there was no waiting. */
static void waiting_that_nothing_tells_of(void ** state) {
    static const char * const unknown[] = {
        "token_blocked_p50_ns", "token_blocked_share", "token_major_faults", "major_faults", "stall_ns",
        "token_blocked_ns",     "demanded_bytes",      "fault_placed_share"
    };
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_fault faults[] = { fault(2000, begin + 150, true) };
    struct tat_io_pages events[] = { pages(62, 2, begin + 20, false) };
    struct tat_io io = { .files = model_file,
                         .n_files = 1,
                         .pages = events,
                         .n_pages = 1,
                         .recorded = { [TAT_IO_SOURCE_PAGES] = true },
                         .missing = { [TAT_IO_SOURCE_FAULTS] = "perf says no" } };
    faults[0].pid = 5;
    for (int others = 0; others < 2; others++) {
        if (others) { io.missing[TAT_IO_SOURCE_FAULTS] = NULL; }
        io.faults = faults;
        io.n_faults = (size_t) others;
        put_all(&io, 0);
        json_t * s = storage();
        assert_true(says(s, others ? "of other processes" : "perf says no"));
        for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
            if (has_value(s, unknown[i])) { fail_msg("%s", unknown[i]); }
        }
        assert_int_equal(value(s, "disk_bytes"), 2 * PAGE);
        assert_non_null(strstr(answer(s, "Which weights waited"), "not known"));
        json_decref(s);
    }
}

/* Another file that takes the model's path is not the model, whatever its path; the model is, on a file system that
 * has two devices. */
static void a_file_that_took_the_path(void ** state) {
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_file files[] = { model_file[0], model_file[0], model_file[0] };
    struct tat_io_pages events[] = { pages(62, 2, begin + 20, false), pages(62, 4, begin + 30, false),
                                     pages(94, 1, begin + 40, false) };
    for (uint32_t i = 0; i < 3; i++) { events[i].file = files[i].number = i + 1; }
    files[1].inode = 7;
    files[1].bytes = 1000;
    files[2].device = 42;
    const struct tat_io io = {
        .files = files, .n_files = 3, .pages = events, .n_pages = 3, .recorded = { [TAT_IO_SOURCE_PAGES] = true }
    };
    put_all(&io, 0);
    json_t * s = storage();
    assert_int_equal(value(s, "disk_bytes"), 3 * PAGE);
    assert_true(has_note(s, "Another file took the path /model.gguf"));
    json_decref(s);
}

/* tat was killed after the first graph, or there was no room for events: nothing is known of the second. */
static void io_that_ends_before_the_run(void ** state) {
    static const char * const unknown[] = { "token_blocked_p50_ns", "token_blocked_share", "token_ns",
                                            "never_used_bytes", "token_major_faults" };
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_fault faults[] = { fault(2000, begin + 150, true) };
    struct tat_io_pages events[] = { pages(62, 2, begin + 140, false) };
    struct tat_io_counter_value counters[] = { { START + begin + SECOND - 1, 1, TAT_IO_READ_BYTES },
                                               { START + begin + 9 * SECOND, 9, TAT_IO_RUN_READ_BYTES } };
    const struct tat_io io = { .files = model_file,
                               .n_files = 1,
                               .faults = faults,
                               .n_faults = 1,
                               .pages = events,
                               .n_pages = 1,
                               .counters = counters,
                               .n_counters = 2,
                               .recorded = { [TAT_IO_SOURCE_PAGES] = true, [TAT_IO_SOURCE_FAULTS] = true } };
    for (int full = 0; full < 2; full++) {
        put_ended(&io, full ? 7 : 0, full);
        json_t * s = storage();
        assert_true(says(s, "for 0 of 1 generated tokens"));
        assert_int_equal(says(s, "Figures are too low: 7 events"), full);
        assert_non_null(strstr(answer(s, "Which weights waited"), "for 0 of 1 generated tokens"));
        for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
            if (has_value(s, unknown[i])) { fail_msg("%s", unknown[i]); }
        }
        assert_int_equal(value(s, "recorded_until_ns"), begin + SECOND - 1);
        assert_int_equal(value(s, "wanted_bytes"), EMBD_BYTES + QUERY_BYTES + 2 * EXPERT_BYTES);
        assert_int_equal(cell(s, "reading", "phase", "generate", "wanted_bytes"), -1);
        json_decref(s);
        const struct tat_analysis_options second = { .scope = { .token_first = 1, .token_end = 2 } };
        s = storage_of(&second);
        assert_true(says(s, "ended before these tokens"));
        assert_false(has_value(s, "major_faults"));
        json_decref(s);
    }
}

/* Nothing was read, so nothing was read any number of times; the tracer's own pages are not the run's; and what a shell
 * read is not what the program read. */
static void counts_of_what(void ** state) {
    (void) state;
    const uint64_t begin = put_trace();
    struct tat_io_file files[] = { model_file[0], model_file[0], model_file[0] };
    struct tat_io_pages events[] = { pages(0, 5, begin + 20, false), pages(0, 3, begin + 30, false) };
    struct tat_io_counter_value counters[] = { { START + 10, 1000, TAT_IO_READ_BYTES },
                                               { START + begin, 5992, TAT_IO_READ_BYTES },
                                               { START + begin, 6000, TAT_IO_RUN_READ_BYTES } };
    for (uint32_t i = 0; i < 3; i++) { files[i].number = i + 1; }
    files[1].path = "/runs/one/tensor_access.bin";
    files[2].path = "/other";
    files[1].inode = 10;
    files[2].inode = 11;
    events[0].file = 2;
    events[1].file = 3;
    struct tat_io_extent of_trace = { 0, 1 << 20, 8192 }, of_other = { 0, 1 << 30, 8192 };
    files[1].disk = files[2].disk = 77;
    files[1].extents = &of_trace;
    files[2].extents = &of_other;
    files[1].n_extents = files[2].n_extents = 1;
    struct tat_io_request requests[] = { request((1 << 20) + 4096, 8192, begin + 10, begin + 20,
                                                 0), /* half is behind */
                                         request(1 << 20, 4096, begin + 30, begin + 40, TAT_IO_WRITE) };
    requests[0].disk = requests[1].disk = 77;
    const struct tat_io io = { .files = files,
                               .n_files = 3,
                               .requests = requests,
                               .n_requests = 2,
                               .pages = events,
                               .n_pages = 2,
                               .counters = counters,
                               .n_counters = 3,
                               .recorded = { [TAT_IO_SOURCE_PAGES] = true, [TAT_IO_SOURCE_FAULTS] = true } };
    for (int shell = 0; shell < 2; shell++) {
        started = shell ? 5 : PID;
        put_all(&io, 0);
        json_t * s = storage();
        assert_true(has_line(s, "read"));
        assert_false(has_line(s, "again"));
        assert_false(has_line(s, "in vain"));
        assert_int_equal(cell(s, "totals", "source", "page cache, all recorded files", "value"), 3 * PAGE);
        assert_int_equal(cell(s, "totals", "source", "block requests, the trace", "value"), 4096);
        assert_int_equal(cell(s, "totals", "source", "/proc/PID/io", "value"), shell ? -1 : 4992);
        json_decref(s);
    }
    started = PID;
}

static void a_disk_that_is_faster_than_it_can_be(void ** state) {
    (void) state;
    char name[64], file[192], states[64];
    static const char rates[] = "{\"rates\": [{\"how\": \"read\", \"order\": \"sequential\", \"per_second\": 1000}]}";
    struct tat_io_file on_disk = *model_file;
    if (!(on_disk.disk = some_disk(name))) { skip(); }
    const uint64_t begin = put_trace();
    struct tat_io_request one = request(AT_DISK, 512, begin, begin + 100, 0);
    one.disk = on_disk.disk;
    const struct tat_io io = { .files = &on_disk, .n_files = 1, .requests = &one, .n_requests = 1 };
    put_all(&io, 0);
    snprintf(states, sizeof states, "%s/tat", folder);
    snprintf(file, sizeof file, "tat/disk-%s.json", name);
    assert_int_equal(mkdir(states, 0700), 0);
    put(file, (const uint8_t *) rates, sizeof rates - 1);
    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    json_t * s = storage();
    assert_true(has_note(s, "more than the 1000 B/s that `tat doctor --disk` found"));
    json_decref(s);
    snprintf(file, sizeof file, "%s/disk-%s.json", states, name);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(states), 0);
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
}

/* Events of another run say nothing of this one. */
static void events_of_another_run(void ** state) {
    (void) state;
    put_trace();
    struct tat_io_counter_value counters[] = { { START - 10, 5, TAT_IO_READ_BYTES } };
    const struct tat_io io = { .counters = counters, .n_counters = 1 };
    put_all(&io, 0);
    json_t * s = storage();
    assert_true(says(s, "another run"));
    assert_true(says(s, "ended before the trace began"));
    assert_false(has_value(s, "token_blocked_share"));
    json_decref(s);
    put_ended(&io, 0, false); /* or of this one, and tat was killed while the program loaded its model */
    s = storage();
    assert_true(says(s, "I/O was recorded only before the trace began"));
    assert_false(has_value(s, "token_blocked_share"));
    json_decref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_place),
        cmocka_unit_test(a_token_is_blocked_once),
        cmocka_unit_test(an_expert_without_bytes),
        cmocka_unit_test(the_file_of_the_first_process),
        cmocka_unit_test(without_faults),
        cmocka_unit_test(each_page_has_its_fate),
        cmocka_unit_test(each_request_has_its_place),
        cmocka_unit_test(ties_are_by_layer),
        cmocka_unit_test(without_root),
        cmocka_unit_test(what_a_token_is_made_of),
        cmocka_unit_test(a_slow_token_that_never_waited),
        cmocka_unit_test(others_say_the_same_of_waiting),
        cmocka_unit_test(what_the_disk_did),
        cmocka_unit_test(the_disk_at_best),
        cmocka_unit_test(what_no_program_causes),
        cmocka_unit_test(waiting_that_nothing_tells_of),
        cmocka_unit_test(events_of_another_run),
        cmocka_unit_test(a_file_that_took_the_path),
        cmocka_unit_test(io_that_ends_before_the_run),
        cmocka_unit_test(counts_of_what),
        cmocka_unit_test(a_disk_that_is_faster_than_it_can_be),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
