/* SPDX-License-Identifier: MIT */
#include "manage/advice.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int advice_of(const char * flags) {
    return strstr(flags, " rr") ? MADV_RANDOM : strstr(flags, " sr") ? MADV_SEQUENTIAL : MADV_NORMAL;
}

int advice_at(const void * at) {
    static const char key[] = "VmFlags:";
    FILE * smaps = fopen("/proc/self/smaps", "re");
    char * line = NULL;
    size_t size = 0;
    bool inside = false;
    int advice = MADV_NORMAL;
    while (smaps && getline(&line, &size, smaps) > 0) {
        unsigned long long from, to;
        if (inside && strncmp(line, key, sizeof key - 1) == 0) {
            advice = advice_of(line);
            break;
        }
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) { inside = from <= (uintptr_t) at && (uintptr_t) at < to; }
    }
    free(line);
    if (smaps) { fclose(smaps); }
    return advice;
}
