/* SPDX-License-Identifier: MIT */
#include "doctor/libraries.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 1024, INCLUDES_MAX = 4 };

/* ---- where they are ---- */

struct wanted {
    const char * name;
    char * path; /* the answer, PATH_MAX */
};

/* A folder of `length` bytes, in which $ORIGIN is that of `owner`, whose list it is in. */
static bool in_folder(const struct wanted * w, const char * owner, const char * folder, size_t length) {
    static const char * const origins[] = { "${ORIGIN}", "$ORIGIN" };
    const char * slash = strrchr(owner, '/');
    const size_t home = slash ? (size_t) (slash - owner) : 0;
    char candidate[PATH_MAX];
    int n = -1;
    for (size_t i = 0; i < 2 && n < 0; i++) {
        const size_t origin = strlen(origins[i]);
        if (length >= origin && strncmp(folder, origins[i], origin) == 0) {
            n = snprintf(candidate, sizeof candidate, "%.*s%.*s/%s", (int) home, owner, (int) (length - origin),
                         folder + origin, w->name);
        }
    }
    if (n < 0) { n = snprintf(candidate, sizeof candidate, "%.*s/%s", (int) length, folder, w->name); }
    return n > 0 && (size_t) n < sizeof candidate && length && realpath(candidate, w->path);
}

/* Folders with colons between them. */
static bool in_list(const struct wanted * w, const char * owner, const char * list) {
    for (const char * at = list; at && *at;) {
        const size_t length = strcspn(at, ":");
        if (in_folder(w, owner, at, length)) { return true; }
        at += length + (at[length] == ':');
    }
    return false;
}

/* The folders that ldconfig is told of, a line each, with `include PATTERN` for more such files. */
static bool in_configured(const struct wanted * w, const char * pattern, int depth) {
    glob_t files;
    bool found = false;
    if (depth == INCLUDES_MAX || glob(pattern, 0, NULL, &files) != 0) { return false; }
    for (size_t i = 0; i < files.gl_pathc && !found; i++) {
        FILE * file = fopen(files.gl_pathv[i], "re");
        char line[PATH_MAX];
        while (file && !found && fgets(line, sizeof line, file)) {
            line[strcspn(line, "#\n")] = '\0';
            const char * at = line + strspn(line, " \t");
            found = strncmp(at, "include ", 8) == 0 ? in_configured(w, at + 8 + strspn(at + 8, " \t"), depth + 1)
                    : *at == '/'                    ? in_folder(w, "", at, strcspn(at, " \t"))
                                                    : false;
        }
        if (file) { fclose(file); }
    }
    globfree(&files);
    return found;
}

/* As the dynamic linker has it: rpaths come before the environment, that of the library which asks, then that of the
 * one which needs it, and so on up to the program. A runpath comes after the environment and holds for the library that
 * has it; that one asks no rpath. */
static bool in_rpaths(const struct libraries * libraries, const struct wanted * w, size_t asks) {
    if (*libraries->at[asks].facts.runpath) { return false; }
    for (size_t i = asks;; i = libraries->at[i].by) {
        const struct library * at = &libraries->at[i];
        if (!*at->facts.runpath && in_list(w, at->path, at->facts.rpath)) { return true; }
        if (at->by == i) { break; }
    }
    return false;
}

static bool find(const struct libraries * libraries, const struct wanted * w, size_t asks) {
    const struct library * by = &libraries->at[asks];
    if (strchr(w->name, '/')) { return realpath(w->name, w->path) != NULL; }
    return in_rpaths(libraries, w, asks) || in_list(w, libraries->at[0].path, getenv("LD_LIBRARY_PATH")) ||
           in_list(w, by->path, by->facts.runpath) || in_configured(w, "/etc/ld.so.conf", 0) ||
           in_list(w, "", "/lib64:/usr/lib64:/lib:/usr/lib");
}

/* ---- what they need ---- */

static void add_needed(struct libraries * libraries, size_t of) {
    for (size_t i = 0; i < libraries->at[of].facts.n_needed; i++) {
        char path[PATH_MAX];
        struct tat_error unread;
        const struct wanted wanted = { libraries->at[of].facts.needed[i], path };
        const size_t before = libraries->count;
        if (find(libraries, &wanted, of)) {
            libraries_add(libraries, path, false, &unread);
            if (libraries->count > before) { libraries->at[before].by = of; }
        } else if (!*libraries->missing) {
            snprintf(libraries->missing, sizeof libraries->missing, "%s", wanted.name);
        }
    }
}

int libraries_add(struct libraries * libraries, const char * path, bool follow, struct tat_error * error) {
    for (size_t i = 0; i < libraries->count; i++) {
        if (strcmp(libraries->at[i].path, path) == 0) { return 0; }
    }
    if (libraries->count == LIBRARIES_MAX) { return tat_fail(error, TAT_ERROR_INPUT, "%s: too many libraries", path); }
    if (!libraries->at && !(libraries->at = calloc(LIBRARIES_MAX, sizeof *libraries->at))) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    const size_t first = libraries->count;
    struct library * added = &libraries->at[first];
    const int kind = elf_facts_read(path, &added->facts, error);
    if (kind != 0) { return kind; }
    added->by = 0; /* what the program loads later, too, may be found by the program's rpath */
    added->path = strdup(path);
    if (!added->path) {
        elf_facts_free(&added->facts);
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    libraries->count++;
    for (size_t i = first; follow && i < libraries->count; i++) { add_needed(libraries, i); }
    return 0;
}

void libraries_free(struct libraries * libraries) {
    for (size_t i = 0; i < libraries->count; i++) {
        free(libraries->at[i].path);
        elf_facts_free(&libraries->at[i].facts);
    }
    free(libraries->at);
    memset(libraries, 0, sizeof *libraries);
}
