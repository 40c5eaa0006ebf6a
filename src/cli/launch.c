/* SPDX-License-Identifier: MIT */
#include "cli/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/privilege.h"

/* An unset or empty LD_PRELOAD would leave a stray separator. */
int launch_preload(const char * library) {
    const char * before = getenv("LD_PRELOAD");
    char * both;
    if (!before || !*before) { return setenv("LD_PRELOAD", library, 1); }
    if (asprintf(&both, "%s:%s", library, before) < 0) { return -1; }
    const int result = setenv("LD_PRELOAD", both, 1);
    free(both);
    return result;
}

int launch_not_started(const char * command, const char * name, int why) {
    fprintf(stderr, "tat %s: %s: %s\n", command, name, why == ENOENT ? "no such program" : strerror(why));
    return why == ENOENT ? 127 : 126;
}

int launch_prepare(void (*too_large)(int)) {
    signal(SIGXFSZ, too_large);
    return privilege_drop();
}
