/* SPDX-License-Identifier: MIT */
#include "analysis/size_text.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tat/analysis.h"

/* What the unit stands for, or 0. */
static double unit_of(const char * unit) {
    static const char letters[] = "KMGT";
    if (!*unit || strcasecmp(unit, "B") == 0) { return 1; }
    const char * letter = strchr(letters, toupper((unsigned char) *unit));
    const bool binary = unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0;
    if (!letter || (!binary && strcasecmp(unit + 1, "B") != 0)) { return 0; }
    double value = 1;
    for (const char * at = letters; at <= letter; at++) { value *= binary ? 1024 : 1000; }
    return value;
}

bool parse_bytes(const char * text, uint64_t * bytes) {
    if (!isdigit((unsigned char) *text)) { return false; }
    char * end;
    const double number = strtod(text, &end);
    const double value = number * unit_of(end + strspn(end, " "));
    if (!(value >= 1 && value < 9e18)) { return false; }
    *bytes = (uint64_t) value;
    return true;
}

bool parse_rate(const char * text, uint64_t * per_second) {
    char size[64];
    const size_t length = strlen(text), unit = length > 2 && strcmp(text + length - 2, "/s") == 0 ? 2 : 0;
    if (length - unit >= sizeof size) { return false; }
    memcpy(size, text, length - unit);
    size[length - unit] = '\0';
    return parse_bytes(size, per_second);
}

bool parse_cache_unit(const char * text, uint64_t * unit) {
    enum { PAGE = 4096, LEAST = 512, MOST = 1 << 24 };
    static const struct {
        const char * name;
        uint64_t unit;
    } names[] = { { "slice", TAT_CACHE_SLICE }, { "expert", TAT_CACHE_EXPERT }, { "page", PAGE } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            *unit = names[i].unit;
            return true;
        }
    }
    return parse_bytes(text, unit) && *unit >= LEAST && *unit <= MOST && (*unit & (*unit - 1)) == 0;
}
