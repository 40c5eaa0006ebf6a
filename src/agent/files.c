/* SPDX-License-Identifier: MIT */
#include "agent/files.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/mappings.h"
#include "agent/model_files.h"

enum { NOTED_MAX = 64, BUFFERS_MAX = 256 };

/* ---- files the host opened ---- */

struct noted {
    char * path;
    struct file_identity identity;
    bool may_be_foreign;
};

static pthread_mutex_t noted_lock = PTHREAD_MUTEX_INITIALIZER;
static struct noted noted[NOTED_MAX]; /* still to be looked at */
static unsigned n_noted;

/* Already looked at; the oldest is forgotten first. Written with both this lock and the registry's held, read with
 * either. */
static struct noted loaded[NOTED_MAX];
static unsigned n_loaded;

static _Thread_local struct file_identity last_opened; /* inode 0: none */

/* Which buffer was made for which file; the oldest is forgotten first. Under noted_lock. */
static struct made {
    const void * buffer;
    struct file_identity file;
} made[BUFFERS_MAX];
static unsigned n_made;

static bool identify(const char * path, struct file_identity * identity) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) { return false; }
    *identity = file_identity(&status);
    return true;
}

static bool is_noted(const struct noted * n, const char * path, const struct file_identity * identity) {
    return file_is_same(&n->identity, identity) && strcmp(n->path, path) == 0;
}

static bool is_among(const struct noted * list, unsigned count, const char * path,
                     const struct file_identity * identity) {
    for (unsigned i = 0; i < count; i++) {
        if (list[i].path && is_noted(&list[i], path, identity)) { return true; }
    }
    return false;
}

bool files_note(const char * path, bool may_be_foreign) {
    char real[PATH_MAX];
    struct file_identity identity;
    const int error = errno;
    const bool there = path && realpath(path, real) && identify(real, &identity);
    errno = error;
    if (!there) { return false; }
    last_opened = identity;
    pthread_mutex_lock(&noted_lock);
    const bool known = is_among(loaded, NOTED_MAX, real, &identity) || is_among(noted, n_noted, real, &identity);
    char * copy = known || n_noted == NOTED_MAX ? NULL : strdup(real);
    if (copy) { noted[n_noted++] = (struct noted){ copy, identity, may_be_foreign }; }
    pthread_mutex_unlock(&noted_lock);
    return copy != NULL;
}

static struct made * made_at(const void * buffer) {
    for (unsigned i = 0; i < BUFFERS_MAX; i++) {
        if (made[i].buffer == buffer) { return &made[i]; }
    }
    return NULL;
}

void files_buffer_made(const void * buffer) {
    pthread_mutex_lock(&noted_lock);
    struct made * slot = made_at(buffer);
    if (!slot) { slot = &made[n_made++ % BUFFERS_MAX]; }
    *slot = (struct made){ buffer, last_opened };
    pthread_mutex_unlock(&noted_lock);
}

/* The result's inode is 0 if the file is unknown. */
static struct file_identity file_of_buffer(const void * buffer) {
    pthread_mutex_lock(&noted_lock);
    const struct made * slot = buffer ? made_at(buffer) : NULL;
    const struct file_identity file = slot ? slot->file : (struct file_identity){ 0 };
    pthread_mutex_unlock(&noted_lock);
    return file;
}

/* Moves one noted file to those already looked at. */
static bool take_noted(struct noted * out) {
    pthread_mutex_lock(&noted_lock);
    const bool some = n_noted > 0;
    if (some) {
        loaded[n_loaded++ % NOTED_MAX] = *out = noted[0]; /* paths are never freed, since a fork may come in between */
        memmove(noted, noted + 1, --n_noted * sizeof noted[0]);
    }
    pthread_mutex_unlock(&noted_lock);
    return some;
}

/* By now another file may be at the path. It is not the one that was loaded, so it is passed over. */
static void look_at_noted(void) {
    for (struct noted n; take_noted(&n);) {
        struct file_identity is;
        if (!identify(n.path, &is) || !file_is_same(&is, &n.identity)) { continue; }
        if (!model_file_at(n.path, n.path, &is) && n.may_be_foreign) { model_file_foreign(n.path, &is); }
    }
}

/* The file that was loaded from a path: this very version if `identity` is given, else any with this inode. */
static const struct noted * loaded_from(const char * path, const struct file_identity * identity, uint64_t inode) {
    for (unsigned i = 0; i < NOTED_MAX; i++) {
        const struct noted * n = &loaded[i];
        if (!n->path || strcmp(n->path, path) != 0) { continue; }
        if (identity ? file_is_same(&n->identity, identity) : n->identity.inode == inode) { return n; }
    }
    return NULL;
}

