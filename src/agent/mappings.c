/* SPDX-License-Identifier: MIT */
#include "agent/mappings.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

static struct view {
    struct mapping * mappings; /* by address */
    struct mapped_object * objects;
    uint32_t n_mappings, n_objects, mappings_capacity, objects_capacity;
} now, before;

/* Room for one more element. */
static void * grown(void * array, uint32_t count, uint32_t * capacity, size_t size) {
    if (count < *capacity) { return array; }
    const uint32_t more = *capacity ? *capacity * 2 : 64;
    void * bigger = realloc(array, more * size);
    if (bigger) { *capacity = more; }
    return bigger;
}

static bool is_object(const struct mapped_object * o, uint64_t device, uint64_t inode, const char * path) {
    return o->inode == inode && o->device == device && strcmp(o->path, path) == 0;
}

/* The index of an object, which is added if it is new; -1: no memory. The search begins at the end, because the pieces
 * of a file are mostly neighbours. */
static int64_t object_of(uint64_t device, uint64_t inode, const char * path) {
    for (uint32_t i = now.n_objects; i-- > 0;) {
        if (is_object(&now.objects[i], device, inode, path)) { return i; }
    }
    struct mapped_object * bigger = grown(now.objects, now.n_objects, &now.objects_capacity, sizeof *bigger);
    char * copy = strdup(path);
    if (bigger) { now.objects = bigger; }
    if (!bigger || !copy) {
        free(copy);
        return -1;
    }
    now.objects[now.n_objects] = (struct mapped_object){ .path = copy, .device = device, .inode = inode };
    return now.n_objects++;
}

static struct mapping * find(const struct view * view, uint64_t address) {
    uint32_t low = 0, high = view->n_mappings;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        struct mapping * m = &view->mappings[middle];
        if (address < m->from) {
            high = middle;
        } else if (address >= m->to) {
            low = middle + 1;
        } else {
            return m;
        }
    }
    return NULL;
}

static uint32_t announced_before(const struct mapping * m) {
    const struct mapping * old = find(&before, m->from);
    if (!old || old->from != m->from || old->to != m->to || old->offset != m->offset) { return 0; }
    const struct mapped_object * o = &now.objects[m->object];
    return is_object(&before.objects[old->object], o->device, o->inode, o->path) ? old->announced : 0;
}

static void add(uint64_t from, uint64_t to, uint64_t offset, const char * mode, int64_t object) {
    struct mapping * bigger = grown(now.mappings, now.n_mappings, &now.mappings_capacity, sizeof *bigger);
    if (!bigger || object < 0) { return; }
    now.mappings = bigger;
    struct mapping * m = &now.mappings[now.n_mappings++];
    *m = (struct mapping){ .from = from,
                           .to = to,
                           .offset = offset,
                           .protection = (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0),
                           .is_shared = mode[3] == 's',
                           .object = (uint32_t) object };
    m->announced = announced_before(m);
}

static void read_line(const char * line) {
    uint64_t from, to, offset, inode;
    unsigned major_number, minor_number;
    char mode[5];
    int path_at = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &from, &to, mode, &offset,
               &major_number, &minor_number, &inode, &path_at) < 7 ||
        inode == 0 || mode[2] == 'x' || line[path_at] != '/') {
        return;
    }
    add(from, to, offset, mode, object_of(makedev(major_number, minor_number), inode, line + path_at));
}

void mappings_refresh(void) {
    FILE * maps = fopen("/proc/self/maps", "re");
    if (!maps) { return; }
    const struct view oldest = before;
    before = now;
    now = oldest;
    for (uint32_t i = 0; i < now.n_objects; i++) { free(now.objects[i].path); }
    now.n_mappings = now.n_objects = 0;
    char * line = NULL;
    size_t size = 0;
    while (getline(&line, &size, maps) > 0) {
        line[strcspn(line, "\n")] = '\0';
        read_line(line);
    }
    free(line);
    fclose(maps);
}

struct mapping * mapping_at(uint64_t address) {
    return find(&now, address);
}

struct mapping * mappings_all(uint32_t * count) {
    *count = now.n_mappings;
    return now.mappings;
}

struct mapped_object * mapping_object(const struct mapping * mapping) {
    return &now.objects[mapping->object];
}

void mappings_after_fork(void) {
    /* The child's trace does not have them. The memory is small and may have been in use, so it is left, not freed. */
    memset(&now, 0, sizeof now);
    memset(&before, 0, sizeof before);
}
