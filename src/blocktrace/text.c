/* SPDX-License-Identifier: MIT */
#include "blocktrace/text.h"

#include <string.h>
#include <sys/sysmacros.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool text_word(const char ** at, const char * end, struct word * word) {
    while (*at < end && is_space(**at)) { ++*at; }
    word->at = *at;
    while (*at < end && !is_space(**at)) { ++*at; }
    word->end = *at;
    return word->at < word->end;
}

bool word_is(struct word word, const char * text) {
    const size_t length = strlen(text);
    return (size_t) (word.end - word.at) == length && memcmp(word.at, text, length) == 0;
}

bool word_begins(struct word word, const char * text) {
    const size_t length = strlen(text);
    return (size_t) (word.end - word.at) >= length && memcmp(word.at, text, length) == 0;
}

bool text_number(struct word word, uint64_t * number) {
    *number = 0;
    if (word.at == word.end) { return false; }
    for (const char * at = word.at; at < word.end; at++) {
        if (!is_digit(*at) || *number > (UINT64_MAX - 9) / 10) { return false; }
        *number = *number * 10 + (uint64_t) (*at - '0');
    }
    return true;
}

bool text_disk(struct word word, uint64_t * number) {
    uint64_t major_number, minor_number;
    const char * comma = word.at;
    while (comma < word.end && is_digit(*comma)) { comma++; }
    if (comma == word.end || (*comma != ',' && *comma != ':')) { return false; }
    if (!text_number((struct word){ word.at, comma }, &major_number)) { return false; }
    if (!text_number((struct word){ comma + 1, word.end }, &minor_number)) { return false; }
    if (major_number >= 1u << 12 || minor_number >= 1u << 20) { return false; }
    *number = makedev((unsigned) major_number, (unsigned) minor_number);
    return true;
}

bool text_time(struct word word, uint64_t unit_ns, uint64_t * ns) {
    if (word.end > word.at && word.end[-1] == ':') { word.end--; }
    const char * point = memchr(word.at, '.', (size_t) (word.end - word.at));
    uint64_t whole, part = 0;
    if (!text_number((struct word){ word.at, point ? point : word.end }, &whole)) { return false; }
    if (whole > (uint64_t) INT64_MAX / 2 / unit_ns) { return false; }
    if (point) {
        if (point + 1 == word.end) { return false; }
        uint64_t scale = unit_ns;
        for (const char * at = point + 1; at < word.end; at++) {
            if (!is_digit(*at)) { return false; }
            scale /= 10;
            part += (uint64_t) (*at - '0') * scale;
        }
    }
    *ns = whole * unit_ns + part;
    return true;
}

bool text_is_stamp(struct word word) {
    return word.end - word.at > 3 && word.end[-1] == ':' && is_digit(*word.at) &&
           memchr(word.at, '.', (size_t) (word.end - word.at));
}

bool text_error(struct word word, int * error) {
    uint64_t number;
    if (word.end - word.at < 3 || *word.at != '[' || word.end[-1] != ']') { return false; }
    const bool negative = word.at[1] == '-';
    if (!text_number((struct word){ word.at + 1 + negative, word.end - 1 }, &number)) { return false; }
    *error = number > 4096 ? 4096 : (int) number;
    return true;
}
