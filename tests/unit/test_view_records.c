/* SPDX-License-Identifier: MIT
 *
 * Pages of access records against all records that pass the filter, made by tat_filter_expand.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/view/records.h"
#include "dice.h"
#include "format/filter_count.h"
#include "small_model.h"

struct fixture {
    struct trace_builder b;
    struct small_model m;
    struct tat_trace * trace;
    struct view_records * view;
};

/* Prompts, generated tokens, of which some choose one expert twice or a token that is not there, and some that end
 * early: so not every evaluation of a graph has equally many records. */
static void make(struct fixture * f, uint32_t evaluations) {
    uint32_t seed = 7;
    struct tat_error error;
    small_model_begin(&f->b, &f->m);
    const uint32_t prompt = small_model_template(&f->b, &f->m, 2), generate = small_model_template(&f->b, &f->m, 1);
    for (uint32_t i = 0; i < evaluations; i++) {
        const int64_t tokens[] = { dice(&seed, VOCABULARY + 2), dice(&seed, VOCABULARY) };
        const uint32_t experts[] = { dice(&seed, 4), dice(&seed, 4), dice(&seed, 4), dice(&seed, 5) };
        if (i == 1) { /* the first of its graph: what is usual */
            small_model_evaluate(&f->b, generate, tokens, 1, (const uint32_t[]){ 0, 3 });
        } else if (i % 11 == 0) {
            small_model_evaluate(&f->b, prompt, tokens, 2, experts);
        } else if (i % 17 == 5) {
            small_model_end_early(&f->b, generate, tokens, 1, 1 + dice(&seed, 3));
        } else {
            small_model_evaluate(&f->b, generate, tokens, 1, experts);
        }
    }
    f->trace = small_model_open(&f->b);
    f->view = view_records_new(f->trace, &error);
    assert_non_null(f->view);
}

static void done(struct fixture * f) {
    view_records_free(f->view);
    tat_trace_close(f->trace);
    tb_free(&f->b);
}

/* ---- what is expected ---- */

struct all {
    struct tat_access * rows;
    size_t count;
};

static bool keep(const struct tat_access * records, size_t count, void * user) {
    struct all * all = user;
    all->rows = realloc(all->rows, (all->count + count + 1) * sizeof *all->rows);
    assert_non_null(all->rows);
    memcpy(all->rows + all->count, records, count * sizeof *records);
    all->count += count;
    return true;
}

struct condition {
    const char *name, *value;
};

static struct all expected(const struct tat_trace * trace, const struct condition * conditions) {
    struct tat_error error;
    struct all all = { 0 };
    struct tat_filter * filter = tat_filter_new(trace, &error);
    for (; conditions->name; conditions++) {
        if (tat_filter_add(filter, conditions->name, conditions->value, &error) != 0) { fail_msg("%s", error.message); }
    }
    assert_int_equal(tat_filter_expand(filter, 0, UINT32_MAX, keep, &all, &error), 0);
    tat_filter_free(filter);
    return all;
}

/* Parameters, and the conditions of filters that say the same. */
static const struct {
    struct condition parameters[4], conditions[4];
} queries[] = {
    { { { 0 } }, { { 0 } } },
    { { { "phase", "prompt" } }, { { "phases", "prompt" } } },
    { { { "layer", "1" } }, { { "layers", "1" } } },
    { { { "layer", "0,1" }, { "op", "mul_mat" } }, { { "layers", "0:1" }, { "ops", "MUL_MAT" } } },
    { { { "component", "token_embd" } }, { { "components", "token_embd" } } },
    { { { "op", "MUL_MAT_ID" } }, { { "ops", "MUL_MAT_ID" } } },
    { { { "tensor", "exps" } }, { { "tensors", "*exps*" } } },
    { { { "tensor", "blk.*.attn_?.weight" } }, { { "tensors", "blk.*.attn_?.weight" } } },
    { { { "expert", "2" } }, { { "experts", "2" } } },
    { { { "expert", "1:2" }, { "phase", "generate" } }, { { "experts", "1:2" }, { "phases", "generate" } } },
    { { { "lo", "1000" }, { "hi", "1033" } }, { { "at", "1000:1032" } } },
    { { { "lo", "3100" } }, { { "at", "3100:" } } },
    { { { "t0", "1450" }, { "t1", "1850" } }, { { "at-time", "1450:1849" } } },
    { { { "t0", "1234" }, { "expert", "3" } }, { { "at-time", "1234:" }, { "experts", "3" } } },
    { { { "tokens", "5:20" } }, { { "tokens", "5:20" } } },
    { { { "kind", "weight" }, { "tokens", "3" } }, { { "kinds", "weight" }, { "tokens", "3" } } },
    { { { "graph", "17" } }, { { "evaluations", "17" } } },
    { { { "tensor", "no such name" } }, { { "tensors", NULL } } },
    { { { "op", "ROPE" } }, { { "ops", NULL } } },
    { { { "lo", "20" }, { "hi", "20" } }, { { "at", NULL } } },
    { { { "phase", "" }, { "layer", "" } }, { { 0 } } },
};
enum { QUERIES = sizeof queries / sizeof queries[0] };

