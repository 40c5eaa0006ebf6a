/* SPDX-License-Identifier: MIT */
#include "manage/managing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files.h"
#include "agent/registry.h"
#include "plan/predict.h"

enum { DEPTH = 8 }; /* reads at once */

struct beginning {
    struct managing * m;
    const struct manage_options * options;
    struct schedule schedule;
    struct schedule_use * use;
    uint32_t n_uses;
    uint64_t * bytes; /* by piece */
    uint32_t * piece; /* by item: in the order of first use */
    struct placement_item * item;
    uint8_t * class;
    bool * seen;
    uint32_t n_items;
};

static char words[192];

/* ---- items ---- */

static bool list_items(struct beginning * b) {
    const uint32_t n = b->m->model.n_pieces;
    b->bytes = calloc((size_t) n + 1, sizeof *b->bytes);
    b->piece = calloc((size_t) n + 1, sizeof *b->piece);
    b->item = calloc((size_t) n + 1, sizeof *b->item);
    b->class = calloc((size_t) n + 1, sizeof *b->class);
    b->seen = calloc((size_t) n + 1, sizeof *b->seen);
    if (!b->bytes || !b->piece || !b->item || !b->class || !b->seen) { return false; }
    for (uint32_t i = 0; i < n; i++) { b->bytes[i] = b->m->model.piece[i].pages * b->m->model.page_bytes; }
    for (uint32_t i = 0; i < b->n_uses; i++) {
        const struct schedule_use * u = &b->use[i];
        for (uint32_t p = u->piece; p < u->piece + u->count; p++) {
            if (b->seen[p]) { continue; }
            b->seen[p] = true;
            b->piece[b->n_items] = p;
            b->item[b->n_items++] = (struct placement_item){ b->bytes[p], u->experts != 0, p > u->piece };
        }
    }
    return true;
}

/* The largest stack of experts. */
static uint64_t largest_stack(const struct beginning * b) {
    uint64_t most = 0;
    for (uint32_t i = 0; i < b->schedule.n_stacks; i++) {
        const struct schedule_stack * s = &b->schedule.stack[i];
        uint64_t bytes = 0;
        for (uint32_t e = 0; e < s->experts; e++) { bytes += b->bytes[s->piece + e]; }
        if (bytes > most) { most = bytes; }
    }
    return most;
}

static bool place(struct beginning * b) {
    struct managing * m = b->m;
    m->placement = placement_make(b->item, b->n_items, m->budget.pool, b->options->may, b->class);
    for (uint32_t i = 0; i < b->n_items; i++) { m->model.piece[b->piece[i]].class = b->class[i]; }
    if (!m->placement.cache) { return true; }
    const uint64_t capacity = m->placement.cache - placement_scratch(m->placement.cache, largest_stack(b));
    m->experts = experts_new(&b->schedule, m->model.n_pieces, b->bytes, capacity, &policy_cycle);
    return m->experts != NULL;
}

/* ---- the gate ---- */

static uint64_t all_bytes(const struct beginning * b) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->n_items; i++) { sum += b->item[i].bytes; }
    return sum;
}

static bool gate(const struct beginning * b) {
    const struct budget * budget = &b->m->budget;
    const uint64_t all = all_bytes(b);
    if (all <= budget->pool) {
        snprintf(words, sizeof words, "nothing to do: the model's %llu MB fit in memory",
                 (unsigned long long) (all / 1000000));
        return false;
    }
    if (budget->pool < PREDICT_BUDGET_LEAST) {
        snprintf(words, sizeof words,
                 "not managed: of %llu MB, only %llu MB are left for the model; the program needs the rest",
                 (unsigned long long) (budget->limit / 1000000), (unsigned long long) (budget->pool / 1000000));
        return false;
    }
    return true;
}

/* ---- beginning ---- */

static bool start(const struct beginning * b) {
    struct managing * m = b->m;
    struct resident_file files[MANAGED_FILES_MAX];
    for (uint32_t i = 0; i < m->model.n_files; i++) { files[i] = m->model.file[i].file; }
    const struct placement * p = &m->placement;
    const struct resident_options options = { .files = files,
                                              .n_files = m->model.n_files,
                                              .pieces = m->model.piece,
                                              .n_pieces = m->model.n_pieces,
                                              .pool = p->pinned + p->ring + p->cache,
                                              .ring = p->ring,
                                              .reader = b->options->reader,
                                              .depth = DEPTH,
                                              .check = b->options->check };
    m->resident = resident_new(&options);
    if (!m->resident) { snprintf(words, sizeof words, "not managed: %s", strerror(errno)); }
    return m->resident != NULL;
}

/* So that the recorder goes on naming the file's bytes while other memory is there. */
static void declare(const struct managed_model * model) {
    registry_lock();
    for (uint32_t i = 0; i < model->n_files; i++) {
        const struct mapped_file * f = &model->file[i].file.mapped;
        files_stand_for(f->at, f->bytes, model->file[i].number, f->offset);
    }
    registry_unlock();
}

static enum managing_answer decide(struct beginning * b, const struct graph_uses * uses) {
    uint32_t * ready = calloc((size_t) uses->n_routers + 1, sizeof *ready);
    for (uint32_t i = 0; ready && i < uses->n_routers; i++) { ready[i] = uses->router[i].ready; }
    b->use = managed_model_pieces(&b->m->model, uses, &b->n_uses);
    const bool listed =
        ready && b->use && schedule_make(b->use, b->n_uses, ready, uses->n_routers, &b->schedule) && list_items(b);
    free(ready);
    if (!listed) { return MANAGING_DECLINED; }
    if (!b->n_items) { return MANAGING_NOTHING; }
    if (!budget_find(b->options->memory, 0, &b->m->budget)) {
        snprintf(words, sizeof words, "not managed: nothing says how much memory there is");
        return MANAGING_DECLINED;
    }
    if (!gate(b) || !place(b) || !start(b)) { return MANAGING_DECLINED; }
    declare(&b->m->model);
    return MANAGING_ACTIVE;
}

enum managing_answer managing_begin(struct managing * managing, const struct manage_options * options,
                                    const struct host * host, struct ggml_cgraph * graph, struct graph_uses * uses,
                                    const char ** why) {
    struct beginning b = { .m = managing, .options = options };
    *managing = (struct managing){ 0 };
    *why = words;
    snprintf(words, sizeof words, "not managed: there is not enough memory to begin");
    const bool found = managed_model_find(&managing->model, host, graph, graph_rule(host, graph), uses);
    const enum managing_answer answer = found ? decide(&b, uses) : MANAGING_DECLINED;
    schedule_free(&b.schedule);
    free(b.use);
    free(b.bytes);
    free(b.piece);
    free(b.item);
    free(b.class);
    free(b.seen);
    if (answer != MANAGING_ACTIVE) {
        experts_free(managing->experts);
        managed_model_free(&managing->model);
        graph_uses_free(uses);
    }
    return answer;
}