/* ---- which file a mapping is of ---- */

static struct {
    uint64_t device, inode;
} mapped_as[MODEL_FILES_MAX]; /* by number - 1: how the kernel identified the file while it still had its path */

enum { LINK_MAX = 64 };

static void link_behind(const struct mapping * m, char * link) {
    snprintf(link, LINK_MAX, "/proc/self/map_files/%" PRIx64 "-%" PRIx64, m->from, m->to);
}

/* The path of what is mapped, read from the link because /proc/self/maps writes a newline as "\012". For a file that
 * lost its path the kernel adds " (deleted)", which may also be part of a name. Writes the path without that suffix;
 * returns false if the suffix was the kernel's. */
static bool read_path(const struct mapping * m, char path[PATH_MAX]) {
    static const char gone[] = " (deleted)";
    char link[LINK_MAX];
    struct stat status;
    link_behind(m, link);
    const ssize_t got = readlink(link, path, PATH_MAX - 1);
    size_t length = got > 0 ? (size_t) got : strlen(mapping_object(m)->path);
    if (length > PATH_MAX - 1) { length = PATH_MAX - 1; }
    if (got <= 0) { memcpy(path, mapping_object(m)->path, length); }
    path[length] = '\0';
    if (length < sizeof gone || strcmp(path + length + 1 - sizeof gone, gone) != 0 || stat(path, &status) == 0) {
        return true;
    }
    path[length + 1 - sizeof gone] = '\0';
    return false;
}

/* Is the mapped file the one at the path? The kernel's device is not always stat's: a btrfs subvolume and an overlay
 * have devices of their own. Inodes agree, except on overlays over several file systems and on some network file
 * systems. There the path must do, since the kernel marks it if its file was deleted or replaced. */
static bool lies_at(const char * path, bool is_there, uint64_t inode, struct file_identity * identity) {
    struct statfs system;
    if (!identify(path, identity)) { return false; }
    if (identity->inode == inode) { return true; }
    if (!is_there || statfs(path, &system) != 0) { return false; }
    return system.f_type == OVERLAYFS_SUPER_MAGIC || loaded_from(path, identity, 0);
}

/* A process with CAP_CHECKPOINT_RESTORE can still open a deleted or replaced file through its mapping. Others may know
 * the file from before. If the host was seen loading it, at least the place of its bytes is known. */
static uint32_t file_without_path(const struct mapping * m, const char * name) {
    const struct mapped_object * o = mapping_object(m);
    char behind[LINK_MAX];
    struct file_identity identity;
    link_behind(m, behind);
    if (identify(behind, &identity)) { return model_file_at(behind, name, &identity); }
    for (uint32_t i = MODEL_FILES_MAX; i-- > 0;) {
        if (mapped_as[i].inode == o->inode && mapped_as[i].device == o->device) { return i + 1; }
    }
    const struct noted * n = loaded_from(name, NULL, o->inode);
    return n ? model_file_gone(name, &n->identity) : 0;
}

static uint32_t file_of_object(const struct mapping * m) {
    const struct mapped_object * o = mapping_object(m);
    struct file_identity identity;
    char path[PATH_MAX];
    const bool is_there = read_path(m, path);
    if (!lies_at(path, is_there, o->inode, &identity)) { return file_without_path(m, path); }
    const uint32_t file = model_file_at(path, path, &identity);
    if (file) {
        mapped_as[file - 1].device = o->device;
        mapped_as[file - 1].inode = o->inode;
    }
    return file;
}

/* ---- ranges that stand for a file ---- */

struct stand_in {
    uint64_t from, to, offset;
    uint32_t file;
};

static struct stand_in * stand_ins; /* they never overlap */
static uint32_t n_stand_ins, stand_ins_capacity;

static bool reserve_stand_ins(uint32_t count) {
    if (count <= stand_ins_capacity) { return true; }
    struct stand_in * bigger = realloc(stand_ins, 2 * (size_t) count * sizeof *bigger);
    if (!bigger) { return false; }
    stand_ins = bigger;
    stand_ins_capacity = 2 * count;
    return true;
}

static const struct stand_in * stand_in_at(uint64_t address) {
    for (uint32_t i = 0; i < n_stand_ins; i++) {
        if (stand_ins[i].from <= address && address < stand_ins[i].to) { return &stand_ins[i]; }
    }
    return NULL;
}

