/* SPDX-License-Identifier: MIT
 *
 * A question that one thread at a time asks of another, which does something for it. What the question is about, they
 * share beside it: it is written before asking and read while it is answered.
 */
#ifndef TAT_MANAGE_QUESTION_H
#define TAT_MANAGE_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing is asked. Both are futexes; sequentially consistent. */
struct question {
    uint32_t asked, answered; /* numbers */
};

/* Asks, and waits until it is answered, for so many nanoseconds at most. False: it is not answered yet. */
bool question_ask(struct question * question, uint64_t most_ns);

/* Waits for a question, for so many nanoseconds at most. True: one is asked. The thread that answers. */
bool question_wait(struct question * question, uint64_t most_ns);

/* What is asked is done. */
void question_answer(struct question * question);

#endif
