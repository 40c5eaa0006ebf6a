/* SPDX-License-Identifier: MIT */
#include "analysis/option_text.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/size_text.h"
#include "format/number_set.h"

static int set_share(double * share, const char * text, struct tat_error * error) {
    char * end;
    const double percent = strtod(text, &end);
    if (end == text || *end || !(percent > 0 && percent <= 100)) {
        return tat_fail(error, TAT_ERROR_USAGE, "'%s' is not a percentage above 0 and at most 100", text);
    }
    *share = percent / 100;
    return 0;
}

static int set_range(uint32_t * first, uint32_t * end, const char * name, const char * text, struct tat_error * error) {
    struct number_range range;
    if (!number_range_read(text, number_read, &range) || range.first >= UINT32_MAX - 1) {
        return tat_fail(error, TAT_ERROR_USAGE, "--%s '%s': must be a number or a range: 5, 3:8, 3: or :8", name, text);
    }
    if (range.last < range.first) {
        return tat_fail(error, TAT_ERROR_USAGE, "--%s '%s': the range ends before it begins", name, text);
    }
    *first = (uint32_t) range.first;
    *end = range.last < UINT32_MAX - 1 ? (uint32_t) range.last + 1 : UINT32_MAX;
    return 0;
}

/* A number of blocks that read-ahead takes at once. */
static int set_blocks(uint32_t * blocks, const char * text, struct tat_error * error) {
    char * end;
    const unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number < 2 || number > 1024 || number & (number - 1)) {
        return tat_fail(error, TAT_ERROR_USAGE, "--read-ahead '%s' is not a power of two from 2 to 1024", text);
    }
    *blocks = (uint32_t) number;
    return 0;
}

static int need(bool good, const char * text, const char * what, struct tat_error * error) {
    return good ? 0 : tat_fail(error, TAT_ERROR_USAGE, "'%s' is %s", text, what);
}

int option_from_text(struct tat_analysis_options * o, const char * name, const char * text, struct tat_error * error) {
    struct tat_scope * scope = &o->scope;
    if (strcmp(name, "hot") == 0) { return set_share(&o->hot_share, text, error); }
    if (strcmp(name, "cold") == 0) { return set_share(&o->cold_share, text, error); }
    if (strcmp(name, "layers") == 0) { return set_range(&scope->layer_first, &scope->layer_end, name, text, error); }
    if (strcmp(name, "tokens") == 0) { return set_range(&scope->token_first, &scope->token_end, name, text, error); }
    if (strcmp(name, "read-ahead") == 0) { return set_blocks(&o->read_ahead, text, error); }
    if (strcmp(name, "unit") == 0) { return need(parse_cache_unit(text, &o->cache_unit), text, CACHE_UNITS, error); }
    if (strcmp(name, "memory") == 0) {
        return need(parse_bytes(text, &o->memory_bytes), text, "not a size such as 8G", error);
    }
    if (strcmp(name, "disk") == 0) {
        return need(parse_rate(text, &o->disk_bytes_per_second), text, "not a rate such as 2G/s", error);
    }
    return tat_fail(error, TAT_ERROR_USAGE, "there is no option '%s'", name);
}

int options_agree(const struct tat_analysis_options * o, struct tat_error * error) {
    if (!o->read_ahead || o->cache_unit > TAT_CACHE_EXPERT) { return 0; }
    return tat_fail(error, TAT_ERROR_USAGE, "--read-ahead needs blocks: --unit page or a size");
}

const char * section_from_text(const char * name, struct tat_error * error) {
    const char * known;
    for (unsigned i = 0; (known = tat_analysis_name(i)); i++) {
        if (strcmp(known, name) == 0) { return known; }
    }
    tat_fail(error, TAT_ERROR_USAGE, "there is no section '%.40s'; --help lists them", name);
    return NULL;
}
