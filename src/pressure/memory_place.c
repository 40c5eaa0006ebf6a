/* SPDX-License-Identifier: MIT */
#include "pressure/memory_place.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/cgroup.h"

enum { LINE = 2 * PATH_MAX };

static int refuse(enum memory_cgroup_found why, const char * proc, const struct memory_cgroup * g,
                  struct tat_error * error) {
    switch (why) {
        case MEMORY_CGROUP_NOT_MOUNTED:
            return tat_fail(error, TAT_ERROR_SYSTEM,
                            "no memory cgroups are mounted: as root, run `mount -t cgroup2 cgroup2 /sys/fs/cgroup`");
        case MEMORY_CGROUP_NOT_NAMED:
            return tat_fail(error, TAT_ERROR_SYSTEM, "%s/self/cgroup names no memory cgroup", proc);
        case MEMORY_CGROUP_OUTSIDE:
            return tat_fail(error, TAT_ERROR_SYSTEM,
                            "the cgroup of this process, %s, is outside of what is mounted at %s: limit the "
                            "container's memory instead",
                            g->path, g->folder);
        default: return tat_fail(error, TAT_ERROR_SYSTEM, "the path of the cgroup in %s is too long", g->folder);
    }
}

/* ---- version 2 ---- */

static bool file_has_word(const char * folder, const char * name, const char * word) {
    char path[PATH_MAX + 32], line[LINE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "re");
    const bool has = file && fgets(line, sizeof line, file) && has_word(line, word, " \n");
    if (file) { fclose(file); }
    return has;
}

/* A process may be moved between two groups by who may write into the nearest that both are in. */
static bool may_be_used(const char * folder) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    return eaccess(folder, W_OK) == 0 && eaccess(path, W_OK) == 0;
}

/* A group that passes the memory controller on can have no processes of its own, save the root. So the new group is
 * rarely a child of this process's, but most often its sibling. */
static int find_above(struct memory_cgroup * g, uint64_t * limit, struct tat_error * error) {
    bool passed_on = false;
    for (;;) {
        if (file_has_word(g->folder, "cgroup.subtree_control", "memory")) {
            passed_on = true;
            if (may_be_used(g->folder)) { return 0; }
        }
        const uint64_t own = memory_cgroup_limit(g); /* which the new group leaves */
        if (!memory_cgroup_up(g)) { break; }
        if (own < *limit) { *limit = own; }
    }
    if (passed_on) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "this user may not make a cgroup here: run `systemd-run --user --scope tat record ...`, or "
                        "`sudo tat record ...`, which runs the program as you");
    }
    if (file_has_word(g->folder, "cgroup.controllers", "memory")) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "no cgroup above this process passes the memory controller on: as root, run "
                        "`echo +memory > %s/cgroup.subtree_control`; in a container, limit the container's memory",
                        g->folder);
    }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "the memory controller is not available at %s: boot with cgroup_enable=memory, or in a container "
                    "limit the container's memory",
                    g->folder);
}

int memory_place_find(const char * proc, struct memory_place * place, struct tat_error * error) {
    struct memory_cgroup g;
    const enum memory_cgroup_found found = memory_cgroup_find(proc, &g);
    place->version = g.version;
    place->limit = UINT64_MAX;
    if (found != MEMORY_CGROUP_FOUND) { return refuse(found, proc, &g, error); }
    if (g.version == 2 && find_above(&g, &place->limit, error) != 0) { return -1; }
    strcpy(place->folder, g.folder);
    if (g.version == 2 || may_be_used(g.folder)) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "%s: this user may not make a cgroup there: run `sudo tat record ...`, which runs the program "
                    "as you",
                    g.folder);
}