/* Cuts [from, to) out of each range; there is room for one more. */
static void cut(uint64_t from, uint64_t to) {
    for (uint32_t i = n_stand_ins; i-- > 0;) {
        const struct stand_in s = stand_ins[i];
        if (to <= s.from || s.to <= from) { continue; }
        stand_ins[i] = stand_ins[--n_stand_ins];
        if (s.from < from) { stand_ins[n_stand_ins++] = (struct stand_in){ s.from, from, s.offset, s.file }; }
        if (to < s.to) { stand_ins[n_stand_ins++] = (struct stand_in){ to, s.to, s.offset + (to - s.from), s.file }; }
    }
}

bool files_stand_for(const void * address, uint64_t bytes, uint32_t file, uint64_t offset) {
    const uint64_t from = (uint64_t) (uintptr_t) address;
    if (!reserve_stand_ins(n_stand_ins + 2)) { return false; }
    cut(from, from + bytes);
    stand_ins[n_stand_ins++] = (struct stand_in){ from, from + bytes, offset, file };
    event_mapping(file, from, bytes, offset);
    return true;
}

bool files_stand_no_more(const void * address, uint64_t bytes) {
    const uint64_t from = (uint64_t) (uintptr_t) address;
    if (!reserve_stand_ins(n_stand_ins + 1)) { return false; }
    cut(from, from + bytes);
    return true;
}

/* ---- where bytes are ---- */

/* Tells the trace once of all pieces of a mapped file. */
static void announce(uint32_t object, uint32_t file) {
    uint32_t count;
    struct mapping * m = mappings_all(&count);
    for (uint32_t i = 0; i < count; i++, m++) {
        if (m->object != object || m->announced == file || stand_in_at(m->from)) { continue; }
        m->announced = file;
        event_mapping(file, m->from, m->to - m->from, m->offset);
    }
}

static uint32_t file_of(const struct mapping * m) {
    struct mapped_object * o = mapping_object(m);
    if (!o->asked) {
        o->asked = true;
        o->file = file_of_object(m);
        if (o->file) { announce(m->object, o->file); }
    }
    return o->file;
}

struct file_place files_at(const void * address) {
    const uint64_t at = (uint64_t) (uintptr_t) address;
    const struct stand_in * s = stand_in_at(at);
    if (s) { return (struct file_place){ .file = s->file, .offset = s->offset + (at - s->from), .mapped = true }; }
    const struct mapping * m = mapping_at(at);
    const uint32_t file = m ? file_of(m) : 0;
    if (!file) { return (struct file_place){ 0 }; }
    return (struct file_place){ .file = file, .offset = m->offset + (at - m->from), .mapped = true };
}

void files_refresh(void) {
    look_at_noted();
    mappings_refresh();
}

/* A tensor outside of mappings was copied out of its file; repacking keeps name, type and shape. Its file may be mapped
 * nevertheless. */
struct file_place files_find(const void * address, const void * buffer, const char * name, int32_t type,
                             uint64_t bytes) {
    struct file_place place = files_at(address);
    if (place.file) { return place; }
    const struct file_identity file = file_of_buffer(buffer);
    place.file = model_files_tensor(&file, name, type, bytes, &place.offset);
    if (place.file) { return place; }
    uint32_t count;
    const struct mapping * m = mappings_all(&count);
    for (uint32_t i = 0; i < count; i++) { file_of(&m[i]); }
    place.file = model_files_tensor(&file, name, type, bytes, &place.offset);
    return place;
}

struct file_place files_find_direction(unsigned layer, int32_t type, uint64_t bytes, char * name, size_t size) {
    struct file_place place = { 0 };
    place.file = model_files_direction(layer, type, bytes, &place.offset, name, size);
    if (!place.file) { place.offset = 0; }
    return place;
}

void files_after_fork(void) {
    pthread_mutex_init(&noted_lock, NULL);
    for (unsigned i = 0; i < NOTED_MAX && n_noted < NOTED_MAX; i++) { /* the child's trace does not have them yet */
        if (loaded[i].path) { noted[n_noted++] = loaded[i]; }
    }
    memset(loaded, 0, sizeof loaded);
    memset(made, 0, sizeof made);
    model_files_after_fork();
    mappings_after_fork();
    memset(mapped_as, 0, sizeof mapped_as);
    n_stand_ins = 0;
}