static void set(struct records_query * q, const char * name, const char * value) {
    struct tat_error error;
    if (records_query_set(q, name, value, &error) != 0) { fail_msg("%s=%s: %s", name, value, error.message); }
}

static void set_number(struct records_query * q, const char * name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long) value);
    set(q, name, text);
}

static struct records_query query_of(int number) {
    struct records_query q = { 0 };
    for (const struct condition * c = queries[number].parameters; c->name; c++) { set(&q, c->name, c->value); }
    return q;
}

static void get(struct fixture * f, const struct records_query * q, struct records_page * page) {
    struct tat_error error;
    if (view_records_page(f->view, q, page, &error) != 0) { fail_msg("%s", error.message); }
}

/* ---- by time ---- */

static void check_pages(struct fixture * f, int number, const char * order, const struct all * all) {
    enum { COUNT = 7 };
    for (uint64_t from = 0; from <= all->count + COUNT; from += from < 40 ? 1 : 61) {
        struct records_query q = query_of(number);
        struct records_page page;
        set(&q, "order", order);
        set_number(&q, "from", from);
        set_number(&q, "count", COUNT);
        get(f, &q, &page);
        const uint64_t left = from < all->count ? all->count - from : 0;
        assert_int_equal(page.total, all->count);
        assert_int_equal(page.reachable, all->count);
        assert_int_equal(page.from, from);
        assert_int_equal(page.count, left < COUNT ? left : COUNT);
        for (uint32_t i = 0; i < page.count; i++) {
            const uint64_t at = *order == '-' ? all->count - 1 - (from + i) : from + i;
            assert_memory_equal(&page.rows[i], &all->rows[at], sizeof all->rows[at]);
        }
        records_page_free(&page);
        records_query_free(&q);
    }
}

static void pages_by_time(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 150);
    for (int i = 0; i < QUERIES; i++) {
        struct all all = expected(f.trace, queries[i].conditions);
        check_pages(&f, i, "time", &all);
        check_pages(&f, i, "-time", &all);
        free(all.rows);
    }
    done(&f);
}

/* Filters that are forgotten, as only some are kept, are found out anew. */
static void more_filters_than_are_kept(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 60);
    for (uint32_t i = 0; i < 90; i++) {
        char number[16];
        struct records_query q = { 0 };
        struct records_page page;
        snprintf(number, sizeof number, "%u", i % 60);
        const struct condition conditions[] = { { "evaluations", number }, { 0 } };
        struct all all = expected(f.trace, conditions);
        set(&q, "graph", number);
        get(&f, &q, &page);
        assert_int_equal(page.total, all.count);
        assert_memory_equal(page.rows, all.rows, page.count * sizeof *page.rows);
        records_page_free(&page);
        records_query_free(&q);
        free(all.rows);
    }
    done(&f);
}

/* ---- in other orders ---- */

static const char * sorted_by;

static uint64_t key(const struct tat_access * a) {
    return strstr(sorted_by, "bytes") ? a->bytes : strstr(sorted_by, "duration") ? a->duration_ns : a->offset;
}

struct numbered {
    struct tat_access record;
    size_t number;
};

static int compare(const void * a, const void * b) {
    const struct numbered *i = a, *j = b;
    const uint64_t m = key(&i->record), n = key(&j->record);
    if (m != n) { return (m > n ? 1 : -1) * (*sorted_by == '-' ? -1 : 1); }
    return (i->number > j->number) - (i->number < j->number);
}

static void check_sorted(struct fixture * f, int number, const struct all * all) {
    struct numbered * sorted = calloc(all->count + 1, sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < all->count; i++) { sorted[i] = (struct numbered){ all->rows[i], i }; }
    qsort(sorted, all->count, sizeof *sorted, compare);
    const uint64_t reachable = all->count < RECORDS_SORTED_MAX ? all->count : RECORDS_SORTED_MAX;
    for (uint64_t from = 0; from < reachable + 500; from += 1900) {
        struct records_query q = query_of(number);
        struct records_page page;
        set(&q, "order", sorted_by);
        set_number(&q, "from", from);
        get(f, &q, &page);
        const uint64_t left = from < reachable ? reachable - from : 0;
        assert_int_equal(page.total, all->count);
        assert_int_equal(page.reachable, reachable);
        assert_int_equal(page.count, left < RECORDS_PAGE_MAX ? left : RECORDS_PAGE_MAX);
        for (uint32_t i = 0; i < page.count; i++) {
            assert_memory_equal(&page.rows[i], &sorted[from + i].record, sizeof page.rows[i]);
        }
        records_page_free(&page);
        records_query_free(&q);
    }
    free(sorted);
}

