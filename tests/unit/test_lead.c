/* SPDX-License-Identifier: MIT
 *
 * No order of reads lets computing end sooner than the one that is simulated: all orders are tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/caching/lead.h"

enum {
    READS = 4,
    LONGEST = 3,
    TIMES = 2 * READS,
    STATES = (LONGEST + 1) * (LONGEST + 1) * (LONGEST + 1) * (LONGEST + 1)
};

struct search {
    struct lead_read reads[READS];
    uint32_t n;
    uint64_t end;
    int known[TIMES + 1][STATES]; /* 1 + the least time until the end */
};

/* The first read that is needed by now and not done; n: none. */
static uint32_t awaited(const struct search * s, uint64_t now, const unsigned * left) {
    uint32_t i = 0;
    while (i < s->n && (s->reads[i].at > now || left[i] == 0)) { i++; }
    return i;
}

static int least(struct search * s, uint64_t now, unsigned * left) {
    unsigned state = 0;
    for (uint32_t i = 0; i < s->n; i++) { state = state * (LONGEST + 1) + left[i]; }
    const bool waits = awaited(s, now, left) < s->n;
    if (now == s->end && !waits) { return 0; }
    if (s->known[now][state]) { return s->known[now][state] - 1; }
    int best = 1 << 20;
    for (uint32_t i = 0; i <= s->n; i++) { /* n: the disk rests for one unit of time */
        if (i < s->n && (left[i] == 0 || s->reads[i].from > now)) { continue; }
        if (i == s->n && waits) { continue; }
        if (i < s->n) { left[i]--; }
        const int found = 1 + least(s, now + !waits, left);
        if (i < s->n) { left[i]++; }
        best = found < best ? found : best;
    }
    s->known[now][state] = 1 + best;
    return best;
}

static void test_no_order_is_better(void ** state) {
    (void) state;
    uint64_t seed = 1;
    for (int round = 0; round < 400; round++) {
        static struct search s;
        unsigned left[READS];
        double stall[READS], sum = 0;
        uint64_t ahead, at = 0;
        memset(&s, 0, sizeof s);
        s.n = READS;
        s.end = TIMES;
        for (uint32_t i = 0; i < s.n; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            at += (seed >> 33) % 3;
            left[i] = (unsigned) (seed >> 40) % (LONGEST + 1);
            s.reads[i] = (struct lead_read){ (seed >> 50) % (at + 1), at, left[i], left[i] };
        }
        assert_true(lead_find_stalls(s.reads, s.n, stall, &ahead));
        for (uint32_t i = 0; i < s.n; i++) { sum += stall[i]; }
        assert_true(sum == least(&s, 0, left) - TIMES);
    }
}

/* Needed at 10 and 20, a read of 15 each: without a lead both are waited for, then only what is left of them. */
static void test_leads(void ** state) {
    (void) state;
    struct lead_read reads[] = { { 10, 10, 100, 15 }, { 20, 20, 100, 15 } };
    double stall[2];
    uint64_t ahead;
    assert_true(lead_find_stalls(reads, 2, stall, &ahead));
    assert_true(stall[0] == 15 && stall[1] == 15 && ahead == 0);
    reads[0].from = 0;
    reads[1].from = 10;
    assert_true(lead_find_stalls(reads, 2, stall, &ahead));
    assert_true(stall[0] == 5 && stall[1] == 5 && ahead == 100);
    reads[1].from = 0;
    reads[1].ns = 8;
    assert_true(lead_find_stalls(reads, 2, stall, &ahead));
    assert_true(stall[0] == 5 && stall[1] == 0 && ahead == 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_order_is_better),
        cmocka_unit_test(test_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
