/* SPDX-License-Identifier: MIT */
#include "system/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 2 * PATH_MAX };

bool has_word(const char * list, const char * word, const char * separators) {
    const size_t length = strlen(word);
    for (const char * at = list; *at; at += strspn(at, separators)) {
        const size_t n = strcspn(at, separators);
        if (n == length && strncmp(at, word, n) == 0) { return true; }
        at += n;
    }
    return false;
}

/* "4:cpu,memory:/a/b", a line for each hierarchy; "0::/a/b" for version 2. */
bool cgroup_path(const char * process, const char * controller, char path[static PATH_MAX]) {
    char name[PATH_MAX], line[LINE];
    snprintf(name, sizeof name, "%s/cgroup", process);
    FILE * file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char * names = strchr(line, ':');
        char * group = names ? strchr(names + 1, ':') : NULL;
        if (!group) { continue; }
        *group = '\0';
        found = *controller ? has_word(names + 1, controller, ",") : !names[1];
        if (found) { snprintf(path, PATH_MAX, "%s", group + 1); }
    }
    if (file) { fclose(file); }
    return found;
}

/* ---- the group that limits this process's memory ---- */

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

enum memory_cgroup_found memory_cgroup_find(const char * proc, struct memory_cgroup * cgroup) {
    struct mount m;
    char self[PATH_MAX];
    *cgroup = (struct memory_cgroup){ .version = 1 };
    if (!find_mount(proc, "cgroup", "memory", &m)) {
        cgroup->version = 2;
        if (!find_mount(proc, "cgroup2", NULL, &m)) { return MEMORY_CGROUP_NOT_MOUNTED; }
    }
    snprintf(cgroup->folder, PATH_MAX, "%s", m.point);
    cgroup->top = strlen(cgroup->folder);
    snprintf(self, sizeof self, "%s/self", proc);
    if (!cgroup_path(self, cgroup->version == 1 ? "memory" : "", cgroup->path)) { return MEMORY_CGROUP_NOT_NAMED; }
    const char * own = cgroup->path;
    const size_t root = strcmp(m.root, "/") == 0 ? 0 : strlen(m.root);
    const bool is_seen = strncmp(own, m.root, root) == 0 && (!own[root] || own[root] == '/') && !strstr(own, "/..");
    if (!is_seen) { return MEMORY_CGROUP_OUTSIDE; }
    const char * below = strcmp(own + root, "/") == 0 ? "" : own + root;
    if (cgroup->top + strlen(below) >= PATH_MAX) { return MEMORY_CGROUP_LONG; }
    strcpy(cgroup->folder + cgroup->top, below);
    return MEMORY_CGROUP_FOUND;
}

bool memory_cgroup_up(struct memory_cgroup * cgroup) {
    char * slash = strrchr(cgroup->folder + cgroup->top, '/');
    if (slash) { *slash = '\0'; }
    return slash;
}

/* "max", or a number; version 1 writes a number beyond all memory where there is none. */
uint64_t memory_cgroup_limit(const struct memory_cgroup * cgroup) {
    char path[PATH_MAX + 32];
    unsigned long long limit = 0;
    snprintf(path, sizeof path, "%s/%s", cgroup->folder, cgroup->version == 1 ? "memory.limit_in_bytes" : "memory.max");
    FILE * file = fopen(path, "re");
    const bool is_set = file && fscanf(file, "%llu", &limit) == 1 && limit < INT64_MAX / 2;
    if (file) { fclose(file); }
    return is_set ? limit : UINT64_MAX;
}
