/* SPDX-License-Identifier: MIT */
#include "system/whole_disk.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SECTOR = 512 };

void whole_disk_read(const struct whole_disk * disk, const char * name, char * line, size_t size) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", disk->folder, name);
    FILE * file = *disk->folder ? fopen(path, "re") : NULL;
    *line = '\0';
    if (file && fgets(line, (int) size, file)) { line[strcspn(line, "\n")] = '\0'; }
    if (file) { fclose(file); }
    for (size_t n = strlen(line); n && line[n - 1] == ' '; n--) { line[n - 1] = '\0'; }
}

/* A partition's folder is in its disk's, which has its name and number. */
static const char * leave_partition(struct whole_disk * d) {
    char text[64], number[64];
    unsigned long long start;
    unsigned upper, lower;
    whole_disk_read(d, "start", text, sizeof text);
    *strrchr(d->folder, '/') = '\0';
    whole_disk_read(d, "dev", number, sizeof number);
    if (sscanf(text, "%llu", &start) != 1 || start > UINT64_MAX / SECTOR) { return "where it begins"; }
    if (sscanf(number, "%u:%u", &upper, &lower) != 2) { return "which disk it is on"; }
    d->partition = start * SECTOR;
    d->device = makedev(upper, lower);
    return NULL;
}

struct whole_disk whole_disk_below(const char * sys, uint64_t device) {
    struct whole_disk d = { .device = device };
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/dev/block/%u:%u", sys, major(device), minor(device));
    if (major(device) == 0 || !realpath(path, d.folder)) {
        d.folder[0] = '\0';
        return d;
    }
    char partition[PATH_MAX + 16];
    snprintf(partition, sizeof partition, "%s/partition", d.folder);
    if (access(partition, F_OK) == 0) { d.missing = leave_partition(&d); }
    snprintf(d.name, sizeof d.name, "%.*s", (int) sizeof d.name - 1, strrchr(d.folder, '/') + 1);
    return d;
}

struct whole_disk whole_disk_of(uint64_t device) {
    return whole_disk_below("/sys", device);
}
