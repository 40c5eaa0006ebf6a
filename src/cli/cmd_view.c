/* SPDX-License-Identifier: MIT
 *
 * tat view: traces in the browser.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/browser.h"
#include "cli/command.h"
#include "cli/view_traces.h"

enum { KEY_PORT = 256, KEY_LISTEN, KEY_NO_OPEN, TRACES_MOST = 64 };

struct options {
    const char * traces[TRACES_MOST];
    size_t n_traces;
    const char * listen;
    uint16_t port;
    bool no_open;
};

static const struct argp_option table[] = {
    { "port", KEY_PORT, "PORT", 0, "Listen on this port. Default: any that is free", 0 },
    { "listen", KEY_LISTEN, "ADDRESS", 0,
      "Listen on this address of the machine. Default: 127.0.0.1, which only this machine reaches", 0 },
    { "no-open", KEY_NO_OPEN, NULL, 0, "Do not open a browser: only print the address", 0 },
    { 0 },
};

static uint16_t parse_port(const char * text, struct argp_state * state) {
    char * end;
    const unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || port > UINT16_MAX) {
        argp_error(state, "--port '%s' is not a number from 0 to 65535", text);
    }
    return (uint16_t) port;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    switch (key) {
        case KEY_PORT: o->port = parse_port(argument, state); return 0;
        case KEY_LISTEN: o->listen = argument; return 0;
        case KEY_NO_OPEN: o->no_open = true; return 0;
        case ARGP_KEY_ARG:
            if (o->n_traces == TRACES_MOST) { argp_error(state, "too many traces: %d at most", TRACES_MOST); }
            o->traces[o->n_traces++] = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- signals that end it ---- */

static sigset_t ending(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) { sigaddset(&set, SIGHUP); } /* nohup */
    return set;
}

/* Threads that are started from now on leave them to sigwait. */
static void hold_signals(void) {
    const sigset_t set = ending();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool is_to_end(void) {
    const sigset_t set = ending();
    const struct timespec now = { 0 };
    return sigtimedwait(&set, NULL, &now) > 0;
}

static void wait_for_end(void) {
    const sigset_t set = ending();
    int signal;
    while (sigwait(&set, &signal) != 0) {}
}

/* ---- the server ---- */

/* The address alone on standard output, for programs. */
static int say_address(const struct options * o, const struct server * server, struct tat_error * error) {
    const char * listen = o->listen;
    if (listen && strncmp(listen, "127.", 4) != 0 && strcmp(listen, "::1") != 0 && strcmp(listen, "localhost") != 0) {
        fputs("tat view: warning: other machines can reach this address. The token in it keeps them out, but what is "
              "sent is not encrypted\n",
              stderr);
    }
    if (!server_has_page()) {
        fputs("tat view: this tat was built without its page; what can be asked without it is in doc/view.md\n",
              stderr);
    }
    printf("%s\n", server_address(server));
    if (fflush(stdout) != 0) { return tat_fail_errno(error, "cannot write to standard output"); }
    fputs("tat view: serving until Ctrl-C\n", stderr);
    return 0;
}

static int serve(const struct options * o, struct served_list * list, struct tat_error * error) {
    struct server * server = server_start(list, o->listen ? o->listen : "127.0.0.1", o->port, error);
    if (!server) { return -1; }
    const int status = say_address(o, server, error);
    if (status == 0) {
        if (!o->no_open && server_has_page()) { browser_open(server_address_once(server), server_port(server)); }
        wait_for_end();
    }
    if (!server_stop(server)) { _exit(status == 0 ? TAT_OK : TAT_ERROR_SYSTEM); }
    return status;
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct tat_error error = { 0 };
    struct view_traces traces = { .is_to_end = is_to_end };
    command_parse(&cmd_view, parse, argc, argv, 0, &options);
    hold_signals();
    int status = view_traces_open(&traces, options.traces, options.n_traces, &error);
    if (status == 0) { status = serve(&options, traces.list, &error); }
    if (status != 0) { status = traces.ended ? TAT_OK : command_fail(&cmd_view, &error); }
    served_free(traces.list);
    return status;
}

const struct command cmd_view = {
    .name = "view",
    .summary = "see traces in the browser",
    .arguments = "[TRACE...]",
    .description =
        "Serves a page on traces, the newest or those that are named, and opens it in the browser: overview, heatmaps, "
        "the model file, reads over time, the graph, records, experts, attention, caches, storage and buffers, linked "
        "with each other, and runs side by side. It prints the page's address, which holds a random token: who does "
        "not know it sees nothing. Over SSH it prints the command that makes the address work where you are. A "
        "recording that still runs is followed. Nothing can be changed from the page, and nothing is sent elsewhere. "
        "Ctrl-C ends it.",
    .examples = "  tat view                       the newest trace\n"
                "  tat view before after          two runs, to compare\n"
                "  tat view --no-open --port 8080 where there is no browser",
    .options = table,
    .run = run,
};
