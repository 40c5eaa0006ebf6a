/* SPDX-License-Identifier: MIT
 *
 * One event for each request, whatever happens to it on its way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "io/requests.h"

enum { GIVEN_MOST = 16 };

struct given {
    struct tat_io_request requests[GIVEN_MOST];
    size_t count;
};

static void take(const struct tat_io_request * request, void * user) {
    struct given * g = user;
    if (g->count < GIVEN_MOST) { g->requests[g->count] = *request; }
    g->count++;
}

static struct request_event event(uint64_t ns, uint64_t offset, uint64_t bytes) {
    return (struct request_event){ .ns = ns, .disk = 7, .offset = offset, .bytes = bytes, .pid = 42 };
}

static void issue(struct requests * r, uint64_t ns, uint64_t offset, uint64_t bytes) {
    const struct request_event e = event(ns, offset, bytes);
    requests_issue(r, &e);
}

static void requeue(struct requests * r, uint64_t ns, uint64_t offset) {
    const struct request_event e = event(ns, offset, 0);
    requests_requeue(r, &e);
}

static void complete(struct requests * r, uint64_t ns, uint64_t offset, uint64_t bytes) {
    const struct request_event e = event(ns, offset, bytes);
    requests_complete(r, &e);
}

static void assert_given(const struct given * g, size_t i, uint64_t begin, uint64_t end, uint64_t offset,
                         uint64_t bytes) {
    assert_true(i < g->count);
    assert_int_equal(g->requests[i].end_ns, end);
    assert_int_equal(g->requests[i].duration_ns, end - begin);
    assert_int_equal(g->requests[i].disk_offset, offset);
    assert_int_equal(g->requests[i].bytes, bytes);
}

static void a_request_is_one_event(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    issue(&r, 100, 4096, 8192);
    issue(&r, 110, 65536, 4096);
    complete(&r, 150, 65536, 4096);
    complete(&r, 190, 4096, 8192);
    requests_end(&r);
    assert_int_equal(g.count, 2);
    assert_given(&g, 0, 110, 150, 65536, 4096);
    assert_given(&g, 1, 100, 190, 4096, 8192);
    assert_int_equal(g.requests[1].pid, 42);
    assert_int_equal(r.complete, 2);
    assert_int_equal(r.unbegun + r.unfinished + r.requeued + r.reissued + r.parts + r.lost, 0);
}

static void a_read_and_a_write_of_one_place_are_two(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    struct request_event write = event(105, 4096, 4096);
    write.flags = TAT_IO_WRITE;
    issue(&r, 100, 4096, 4096);
    requests_issue(&r, &write);
    complete(&r, 120, 4096, 4096);
    write.ns = 130;
    requests_complete(&r, &write);
    struct request_event elsewhere = event(140, 4096, 4096);
    elsewhere.disk = 8;
    issue(&r, 135, 4096, 4096);
    requests_complete(&r, &elsewhere);
    requests_end(&r);
    assert_int_equal(g.count, 3);
    assert_given(&g, 0, 100, 120, 4096, 4096);
    assert_given(&g, 1, 105, 130, 4096, 4096);
    assert_int_equal(g.requests[1].flags, TAT_IO_WRITE);
    assert_int_equal(r.unbegun, 1);
    assert_int_equal(r.unfinished, 1);
}

static void parts_add_up(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    issue(&r, 100, 0, 12288);
    complete(&r, 110, 0, 4096);
    complete(&r, 120, 4096, 4096);
    requeue(&r, 125, 8192);
    issue(&r, 130, 8192, 4096);
    complete(&r, 140, 8192, 4096);
    requests_end(&r);
    assert_int_equal(g.count, 1);
    assert_given(&g, 0, 100, 140, 0, 12288);
    assert_int_equal(r.parts, 2);
    assert_int_equal(r.requeued, 1);
}

static void a_requeue_keeps_the_first_issue(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    issue(&r, 100, 4096, 4096);
    requeue(&r, 110, 4096);
    issue(&r, 120, 4096, 8192); /* another was merged into it */
    complete(&r, 150, 4096, 8192);
    requests_end(&r);
    assert_int_equal(g.count, 1);
    assert_given(&g, 0, 100, 150, 4096, 8192);
    assert_int_equal(r.reissued, 0);
}

