/* SPDX-License-Identifier: MIT */
#include "leftover/owner.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "leftover/reaper.h"

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

static void print(char name[static OWNER_NAME_SIZE], const struct owner * owner) {
    snprintf(name, OWNER_NAME_SIZE, OWNER_NAME, owner->pid, owner->started, owner->numbers);
}

int owner_name(char name[static OWNER_NAME_SIZE]) {
    struct owner self;
    if (!find_self(&self)) { return -1; }
    print(name, &self);
    return 0;
}

static bool is_left(const char * entry, const struct owner * self) {
    struct owner owner;
    char name[OWNER_NAME_SIZE];
    if (sscanf(entry, OWNER_NAME, &owner.pid, &owner.started, &owner.numbers) != 3) { return false; }
    print(name, &owner);
    return strcmp(name, entry) == 0 && owner.numbers == self->numbers && has_ended(&owner);
}

void owner_sweep(const char * parent, bool is_nested) {
    struct owner self;
    DIR * entries = find_self(&self) ? opendir(parent) : NULL;
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        char path[PATH_MAX];
        if (!is_left(entry->d_name, &self)) { continue; }
        if (snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) >= PATH_MAX) { continue; }
        reaper_remove(&(struct reaped){ .folder = path, .is_nested = is_nested, .kept = -1 });
    }
    if (entries) { closedir(entries); }
}