/* More records than are put in order. */
static void pages_in_other_orders(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 2600);
    for (unsigned o = RECORDS_BY_TIME_BACK + 1; o < RECORDS_ORDERS; o++) {
        for (int i = 0; i < 3; i++) { /* all; prompts; a layer */
            struct all all = expected(f.trace, queries[i].conditions);
            sorted_by = records_order_name(o);
            if (i == 0) { assert_true(all.count > RECORDS_SORTED_MAX); }
            check_sorted(&f, i, &all);
            free(all.rows);
        }
    }
    assert_null(records_order_name(RECORDS_ORDERS));
    done(&f);
}

/* ---- places ---- */

static uint64_t first_after(const struct all * all, uint64_t ns) {
    for (size_t i = 0; i < all->count; i++) {
        if (all->rows[i].start_ns + all->rows[i].duration_ns > ns) { return i; }
    }
    return all->count ? all->count - 1 : 0;
}

static void near_a_time(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 80);
    for (int number = 0; number < 4; number++) {
        struct all all = expected(f.trace, queries[number].conditions);
        for (uint64_t ns = 0; ns < 80 * 600; ns += 70) {
            struct records_query q = query_of(number);
            struct records_page page;
            set_number(&q, "near", ns);
            set_number(&q, "count", 3);
            get(&f, &q, &page);
            assert_int_equal(page.from, first_after(&all, ns));
            if (page.count) { assert_memory_equal(&page.rows[0], &all.rows[page.from], sizeof page.rows[0]); }
            records_page_free(&page);
            set(&q, "order", "-time");
            get(&f, &q, &page);
            assert_int_equal(page.from, all.count - 1 - first_after(&all, ns));
            records_page_free(&page);
            records_query_free(&q);
        }
        free(all.rows);
    }
    done(&f);
}

static void near_a_token(void ** state) {
    struct fixture f = { 0 };
    uint32_t n;
    (void) state;
    make(&f, 80);
    struct all all = expected(f.trace, queries[0].conditions);
    const struct tat_evaluation * e = tat_trace_evaluations(f.trace, &n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t t = 0; t < e[i].n_tokens; t++) {
            struct records_query q = { 0 };
            struct records_page page;
            set_number(&q, "near_token", e[i].token_first + t);
            get(&f, &q, &page);
            assert_true(page.count > 0);
            assert_int_equal(page.rows[0].evaluation, i);
            assert_true(page.from == 0 || all.rows[page.from - 1].evaluation < i);
            records_page_free(&page);
            records_query_free(&q);
        }
    }
    free(all.rows);
    done(&f);
}

static void one_operation(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 30);
    struct all all = expected(f.trace, queries[0].conditions);
    for (size_t i = 0, end; i < all.count; i = end) {
        const struct tat_access * a = &all.rows[i];
        struct records_query q = { 0 };
        struct records_page page;
        for (end = i; end < all.count && all.rows[end].evaluation == a->evaluation && all.rows[end].node == a->node;) {
            end++;
        }
        set_number(&q, "graph", a->evaluation);
        set_number(&q, "node", a->node);
        get(&f, &q, &page);
        assert_int_equal(page.total, end - i);
        assert_int_equal(page.count, end - i);
        assert_memory_equal(page.rows, a, (end - i) * sizeof *a);
        records_page_free(&page);
        records_query_free(&q);
    }
    free(all.rows);
    done(&f);
}

static void all_tensors_of_a_name(void ** state) {
    struct fixture f = { 0 };
    (void) state;
    make(&f, 20);
    const struct condition conditions[] = { { "tensors", "blk.0.attn_q.weight" }, { 0 } };
    struct all all = expected(f.trace, conditions);
    struct records_query q = { 0 };
    struct records_page page;
    set_number(&q, "tensor_id", f.m.query);
    get(&f, &q, &page);
    assert_true(all.count > 0);
    assert_int_equal(page.total, all.count);
    records_page_free(&page);
    set_number(&q, "tensor_id", 4000000000); /* there is none: none has its name */
    get(&f, &q, &page);
    assert_int_equal(page.total, 0);
    records_page_free(&page);
    records_query_free(&q);
    free(all.rows);
    done(&f);
}

