/* SPDX-License-Identifier: MIT */
#include "manage/managed_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/mappings.h"
#include "agent/registry.h"
#include "system/whole_disk.h"

/* ---- mappings ---- */

static uint32_t file_at(const struct managed_model * m, const char * at) {
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct mapped_file * f = &m->file[i].file.mapped;
        if (f->at <= at && at < f->at + f->bytes) { return i; }
    }
    return UINT32_MAX;
}

/* Whether it is still the file that is mapped, the thread that opens it finds out. */
static bool is_there(const struct mapped_object * object, struct stat * file) {
    return stat(object->path, file) == 0 && S_ISREG(file->st_mode);
}

/* A private mapping may have been written to. */
static bool can_be_managed(const struct mapping * m) {
    return m->is_shared && !(m->protection & PROT_WRITE) && (m->protection & PROT_READ);
}

static bool add_file(struct managed_model * model, const struct mapping * m, uint32_t number) {
    const struct mapped_object * object = mapping_object(m);
    struct stat status;
    if (model->n_files == MANAGED_FILES_MAX || !can_be_managed(m) || !is_there(object, &status)) { return false; }
    struct managed_file * f = &model->file[model->n_files];
    if (snprintf(f->path, sizeof f->path, "%s", object->path) >= (int) sizeof f->path) { return false; }
    f->number = number;
    f->device = status.st_dev;
    f->file = (struct resident_file){ .mapped = { .at = (char *) (uintptr_t) m->from, /* NOLINT: an address */
                                                  .bytes = m->to - m->from,
                                                  .offset = m->offset,
                                                  .fd = -1,
                                                  .protection = m->protection,
                                                  .is_shared = true },
                                      .path = f->path,
                                      .size = (uint64_t) status.st_size };
    model->n_files++;
    return true;
}

/* The registry's lock is held. */
static bool may_add(const char * at, void * user) {
    struct managed_model * model = user;
    if (file_at(model, at) != UINT32_MAX) { return true; }
    const struct file_place place = files_at(at);
    const struct mapping * m = place.mapped ? mapping_at((uint64_t) (uintptr_t) at) : NULL;
    return m && add_file(model, m, place.file);
}

static bool is_known(const char * at, void * user) {
    return file_at(user, at) != UINT32_MAX;
}

/* ---- pieces ---- */

static int by_offset(const void * left, const void * right) {
    const struct piece_tensor *l = left, *r = right;
    if (l->offset != r->offset) { return l->offset < r->offset ? -1 : 1; }
    return l->bytes > r->bytes ? -1 : l->bytes < r->bytes;
}

/* Views of one tensor become one. A stack that is used in two ways is none. */
static uint32_t unite(struct piece_tensor * t, uint32_t count) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct piece_tensor * last = n ? &t[n - 1] : NULL;
        if (!last || t[i].offset >= last->offset + last->bytes) {
            t[n++] = t[i];
            continue;
        }
        const uint64_t end = t[i].offset + t[i].bytes;
        if (t[i].offset != last->offset || t[i].bytes != last->bytes || t[i].experts != last->experts) {
            last->experts = 0;
        }
        if (end > last->offset + last->bytes) { last->bytes = end - last->offset; }
    }
    return n;
}

static uint64_t offset_of(const struct managed_file * f, const char * at) {
    return f->file.mapped.offset + (uint64_t) (at - f->file.mapped.at);
}

static bool lies_inside(const struct managed_file * f, const struct graph_use * u) {
    const struct mapped_file * m = &f->file.mapped;
    return u->at >= m->at && u->bytes <= m->bytes - (uint64_t) (u->at - m->at);
}

static bool cut_file(struct managed_model * model, uint32_t file, const struct graph_uses * uses) {
    struct managed_file * f = &model->file[file];
    struct piece_tensor * t = malloc(((size_t) uses->n_uses + 1) * sizeof *t);
    uint32_t n = 0;
    if (!t) { return false; }
    for (uint32_t i = 0; i < uses->n_uses; i++) {
        const struct graph_use * u = &uses->use[i];
        if (!lies_inside(f, u)) { continue; }
        t[n++] = (struct piece_tensor){ offset_of(f, u->at), u->bytes,
                                        u->bytes % (u->experts ? u->experts : 1) ? 0 : u->experts };
    }
    qsort(t, n, sizeof *t, by_offset);
    const bool good = pieces_cut(t, unite(t, n), model->page_bytes, &f->pieces);
    free(t);
    f->first = model->n_pieces;
    model->n_pieces += f->pieces.count;
    return good;
}

static bool list_pieces(struct managed_model * model) {
    model->piece = malloc(((size_t) model->n_pieces + 1) * sizeof *model->piece);
    for (uint32_t i = 0; i < model->n_files && model->piece; i++) {
        const struct managed_file * f = &model->file[i];
        for (uint32_t p = 0; p < f->pieces.count; p++) {
            const struct piece * piece = &f->pieces.piece[p];
            model->piece[f->first + p] =
                (struct resident_piece){ i, (uint32_t) (piece->page - f->file.mapped.offset / model->page_bytes),
                                         piece->pages, PLACE_LEAVE };
        }
    }
    return model->piece != NULL;
}

