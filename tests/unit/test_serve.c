/* SPDX-License-Identifier: MIT
 *
 * What the server of `tat view` makes of a request, and who may send one.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/access.h"
#include "serve/kept.h"
#include "serve/request.h"
#include "serve/workers.h"

static struct request request;
static struct tat_error error;

static void test_parameters(void ** state) {
    (void) state;
    assert_int_equal(request_parse(&request, "/t/api/grid?x=token&y=a%20b+c&empty=&bare&%77=1%2B1", &error), 0);
    assert_string_equal(request.path, "t/api/grid");
    assert_int_equal(request.n_parameters, 5);
    assert_string_equal(request_text(&request, "x"), "token");
    assert_string_equal(request_text(&request, "y"), "a b c");
    assert_string_equal(request_text(&request, "empty"), "");
    assert_string_equal(request_text(&request, "bare"), "");
    assert_string_equal(request_text(&request, "w"), "1+1");
    assert_null(request_text(&request, "z"));
    assert_int_equal(request_parse(&request, "/a+b?", &error), 0);
    assert_string_equal(request.path, "a+b");
    assert_int_equal(request.n_parameters, 0);
    assert_int_equal(request_parse(&request, "/?a=1&&b=2&", &error), 0);
    assert_int_equal(request.n_parameters, 2);
    assert_int_equal(request_parse(&request, "/a..b/...", &error), 0);
}

static void test_malformed(void ** state) {
    static const char * const targets[] = { "",      "a",     "/%",    "/%4",      "/%4g",     "/a%00",
                                            "/a\nb", "/..",   "/a/..", "/a/../b",  "/%2e%2e/", "/a%2f..",
                                            "/?a=%", "/?%=a", "/?a&a", "/?a=\x7f", "*",        "http://x/" };
    (void) state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        assert_int_equal(request_parse(&request, targets[i], &error), -1);
        assert_int_equal(error.kind, TAT_ERROR_USAGE);
    }
}

/* The longest that is taken fills the room, whatever it is made of. */
static void test_room(void ** state) {
    static char target[REQUEST_BYTES + 1];
    (void) state;
    for (int kind = 0; kind < 3; kind++) {
        size_t taken = 0;
        for (size_t length = sizeof target - 300; length < sizeof target; length++) {
            memset(target, 0, sizeof target);
            memset(target, kind == 0 ? 'a' : '&', length);
            target[0] = '/';
            if (kind && length > 2) { target[1] = '?'; }
            for (size_t i = 2; kind == 2 && i < length && i < 2 * REQUEST_PARAMETERS; i += 2) {
                target[i] = (char) ('!' + i); /* a name of one character, without a value */
                if (strchr("%&=+", target[i])) { target[i] = (char) ('a' + i); }
            }
            if (request_parse(&request, target, &error) == 0) { taken = length; }
        }
        assert_true(taken > REQUEST_BYTES / 2);
    }
}

static void test_values(void ** state) {
    static const char * const words[] = { "bytes", "time" };
    uint64_t count = 7;
    double real = 7;
    unsigned word = 7;
    (void) state;
    assert_int_equal(request_parse(&request, "/?n=12&big=99999999999999999999&minus=-1&r=1.5&w=time&no=x", &error), 0);
    assert_int_equal(request_count(&request, "absent", 0, 9, &count, &error), 0);
    assert_int_equal(count, 7);
    assert_int_equal(request_count(&request, "n", 0, 12, &count, &error), 0);
    assert_int_equal(count, 12);
    assert_int_equal(request_count(&request, "n", 0, 11, &count, &error), -1);
    assert_int_equal(request_count(&request, "n", 13, 20, &count, &error), -1);
    assert_int_equal(request_count(&request, "big", 0, UINT64_MAX, &count, &error), -1);
    assert_int_equal(request_count(&request, "minus", 0, UINT64_MAX, &count, &error), -1);
    assert_int_equal(request_count(&request, "r", 0, 9, &count, &error), -1);
    assert_int_equal(request_real(&request, "r", 0, 2, &real, &error), 0);
    assert_true(real == 1.5);
    assert_int_equal(request_real(&request, "no", 0, 2, &real, &error), -1);
    assert_int_equal(request_word(&request, "w", words, 2, &word, &error), 0);
    assert_int_equal(word, 1);
    assert_int_equal(request_word(&request, "no", words, 2, &word, &error), -1);
    assert_non_null(strstr(error.message, "bytes, time"));
    assert_int_equal(request_only(&request, "n big minus r w no", &error), 0);
    assert_int_equal(request_only(&request, "n big minus r w", &error), -1);
    assert_int_equal(request_only(&request, "n big minus r w nono no_", &error), -1);
}

static void test_hosts(void ** state) {
    static const char * const own[] = {
        "127.0.0.1:80", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:80", "127.9.9.9"
    };
    static const char * const others[] = {
        "",          ":80",   "evil",  "evil:80", "localhost.evil",  "127.0.0.1.evil", "127.0.0.1x",
        "192.0.2.1", "[::2]", "[::1",  "::1",     "127.0.0.1:80:80", "localhost:80/",  "localhost@evil",
        "[::1]evil", "1",     "0x7f.1"
    };
    (void) state;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) { assert_true(host_is_own(own[i], "127.0.0.1", false)); }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(host_is_own(others[i], "127.0.0.1", false));
    }
    assert_false(host_is_own(NULL, "127.0.0.1", false));
    assert_true(host_is_own("192.0.2.1:80", "127.0.0.1", true)); /* reached from elsewhere, as by a router's address */
    assert_false(host_is_own("evil:80", "192.0.2.1", true));
}