/* perf and bpftrace are often told of issues and completions alone. Then the end of the first may be lost as well. */
static void an_issue_again_begins_anew(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    issue(&r, 100, 4096, 4096);
    issue(&r, 120, 4096, 4096);
    complete(&r, 150, 4096, 4096);
    requests_end(&r);
    assert_int_equal(g.count, 1);
    assert_given(&g, 0, 120, 150, 4096, 4096);
    assert_int_equal(r.reissued, 1);
    assert_int_equal(r.unfinished, 0);
}

static void half_of_one_counts_and_is_said(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    complete(&r, 90, 8192, 4096); /* issued before the trace began */
    issue(&r, 100, 0, 8192);
    complete(&r, 110, 0, 4096);
    issue(&r, 120, 65536, 4096);
    requests_forget(&r); /* events were lost */
    complete(&r, 130, 65536, 4096);
    requests_end(&r);
    assert_int_equal(g.count, 3);
    assert_given(&g, 0, 90, 90, 8192, 4096); /* a duration of 0 */
    assert_given(&g, 1, 100, 110, 0, 4096);
    assert_given(&g, 2, 130, 130, 65536, 4096);
    assert_int_equal(r.unbegun, 2);
    assert_int_equal(r.unfinished, 2);
    assert_int_equal(r.complete, 0);
}

static void nothing_of_no_bytes(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    issue(&r, 100, 0, 0);
    complete(&r, 110, 0, 0);
    issue(&r, 120, UINT64_MAX - 10, 4096);
    complete(&r, 130, UINT64_MAX - 10, 4096);
    requeue(&r, 140, 12);
    requests_end(&r);
    assert_int_equal(g.count, 0);
}

/* Whoever sends issues alone gets no more memory than that of the most that can be open. */
static void the_oldest_goes_where_there_are_too_many(void ** state) {
    (void) state;
    struct given g = { .count = 0 };
    struct requests r = REQUESTS(take, &g);
    for (uint64_t i = 0; i < REQUESTS_OPEN_MOST + 3; i++) { issue(&r, 100 + i, i * 4096, 4096); }
    assert_int_equal(r.unfinished, 3);
    complete(&r, 1 << 20, 2 * 4096, 4096);
    assert_int_equal(r.unbegun, 1);
    complete(&r, 1 << 20, 3 * 4096, 4096);
    assert_int_equal(r.complete, 1);
    requests_end(&r);
    assert_int_equal(r.unfinished, 3 + REQUESTS_OPEN_MOST - 1);
    assert_int_equal(r.lost, 0);
}

static void letters_say_what_it_does(void ** state) {
    (void) state;
    static const struct {
        const char * letters;
        bool moves;
        uint32_t flags;
    } all[] = {
        { "R", true, 0 },
        { "RA", true, TAT_IO_READ_AHEAD },
        { "RSM", true, TAT_IO_METADATA },
        { "WS", true, TAT_IO_WRITE },
        { "FWFSM", true, TAT_IO_WRITE | TAT_IO_METADATA },
        { "D", false, 0 },
        { "DS", false, 0 },
        { "FF", false, 0 },
        { "FN", false, 0 },
        { "N", false, 0 },
        { "", false, 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint32_t flags;
        assert_int_equal(request_flags(all[i].letters, strlen(all[i].letters), &flags), all[i].moves);
        if (all[i].moves) { assert_int_equal(flags, all[i].flags); }
    }
    uint32_t flags; /* the kernel's field of 10 letters has what was there before behind the NUL */
    assert_true(request_flags("RA\0D\0W\0\0\0\0", 10, &flags));
    assert_int_equal(flags, TAT_IO_READ_AHEAD);
    assert_int_equal(disk_of_kernel(259u << 20 | 3), makedev(259, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_one_event),
        cmocka_unit_test(a_read_and_a_write_of_one_place_are_two),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_requeue_keeps_the_first_issue),
        cmocka_unit_test(an_issue_again_begins_anew),
        cmocka_unit_test(half_of_one_counts_and_is_said),
        cmocka_unit_test(nothing_of_no_bytes),
        cmocka_unit_test(the_oldest_goes_where_there_are_too_many),
        cmocka_unit_test(letters_say_what_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
