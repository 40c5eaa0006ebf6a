/* SPDX-License-Identifier: MIT */
#include "manage/question.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"

enum { NS_PER_S = 1000000000 };

static void wait_while(const uint32_t * word, uint32_t seen, uint64_t ns) {
    const struct timespec most = { (time_t) (ns / NS_PER_S), (long) (ns % NS_PER_S) };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &most, NULL, 0);
}

static void wake(const uint32_t * word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static uint32_t load(const uint32_t * word) {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

bool question_ask(struct question * q, uint64_t most_ns) {
    const uint32_t number = __atomic_add_fetch(&q->asked, 1, __ATOMIC_SEQ_CST);
    const uint64_t until = clock_monotonic_ns() + most_ns;
    wake(&q->asked);
    for (;;) {
        const uint32_t seen = load(&q->answered);
        const uint64_t now = clock_monotonic_ns();
        if (seen == number) { return true; }
        if (now >= until) { return false; }
        wait_while(&q->answered, seen, until - now);
    }
}

bool question_wait(struct question * q, uint64_t most_ns) {
    const uint32_t answered = load(&q->answered);
    if (load(&q->asked) == answered) { wait_while(&q->asked, answered, most_ns); }
    return load(&q->asked) != answered;
}

void question_answer(struct question * q) {
    __atomic_store_n(&q->answered, load(&q->asked), __ATOMIC_SEQ_CST);
    wake(&q->answered);
}
