/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "manage/manager.h"

/* Linked after the agent's, so that the recorder is the first observer. */
__attribute__((constructor)) static void start(void) {
    static struct manage_options options;
    const char * off = getenv("TAT_OFF");
    if (getauxval(AT_SECURE) || (off && *off && strcmp(off, "0") != 0)) { return; }
    if (!manage_options_read(getenv(MANAGE_VARIABLE), &options)) { return; }
    manager_configure(&options);
    observers_add(&manager);
}
