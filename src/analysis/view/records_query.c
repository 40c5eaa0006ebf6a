/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/records_parts.h"

static const char * const orders[RECORDS_ORDERS] = {
    [RECORDS_BY_TIME] = "time",
    [RECORDS_BY_TIME_BACK] = "-time",
    [RECORDS_BY_BYTES_DOWN] = "-bytes",
    [RECORDS_BY_BYTES_UP] = "bytes",
    [RECORDS_BY_DURATION_DOWN] = "-duration",
    [RECORDS_BY_DURATION_UP] = "duration",
    [RECORDS_BY_OFFSET_DOWN] = "-offset",
    [RECORDS_BY_OFFSET_UP] = "offset",
};

const char * records_order_name(unsigned order) {
    return order < RECORDS_ORDERS ? orders[order] : NULL;
}

/* ---- what takes a parameter ---- */

static int fail_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

/* Adds a condition whose value are `length` bytes of text. */
static int add(struct records_query * query, const char * name, const char * value, size_t length,
               struct tat_error * error) {
    if (query->conditions.count == RECORDS_CONDITIONS_MAX) {
        return tat_fail(error, TAT_ERROR_USAGE, "more than %d conditions on records", RECORDS_CONDITIONS_MAX);
    }
    struct records_condition * c = list_add(&query->conditions, sizeof *c);
    if (!c) { return fail_memory(error); }
    c->name = name;
    c->value = strndup(value, length);
    return c->value ? tat_filter_check(name, c->value, error) : fail_memory(error);
}

/* Values of a filter, with commas between them. */
static int add_each(struct records_query * query, const char * name, const char * values, struct tat_error * error) {
    for (;;) {
        const size_t length = strcspn(values, ",");
        if (add(query, name, values, length, error) != 0) { return -1; }
        if (!values[length]) { return 0; }
        values += length + 1;
    }
}

/* A pattern that matches this text alone, with `around` on both sides. NULL: no memory. */
static char * pattern_of(const char * text, const char * around) {
    char * pattern = malloc(2 * strlen(text) + 2 * strlen(around) + 1);
    if (!pattern) { return NULL; }
    char * end = stpcpy(pattern, around);
    for (; *text; text++) {
        if (strchr("*?[\\", *text)) { *end++ = '\\'; }
        *end++ = *text;
    }
    strcpy(end, around);
    return pattern;
}

/* Any part of a name, unless it is a pattern already. */
static int add_tensor(struct records_query * query, const char * text, struct tat_error * error) {
    if (strpbrk(text, "*?")) { return add(query, "tensors", text, strlen(text), error); }
    char * pattern = pattern_of(text, "*");
    const int status = pattern ? add(query, "tensors", pattern, strlen(pattern), error) : fail_memory(error);
    free(pattern);
    return status;
}

static int number(const char * name, const char * value, uint64_t most, uint64_t * to, struct tat_error * error) {
    char * end;
    errno = 0;
    const uint64_t n = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || n > most) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s '%s': must be a whole number from 0 to %" PRIu64, name, value,
                        most);
    }
    *to = n;
    return 0;
}

static int set_order(struct records_query * query, const char * value, struct tat_error * error) {
    char list[160] = "";
    for (unsigned i = 0; i < RECORDS_ORDERS; i++) {
        if (strcmp(orders[i], value) == 0) {
            query->order = (enum records_order) i;
            return 0;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", orders[i]);
    }
    return tat_fail(error, TAT_ERROR_USAGE, "order '%s': must be one of %s", value, list);
}

/* Parameters that are filters too. */
static const struct {
    const char *parameter, *filter;
} filters[] = {
    { "phase", "phases" }, { "layer", "layers" },   { "component", "components" },
    { "op", "ops" },       { "expert", "experts" }, { "tokens", "tokens" },
    { "kind", "kinds" },   { "file", "files" },     { "context", "contexts" },
};

/* Those that are one number; `has` is NULL where 0 means that it was not given. */
static int set_number(struct records_query * q, const char * name, const char * value, bool * known,
                      struct tat_error * error) {
    uint64_t small = 0;
    const struct {
        const char * name;
        uint64_t most, *to;
        bool * has;
    } numbers[] = {
        { "lo", UINT64_MAX, &q->lo, &q->has_lo },
        { "hi", UINT64_MAX, &q->hi, &q->has_hi },
        { "t0", UINT64_MAX, &q->t0, &q->has_t0 },
        { "t1", UINT64_MAX, &q->t1, &q->has_t1 },
        { "near", UINT64_MAX, &q->near_ns, &q->has_near },
        { "from", UINT64_MAX, &q->from, NULL },
        { "count", RECORDS_PAGE_MAX, &small, NULL },
        { "graph", UINT32_MAX - 1, &small, &q->has_graph },
        { "node", UINT32_MAX - 1, &small, &q->has_node },
        { "tensor_id", UINT32_MAX - 1, &small, &q->has_tensor },
        { "near_token", UINT32_MAX - 1, &small, &q->has_near_token },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(numbers[i].name, name) != 0) { continue; }
        *known = true;
        if (number(name, value, numbers[i].most, numbers[i].to, error) != 0) { return -1; }
        if (numbers[i].has) { *numbers[i].has = true; }
        if (strcmp(name, "count") == 0) { q->count = (uint32_t) small; }
        if (strcmp(name, "graph") == 0) { q->evaluation = (uint32_t) small; }
        if (strcmp(name, "node") == 0) { q->node = (uint32_t) small; }
        if (strcmp(name, "tensor_id") == 0) { q->tensor = (uint32_t) small; }
        if (strcmp(name, "near_token") == 0) { q->near_token = (uint32_t) small; }
        return 0;
    }
    return 0;
}

