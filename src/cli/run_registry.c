/* SPDX-License-Identifier: MIT */
#include "cli/run_registry.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/state_file.h"

enum { MOST = 200, KEPT = 100, BYTES_MOST = 1 << 20 };

static int open_file(int flags, int lock) {
    char * path = state_file("runs");
    if (path && flags & O_CREAT) { state_file_folders(path); }
    const int fd = path ? open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600) : -1;
    struct stat status;
    free(path);
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || flock(fd, lock) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* All of it, or nothing where it is too large to be ours. The caller frees it. */
static char * read_all(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size > BYTES_MOST) { return NULL; }
    char * text = malloc((size_t) status.st_size + 1);
    const ssize_t size = text ? pread(fd, text, (size_t) status.st_size, 0) : -1;
    if (size < 0) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

/* A path with what would end it in a line written as "\\t", "\\n" and "\\\\". The caller frees it. */
static char * escape(const char * path) {
    char * text = malloc(2 * strlen(path) + 1);
    char * to = text;
    for (; text && *path; path++) {
        const bool is_special = *path == '\t' || *path == '\n' || *path == '\\';
        if (is_special) { *to++ = '\\'; }
        *to++ = *path == '\t' ? 't' : *path == '\n' ? 'n' : *path;
    }
    if (text) { *to = '\0'; }
    return text;
}

/* In place. */
static void unescape(char * text) {
    char * to = text;
    for (const char * from = text; *from; from++) {
        const bool is_escape = *from == '\\' && from[1] && strchr("tn\\", from[1]);
        if (is_escape) { from++; }
        *to++ = !is_escape || *from == '\\' ? *from : *from == 't' ? '\t' : '\n';
    }
    *to = '\0';
}

/* The path of the run in a line about `traces`, or NULL. Changes the line. */
static const char * run_in(char * line, const char * traces) {
    char * tab = strchr(line, '\t');
    if (!tab || tab[1] != '/') { return NULL; }
    *tab = '\0';
    unescape(line);
    unescape(tab + 1);
    return strcmp(line, traces) == 0 ? tab + 1 : NULL;
}

void registry_each(const char * traces, void (*each)(const char * run, void * state), void * state) {
    const int fd = open_file(O_RDONLY, LOCK_SH);
    char * text = fd >= 0 ? read_all(fd) : NULL;
    if (fd >= 0) { close(fd); }
    for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
        const char * run = run_in(line, traces);
        if (run) { each(run, state); }
    }
    free(text);
}

static bool has_line(const char * text, const char * line) {
    const size_t length = strlen(line); /* with its newline */
    for (const char * at = text; (at = strstr(at, line)); at += length) {
        if (at == text || at[-1] == '\n') { return true; }
    }
    return false;
}

static const char * last_lines(const char * text, unsigned count) {
    const char * at = text + strlen(text);
    while (at > text) {
        if (at[-1] == '\n' && count-- == 0) { break; }
        at--;
    }
    return at;
}

static unsigned count_lines(const char * text) {
    unsigned lines = 0;
    for (; *text; text++) { lines += *text == '\n'; }
    return lines;
}

static void add_line(int fd, const char * line) {
    char * text = read_all(fd);
    const bool is_long = !text || count_lines(text) >= MOST;
    if (text && has_line(text, line)) {
        free(text);
        return;
    }
    const char * kept = is_long && text ? last_lines(text, KEPT) : "";
    char * both = NULL;
    if (asprintf(&both, "%s%s", kept, line) > 0) {
        if ((is_long && ftruncate(fd, 0) != 0) || write(fd, both, strlen(both)) < 0) { /* then it is not remembered */
        }
        free(both);
    }
    free(text);
}

void registry_add(const char * traces, const char * run) {
    if (*run != '/') { return; }
    char *line = NULL, *beside = escape(traces), *place = escape(run);
    const int fd = open_file(O_RDWR | O_CREAT | O_APPEND, LOCK_EX);
    if (fd >= 0 && beside && place && asprintf(&line, "%s\t%s\n", beside, place) > 0) {
        add_line(fd, line);
        free(line);
    }
    if (fd >= 0) { close(fd); }
    free(beside);
    free(place);
}
