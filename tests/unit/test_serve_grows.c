/* SPDX-License-Identifier: MIT
 *
 * A trace that grows while it is served, and what its clients get meanwhile. ThreadSanitizer runs this test too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/routing.h"
#include "serve/served.h"
#include "small_model.h"

enum { PARTS = 4, FIRST_TOKENS = 4150, PART_TOKENS = 50, CLIENTS = 6 };

/* ---- the program that is recorded ---- */

struct run {
    struct trace_builder b;
    size_t marks[PARTS + 1]; /* bytes that are there after each part; the last is the whole */
    uint32_t tokens[PARTS + 1];
    char folder[64], path[96];
    size_t written;
};

static _Atomic bool is_alive;

static bool is_running(const char * path, const struct tat_trace * trace) {
    (void) path, (void) trace;
    return is_alive;
}

static void begin_run(struct run * r) {
    struct small_model m;
    *r = (struct run){ .folder = "/tmp/tat_grows.XXXXXX" };
    small_model_begin(&r->b, &m);
    const uint32_t generate = small_model_template(&r->b, &m, 1);
    for (uint32_t i = 0, part = 0; part < PARTS; part++) {
        for (; i < FIRST_TOKENS + part * PART_TOKENS; i++) {
            small_model_evaluate(&r->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ i % 4, (i + 1) % 4 });
        }
        r->tokens[part] = i;
        r->marks[part] = r->b.size;
    }
    tb_end(&r->b);
    r->tokens[PARTS] = r->tokens[PARTS - 1];
    r->marks[PARTS] = r->b.size;
    if (!mkdtemp(r->folder)) { abort(); }
    snprintf(r->path, sizeof r->path, "%s/tensor_access.bin", r->folder);
    is_alive = true;
}

static void write_part(struct run * r, unsigned part) {
    FILE * file = fopen(r->path, "ab");
    const size_t count = r->marks[part] - r->written;
    if (!file || fwrite(r->b.bytes + r->written, 1, count, file) != count || fclose(file) != 0) { abort(); }
    r->written = r->marks[part];
    if (part == PARTS) { is_alive = false; }
}

static void end_run(struct run * r) {
    unlink(r->path);
    rmdir(r->folder);
    tb_free(&r->b);
}

static struct served_list * serve(const struct run * r) {
    struct tat_error error;
    struct served_list * list = served_new(&(struct served_options){ .is_running = is_running });
    struct tat_trace * trace = tat_trace_open(r->folder, &error);
    if (!list || !trace || served_add(list, trace, r->folder, "run", &error) != 0) { abort(); }
    return list;
}

/* ---- looks ---- */

static void look_now(struct served_list * list) {
    list->at[0]->looked_ns = 0;
    served_look(list, list->at[0]);
}

static void test_what_is_known_stays_until_more_comes(void ** state) {
    struct run r;
    (void) state;
    begin_run(&r);
    write_part(&r, 0);
    struct served_list * list = serve(&r);
    struct served * s = list->at[0];
    const struct pyramid * sums = served_pyramid(s);
    assert_non_null(sums);
    for (unsigned part = 0; part <= PARTS; part++) {
        if (part) { write_part(&r, part); }
        look_now(list);
        assert_int_equal(s->revision, part);
        assert_int_equal(s->running, part < PARTS);
        assert_int_equal(s->subject.n_evaluations, r.tokens[part]);
        sums = served_pyramid(s);
        assert_int_equal(sums->n_tokens, r.tokens[part]);
        const struct view_records * records = s->records;
        look_now(list);
        assert_int_equal(s->revision, part);
        assert_ptr_equal(s->records, records);
        assert_ptr_equal(served_pyramid(s), sums);
        assert_int_equal(served_is_to_prepare(s), part == PARTS);
        if (!s->running) { break; }
    }
    assert_null(s->reads);
    served_prepare(s);
    assert_non_null(s->reads);
    assert_false(served_is_to_prepare(s));
    served_pyramid(s);
    assert_false(served_is_to_prepare(s));
    served_free(list);
    end_run(&r);
}

/* The sums of a trace that was followed are those of one that was opened at its end. */
static void test_sums_that_were_made_on(void ** state) {
    struct run r;
    struct tat_error error;
    struct token_axis axis;
    (void) state;
    begin_run(&r);
    write_part(&r, 0);
    struct served_list * list = serve(&r);
    struct served * s = list->at[0];
    for (unsigned part = 0; part < PARTS; part++) {
        if (part) { write_part(&r, part); }
        look_now(list);
        const struct pyramid * sums = served_pyramid(s);
        assert_true(token_axis_begin(&axis, &s->subject));
        struct pyramid * anew = pyramid_make(&s->subject, &axis, NULL, NULL, &error);
        assert_non_null(anew);
        assert_int_equal(anew->n_blocks, sums->n_blocks);
        assert_memory_equal(anew->sums, sums->sums, sums->n_blocks * sums->row * sizeof *sums->sums);
        pyramid_free(anew);
        token_axis_free(&axis);
    }
    served_free(list);
    end_run(&r);
}

