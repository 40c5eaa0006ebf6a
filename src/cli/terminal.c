/* SPDX-License-Identifier: MIT */
#include "cli/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool terminal_has_colour(int fd) {
    const char * no = getenv("NO_COLOR");
    return !(no && *no) && isatty(fd);
}

/* Three digits, in the largest unit that keeps one before the point. */
static const char * scaled(double value, const char * const * units, char * buffer, size_t size) {
    while (value >= 999.5 && units[1]) {
        value /= 1000;
        units++;
    }
    const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(buffer, size, "%.*f %s", decimals, value, *units);
    return buffer;
}

const char * format_bytes(uint64_t bytes, char * buffer, size_t size) {
    static const char * const units[] = { "B", "kB", "MB", "GB", "TB", "PB", NULL };
    if (bytes < 1000) {
        snprintf(buffer, size, "%" PRIu64 " B", bytes);
        return buffer;
    }
    return scaled((double) bytes, units, buffer, size);
}

const char * format_duration(uint64_t ns, char * buffer, size_t size) {
    static const char * const units[] = { "ns", "us", "ms", "s", NULL };
    return scaled((double) ns, units, buffer, size);
}

const char * format_count(uint64_t count, char * buffer, size_t size) {
    char         digits[24];
    const size_t n  = (size_t) snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t       at = 0;
    for (size_t i = 0; i < n && at + 1 < size; i++) {
        if (i && (n - i) % 3 == 0 && at + 2 < size) { buffer[at++] = ','; }
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

bool parse_size(const char * text, uint64_t * bytes) {
    char * end;
    errno              = 0;
    const double value = strtod(text, &end);
    if (end == text || errno || !(value >= 0)) { return false; }
    static const char units[] = "kmgt";
    const char *      unit    = *end ? strchr(units, *end | 0x20) : NULL;
    double            factor  = 1;
    if (unit) {
        const bool binary = end[1] == 'i';
        factor            = pow(binary ? 1024 : 1000, (double) (unit - units + 1));
        end += binary ? 2 : 1;
    }
    if (*end == 'B' || *end == 'b') { end++; }
    const double total = value * factor;
    if (*end || total >= 1.8e19) { return false; }
    *bytes = (uint64_t) total;
    return true;
}
