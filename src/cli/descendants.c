/* SPDX-License-Identifier: MIT */
#include "cli/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/units.h"

enum { DEEPEST = 64 };

struct visit {
    void (*each)(pid_t pid, void * state);
    void * state;
    int depth;
};

static void visit_children(struct visit * visit, pid_t pid);

static void visit_task(struct visit * visit, pid_t pid, const char * task) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int) pid, task);
    FILE * file = fopen(path, "re");
    for (int child; file && fscanf(file, "%d", &child) == 1;) {
        visit->each((pid_t) child, visit->state);
        visit_children(visit, (pid_t) child);
    }
    if (file) { fclose(file); }
}

static void visit_children(struct visit * visit, pid_t pid) {
    char path[64];
    if (visit->depth == DEEPEST) { return; }
    visit->depth++;
    snprintf(path, sizeof path, "/proc/%d/task", (int) pid);
    DIR * tasks = opendir(path);
    for (const struct dirent * task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] != '.') { visit_task(visit, pid, task->d_name); }
    }
    if (tasks) { closedir(tasks); }
    visit->depth--;
}

void descendants_each(void (*each)(pid_t pid, void * state), void * state) {
    struct visit visit = { each, state, 0 };
    visit_children(&visit, getpid());
}

static bool is_entry(const char * entry, const char * name, const char * value) {
    const size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=' && strstr(entry + length + 1, value);
}

/* All of the environment by one read, in which the process cannot replace itself: between two it can, and the rest of
 * the old one is gone. The result is the caller's; NULL, and why in errno, if it cannot be read. */
static char * read_environment(pid_t pid, size_t * size) {
    enum { FIRST = 64 << 10, LARGEST = 64 << 20 };
    char path[64], *text = NULL;
    ssize_t n = -1;
    snprintf(path, sizeof path, "/proc/%d/environ", (int) pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t room = FIRST; fd >= 0 && room <= LARGEST; room *= 2) {
        char * larger = realloc(text, room + 1);
        if (!larger) { break; }
        text = larger;
        n = pread(fd, text, room, 0);
        if (n < (ssize_t) room) { break; }
    }
    const int why = errno;
    if (fd >= 0) { close(fd); }
    if (n < 0) {
        free(text);
        errno = why;
        return NULL;
    }
    text[n] = '\0'; /* room for it was kept */
    *size = (size_t) n;
    return text;
}

enum environment descendant_environment(pid_t pid, const char * name, const char * value) {
    size_t size;
    char * text = read_environment(pid, &size);
    if (!text) { return errno == ENOENT || errno == ESRCH ? ENVIRONMENT_EMPTY : ENVIRONMENT_UNSEEN; }
    enum environment found = size ? ENVIRONMENT_WITHOUT : ENVIRONMENT_EMPTY;
    for (const char * entry = text; found == ENVIRONMENT_WITHOUT && entry < text + size; entry += strlen(entry) + 1) {
        if (is_entry(entry, name, value)) { found = ENVIRONMENT_WITH; }
    }
    free(text);
    return found;
}

uid_t descendant_user(pid_t pid) {
    char path[64], line[256];
    unsigned real, effective;
    uid_t user = (uid_t) -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
    FILE * file = fopen(path, "re");
    while (file && user == (uid_t) -1 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Uid: %u %u", &real, &effective) == 2) { user = effective; }
    }
    if (file) { fclose(file); }
    return user;
}

void descendant_name(pid_t pid, char name[static DESCENDANT_NAME]) {
    char path[64], exe[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/exe", (int) pid);
    const ssize_t length = readlink(path, exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    snprintf(name, DESCENDANT_NAME, "%.*s", DESCENDANT_NAME - 1,
             length > 0 ? last_part(exe) : "another user's program");
}
