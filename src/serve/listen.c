/* SPDX-License-Identifier: MIT */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* An address for everything means all of the machine's, of which a browser on it takes the loopback one. */
static void name_host(struct listener * l, const struct sockaddr_storage * at) {
    char text[INET6_ADDRSTRLEN] = "";
    if (at->ss_family == AF_INET6) {
        const struct sockaddr_in6 * six = (const struct sockaddr_in6 *) at;
        const bool all = IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
        l->is_reachable = !IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
        l->port = ntohs(six->sin6_port);
        inet_ntop(AF_INET6, all ? &in6addr_loopback : &six->sin6_addr, text, sizeof text);
        snprintf(l->host, sizeof l->host, "[%s]", text);
    } else {
        const struct sockaddr_in * four = (const struct sockaddr_in *) at;
        const bool all = four->sin_addr.s_addr == htonl(INADDR_ANY);
        const struct in_addr loopback = { htonl(INADDR_LOOPBACK) };
        l->is_reachable = ntohl(four->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
        l->port = ntohs(four->sin_port);
        inet_ntop(AF_INET, all ? &loopback : &four->sin_addr, text, sizeof text);
        snprintf(l->host, sizeof l->host, "%s", text);
    }
}

/* -1 with errno. */
static int listen_at(struct listener * l, const struct addrinfo * info) {
    enum { WAITING = 1024 };
    struct sockaddr_storage at = { 0 };
    socklen_t bytes = sizeof at;
    const int yes = 1;
    l->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) { return -1; }
    /* A port that was left a moment ago can be taken again; one that is listened on cannot. */
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(l->fd, info->ai_addr, info->ai_addrlen) == 0 && listen(l->fd, WAITING) == 0 &&
        getsockname(l->fd, (struct sockaddr *) &at, &bytes) == 0) {
        name_host(l, &at);
        return 0;
    }
    const int why = errno;
    close(l->fd);
    errno = why;
    return -1;
}

int listener_open(struct listener * l, const char * address, uint16_t port, struct tat_error * error) {
    const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo * found;
    char service[8];
    snprintf(service, sizeof service, "%" PRIu16, port);
    const int status = getaddrinfo(address, service, &wanted, &found);
    if (status != 0) {
        return tat_fail(error, TAT_ERROR_USAGE, "'%s' is not an address of this machine: %s", address,
                        gai_strerror(status));
    }
    int result = -1;
    for (const struct addrinfo * at = found; at && result != 0; at = at->ai_next) { result = listen_at(l, at); }
    const int why = errno;
    freeaddrinfo(found);
    errno = why;
    if (result == 0) { return 0; }
    if (errno == EADDRINUSE) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "port %" PRIu16 " of %s is in use: name another with --port, or none for any that is free",
                        port, address);
    }
    return tat_fail_errno(error, "cannot listen on %s, port %" PRIu16, address, port);
}
