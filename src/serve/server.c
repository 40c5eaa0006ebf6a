/* SPDX-License-Identifier: MIT
 *
 * HTTP, by libmicrohttpd: one thread reads requests and sends answers, so that a slow client holds up nobody. What is
 * not at hand is made by workers; meanwhile the connection is suspended.
 */
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serve/access.h"
#include "serve/listen.h"
#include "serve/routing.h"
#include "serve/serve.h"
#include "serve/workers.h"

enum {
    CONNECTIONS = 4096,
    CONNECTION_MEMORY = 32768, /* of what a client sends before it is answered: the request's line and headers */
    STRANGER_IDLE_SECONDS = 10, /* who has not shown the token holds a connection no longer than that without a word */
    IDLE_SECONDS = 60,
    ADDRESS_SIZE = 128,
};

struct server {
    struct job preparing; /* first: this job is a server */
    _Atomic bool is_preparing;
    struct MHD_Daemon * daemon;
    struct workers * workers;
    struct served_list * list;
    struct listener listener;
    char token[TOKEN_SIZE], once[TOKEN_SIZE];
    bool once_used; /* only the daemon's thread looks at it */
    char address[ADDRESS_SIZE], address_once[ADDRESS_SIZE];
};

enum exchange_state {
    EXCHANGE_NEW,   /* the headers are there */
    EXCHANGE_READY, /* all of the request is there */
    EXCHANGE_ANSWERED
};

/* One request and its answer. */
struct exchange {
    struct job job; /* first: a job is an exchange */
    struct server * server;
    struct MHD_Connection * connection;
    enum exchange_state state;
    bool understood;   /* else `error` says why not, to who knows the token */
    bool knows_token;
    const char * path; /* in `request`: what follows the token */
    struct answer answer;
    struct tat_error error;
    struct request request;
};

/* ---- sending ---- */

static const struct {
    const char *name, *value;
} headers[] = {
    { "Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
                                 "frame-ancestors 'none'; base-uri 'none'; form-action 'none'" },
    { "X-Content-Type-Options", "nosniff" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Cache-Control", "no-store" },
};

/* Takes over the answer's body. */
static enum MHD_Result send_answer(struct MHD_Connection * connection, struct answer * answer, const char * leads) {
    struct MHD_Response * response = MHD_create_response_from_buffer(
        answer->bytes, (void *) answer->body, answer->owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        answer_free(answer);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        MHD_add_response_header(response, headers[i].name, headers[i].value);
    }
    if (answer->status == ANSWER_BAD_METHOD) { MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD"); }
    if (leads) { MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, leads); }
    const enum MHD_Result result = MHD_queue_response(connection, (unsigned) answer->status, response);
    MHD_destroy_response(response);
    *answer = (struct answer){ 0 };
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection * connection, enum answer_status status, const char * why) {
    struct answer answer = answer_line(status, why);
    return send_answer(connection, &answer, NULL);
}

/* ---- what is asked ---- */

static const char * header_of(struct MHD_Connection * connection, const char * name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool has_body(struct MHD_Connection * connection) {
    const char * length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (length && strcmp(length, "0") != 0) || header_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* Leads to the page by the address that does so once. */
static enum MHD_Result lead_to_page(struct exchange * x) {
    char leads[TOKEN_SIZE + 2];
    struct answer answer = answer_line(ANSWER_FOUND, "");
    snprintf(leads, sizeof leads, "/%s/", x->server->token);
    x->server->once_used = true;
    return send_answer(x->connection, &answer, leads);
}

static bool is_get(const char * method) {
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0;
}

static enum MHD_Result refuse_token(struct MHD_Connection * connection) {
    return refuse(connection, ANSWER_FORBIDDEN,
                  "The token in this address is wrong. Use the address that `tat view` printed.\n");
}

/* Sees to it that a stranger learns nothing but that. Sets *sent if there is nothing left to do. */
static enum MHD_Result admit(struct exchange * x, const char * method, bool * sent) {
    const struct server * s = x->server;
    const char * host = header_of(x->connection, MHD_HTTP_HEADER_HOST);
    const char * rest = NULL;
    *sent = true;
    if (!host_is_own(host, s->listener.host, s->listener.is_reachable)) {
        return refuse(x->connection, ANSWER_FORBIDDEN, "The Host of this request is not this server's.\n");
    }
    if (!origin_is_own(header_of(x->connection, MHD_HTTP_HEADER_ORIGIN), host)) {
        return refuse(x->connection, ANSWER_FORBIDDEN, "Another site asks for this.\n");
    }
    if (!x->understood && x->knows_token) {
        x->answer = answer_error(&x->error);
        return send_answer(x->connection, &x->answer, NULL);
    }
    if (!x->understood) { return refuse_token(x->connection); }
    if (!s->once_used && is_get(method) && token_opens(s->once, x->request.path, &rest)) { return lead_to_page(x); }
    if (!token_opens(s->token, x->request.path, &rest)) { return refuse_token(x->connection); }
    if (!is_get(method) && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return refuse(x->connection, ANSWER_BAD_METHOD, "There is only GET and HEAD here: nothing can be changed.\n");
    }
    if (has_body(x->connection)) { return refuse(x->connection, ANSWER_TOO_LARGE, "A request here has no body.\n"); }
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned) IDLE_SECONDS);
    if (!rest) { return lead_to_page(x); } /* the page's addresses are relative to the folder that the token is */
    x->path = rest;
    *sent = false;
    return MHD_YES;
}

static void prepare(struct job * job, bool ending) {
    struct server * s = (struct server *) job;
    for (size_t i = 0; i < s->list->count && !ending; i++) {
        if (served_is_to_prepare(s->list->at[i])) { served_prepare(s->list->at[i]); }
    }
    s->is_preparing = false;
}

/* After a picture, as a browser is busy until the first. One trace after the other, so that workers are left. */
static void prepare_if_asked(struct server * s) {
    bool asked = false;
    for (size_t i = 0; i < s->list->count; i++) { asked |= served_is_to_prepare(s->list->at[i]); }
    if (!asked || atomic_exchange(&s->is_preparing, true)) { return; }
    s->preparing = (struct job){ .pace = PACE_LONG, .run = prepare };
    workers_add(s->workers, &s->preparing);
}

static void make_answer(struct job * job, bool ending) {
    struct exchange * x = (struct exchange *) job;
    struct server * s = x->server;
    x->answer = ending ? answer_line(ANSWER_BUSY, "The server ends.\n") : route_answer(s->list, x->path, &x->request);
    MHD_resume_connection(x->connection); /* from here on it is no longer the worker's */
    if (!ending) { prepare_if_asked(s); }
}

static enum MHD_Result begin_answer(struct exchange * x) {
    enum pace pace;
    x->state = EXCHANGE_ANSWERED;
    if (!route_pace(x->path, &pace)) {
        x->answer = route_answer(x->server->list, x->path, &x->request);
        return send_answer(x->connection, &x->answer, NULL);
    }
    x->job = (struct job){ .pace = pace, .run = make_answer };
    MHD_suspend_connection(x->connection);
    workers_add(x->server->workers, &x->job);
    return MHD_YES;
}

/* ---- libmicrohttpd's calls, all from its one thread ---- */

static void * on_target(void * user, const char * target, struct MHD_Connection * connection) {
    struct exchange * x = calloc(1, sizeof *x);
    if (!x) { return NULL; }
    x->server = user;
    x->connection = connection;
    if (!target) { target = ""; } /* a line with none */
    x->understood = request_parse(&x->request, target, &x->error) == 0;
    x->knows_token = *target == '/' && token_opens(x->server->token, target + 1, &(const char *){ NULL });
    return x;
}

static enum MHD_Result on_request(void * user, struct MHD_Connection * connection, const char * url,
                                  const char * method, const char * version, const char * upload, size_t * upload_bytes,
                                  void ** state) {
    struct exchange * x = *state;
    bool sent;
    (void) user, (void) url, (void) version, (void) upload;
    if (!x) { return MHD_NO; }
    switch (x->state) {
        case EXCHANGE_NEW: x->state = EXCHANGE_READY; return admit(x, method, &sent);
        case EXCHANGE_READY:
            if (*upload_bytes) { return MHD_NO; } /* a body that no header told of */
            return begin_answer(x);
        default: return send_answer(connection, &x->answer, NULL);
    }
}

static void on_completed(void * user, struct MHD_Connection * connection, void ** state,
                         enum MHD_RequestTerminationCode why) {
    struct exchange * x = *state;
    (void) user, (void) connection, (void) why;
    if (x) { answer_free(&x->answer); }
    free(x);
    *state = NULL;
}

/* ---- beginning and end ---- */

/* Each connection is a descriptor. */
static void allow_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= CONNECTIONS + 64) { return; }
    limit.rlim_cur = limit.rlim_max < CONNECTIONS + 64 ? limit.rlim_max : CONNECTIONS + 64;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Connections that descriptors are left for. */
