/* SPDX-License-Identifier: MIT
 *
 * Words and numbers of a line.
 */
#ifndef TAT_BLOCKTRACE_TEXT_H
#define TAT_BLOCKTRACE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct word {
    const char *at, *end;
};

/* The next word of a line, of which *at moves behind it. False: there is none. */
bool text_word(const char ** at, const char * end, struct word * word);

bool word_is(struct word word, const char * text);
bool word_begins(struct word word, const char * text);

/* Digits alone, that fit. */
bool text_number(struct word word, uint64_t * number);
/* "8,16" or "8:16": makedev(). */
bool text_disk(struct word word, uint64_t * number);
/* "12.000345", "12" or, with a colon behind, "12.000345:", as nanoseconds: of a unit of so many. */
bool text_time(struct word word, uint64_t unit_ns, uint64_t * ns);
/* A colon is behind, and a point in it, as tracefs and perf print times. */
bool text_is_stamp(struct word word);
/* "[0]", "[-5]" */
bool text_error(struct word word, int * error);

#endif
