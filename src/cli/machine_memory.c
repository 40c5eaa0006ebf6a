/* SPDX-License-Identifier: MIT */
#include "cli/machine_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/cgroup.h"

/* Of /proc/meminfo, which counts in KiB. */
static uint64_t of_machine(const char * name) {
    const size_t length = strlen(name);
    char line[128];
    unsigned long long kib = 0;
    FILE * file = fopen("/proc/meminfo", "re");
    while (file && !kib && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') { kib = strtoull(line + length + 1, NULL, 10); }
    }
    if (file) { fclose(file); }
    return (uint64_t) kib << 10;
}

static uint64_t within_groups(uint64_t bytes) {
    struct memory_cgroup group;
    const enum memory_cgroup_found found = memory_cgroup_find("/proc", &group);
    if (found != MEMORY_CGROUP_FOUND && found != MEMORY_CGROUP_OUTSIDE) { return bytes; }
    do {
        const uint64_t limit = memory_cgroup_limit(&group);
        if (limit < bytes) { bytes = limit; }
    } while (memory_cgroup_up(&group));
    return bytes;
}

uint64_t machine_memory(void) {
    return within_groups(of_machine("MemTotal"));
}

uint64_t machine_memory_free(void) {
    return within_groups(of_machine("MemAvailable"));
}