static unsigned connections(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= CONNECTIONS + 64) { return CONNECTIONS; }
    return limit.rlim_cur > 128 ? (unsigned) limit.rlim_cur - 64 : 64;
}

static int start_daemon(struct server * s, struct tat_error * error) {
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                                 MHD_OPTION_LISTEN_SOCKET, s->listener.fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
                                 connections(), MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) STRANGER_IDLE_SECONDS,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY, MHD_OPTION_END);
    return s->daemon ? 0 : tat_fail_errno(error, "cannot start the server");
}

struct server * server_start(struct served_list * list, const char * listen, uint16_t port, struct tat_error * error) {
    struct server * s = calloc(1, sizeof *s);
    if (!s) {
        tat_fail_errno(error, "cannot start the server");
        return NULL;
    }
    s->list = list;
    s->listener.fd = -1;
    allow_descriptors();
    if (token_make(s->token, error) == 0 && token_make(s->once, error) == 0 &&
        listener_open(&s->listener, listen, port, error) == 0 && (s->workers = workers_start(error))) {
        const char * host = s->listener.host;
        snprintf(s->address, sizeof s->address, "http://%s:%u/%s/", host, s->listener.port, s->token);
        snprintf(s->address_once, sizeof s->address_once, "http://%s:%u/%s/", host, s->listener.port, s->once);
        if (start_daemon(s, error) == 0) { return s; }
    }
    if (s->workers) { workers_stop(s->workers); }
    workers_free(s->workers);
    if (s->listener.fd >= 0) { close(s->listener.fd); }
    free(s);
    return NULL;
}

const char * server_address(const struct server * s) {
    return s->address;
}

const char * server_address_once(const struct server * s) {
    return s->address_once;
}

uint16_t server_port(const struct server * s) {
    return s->listener.port;
}

bool server_stop(struct server * s) {
    if (!workers_stop(s->workers)) { return false; }
    MHD_stop_daemon(s->daemon); /* closes the socket; until then, its thread may add jobs */
    workers_free(s->workers);
    free(s);
    return true;
}
