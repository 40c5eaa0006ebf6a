/* SPDX-License-Identifier: MIT */
#include "pressure/memory_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "leftover/owner.h"
#include "leftover/reaper.h"
#include "pressure/memory_place.h"

struct memory_group {
    unsigned version;
    uint64_t limit;
    bool no_swap;
    struct reaper reaper;
    char folder[PATH_MAX];
};

/* ---- files of a group ---- */

enum { VALUE = 32 };

static int write_value(const char * folder, const char * name, uint64_t value) {
    char path[PATH_MAX + 64], text[VALUE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) { return -1; }
    const int length = snprintf(text, sizeof text, "%" PRIu64, value);
    const ssize_t n = write(fd, text, (size_t) length);
    const int why = errno;
    close(fd);
    errno = why;
    return n == length ? 0 : -1;
}

/* The number behind `key` in a file of "key number" lines; with NULL, the only number. 0: there is none. */
static uint64_t read_value(const char * folder, const char * name, const char * key) {
    char path[PATH_MAX + 64], line[128];
    uint64_t value = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const size_t n = key ? strlen(key) : 0;
        if (key && (strncmp(line, key, n) != 0 || line[n] != ' ')) { continue; }
        value = strtoull(line + n, NULL, 10);
        break;
    }
    if (file) { fclose(file); }
    return value;
}

/* ---- limits ---- */

static bool has_swap(void) {
    char line[256];
    FILE * file = fopen("/proc/swaps", "re");
    const bool has = file && fgets(line, sizeof line, file) && fgets(line, sizeof line, file);
    if (file) { fclose(file); }
    return has;
}

/* Kernels without accounting for swap have no file for it. */
static bool forbid_swap(const struct memory_group * g) {
    if (g->version == 2) { return write_value(g->folder, "memory.swap.max", 0) == 0 || !has_swap(); }
    write_value(g->folder, "memory.swappiness", 0);
    return write_value(g->folder, "memory.memsw.limit_in_bytes", g->limit) == 0 || !has_swap();
}

static int limit(struct memory_group * g, struct tat_error * error) {
    const char * name = g->version == 2 ? "memory.max" : "memory.limit_in_bytes";
    if (write_value(g->folder, name, g->limit) != 0) { return tat_fail_errno(error, "%s/%s", g->folder, name); }
    g->no_swap = forbid_swap(g);
    return 0;
}

static struct reaped reaped_group(const struct memory_group * g) {
    return (struct reaped){ .folder = g->folder, .is_nested = true, .kept = -1 };
}

/* The folder, and who removes it. */
static int make(struct memory_group * g, struct tat_error * error) {
    struct memory_place place;
    char name[OWNER_NAME_SIZE];
    if (memory_place_find("/proc", &place, error) != 0) { return -1; }
    if (owner_name(name) != 0) { return tat_fail_errno(error, "/proc/self"); }
    owner_sweep(place.folder, true);
    g->version = place.version;
    if (place.limit < g->limit) { g->limit = place.limit; }
    if (snprintf(g->folder, sizeof g->folder, "%s/%s", place.folder, name) >= (int) sizeof g->folder) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "the path of the cgroup %.200s... is too long", place.folder);
    }
    if (mkdir(g->folder, 0755) != 0) { return tat_fail_errno(error, "cannot make the cgroup %s", g->folder); }
    const struct reaped group = reaped_group(g);
    if (reaper_start(&group, &g->reaper) == 0) { return 0; }
    tat_fail_errno(error, "cannot start the process that removes the cgroup");
    reaper_remove(&group);
    return -1;
}

struct memory_group * memory_group_make(uint64_t bytes, struct tat_error * error) {
    struct memory_group * g = calloc(1, sizeof *g);
    if (!g) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    g->limit = bytes;
    if (make(g, error) != 0) {
        free(g);
        return NULL;
    }
    if (limit(g, error) == 0) { return g; }
    memory_group_end(g);
    return NULL;
}

int memory_group_enter(const struct memory_group * g, pid_t pid, struct tat_error * error) {
    if (write_value(g->folder, "cgroup.procs", (uint64_t) pid) == 0) { return 0; }
    return tat_fail_errno(error, "the program cannot enter the cgroup %s", g->folder);
}

void memory_group_read(const struct memory_group * g, struct tat_run_memory * m) {
    const bool is_v2 = g->version == 2;
    *m = (struct tat_run_memory){ .limit = g->limit, .cgroup = g->version, .no_swap = g->no_swap };
    m->peak = read_value(g->folder, is_v2 ? "memory.peak" : "memory.max_usage_in_bytes", NULL);
    m->oom_kills = read_value(g->folder, is_v2 ? "memory.events" : "memory.oom_control", "oom_kill");
    m->major_faults = read_value(g->folder, "memory.stat", is_v2 ? "pgmajfault" : "total_pgmajfault");
    m->refaulted_pages =
        read_value(g->folder, "memory.stat", is_v2 ? "workingset_refault_file" : "total_workingset_refault_file");
}

void memory_group_end(struct memory_group * g) {
    if (!g) { return; }
    const struct reaped group = reaped_group(g);
    reaper_release(&g->reaper, reaper_remove(&group) == 0);
    free(g);
}