/* ---- clients ---- */

static const char * const questions[] = {
    "api/traces",
    "api/traces/0/about",
    "api/traces/0/grid?x=token&y=layer&w=200&h=100",
    "api/traces/0/file?until_token=4100",
    "api/traces/0/tokens",
    "api/traces/0/records?count=10&from=9000",
    "api/traces/0/records?count=10&component=moe&near_token=4000",
    "api/traces/0/graph?token=4000",
    "api/traces/0/offsets?w=200&h=50",
    "api/traces/0/sections?names=run,phases",
    "api/traces/0/grid?x=layer&y=expert",
    "api/traces/0/nothing",
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

struct client {
    pthread_t thread;
    char path[64]; /* of the page; the server's own is gone when it stops */
    uint16_t port;
    unsigned number;
};

/* What clients were told. */
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static uint32_t revision_seen;
static bool end_seen;

/* Reads until the server closes. The bytes; -1: there is no server any more. */
static ssize_t ask(const struct client * c, const char * question, char * answer, size_t room) {
    const struct sockaddr_in at = { AF_INET, htons(c->port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    char request[512];
    const int length =
        snprintf(request, sizeof request, "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", c->path,
                 question);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    ssize_t n = connect(fd, (const struct sockaddr *) &at, sizeof at) == 0 &&
                        send(fd, request, (size_t) length, MSG_NOSIGNAL) == length
                    ? 1
                    : -1;
    while (n > 0 && used + 1 < room && (n = read(fd, answer + used, room - 1 - used)) > 0) { used += (size_t) n; }
    close(fd);
    answer[used] = '\0';
    return n < 0 || used == 0 ? -1 : (ssize_t) used;
}

static void note(const char * answer) {
    static const char before[] = "\"revision\":";
    const char * revision = strstr(answer, before);
    if (!revision) { return; }
    const uint32_t number = (uint32_t) strtoul(revision + sizeof before - 1, NULL, 10);
    pthread_mutex_lock(&telling);
    if (number > revision_seen) { revision_seen = number; }
    end_seen |= strstr(answer, "\"running\":false") != NULL;
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&telling);
}

static void wait_until_told(unsigned part) {
    pthread_mutex_lock(&telling);
    while (part < PARTS ? revision_seen < part : !end_seen) { pthread_cond_wait(&told, &telling); }
    pthread_mutex_unlock(&telling);
}

/* Each asks all questions again and again, beginning with another one, until the server is gone. */
static void * be_client(void * user) {
    enum { ROOM = 1 << 20 };
    const struct client * c = user;
    char * answer = malloc(ROOM);
    if (!answer) { abort(); }
    for (unsigned i = c->number; ask(c, questions[i % QUESTIONS], answer, ROOM) > 0; i++) {
        if (strncmp(answer, "HTTP/1.1 ", 9) != 0) { abort(); }
        if (i % QUESTIONS == 1) { note(answer); }
    }
    free(answer);
    return NULL;
}

/* The program writes on whenever a client has been told of what it wrote before. */
static void test_clients_of_a_trace_that_grows(void ** state) {
    struct run r;
    struct tat_error error;
    struct client clients[CLIENTS];
    (void) state;
    begin_run(&r);
    write_part(&r, 0);
    struct served_list * list = serve(&r);
    struct server * server = server_start(list, "127.0.0.1", 0, &error);
    assert_non_null(server);
    revision_seen = 0;
    end_seen = false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){ .port = server_port(server), .number = i };
        strcpy(clients[i].path, strchr(server_address(server) + strlen("http://"), '/'));
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
    }
    for (unsigned part = 1; part <= PARTS; part++) {
        write_part(&r, part);
        wait_until_told(part);
    }
    while (!list->at[0]->prepared) { sched_yield(); } /* clients ask for pictures until the server stops */
    while (!server_stop(server)) {} /* an answer may take longer */
    for (unsigned i = 0; i < CLIENTS; i++) { pthread_join(clients[i].thread, NULL); }
    served_free(list);
    end_run(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_known_stays_until_more_comes),
        cmocka_unit_test(test_sums_that_were_made_on),
        cmocka_unit_test(test_clients_of_a_trace_that_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