bool managed_model_find(struct managed_model * model, const struct host * host, struct ggml_cgraph * graph,
                        uint32_t rule, struct graph_uses * uses) {
    *model = (struct managed_model){ .page_bytes = (uint64_t) sysconf(_SC_PAGESIZE) };
    model->file = calloc(MANAGED_FILES_MAX, sizeof *model->file);
    *uses = (struct graph_uses){ 0 };
    if (!model->file) { return false; }
    registry_lock();
    files_refresh();
    bool good = graph_uses_find(host, graph, rule, may_add, model, uses);
    registry_unlock();
    for (uint32_t i = 0; i < model->n_files && good; i++) { good = cut_file(model, i, uses); }
    return good && list_pieces(model);
}

void managed_model_free(struct managed_model * model) {
    for (uint32_t i = 0; i < model->n_files; i++) { pieces_free(&model->file[i].pieces); }
    free(model->file);
    free(model->piece);
    *model = (struct managed_model){ 0 };
}

bool managed_model_uses(struct managed_model * model, const struct host * host, struct ggml_cgraph * graph,
                        uint32_t rule, struct graph_uses * uses) {
    return graph_uses_find(host, graph, rule, is_known, model, uses);
}

uint64_t managed_model_read_ahead(const struct managed_model * model) {
    enum { USUAL = 128, MOST = 1 << 20 }; /* KiB */
    char text[32];
    const struct whole_disk disk = whole_disk_of(model->n_files ? model->file[0].device : 0);
    whole_disk_read(&disk, "queue/read_ahead_kb", text, sizeof text);
    const unsigned long kib = strtoul(text, NULL, 10);
    return (uint64_t) (*text && kib <= MOST ? kib : USUAL) << 10;
}

/* ---- a graph's uses ---- */

static bool is_dense(const struct pieces * p, uint32_t i) {
    return p->piece[i].tensor == PIECE_DENSE;
}

/* Of a stack, its experts' pieces, if it was cut by experts; else all that the bytes are in. */
static struct schedule_use pieces_of(const struct managed_file * f, const struct graph_use * u) {
    const struct pieces * p = &f->pieces;
    const uint64_t offset = offset_of(f, u->at);
    struct schedule_use use = { .step = u->step, .router = u->router };
    uint32_t i = pieces_first(p, offset);
    if (u->experts) {
        uint32_t e = i;
        while (e < p->count && (is_dense(p, e) || p->piece[e].expert != 0) && piece_touches(p, e, offset, u->bytes)) {
            e++;
        }
        if (e + u->experts <= p->count && !is_dense(p, e) && p->piece[e].expert == 0 &&
            p->piece[e].page == offset / p->page_bytes) {
            use.piece = f->first + e;
            use.count = use.experts = u->experts;
            return use;
        }
    }
    use.count = pieces_dense(p, offset, u->bytes, &i);
    use.piece = f->first + i;
    return use;
}

struct piece_range managed_model_pieces(const struct managed_model * model, const char * at, uint64_t bytes) {
    const uint32_t file = file_at(model, at);
    struct piece_range range = { 0, 0 };
    if (file == UINT32_MAX) { return range; }
    const struct managed_file * f = &model->file[file];
    if (bytes > f->file.mapped.bytes - (uint64_t) (at - f->file.mapped.at)) { return range; }
    range.count = pieces_dense(&f->pieces, offset_of(f, at), bytes, &range.first);
    range.first += f->first;
    return range;
}

static struct schedule_use * list_uses(const struct managed_model * model, const struct graph_uses * uses,
                                       uint32_t * count) {
    struct schedule_use * out = malloc(((size_t) uses->n_uses + 1) * sizeof *out);
    *count = 0;
    for (uint32_t i = 0; i < uses->n_uses && out; i++) {
        const uint32_t file = file_at(model, uses->use[i].at);
        if (file == UINT32_MAX || !lies_inside(&model->file[file], &uses->use[i])) { continue; }
        const struct schedule_use use = pieces_of(&model->file[file], &uses->use[i]);
        if (use.count) { out[(*count)++] = use; }
    }
    return out;
}

struct schedule_use * managed_model_schedule(const struct managed_model * model, const struct graph_uses * uses,
                                             uint32_t * count, struct schedule * schedule) {
    uint32_t * ready = calloc((size_t) uses->n_routers + 1, sizeof *ready);
    struct schedule_use * use = list_uses(model, uses, count);
    for (uint32_t i = 0; ready && i < uses->n_routers; i++) { ready[i] = uses->router[i].ready; }
    if (use && !(ready && schedule_make(use, *count, ready, uses->n_routers, schedule))) {
        free(use);
        use = NULL;
    }
    free(ready);
    return use;
}
