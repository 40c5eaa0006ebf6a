/* SPDX-License-Identifier: MIT */
#include "agent/model_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apart.h"
#include "agent/events.h"
#include "tat/format.h"
#include "tat/gguf.h"

enum { OTHERS_MAX = 256 };

static struct model_file {
    struct file_identity identity;
    uint64_t header_hash;
    uint32_t model; /* index in models[] */
    uint32_t part;  /* index among the model's files */
} files[MODEL_FILES_MAX];
static uint32_t n_files;

static struct tat_gguf * models[MODEL_FILES_MAX]; /* NULL: not opened, because the file is gone or not GGUF */
static uint32_t n_models;

/* Files that were looked at and are not models; the oldest is forgotten first. */
static struct file_identity others[OTHERS_MAX];
static uint32_t n_others;

struct file_identity file_identity(const struct stat * s) {
    return (struct file_identity){ .device = s->st_dev,
                                   .inode = s->st_ino,
                                   .size = (uint64_t) s->st_size,
                                   .mtime_ns = (int64_t) s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec };
}

bool file_is_same(const struct file_identity * a, const struct file_identity * b) {
    return a->inode == b->inode && a->device == b->device && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static uint32_t number_of(const struct file_identity * identity) {
    for (uint32_t i = n_files; i-- > 0;) {
        if (file_is_same(&files[i].identity, identity)) { return i + 1; }
    }
    return 0;
}

static bool is_other(const struct file_identity * identity) {
    for (uint32_t i = 0; i < n_others && i < OTHERS_MAX; i++) {
        if (file_is_same(&others[i], identity)) { return true; }
    }
    return false;
}

static void add_file(const struct tat_gguf_file * f, const char * name, uint32_t part, const struct tat_gguf * gguf,
                     enum tat_part holds) {
    const struct file_identity identity = { f->device, f->inode, f->size, f->mtime_ns };
    struct tat_gguf_file told = *f;
    told.path = name;
    files[n_files++] = (struct model_file){ identity, f->header_hash, n_models, part };
    event_model_file(n_files, n_models + 1, part, &told, gguf ? tat_gguf_hash(gguf) : 0, holds,
                     gguf ? tat_gguf_params(gguf)->architecture : "");
}

/* ---- opening ---- */

struct opening {
    const char * path;
    struct tat_gguf * gguf;
};

static void open_apart(void * argument, bool apart) {
    struct opening * o = argument;
    o->gguf = tat_gguf_open(o->path, TAT_GGUF_TOLERANT | (apart ? 0 : TAT_GGUF_LEAVE_OPEN), NULL);
}

/* The trace says how much the tracer itself read, so that it does not count as the host's. */
static struct tat_gguf * open_model(const char * path) {
    struct opening o = { .path = path };
    struct tat_gguf_io was, is;
    tat_gguf_io(&was);
    apart_do(open_apart, &o);
    tat_gguf_io(&is);
    if (is.read > was.read) {
        event_values(TAT_EVENT_OWN_READ, is.read - was.read, (int64_t) (is.fetched - was.fetched));
    }
    return o.gguf;
}

/* True for the same file with the same header, as when somebody touched it or copied it onto itself. */
static bool is_known(const struct tat_gguf_file * f) {
    for (uint32_t i = 0; i < n_files; i++) {
        struct model_file * known = &files[i];
        if (known->identity.inode != f->inode || known->identity.device != f->device ||
            known->identity.size != f->size || known->header_hash != f->header_hash) {
            continue;
        }
        known->identity.mtime_ns = f->mtime_ns;
        return true;
    }
    return false;
}

static void add_model(const char * path, const char * name) {
    struct tat_gguf * gguf = open_model(path);
    if (!gguf) { return; }
    uint32_t count, known = 0;
    const struct tat_gguf_file * parts = tat_gguf_files(gguf, &count);
    for (uint32_t i = 0; i < count; i++) { known += is_known(&parts[i]); }
    if (known == count) {
        tat_gguf_close(gguf);
        return;
    }
    for (uint32_t i = 0; i < count && n_files < MODEL_FILES_MAX; i++) {
        add_file(&parts[i], count == 1 ? name : parts[i].path, i, gguf, tat_gguf_part(gguf));
    }
    models[n_models++] = gguf;
}

uint32_t model_file_at(const char * path, const char * name, const struct file_identity * identity) {
    uint32_t number = number_of(identity);
    if (number || is_other(identity) || n_models == MODEL_FILES_MAX || n_files == MODEL_FILES_MAX) { return number; }
    add_model(path, name);
    number = number_of(identity);
    if (!number) { others[n_others++ % OTHERS_MAX] = *identity; }
    return number;
}

static uint32_t add_closed(const char * name, const struct file_identity * identity, enum tat_part holds) {
    const uint32_t number = number_of(identity);
    if (number || n_models == MODEL_FILES_MAX || n_files == MODEL_FILES_MAX) { return number; }
    const struct tat_gguf_file file = {
        .device = identity->device, .inode = identity->inode, .size = identity->size, .mtime_ns = identity->mtime_ns
    };
    add_file(&file, name, 0, NULL, holds);
    models[n_models++] = NULL;
    return n_files;
}

uint32_t model_file_gone(const char * name, const struct file_identity * identity) {
    return add_closed(name, identity, TAT_PART_UNKNOWN);
}

uint32_t model_file_foreign(const char * name, const struct file_identity * identity) {
    return add_closed(name, identity, TAT_PART_FOREIGN);
}

/* Looks in one model. */
static uint32_t find_tensor(uint32_t model, const char * name, int32_t type, uint64_t bytes, uint64_t * offset) {
    const struct tat_gguf_tensor * t = models[model] ? tat_gguf_find(models[model], name) : NULL;
    if (!t || t->type != (uint32_t) type || t->bytes != bytes) { return 0; }
    for (uint32_t f = 0; f < n_files; f++) {
        if (files[f].model == model && files[f].part == t->file) {
            *offset = t->file_offset;
            return f + 1;
        }
    }
    return 0;
}

uint32_t model_files_tensor(const struct file_identity * first, const char * name, int32_t type, uint64_t bytes,
                            uint64_t * offset) {
    const uint32_t known = first->inode ? number_of(first) : 0;
    uint32_t file = known ? find_tensor(files[known - 1].model, name, type, bytes, offset) : 0;
    for (uint32_t i = 0; i < n_models && !file; i++) { file = find_tensor(i, name, type, bytes, offset); }
    return file;
}

uint32_t model_files_direction(unsigned layer, int32_t type, uint64_t bytes, uint64_t * offset, char * name,
                               size_t size) {
    uint32_t found = 0;
    snprintf(name, size, "direction.%u", layer);
    for (uint32_t i = 0; i < n_models; i++) {
        if (!models[i] || tat_gguf_part(models[i]) != TAT_PART_CONTROL_VECTOR) { continue; }
        const uint32_t file = find_tensor(i, name, type, bytes, offset);
        if (file && found) { return 0; }
        if (file) { found = file; }
    }
    if (!found) { *name = '\0'; }
    return found;
}

void model_files_after_fork(void) {
    n_files = n_models = n_others = 0; /* the child's trace numbers them anew; the memory is small, and left */
}
