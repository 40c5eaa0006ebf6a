/* SPDX-License-Identifier: MIT */
#include "pressure/memory_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pressure/memory_place.h"
#include "pressure/reaper.h"

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

/* ---- names ---- */

/* Of a process: its number, and when it started, as numbers are used again. */
struct owner {
    int pid;
    unsigned long long started; /* clock ticks since the system started */
    unsigned long numbers;      /* the namespace that its number is from */
};

#define OWNER_NAME "tat-%d-%llu-%lu"

static bool find_start(int pid, unsigned long long * started) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE * file = fopen(path, "re");
    const char * rest = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL; /* behind any name */
    const bool found = rest && sscanf(rest,
                                      ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                                      "%*s %*s %llu",
                                      started) == 1;
    if (file) { fclose(file); }
    return found;
}

static bool find_self(struct owner * self) {
    struct stat numbers;
    self->pid = (int) getpid();
    if (stat("/proc/self/ns/pid", &numbers) != 0) { return false; }
    self->numbers = (unsigned long) numbers.st_ino;
    return find_start(self->pid, &self->started);
}

/* Of other users' processes there may be nothing to see in /proc. */
static bool has_ended(const struct owner * owner) {
    unsigned long long started;
    if (kill(owner->pid, 0) != 0 && errno == ESRCH) { return true; }
    return find_start(owner->pid, &started) && started != owner->started;
}

/* Groups without processes whose owners have ended: both the owner and its reaper were killed. */
static void sweep(const char * parent, const struct owner * self) {
    DIR * entries = opendir(parent);
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        struct owner owner;
        char name[128], path[PATH_MAX];
        if (sscanf(entry->d_name, OWNER_NAME, &owner.pid, &owner.started, &owner.numbers) != 3) { continue; }
        snprintf(name, sizeof name, OWNER_NAME, owner.pid, owner.started, owner.numbers);
        const bool is_ours = strcmp(name, entry->d_name) == 0 && owner.numbers == self->numbers;
        if (!is_ours || !has_ended(&owner)) { continue; }
        if (snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) < PATH_MAX) { reaper_remove(path); }
    }
    if (entries) { closedir(entries); }
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

/* The folder, and who removes it. */
static int make(struct memory_group * g, struct tat_error * error) {
    struct memory_place place;
    struct owner self;
    if (memory_place_find("/proc", &place, error) != 0) { return -1; }
    if (!find_self(&self)) { return tat_fail_errno(error, "/proc/self"); }
    sweep(place.folder, &self);
    g->version = place.version;
    if (snprintf(g->folder, sizeof g->folder, "%s/" OWNER_NAME, place.folder, self.pid, self.started, self.numbers) >=
        (int) sizeof g->folder) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "the path of the cgroup %.200s... is too long", place.folder);
    }
    if (mkdir(g->folder, 0755) != 0) { return tat_fail_errno(error, "cannot make the cgroup %s", g->folder); }
    if (reaper_start(g->folder, &g->reaper) == 0) { return 0; }
    tat_fail_errno(error, "cannot start the process that removes the cgroup");
    reaper_remove(g->folder);
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
    reaper_release(&g->reaper, reaper_remove(g->folder) == 0);
    free(g);
}
