/* SPDX-License-Identifier: MIT */
#include "cli/browser.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/terminal.h"

static bool is_set(const char * name) {
    const char * value = getenv(name);
    return value && *value;
}

/* The port is passed on to this machine, at which the user came in by an address that SSH_CONNECTION has. */
static void say_tunnel(uint16_t port) {
    enum { PARTS = 4 };
    char text[PARTS][64] = { "" };
    const char * connection = getenv("SSH_CONNECTION");
    const struct passwd * user = getpwuid(getuid());
    const bool known =
        connection && sscanf(connection, "%63s %63s %63s %63s", text[0], text[1], text[2], text[3]) == PARTS;
    fprintf(stderr,
            "tat view: you are here by SSH. On the machine before you, run\n    ssh -N -L %" PRIu16
            ":127.0.0.1:%" PRIu16,
            port, port);
    if (known && strcmp(text[3], "22") != 0) {
        fputs(" -p ", stderr);
        print_safe(text[3], stderr);
    }
    fprintf(stderr, " %s@", user ? user->pw_name : "USER");
    print_safe(known ? text[2] : "THIS_MACHINE", stderr);
    fputs("\nand open the address there.\n", stderr);
}

static int start(const char * program, const char * address) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t child;
    char * const argv[] = { (char *) program, (char *) address, NULL };
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    /* Ctrl-C here does not end the browser. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&files);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    }
    const int why = posix_spawnp(&child, program, &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return why;
}

void browser_open(const char * address, uint16_t port) {
    if (is_set("SSH_CONNECTION")) {
        say_tunnel(port);
        return;
    }
    if (!is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY")) { return; }
    const int why = start("xdg-open", address);
    if (why) { fprintf(stderr, "tat view: no browser was opened: xdg-open: %s\n", strerror(why)); }
}
