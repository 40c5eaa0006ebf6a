/* SPDX-License-Identifier: MIT */
#include "serve/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

int token_make(char token[static TOKEN_SIZE], struct tat_error * error) {
    unsigned char bytes[TOKEN_BYTES];
    ssize_t got;
    do { got = getrandom(bytes, sizeof bytes, 0); } while (got < 0 && errno == EINTR);
    if (got != (ssize_t) sizeof bytes) { return tat_fail_errno(error, "the system gives no random numbers"); }
    for (int i = 0; i < TOKEN_BYTES; i++) { snprintf(token + 2 * i, 3, "%02x", bytes[i]); }
    return 0;
}

bool token_opens(const char token[static TOKEN_SIZE], const char * path, const char ** rest) {
    const size_t length = strcspn(path, "/");
    unsigned char differs = length != TOKEN_SIZE - 1;
    for (size_t i = 0; i < TOKEN_SIZE - 1; i++) {
        differs |= (unsigned char) token[i] ^ (unsigned char) (i < length ? path[i] : 0);
    }
    *rest = path[length] ? path + length + 1 : NULL;
    return !differs;
}

/* An address in digits cannot be made to lead elsewhere, as a name can. */
static bool is_address(const char * name, size_t length, bool * is_loopback) {
    char text[INET6_ADDRSTRLEN + 2] = "";
    struct in6_addr six;
    struct in_addr four;
    if (length >= sizeof text) { return false; }
    memcpy(text, name, length);
    if (inet_pton(AF_INET, text, &four) == 1) {
        *is_loopback = ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
        return true;
    }
    if (*text != '[' || text[length - 1] != ']') { return false; }
    text[length - 1] = '\0';
    *is_loopback = false;
    if (inet_pton(AF_INET6, text + 1, &six) != 1) { return false; }
    *is_loopback = IN6_IS_ADDR_LOOPBACK(&six);
    return true;
}

static bool is_name(const char * name, size_t length, const char * wanted) {
    return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

/* "[::1]" and "[::1]:80", or up to the colon. */
static size_t name_length(const char * host) {
    const char * end = *host == '[' ? strchr(host, ']') : NULL;
    return end ? (size_t) (end + 1 - host) : strcspn(host, ":");
}

bool host_is_own(const char * host, const char * own, bool is_reachable) {
    bool is_loopback;
    if (!host) { return false; }
    const size_t length = name_length(host);
    const char * port = host + length;
    if (!length || (*port && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1)))) { return false; }
    if (is_address(host, length, &is_loopback)) { return is_loopback || is_reachable || is_name(host, length, own); }
    return is_name(host, length, "localhost") || is_name(host, length, own);
}

bool origin_is_own(const char * origin, const char * host) {
    static const char scheme[] = "http://";
    if (!origin) { return true; }
    return host && strncasecmp(origin, scheme, sizeof scheme - 1) == 0 &&
           strcasecmp(origin + sizeof scheme - 1, host) == 0;
}
