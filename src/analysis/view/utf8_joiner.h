/* SPDX-License-Identifier: MIT
 *
 * Makes UTF-8 of bytes that arrive in pieces, of several sequences at once. A character that is spread over pieces goes
 * to the entry of its last one; bytes that are no character become U+FFFD where they arrived.
 */
#ifndef TAT_ANALYSIS_VIEW_UTF8_JOINER_H
#define TAT_ANALYSIS_VIEW_UTF8_JOINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct joined_text {
    char * bytes; /* NULL: none */
    uint32_t n;
    bool is_known; /* something was joined to it, be it nothing */
    bool is_cut;   /* to TOKEN_TEXT_MOST, and ends with U+2026 */
};

enum { BEGUN_MOST = 64 }; /* sequences that are within a character */

/* The first bytes of a character. */
struct begun {
    char bytes[3];
    uint8_t n; /* 0: free */
    uint32_t context, entry;
    int64_t position; /* of the token that goes on */
};

struct utf8_joiner {
    struct joined_text * at;
    uint32_t count, oldest;
    struct begun begun[BEGUN_MOST];
};

/* False: no memory. Free it in any case. */
bool utf8_join_begin(struct utf8_joiner * joiner, uint32_t entries);
/* Adds the bytes of a token to an entry. False: no memory. */
bool utf8_join(struct utf8_joiner * joiner, uint32_t entry, uint32_t context, int64_t position, const char * bytes,
               size_t n);
/* What was begun and never ended is no character. */
void utf8_join_end(struct utf8_joiner * joiner);
void utf8_join_free(struct utf8_joiner * joiner);

#endif
