/* SPDX-License-Identifier: MIT */
#include "cli/plan_kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/disk_kept.h"
#include "analysis/state_file.h"
#include "cli/model_arguments.h"
#include "cli/places.h"
#include "cli/state_json.h"

enum {
    PLAN_MOST = 1 << 20, /* bytes: without pieces it is some KiB */
    KEPT_MOST = 64,      /* plans */
    NAME_SIZE = 64,
};

/* ---- what it is for ---- */

static json_t * file_json(const char * path) {
    struct stat s;
    if (stat(path, &s) != 0) { return NULL; }
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "path", path, "bytes", (json_int_t) s.st_size, "mtime_ns",
                     (json_int_t) s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec, "inode", (json_int_t) s.st_ino,
                     "device", (json_int_t) s.st_dev);
}

/* When the disk under a file was measured. */
static json_int_t disk_measured_at(const char * path) {
    struct stat s;
    char name[DISK_NAME_SIZE];
    json_t * kept = stat(path, &s) == 0 ? disk_kept(disk_name(s.st_dev, name)) : NULL;
    const json_int_t at = json_integer_value(json_object_get(kept, "measured"));
    json_decref(kept);
    return at;
}

static json_int_t context_of(const json_t * options) {
    const char * variable = getenv("LLAMA_ARG_CTX_SIZE");
    const json_t * given = json_object_get(options, "n_ctx");
    return given ? json_integer_value(given) : variable ? strtoll(variable, NULL, 10) : 0;
}

/* Of a program of llama.cpp's what changes how a token is computed or where weights are; of others all arguments. */
static json_t * options_json(char ** command, json_t * options) {
    static const char * const names[] = { "n_threads", "n_ubatch",   "n_parallel",   "type_k",
                                          "type_v",    "flash_attn", "n_gpu_layers", "load_mode",
                                          "use_mmap",  "use_mlock",  "repack" };
    json_t * all = options ? json_object() : json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names && options; i++) {
        json_t * value = json_object_get(options, names[i]);
        if (value) { json_object_set(all, names[i], value); }
    }
    const char * threads = options ? getenv("LLAMA_ARG_THREADS") : NULL;
    if (threads) { json_object_set_new(all, "LLAMA_ARG_THREADS", json_string(threads)); }
    for (size_t i = 1; command[i] && !options; i++) { json_array_append_new(all, json_string(command[i])); }
    return all;
}

json_t * plan_kept_key(char ** command, uint64_t memory, uint64_t disk_rate) {
    struct model_arguments models;
    char program[PATH_MAX];
    model_arguments_find(command, &models);
    json_t *files = json_array(), *key = NULL;
    for (size_t i = 0; i < models.count; i++) { json_array_append_new(files, file_json(models.files[i])); }
    if (models.count && json_array_size(files) == models.count && memory && memory <= INT64_MAX &&
        places_program(command[0], program) == 0 && disk_rate <= INT64_MAX) {
        json_t * options = model_arguments_options(command);
        key = json_pack("{s:i, s:O, s:s, s:o, s:I, s:I, s:I, s:I}", "version", 1, "model_files", files, "program",
                        program, "options", options_json(command, options), "context", context_of(options),
                        "memory_bytes", (json_int_t) memory, "disk_measured", disk_measured_at(models.files[0]),
                        "disk_rate", (json_int_t) disk_rate);
        json_decref(options);
    }
    json_decref(files);
    model_arguments_free(&models);
    return key;
}

/* ---- where ---- */

/* FNV-1a: a name, no secret. */
static uint64_t hash_of(const json_t * json) {
    uint64_t hash = 0xcbf29ce484222325u;
    char * text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    for (const char * c = text; c && *c; c++) { hash = (hash ^ (unsigned char) *c) * 0x100000001b3u; }
    free(text);
    return hash;
}

/* False: the user has no such folder. */
static bool folder_of(char path[static PATH_MAX]) {
    char * folder = cache_file("plans");
    const bool fits = folder && snprintf(path, PATH_MAX, "%s", folder) < PATH_MAX - NAME_SIZE;
    free(folder);
    return fits;
}

/* Those of one model begin alike. */
static void begin_of(const json_t * key, char name[static NAME_SIZE]) {
    snprintf(name, NAME_SIZE, "%016" PRIx64 "-", hash_of(json_object_get(key, "model_files")));
}

static void name_of(const json_t * key, char name[static NAME_SIZE]) {
    begin_of(key, name);
    snprintf(name + strlen(name), NAME_SIZE - strlen(name), "%016" PRIx64 ".json", hash_of(key));
}

/* ---- reading ---- */

/* A regular file of the user's own, which nobody else could write. */
static json_t * read_plan(const char * folder, const char * name) {
    char path[PATH_MAX];
    struct stat s;
    json_t * plan = NULL;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_MAX) { return NULL; }
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) { return NULL; }
    const bool good = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
                      !(s.st_mode & (S_IWGRP | S_IWOTH)) && s.st_size > 0 && s.st_size <= PLAN_MOST;
    char * text = good ? malloc((size_t) s.st_size) : NULL;
    if (text && read(fd, text, (size_t) s.st_size) == s.st_size) {
        plan = json_loadb(text, (size_t) s.st_size, JSON_REJECT_DUPLICATES, NULL);
    }
    free(text);
    close(fd);
    return plan;
}

