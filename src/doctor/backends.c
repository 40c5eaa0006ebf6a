/* SPDX-License-Identifier: MIT */
#include "doctor/backends.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char PREFIX[] = "libggml-";

/* Wheels have libraries whose names end in a dash and eight digits of their hash (auditwheel): "cpu-684d824a" is "cpu",
 * and "684d824a" was "libggml.so", which is no backend. */
static size_t without_hash(const char * name, size_t length) {
    enum { DIGITS = 8 };
    if (length < DIGITS || strspn(name + length - DIGITS, "0123456789abcdef") < DIGITS) { return length; }
    if (length == DIGITS) { return 0; }
    return name[length - DIGITS - 1] == '-' ? length - DIGITS - 1 : length;
}

/* "blas" of ".../libggml-blas.so.1": its beginning, and its length; 0 if the file is none. */
static size_t backend_name(const char * path, const char ** name) {
    const char * slash = strrchr(path, '/');
    const char * file = slash ? slash + 1 : path;
    if (strncmp(file, PREFIX, sizeof PREFIX - 1) != 0) { return 0; }
    *name = file + sizeof PREFIX - 1;
    const char * end = strstr(*name, ".so");
    return end ? without_hash(*name, (size_t) (end - *name)) : 0;
}

static bool is_cpu(const char * name, size_t length) {
    return length >= 3 && strncmp(name, "cpu", 3) == 0 && (length == 3 || name[3] == '-');
}

bool backend_is_cpu(const char * path) {
    const char * name = NULL;
    const size_t length = backend_name(path, &name);
    return is_cpu(name, length);
}

bool backend_elsewhere(const char * path, char * name, size_t size) {
    const char * found = NULL;
    const size_t length = backend_name(path, &found);
    if (length == 0 || is_cpu(found, length) || (length == 4 && strncmp(found, "base", 4) == 0)) { return false; }
    snprintf(name, size, "%.*s", (int) length, found);
    return true;
}

void backends_beside(const char * file, void (*each)(const char * path, void * state), void * state) {
    const char * slash = strrchr(file, '/');
    char folder[PATH_MAX], path[PATH_MAX];
    const int n = snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - file) + 1 : 2, slash ? file : "./");
    DIR * dir = n > 0 && (size_t) n < sizeof folder ? opendir(folder) : NULL;
    if (!dir) { return; }
    for (struct dirent * entry; (entry = readdir(dir));) {
        const char * name;
        if (backend_name(entry->d_name, &name) == 0) { continue; }
        const int length = snprintf(path, sizeof path, "%s%s", folder, entry->d_name);
        if (length > 0 && (size_t) length < sizeof path) { each(path, state); }
    }
    closedir(dir);
}
