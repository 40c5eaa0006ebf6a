/* SPDX-License-Identifier: MIT */
#include "analysis/units.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Three digits at any size: 9.38, 93.8, 938. */
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
    size_t unit = 0;
    for (; value >= 1023.5; unit++) { value /= 1024; }
    return three_digits(text, value, units[unit]);
}

const char * format_mean_bytes(char text[static UNITS_SIZE], double bytes) {
    return format_bytes(text, bytes > 0 && bytes < 0x1p63 ? (uint64_t) (bytes + 0.5) : 0);
}

const char * format_duration(char text[static UNITS_SIZE], uint64_t nanoseconds) {
    const uint64_t seconds = nanoseconds / 1000000000;
    if (nanoseconds < 1000) {
        snprintf(text, UNITS_SIZE, "%u ns", (unsigned) nanoseconds);
        return text;
    }
    if (nanoseconds < 999500) { return three_digits(text, (double) nanoseconds / 1e3, "us"); }
    if (nanoseconds < 999500000) { return three_digits(text, (double) nanoseconds / 1e6, "ms"); }
    if (seconds < 60) { return three_digits(text, (double) nanoseconds / 1e9, "s"); }
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
    *--at = '\0';
    for (unsigned digit = 0; digit == 0 || count; digit++, count /= 10) {
        if (digit && digit % 3 == 0) { *--at = ','; }
        *--at = (char) ('0' + count % 10);
    }
    return memmove(text, at, (size_t) (text + UNITS_SIZE - at));
}

const char * format_share(char text[static UNITS_SIZE], double share) {
    const double percent = share * 100;
    if (percent > 0 && percent < 0.05) {
        snprintf(text, UNITS_SIZE, "<0.1 %%");
    } else {
        snprintf(text, UNITS_SIZE, "%.1f %%", percent);
    }
    return text;
}

/* With two digits. */
static const char * count_times(char text[static UNITS_SIZE], double times) {
    const double digits = pow(10, floor(log10(times)) - 1);
    return format_count(text, (uint64_t) (round(times / digits) * digits));
}

const char * format_change(char text[static UNITS_SIZE], double change) {
    const double times = 1 + change, most = 1e15;
    char count[UNITS_SIZE];
    if (times >= 10 && times <= most) {
        snprintf(text, UNITS_SIZE, "%.20s times", count_times(count, times));
    } else if (times >= 1 / most && times < 0.1) {
        snprintf(text, UNITS_SIZE, "1/%.20s", count_times(count, 1 / times));
    } else {
        snprintf(text, UNITS_SIZE, "%+.1f %%", 100 * change);
    }
    return text;
}

const char * format_rate(char text[static UNITS_SIZE], double rate) {
    snprintf(text, UNITS_SIZE, rate > 0 && rate < 0.995 ? "%.2g" : "%.1f", rate);
    return text;
}

const char * last_part(const char * path) {
    const char * slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
