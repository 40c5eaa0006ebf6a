/* SPDX-License-Identifier: MIT */
#include "cli/units.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Three digits, whatever the size: 9.38, 93.8, 938. */
static const char * three_digits(char text[static UNITS_SIZE], double value, const char * unit) {
    snprintf(text, UNITS_SIZE, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
    return text;
}

const char * format_bytes(char text[static UNITS_SIZE], uint64_t bytes) {
    static const char * const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes < 1024) {
        snprintf(text, UNITS_SIZE, "%u B", (unsigned) bytes);
        return text;
    }
    double value = (double) bytes / 1024;
    size_t unit  = 0;
    for (; value >= 1023.5; unit++) { value /= 1024; }
    return three_digits(text, value, units[unit]);
}

const char * format_duration(char text[static UNITS_SIZE], uint64_t nanoseconds) {
    const uint64_t seconds = nanoseconds / 1000000000;
    if (nanoseconds < 1000) {
        snprintf(text, UNITS_SIZE, "%u ns", (unsigned) nanoseconds);
        return text;
    }
    if (nanoseconds < 999500) { return three_digits(text, (double) nanoseconds * 1e-3, "us"); }
    if (nanoseconds < 999500000) { return three_digits(text, (double) nanoseconds * 1e-6, "ms"); }
    if (seconds < 60) { return three_digits(text, (double) nanoseconds * 1e-9, "s"); }
    if (seconds < 3600) {
        snprintf(text, UNITS_SIZE, "%u min %02u s", (unsigned) (seconds / 60), (unsigned) (seconds % 60));
    } else {
        snprintf(text, UNITS_SIZE, "%llu h %02u min", (unsigned long long) (seconds / 3600),
                 (unsigned) (seconds / 60 % 60));
    }
    return text;
}

const char * format_count(char text[static UNITS_SIZE], uint64_t count) {
    char * at = text + UNITS_SIZE;
    *--at     = '\0';
    for (unsigned digit = 0; digit == 0 || count; digit++, count /= 10) {
        if (digit && digit % 3 == 0) { *--at = ','; }
        *--at = (char) ('0' + count % 10);
    }
    return memmove(text, at, (size_t) (text + UNITS_SIZE - at));
}

/* What the unit stands for, or 0. */
static double unit_of(const char * unit) {
    static const char letters[] = "KMGT";
    if (!*unit || strcasecmp(unit, "B") == 0) { return 1; }
    const char * letter = strchr(letters, toupper((unsigned char) *unit));
    const bool   binary = unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0;
    if (!letter || (!binary && strcasecmp(unit + 1, "B") != 0)) { return 0; }
    double value = 1;
    for (const char * at = letters; at <= letter; at++) { value *= binary ? 1024 : 1000; }
    return value;
}

bool parse_bytes(const char * text, uint64_t * bytes) {
    if (!isdigit((unsigned char) *text)) { return false; }
    char *       end;
    const double number = strtod(text, &end);
    const double value  = number * unit_of(end + strspn(end, " "));
    if (!(value >= 1 && value < 9e18)) { return false; }
    *bytes = (uint64_t) value;
    return true;
}