/* ---- counting ---- */

/* Each evaluation by itself, with what is usual found out before. */
static void counts_by_evaluation(void ** state) {
    struct fixture f = { 0 };
    struct tat_error error;
    uint64_t counts[150];
    (void) state;
    make(&f, 150);
    struct usual_counts * usual = usual_counts_new(f.trace, &error);
    assert_non_null(usual);
    for (int i = 0; i < QUERIES; i++) {
        struct tat_filter * filter = tat_filter_new(f.trace, &error);
        uint64_t wanted[150] = { 0 };
        bool there = true;
        for (const struct condition * c = queries[i].conditions; c->name; c++) {
            there = there && tat_filter_add(filter, c->name, c->value, &error) == 0;
        }
        assert_true(there);
        struct all all = expected(f.trace, queries[i].conditions);
        for (size_t k = 0; k < all.count; k++) { wanted[all.rows[k].evaluation]++; }
        assert_int_equal(filter_count(filter, usual, counts, &error), 0);
        assert_memory_equal(counts, wanted, sizeof wanted);
        free(all.rows);
        tat_filter_free(filter);
    }
    usual_counts_free(usual);
    usual_counts_free(NULL);
    done(&f);
}

static void what_is_refused(void ** state) {
    static const struct condition bad[] = {
        { "layers", "1" },       { "layer", "x" },    { "phase", "Prompt" },     { "expert", "5:3" },
        { "from", "-1" },        { "count", "1001" }, { "count", "1x" },         { "order", "size" },
        { "lo", "0x10" },        { "near", "1s" },    { "graph", "4294967295" }, { "from", "18446744073709551616" },
        { "component", "attn" }, { "", "1" },
    };
    struct fixture f = { 0 };
    struct tat_error error;
    struct records_page page;
    (void) state;
    make(&f, 3);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct records_query q = { 0 };
        if (records_query_set(&q, bad[i].name, bad[i].value, &error) == 0) {
            fail_msg("%s=%s", bad[i].name, bad[i].value);
        }
        assert_int_equal(error.kind, TAT_ERROR_USAGE);
        records_query_free(&q);
    }
    struct records_query q = { 0 };
    set(&q, "node", "1");
    assert_int_equal(view_records_page(f.view, &q, &page, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    assert_null(page.rows); /* who asked has nothing to free */
    records_query_free(&q);
    for (int i = 0; i < 64; i++) { set(&q, "layer", "1"); }
    assert_int_equal(records_query_set(&q, "layer", "1", &error), -1);
    records_query_free(&q);
    done(&f);
}

/* ---- many at once ---- */

static void * ask_much(void * user) {
    struct fixture * f = user;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < QUERIES; i++) {
            struct records_query q = query_of(i);
            struct records_page page;
            struct tat_error error;
            set(&q, "order", records_order_name((unsigned) (round + i) % RECORDS_ORDERS));
            if (view_records_page(f->view, &q, &page, &error) != 0) { return NULL; }
            records_page_free(&page);
            records_query_free(&q);
        }
    }
    return f;
}

static void several_threads(void ** state) {
    enum { THREADS = 4 };
    struct fixture f = { 0 };
    pthread_t threads[THREADS];
    (void) state;
    make(&f, 60);
    for (int i = 0; i < THREADS; i++) { assert_int_equal(pthread_create(&threads[i], NULL, ask_much, &f), 0); }
    for (int i = 0; i < THREADS; i++) {
        void * good;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_ptr_equal(good, &f);
    }
    done(&f);
}

static void nothing_computed(void ** state) {
    struct fixture f = { 0 };
    struct records_page page;
    (void) state;
    make(&f, 0);
    for (unsigned o = 0; o < RECORDS_ORDERS; o++) {
        struct records_query q = { 0 };
        set(&q, "order", records_order_name(o));
        set(&q, "near", "5");
        get(&f, &q, &page);
        assert_int_equal(page.total, 0);
        assert_int_equal(page.count, 0);
        records_page_free(&page);
        records_query_free(&q);
    }
    done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_by_time),         cmocka_unit_test(more_filters_than_are_kept),
        cmocka_unit_test(pages_in_other_orders), cmocka_unit_test(near_a_time),
        cmocka_unit_test(near_a_token),          cmocka_unit_test(one_operation),
        cmocka_unit_test(all_tensors_of_a_name), cmocka_unit_test(counts_by_evaluation),
        cmocka_unit_test(what_is_refused),       cmocka_unit_test(several_threads),
        cmocka_unit_test(nothing_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