static const json_t * key_of(const json_t * plan) {
    return json_object_get(plan, "made_for");
}

json_t * plan_kept_find(const json_t * key) {
    char folder[PATH_MAX], name[NAME_SIZE];
    if (!key || !folder_of(folder)) { return NULL; }
    name_of(key, name);
    json_t * plan = read_plan(folder, name);
    if (plan && json_equal(key_of(plan), key)) { return plan; }
    json_decref(plan);
    return NULL;
}

static bool is_alike(const json_t * key, const json_t * other) {
    static const char * const names[] = {
        "version", "model_files", "program", "options", "disk_measured", "disk_rate"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!json_equal(json_object_get(key, names[i]), json_object_get(other, names[i]))) { return false; }
    }
    return true;
}

static double memory_of(const json_t * key) {
    return (double) json_integer_value(json_object_get(key, "memory_bytes"));
}

json_t * plan_kept_find_alike(const json_t * key) {
    char folder[PATH_MAX], begin[NAME_SIZE];
    json_t * nearest = NULL;
    if (!key || !folder_of(folder)) { return NULL; }
    begin_of(key, begin);
    DIR * entries = opendir(folder);
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        if (strncmp(entry->d_name, begin, strlen(begin)) != 0) { continue; }
        json_t * plan = read_plan(folder, entry->d_name);
        const double far = fabs(memory_of(key_of(plan)) - memory_of(key));
        const bool better = plan && is_alike(key, key_of(plan)) &&
                            (!nearest || far < fabs(memory_of(key_of(nearest)) - memory_of(key)));
        json_t * other = better ? nearest : plan;
        if (better) { nearest = plan; }
        json_decref(other);
    }
    if (entries) { closedir(entries); }
    return nearest;
}

/* ---- keeping ---- */

/* The oldest of those above the most; several at once only if somebody puts some there. */
static void drop_oldest(const char * folder) {
    char path[PATH_MAX], oldest[PATH_MAX] = "";
    struct stat s;
    time_t since = 0;
    unsigned count = 0;
    DIR * entries = opendir(folder);
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        const size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".json") != 0 ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= PATH_MAX || lstat(path, &s) != 0) {
            continue;
        }
        if (count++ == 0 || s.st_mtime < since) {
            since = s.st_mtime;
            strcpy(oldest, path);
        }
    }
    if (entries) { closedir(entries); }
    if (count > KEPT_MOST) { unlink(oldest); }
}

int plan_kept_put(const json_t * key, const json_t * plan, struct tat_error * error) {
    static const char * const large[] = { "pieces", "pin_list" };
    char folder[PATH_MAX], name[NAME_SIZE], path[PATH_MAX + NAME_SIZE];
    if (!key) { return tat_fail(error, TAT_ERROR_NO, "the command names no model file"); }
    if (!folder_of(folder)) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "no folder to keep it in: set XDG_CACHE_HOME or HOME");
    }
    name_of(key, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t * kept = json_copy((json_t *) plan);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) { json_object_del(kept, large[i]); }
    json_object_set(kept, "made_for", (json_t *) key);
    const int status = kept ? state_json_keep(path, kept, error) : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    json_decref(kept);
    if (status == 0) { drop_oldest(folder); }
    return status;
}

/* ---- between two sizes of memory ---- */

struct point {
    double budget, ns;
};

/* Of rows that say how many tokens a second. */
static bool point_of(const json_t * row, struct point * p) {
    const double rate = json_number_value(json_object_get(row, "tokens_per_second"));
    p->budget = json_number_value(json_object_get(row, "budget_bytes"));
    p->ns = rate > 0 ? 1e9 / rate : 0;
    return isfinite(rate) && rate > 0 && isfinite(p->budget) && p->budget > 0 && isfinite(p->ns);
}

double plan_kept_rate(const json_t * plan, uint64_t budget) {
    const json_t *rows = json_object_get(json_object_get(json_object_get(plan, "tables"), "memory"), "rows"), *row;
    const double at = (double) budget;
    struct point below = { 0 }, above = { 0 }, p;
    size_t i;
    json_array_foreach(rows, i, row) {
        if (!point_of(row, &p)) { continue; }
        if (p.budget <= at && p.budget > below.budget) { below = p; }
        if (p.budget >= at && (!(above.budget > 0) || p.budget < above.budget)) { above = p; }
    }
    if (!(below.budget > 0) || !(above.budget > 0)) { return 0; }
    const double far = above.budget - below.budget, share = far > 0 ? (at - below.budget) / far : 0;
    const double ns = below.ns + share * (above.ns - below.ns);
    return ns > 0 ? 1e9 / ns : 0;
}