static void test_origins(void ** state) {
    (void) state;
    assert_true(origin_is_own(NULL, "localhost:80"));
    assert_true(origin_is_own("http://localhost:80", "localhost:80"));
    assert_false(origin_is_own("http://localhost:81", "localhost:80"));
    assert_false(origin_is_own("https://localhost:80", "localhost:80"));
    assert_false(origin_is_own("null", "localhost:80"));
    assert_false(origin_is_own("", "localhost:80"));
    assert_false(origin_is_own("http://localhost:80.evil", "localhost:80"));
}

static void test_tokens(void ** state) {
    char token[TOKEN_SIZE], other[TOKEN_SIZE], path[2 * TOKEN_SIZE];
    const char * rest;
    (void) state;
    assert_int_equal(token_make(token, &error), 0);
    assert_int_equal(token_make(other, &error), 0);
    assert_int_equal(strlen(token), 32);
    assert_string_not_equal(token, other);
    strcpy(stpcpy(path, token), "/api");
    assert_true(token_opens(token, path, &rest));
    assert_string_equal(rest, "api");
    assert_true(token_opens(token, token, &rest));
    assert_null(rest);
    assert_false(token_opens(token, other, &rest));
    assert_false(token_opens(token, "", &rest));
    assert_false(token_opens(token, "/", &rest));
    path[31] ^= 1;
    assert_false(token_opens(token, path, &rest));
    strcpy(stpcpy(path, token), "0");
    assert_false(token_opens(token, path, &rest));
}

static void test_kept(void ** state) {
    struct kept * kept = kept_new(900);
    char answer[300];
    size_t bytes = 0;
    (void) state;
    memset(answer, 'a', sizeof answer - 1);
    answer[sizeof answer - 1] = '\0';
    assert_null(kept_find(kept, "1", &bytes));
    kept_add(kept, "1", answer, sizeof answer - 1);
    kept_add(kept, "2", answer, sizeof answer - 1);
    free(kept_find(kept, "1", &bytes)); /* asked for last */
    kept_add(kept, "3", answer, sizeof answer - 1);
    char * found = kept_find(kept, "1", &bytes);
    assert_string_equal(found, answer);
    free(found);
    assert_null(kept_find(kept, "2", &bytes));
    kept_add(kept, "1", "n\0w", 3);
    found = kept_find(kept, "1", &bytes);
    assert_int_equal(bytes, 3);
    assert_memory_equal(found, "n\0w", 4);
    free(found);
    kept_clear(kept);
    assert_null(kept_find(kept, "1", &bytes));
    kept_free(kept);
}

struct counted {
    struct job job;
    _Atomic int runs, endings;
};

static void count(struct job * job, bool ending) {
    struct counted * c = (struct counted *) job;
    c->runs++;
    c->endings += ending;
}

/* Each job is run once, also those that nobody waits for any longer. */
static void test_workers(void ** state) {
    enum { JOBS = 500 };
    static struct counted jobs[JOBS];
    struct workers * workers = workers_start(&error);
    (void) state;
    assert_non_null(workers);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){ .job = { .pace = (enum pace) (i % PACES), .run = count } };
        workers_add(workers, &jobs[i].job);
    }
    assert_true(workers_stop(workers));
    for (int i = 0; i < JOBS; i++) { assert_int_equal(jobs[i].runs, 1); }
    struct counted late = { .job = { .run = count } }; /* a request that comes while the server ends */
    workers_add(workers, &late.job);
    assert_int_equal(late.endings, 1);
    workers_free(workers);
}

struct waiting {
    struct job job;
    pthread_mutex_t * lock;
    pthread_cond_t * changed;
    const bool * may_end;
    bool has_run;
};

static void wait_for_end(struct job * job, bool ending) {
    struct waiting * w = (struct waiting *) job;
    pthread_mutex_lock(w->lock);
    while (!ending && !*w->may_end) { pthread_cond_wait(w->changed, w->lock); }
    w->has_run = true;
    pthread_cond_broadcast(w->changed);
    pthread_mutex_unlock(w->lock);
}

/* A picture does not wait for sections, nor what is quick for both. */
static void test_who_waits_for_whom(void ** state) {
    enum { JOBS = 20 };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    bool ends[PACES] = { [PACE_QUICK] = true };
    static struct waiting jobs[PACES][JOBS];
    struct workers * workers = workers_start(&error);
    (void) state;
    assert_non_null(workers);
    for (int pace = PACES - 1; pace >= 0; pace--) {
        for (int i = 0; i < JOBS; i++) {
            struct waiting * w = &jobs[pace][i];
            *w = (struct waiting){ .lock = &lock, .changed = &changed, .may_end = &ends[pace] };
            w->job = (struct job){ .pace = (enum pace) pace, .run = wait_for_end };
            workers_add(workers, &w->job);
        }
    }
    pthread_mutex_lock(&lock);
    for (int pace = 0; pace < PACES; pace++) {
        ends[pace] = true; /* those that take longer still run */
        pthread_cond_broadcast(&changed);
        for (int i = 0; i < JOBS; i++) {
            while (!jobs[pace][i].has_run) { pthread_cond_wait(&changed, &lock); }
        }
    }
    pthread_mutex_unlock(&lock);
    assert_true(workers_stop(workers));
    workers_free(workers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_malformed), cmocka_unit_test(test_room),
        cmocka_unit_test(test_values),     cmocka_unit_test(test_hosts),     cmocka_unit_test(test_origins),
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_kept),      cmocka_unit_test(test_workers),
        cmocka_unit_test(test_who_waits_for_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
