/* SPDX-License-Identifier: MIT */
#include "pressure/memory_place.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/cgroup.h"

enum { LINE = 2 * PATH_MAX };

/* ---- what is mounted ---- */

struct mount {
    char root[PATH_MAX], point[PATH_MAX]; /* which cgroup is seen where */
};

/* mountinfo writes a space as \040. */
static void unescape(char * text) {
    char * to = text;
    for (const char * at = text; *at; to++) {
        const bool is_octal = at[0] == '\\' && at[1] && at[2] && at[3];
        *to = is_octal ? (char) ((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0')) : *at;
        at += is_octal ? 4 : 1;
    }
    *to = '\0';
}

/* "36 35 98:0 /root /mnt/point rw,noatime shared:1 - type source options" */
static bool read_mount(char * line, const char * type, const char * option, struct mount * m) {
    char * rest = strstr(line, " - ");
    char found[32], options[LINE] = "";
    if (!rest || sscanf(rest, " - %31s %*s %8191s", found, options) < 1 || strcmp(found, type) != 0) { return false; }
    if (option && !has_word(options, option, ",\n")) { return false; }
    if (sscanf(line, "%*s %*s %*s %4095s %4095s", m->root, m->point) != 2) { return false; }
    unescape(m->root);
    unescape(m->point);
    return true;
}

static bool find_mount(const char * proc, const char * type, const char * option, struct mount * m) {
    char path[PATH_MAX], line[LINE];
    snprintf(path, sizeof path, "%s/self/mountinfo", proc);
    FILE * file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) { found = read_mount(line, type, option, m); }
    if (file) { fclose(file); }
    return found;
}

/* The folder of this process's cgroup. A container may see a part of the hierarchy, mounted under another name. */
static int own_folder(const char * proc, const char * controller, const struct mount * m, char folder[static PATH_MAX],
                      struct tat_error * error) {
    char own[PATH_MAX], self[PATH_MAX];
    snprintf(self, sizeof self, "%s/self", proc);
    if (!cgroup_path(self, controller, own)) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s/self/cgroup names no memory cgroup", proc);
    }
    const size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
    const bool is_seen = strncmp(own, m->root, root) == 0 && (!own[root] || own[root] == '/') && !strstr(own, "/..");
    if (!is_seen) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "the cgroup of this process, %s, is outside of what is mounted at %s: limit the container's "
                        "memory instead",
                        own, m->point);
    }
    const char * below = strcmp(own + root, "/") == 0 ? "" : own + root;
    if (snprintf(folder, PATH_MAX, "%s%s", m->point, below) < PATH_MAX) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "the path of the cgroup in %s is too long", m->point);
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

/* UINT64_MAX, also for "max": there is none. */
static uint64_t limit_of(const char * folder) {
    char path[PATH_MAX + 32];
    unsigned long long limit;
    snprintf(path, sizeof path, "%s/memory.max", folder);
    FILE * file = fopen(path, "re");
    const bool is_set = file && fscanf(file, "%llu", &limit) == 1;
    if (file) { fclose(file); }
    return is_set ? limit : UINT64_MAX;
}

/* A process may be moved between two groups by who may write into the nearest that both are in. */
static bool may_be_used(const char * folder) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    return eaccess(folder, W_OK) == 0 && eaccess(path, W_OK) == 0;
}

/* A group that passes the memory controller on can have no processes of its own, save the root. So the new group is
 * rarely a child of this process's, but most often its sibling. */
static int find_above(const struct mount * m, struct memory_place * place, struct tat_error * error) {
    const size_t top = strlen(m->point);
    bool passed_on = false;
    for (char * folder = place->folder;;) {
        if (file_has_word(folder, "cgroup.subtree_control", "memory")) {
            passed_on = true;
            if (may_be_used(folder)) { return 0; }
        }
        char * slash = strrchr(folder + top, '/');
        if (!slash) { break; }
        const uint64_t limit = limit_of(folder); /* which the new group leaves */
        if (limit < place->limit) { place->limit = limit; }
        *slash = '\0';
    }
    if (passed_on) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "this user may not make a cgroup here: run `systemd-run --user --scope tat record ...`, or "
                        "`sudo tat record ...`, which runs the program as you");
    }
    if (file_has_word(m->point, "cgroup.controllers", "memory")) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "no cgroup above this process passes the memory controller on: as root, run "
                        "`echo +memory > %s/cgroup.subtree_control`; in a container, limit the container's memory",
                        m->point);
    }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "the memory controller is not available at %s: boot with cgroup_enable=memory, or in a container "
                    "limit the container's memory",
                    m->point);
}

int memory_place_find(const char * proc, struct memory_place * place, struct tat_error * error) {
    struct mount m;
    place->version = 1;
    place->limit = UINT64_MAX;
    if (find_mount(proc, "cgroup", "memory", &m)) {
        if (own_folder(proc, "memory", &m, place->folder, error) != 0) { return -1; }
        if (may_be_used(place->folder)) { return 0; }
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "%s: this user may not make a cgroup there: run `sudo tat record ...`, which runs the program "
                        "as you",
                        place->folder);
    }
    place->version = 2;
    if (!find_mount(proc, "cgroup2", NULL, &m)) {
        return tat_fail(error, TAT_ERROR_SYSTEM,
                        "no memory cgroups are mounted: as root, run `mount -t cgroup2 cgroup2 /sys/fs/cgroup`");
    }
    return own_folder(proc, "", &m, place->folder, error) == 0 ? find_above(&m, place, error) : -1;
}
