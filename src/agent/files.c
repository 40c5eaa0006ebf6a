/* SPDX-License-Identifier: MIT */
#include "agent/files.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/events.h"
#include "tat/gguf.h"

enum { FILES_MAX = 256, MAPPINGS_MAX = 1024, NOTED_MAX = 64 };

static struct model_file {
    char * path;
    uint64_t device, inode;
    uint32_t model; /* index in models[] */
    uint32_t part;  /* index among the model's files */
} files[FILES_MAX];
static unsigned n_files;

static struct tat_gguf * models[FILES_MAX];
static unsigned n_models;

/* As /proc/self/maps had them at the last refresh, and at the one before: an address can be mapped anew. */
struct mapping {
    uint64_t from, to, offset;
    uint32_t file; /* index in files[] */
};
static struct mapping mappings[MAPPINGS_MAX], earlier[MAPPINGS_MAX];
static unsigned n_mappings, n_earlier;

/* Paths the host opened, not looked at yet. */
static pthread_mutex_t noted_lock = PTHREAD_MUTEX_INITIALIZER;
static char * noted[NOTED_MAX];
static unsigned n_noted;

static const struct model_file * file_with(uint64_t device, uint64_t inode) {
    for (unsigned i = 0; i < n_files; i++) {
        if (files[i].inode == inode && files[i].device == device) { return &files[i]; }
    }
    return NULL;
}

/* Opens a model and numbers its files. */
static void add_model(const char * path) {
    struct stat status;
    if (stat(path, &status) != 0 || file_with(status.st_dev, status.st_ino) || n_models == FILES_MAX) { return; }
    struct tat_gguf * gguf = tat_gguf_open(path, TAT_GGUF_TOLERANT, NULL);
    if (!gguf) { return; }
    uint32_t count;
    const struct tat_gguf_file * parts = tat_gguf_files(gguf, &count);
    for (uint32_t part = 0; part < count && n_files < FILES_MAX; part++) {
        files[n_files] = (struct model_file){
            .path = strdup(parts[part].path),
            .device = parts[part].device,
            .inode = parts[part].inode,
            .model = n_models,
            .part = part,
        };
        n_files++;
        event_model_file(n_files, n_models + 1, part, &parts[part], tat_gguf_hash(gguf), tat_gguf_part(gguf),
                         tat_gguf_params(gguf)->architecture);
    }
    models[n_models++] = gguf;
}

bool files_note(const char * path) {
    char real[PATH_MAX];
    const int error = errno;
    const bool there = path && realpath(path, real);
    errno = error;
    if (!there) { return false; }
    pthread_mutex_lock(&noted_lock);
    bool known = n_noted == NOTED_MAX;
    for (unsigned i = 0; i < n_noted && !known; i++) { known = strcmp(noted[i], real) == 0; }
    if (!known) { noted[n_noted++] = strdup(real); }
    pthread_mutex_unlock(&noted_lock);
    return !known;
}

static void add_noted(void) {
    pthread_mutex_lock(&noted_lock);
    const unsigned count = n_noted;
    pthread_mutex_unlock(&noted_lock);
    for (unsigned i = 0; i < count; i++) {
        if (noted[i]) { add_model(noted[i]); }
    }
}

static void add_mapping(uint64_t from, uint64_t to, uint64_t offset, const struct model_file * file) {
    if (n_mappings == MAPPINGS_MAX) { return; }
    const struct mapping now = { from, to, offset, (uint32_t) (file - files) };
    mappings[n_mappings++] = now;
    for (unsigned i = 0; i < n_earlier; i++) {
        const struct mapping * m = &earlier[i];
        if (m->from == from && m->to == to && m->offset == offset && m->file == now.file) { return; }
    }
    event_mapping(now.file + 1, from, to - from, offset);
}

static bool is_gguf(const char * path) {
    char magic[4] = "";
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) { return false; }
    FILE * file = fopen(path, "re");
    if (!file) { return false; }
    const bool is = fread(magic, 1, sizeof magic, file) == sizeof magic && memcmp(magic, "GGUF", 4) == 0;
    fclose(file);
    return is;
}

/* One line of /proc/self/maps: an executable piece is a library's, an unnamed one no file's. */
static void read_mapping(const char * line) {
    uint64_t from, to, offset, inode;
    unsigned major_number, minor_number;
    char mode[5];
    int path_at = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &from, &to, mode, &offset,
               &major_number, &minor_number, &inode, &path_at) < 7 ||
        inode == 0 || mode[2] == 'x' || line[path_at] != '/') {
        return;
    }
    const uint64_t device = makedev(major_number, minor_number);
    const struct model_file * file = file_with(device, inode);
    if (!file && is_gguf(line + path_at)) {
        add_model(line + path_at);
        file = file_with(device, inode);
    }
    if (file) { add_mapping(from, to, offset, file); }
}

static void read_mappings(void) {
    FILE * maps = fopen("/proc/self/maps", "re");
    if (!maps) { return; }
    memcpy(earlier, mappings, sizeof mappings);
    n_earlier = n_mappings;
    n_mappings = 0;
    char * line = NULL;
    size_t size = 0;
    while (getline(&line, &size, maps) > 0) {
        line[strcspn(line, "\n")] = '\0';
        read_mapping(line);
    }
    free(line);
    fclose(maps);
}

void files_refresh(void) {
    add_noted();
    read_mappings();
}

static struct file_place find_mapped(const void * address) {
    const uint64_t at = (uint64_t) (uintptr_t) address;
    for (unsigned i = 0; i < n_mappings; i++) {
        const struct mapping * m = &mappings[i];
        if (m->from <= at && at < m->to) {
            return (struct file_place){ .file = m->file + 1, .offset = m->offset + (at - m->from), .mapped = true };
        }
    }
    return (struct file_place){ 0 };
}

static struct file_place find_in(unsigned model, const char * name, int32_t type, uint64_t bytes) {
    const struct tat_gguf_tensor * t = tat_gguf_find(models[model], name);
    if (!t || t->type != (uint32_t) type || t->bytes != bytes) { return (struct file_place){ 0 }; }
    for (unsigned f = 0; f < n_files; f++) {
        if (files[f].model == model && files[f].part == t->file) {
            return (struct file_place){ .file = f + 1, .offset = t->file_offset };
        }
    }
    return (struct file_place){ 0 };
}

/* A tensor that is not mapped was copied out of the file; repacking keeps its name, type and shape. */
static struct file_place find_named(const char * name, int32_t type, uint64_t bytes) {
    struct file_place place = { 0 };
    for (unsigned i = 0; i < n_models && !place.file; i++) { place = find_in(i, name, type, bytes); }
    return place;
}

struct file_place files_find_direction(unsigned layer, int32_t type, uint64_t bytes, char * name, size_t size) {
    struct file_place found = { 0 };
    snprintf(name, size, "direction.%u", layer);
    for (unsigned i = 0; i < n_models; i++) {
        if (tat_gguf_part(models[i]) != TAT_PART_CONTROL_VECTOR) { continue; }
        const struct file_place place = find_in(i, name, type, bytes);
        if (place.file && found.file) { return (struct file_place){ 0 }; }
        if (place.file) { found = place; }
    }
    return found;
}

struct file_place files_find(const void * address, const char * name, int32_t type, uint64_t bytes) {
    const struct file_place place = find_mapped(address);
    return place.file ? place : find_named(name, type, bytes);
}

void files_after_fork(void) {
    pthread_mutex_init(&noted_lock, NULL);
    n_files = n_models = n_mappings = 0; /* the child's trace numbers them anew; the memory is small and stays */
}