int records_query_set(struct records_query * query, const char * name, const char * value, struct tat_error * error) {
    bool known = false;
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (strcmp(filters[i].parameter, name) != 0) { continue; }
        return *value ? add_each(query, filters[i].filter, value, error) : 0;
    }
    if (strcmp(name, "tensor") == 0) { return *value ? add_tensor(query, value, error) : 0; }
    if (strcmp(name, "order") == 0) { return *value ? set_order(query, value, error) : 0; }
    if (!*value) { return 0; }
    if (set_number(query, name, value, &known, error) != 0) { return -1; }
    return known ? 0 : tat_fail(error, TAT_ERROR_USAGE, "there is no parameter '%s' of records", name);
}

void records_query_free(struct records_query * query) {
    for (uint32_t i = 0; i < query->conditions.count; i++) {
        free(LIST(struct records_condition, query->conditions)[i].value);
    }
    free(query->conditions.data);
    *query = (struct records_query){ 0 };
}

/* ---- the filter ---- */

/* From `first` on, below `end`. Nothing passes an empty range. */
static int add_bounds(struct tat_filter * filter, const char * name, bool has_first, uint64_t first, bool has_end,
                      uint64_t end, struct tat_error * error) {
    char text[64] = "";
    if (!has_first && !has_end) { return 0; }
    const uint64_t from = has_first ? first : 0;
    if (has_end && end <= from) { return tat_filter_add(filter, name, NULL, error); }
    int n = snprintf(text, sizeof text, "%" PRIu64 ":", from);
    if (has_end) { snprintf(text + n, sizeof text - (size_t) n, "%" PRIu64, end - 1); }
    return tat_filter_add(filter, name, text, error);
}

/* What the trace does not have, no record has. */
static int add_condition(struct tat_filter * filter, const char * name, const char * value, struct tat_error * error) {
    struct tat_error own;
    if (tat_filter_add(filter, name, value, &own) == 0) { return 0; }
    if (own.kind == TAT_ERROR_NO) { return tat_filter_add(filter, name, NULL, error); }
    return tat_fail(error, own.kind, "%s", own.message);
}

static int add_name_of(struct tat_filter * filter, const struct tat_trace * trace, uint32_t tensor,
                       struct tat_error * error) {
    uint32_t n;
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &n);
    if (tensor >= n || !*tensors[tensor].name) { return tat_filter_add(filter, "tensors", NULL, error); }
    char * pattern = pattern_of(tensors[tensor].name, "");
    const int status = pattern ? add_condition(filter, "tensors", pattern, error) : fail_memory(error);
    free(pattern);
    return status;
}

struct tat_filter * records_query_filter(const struct records_query * q, const struct tat_trace * trace,
                                         struct tat_error * error) {
    struct tat_filter * filter = tat_filter_new(trace, error);
    char graph[16];
    bool good = filter != NULL;
    for (uint32_t i = 0; good && i < q->conditions.count; i++) {
        const struct records_condition * c = &LIST(struct records_condition, q->conditions)[i];
        good = add_condition(filter, c->name, c->value, error) == 0;
    }
    snprintf(graph, sizeof graph, "%" PRIu32, q->evaluation);
    good = good && (!q->has_tensor || add_name_of(filter, trace, q->tensor, error) == 0) &&
           (!q->has_graph || tat_filter_add(filter, "evaluations", graph, error) == 0) &&
           add_bounds(filter, "at", q->has_lo, q->lo, q->has_hi, q->hi, error) == 0 &&
           add_bounds(filter, "at-time", q->has_t0, q->t0, q->has_t1, q->t1, error) == 0;
    if (good) { return filter; }
    tat_filter_free(filter);
    return NULL;
}

char * records_query_key(const struct records_query * q) {
    char * key = NULL;
    size_t bytes = 0;
    FILE * out = open_memstream(&key, &bytes);
    if (!out) { return NULL; }
    for (uint32_t i = 0; i < q->conditions.count; i++) {
        const struct records_condition * c = &LIST(struct records_condition, q->conditions)[i];
        fprintf(out, "%s=%zu:%s\n", c->name, strlen(c->value), c->value);
    }
    if (q->has_lo) { fprintf(out, "lo=%" PRIu64 "\n", q->lo); }
    if (q->has_hi) { fprintf(out, "hi=%" PRIu64 "\n", q->hi); }
    if (q->has_t0) { fprintf(out, "t0=%" PRIu64 "\n", q->t0); }
    if (q->has_t1) { fprintf(out, "t1=%" PRIu64 "\n", q->t1); }
    if (q->has_tensor) { fprintf(out, "tensor=%" PRIu32 "\n", q->tensor); }
    if (q->has_graph) { fprintf(out, "graph=%" PRIu32 "\n", q->evaluation); }
    if (fclose(out) == 0) { return key; }
    free(key);
    return NULL;
}
