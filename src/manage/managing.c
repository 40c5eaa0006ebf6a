/* SPDX-License-Identifier: MIT */
#include "manage/managing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/clock.h"
#include "agent/files.h"
#include "agent/registry.h"
#include "plan/predict.h"
#include "plan/reading.h"

struct beginning {
    struct managing * m;
    const struct manage_options * options;
    struct schedule schedule;
    struct schedule_use * use;
    uint32_t n_uses;
    uint64_t * bytes; /* by piece */
    uint64_t * own;   /* by piece: those that the piece before it does not have too */
    bool * seen;      /* by piece */
};

static char words[192];

/* ---- items ---- */

/* With the piece before it. */
static bool shares_page(const struct managed_model * model, uint32_t piece) {
    const struct resident_piece * p = &model->piece[piece];
    return piece && p[-1].file == p->file && p->page < p[-1].page + p[-1].pages;
}

static bool list_items(struct beginning * b) {
    struct managing * m = b->m;
    const uint32_t n = m->model.n_pieces;
    b->bytes = calloc((size_t) n + 1, sizeof *b->bytes);
    b->own = calloc((size_t) n + 1, sizeof *b->own);
    b->seen = calloc((size_t) n + 1, sizeof *b->seen);
    m->item = calloc((size_t) n + 1, sizeof *m->item);
    m->item_piece = calloc((size_t) n + 1, sizeof *m->item_piece);
    m->class = calloc((size_t) n + 1, sizeof *m->class);
    if (!b->bytes || !b->own || !b->seen || !m->item || !m->item_piece || !m->class) { return false; }
    for (uint32_t i = 0; i < n; i++) {
        b->bytes[i] = m->model.piece[i].pages * m->model.page_bytes;
        b->own[i] = b->bytes[i] - (shares_page(&m->model, i) ? m->model.page_bytes : 0);
    }
    for (uint32_t i = 0; i < b->n_uses; i++) {
        const struct schedule_use * u = &b->use[i];
        for (uint32_t p = u->piece; p < u->piece + u->count; p++) {
            if (b->seen[p]) { continue; }
            b->seen[p] = true;
            m->item_piece[m->n_items] = p;
            m->item[m->n_items++] = (struct placement_item){ b->bytes[p], u->experts != 0, p > u->piece };
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

/* The most that one router chooses for a row. */
static uint64_t token_experts(const struct beginning * b, const struct graph_uses * uses) {
    uint64_t most = 0;
    for (uint32_t r = 0; r < uses->n_routers; r++) {
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < b->schedule.n_stacks; i++) {
            const struct schedule_stack * s = &b->schedule.stack[i];
            if (s->router == r) { bytes += uses->router[r].used * b->bytes[s->piece]; }
        }
        if (bytes > most) { most = bytes; }
    }
    return most ? most : UINT64_MAX;
}

/* A prompt needs whole stacks, and whatever the policy keeps meanwhile is read again soon enough. */
static uint64_t scratch_of(const struct managing * m) {
    const uint64_t cache = m->placement.cache;
    if (m->of_one_row) { return placement_scratch(cache, m->largest_stack, m->token_experts); }
    return m->largest_stack < cache / 2 ? 2 * m->largest_stack : cache;
}

static uint64_t kept_of(const struct managing * m) {
    return m->placement.cache - scratch_of(m);
}

static uint64_t pool_of(const struct managing * m) {
    return m->placement.pinned + m->placement.ring + m->placement.cache;
}

/* False: memory. */
static bool make_placement(struct managing * m) {
    uint8_t * classes = calloc((size_t) m->n_items + 1, sizeof *classes);
    if (!classes) { return false; }
    m->placement = placement_make(m->item, m->n_items, m->budget.pool, m->may, classes);
    for (uint32_t i = 0; i < m->n_items; i++) {
        __atomic_store_n(&m->class[m->item_piece[i]], classes[i], __ATOMIC_RELAXED);
    }
    free(classes);
    return true;
}

static bool place(struct beginning * b, const struct graph_uses * uses) {
    struct managing * m = b->m;
    m->largest_stack = largest_stack(b);
    m->token_experts = token_experts(b, uses);
    m->may = b->options->may;
    m->asked = b->options->memory;
    /* What plain mmap would have for the model: all that is not needed for something else. */
    m->plain = plain_run_new(b->own, m->model.n_pieces, managed_model_read_ahead(&m->model), budget_plain(&m->budget));
    if (!m->plain || !make_placement(m)) { return false; }
    for (uint32_t i = 0; i < m->model.n_pieces; i++) { m->model.piece[i].class = m->class[i]; }
    if (!m->placement.cache) { return true; }
    m->experts = experts_new(&b->schedule, m->model.n_pieces, b->bytes, kept_of(m), &policy_cycle);
    return m->experts != NULL;
}

/* ---- the gate ---- */

static uint64_t all_bytes(const struct beginning * b) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->m->n_items; i++) { sum += b->own[b->m->item_piece[i]]; }
    return sum;
}

static bool gate(const struct beginning * b) {
    if (b->options->no_gain) {
        snprintf(words, sizeof words,
                 "note not managed: the plan found nothing to gain; without --plan it is managed all the same");
        return false;
    }
    const struct budget * budget = &b->m->budget;
    const uint64_t all = all_bytes(b);
    /* Page cache may take what the pool has to leave free, since it goes when memory is needed. */
    if (all <= budget_plain(budget)) {
        snprintf(words, sizeof words, "fits bytes=%" PRIu64, all);
        return false;
    }
    if (budget->pool < PREDICT_BUDGET_LEAST) {
        snprintf(words, sizeof words, "short limit=%" PRIu64 " left=%" PRIu64, budget->limit, budget->pool);
        return false;
    }
    return true;
}

/* ---- beginning ---- */

static bool has_experts(const struct managing * m) {
    for (uint32_t i = 0; i < m->n_items; i++) {
        if (m->item[i].is_expert) { return true; }
    }
    return false;
}

/* What is being read ahead cannot be dropped. Without room for that beside the pool, of several threads at once, the
 * kernel would kill for want of memory. */
static bool reads_ahead(const struct managing * m) {
    enum { AT_ONCE = 8 };
    return AT_ONCE * managed_model_read_ahead(&m->model) <= m->budget.reserve;
}

/* No pool needs more. */
static uint64_t pieces_bytes(const struct managing * m) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n_items; i++) { sum += m->item[i].bytes; }
    return sum;
}

static bool start(const struct beginning * b) {
    struct managing * m = b->m;
    if (pool_of(m) == 0) {
        snprintf(words, sizeof words, "note not managed: %s",
                 m->may == PLACE_MAY_CACHE && !has_experts(m)
                     ? "the model has no experts to cache; name pin or stream in --strategy"
                     : "no piece of the model fits in the memory that is left for it; give it more (--memory)");
        return false;
    }
    struct resident_file files[MANAGED_FILES_MAX];
    for (uint32_t i = 0; i < m->model.n_files; i++) { files[i] = m->model.file[i].file; }
    const struct placement * p = &m->placement;
    const struct resident_options options = { .files = files,
                                              .n_files = m->model.n_files,
                                              .pieces = m->model.piece,
                                              .n_pieces = m->model.n_pieces,
                                              .pool = p->pinned + p->ring + p->cache,
                                              .ring = p->ring,
                                              .pool_most = pieces_bytes(m),
                                              .scratch = scratch_of(m),
                                              .reader = b->options->reader,
                                              .depth = READING_AT_ONCE,
                                              .ahead = b->options->ahead,
                                              .locks = b->options->locks,
                                              .on_demand = b->options->on_demand,
                                              .check = b->options->check,
                                              .reads_ahead = b->options->ahead != READ_INTO || reads_ahead(m) };
    m->resident = resident_new(&options);
    if (!m->resident) { snprintf(words, sizeof words, "refused errno=%d", errno); }
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

void managing_undeclare(const struct managing * m, const char * at, uint64_t bytes) {
    registry_lock();
    for (uint32_t i = 0; i < m->model.n_files; i++) {
        const struct mapped_file * f = &m->model.file[i].file.mapped;
        if (f->at < at + bytes && at < f->at + f->bytes) { files_stand_no_more(f->at, f->bytes); }
    }
    registry_unlock();
}

static const char weights_elsewhere[] = "note not managed: the model's weights are not in a mapping of its file: they "
                                        "were loaded without mmap, or repacked "
                                        "(llama.cpp's --no-repack prevents that)";
static const char maps_hidden[] = "note not managed: /proc/self/maps cannot be read, which tells where the model is "
                                  "mapped: mount /proc";

static const char * why_elsewhere(void) {
    return access("/proc/self/maps", R_OK) == 0 ? weights_elsewhere : maps_hidden;
}

static enum managing_answer decide(struct beginning * b, const struct graph_uses * uses) {
    b->use = managed_model_schedule(&b->m->model, uses, &b->n_uses, &b->schedule);
    if (!b->use || !list_items(b)) { return MANAGING_DECLINED; }
    if (!b->m->n_items) {
        snprintf(words, sizeof words, "%s", uses->has_elsewhere ? why_elsewhere() : "");
        return MANAGING_NOTHING;
    }
    if (!budget_find(b->options->memory, 0, b->m->growth, &b->m->budget)) {
        snprintf(words, sizeof words, "note not managed: neither /proc nor a cgroup says how much memory there is");
        return MANAGING_DECLINED;
    }
    if (!gate(b) || !place(b, uses) || !start(b)) { return MANAGING_DECLINED; }
    budget_grant(pool_of(b->m));
    b->m->calm_since = clock_monotonic_ns();
    b->m->may_grow = true;
    declare(&b->m->model);
    return MANAGING_ACTIVE;
}

enum managing_answer managing_begin(struct managing * managing, const struct manage_options * options,
                                    const struct host * host, struct ggml_cgraph * graph, struct graph_uses * uses,
                                    const char ** why) {
    struct beginning b = { .m = managing, .options = options };
    *managing = (struct managing){ 0 };
    *why = words;
    snprintf(words, sizeof words, "note not managed: the program has no memory left for tat's own tables");
    const bool found = managed_model_find(&managing->model, host, graph, graph_rule(host, graph), uses);
    if (found) { managing->growth = graph_growth(host, graph); }
    const enum managing_answer answer = found ? decide(&b, uses) : MANAGING_DECLINED;
    schedule_free(&b.schedule);
    free(b.use);
    free(b.bytes);
    free(b.own);
    free(b.seen);
    if (answer != MANAGING_ACTIVE) {
        experts_free(managing->experts);
        plain_run_free(managing->plain);
        free(managing->item);
        free(managing->item_piece);
        free(managing->class);
        managed_model_free(&managing->model);
        graph_uses_free(uses);
    }
    return answer;
}

/* ---- more memory, or less ---- */

enum {
    GROW_SHARE = 32,        /* of the pool: for less it is not placed anew, nor is that worth a line */
    SETTLED_NS = 500000000, /* after which the program has touched what it needs to compute */
    SHRUNK_NS = 1000000000,
};

/* Places all anew within the budget's pool. False: memory. */
static bool make_do(struct managing * m) {
    if (!make_placement(m)) { return false; }
    if (m->experts) { experts_resize(m->experts, kept_of(m), m->resident); }
    resident_resize(m->resident, pool_of(m), m->placement.ring, scratch_of(m), m->class);
    budget_grant(pool_of(m));
    return true;
}

static void hand_back(struct managing * m) {
    __atomic_store_n(&m->was_handed_back, true, __ATOMIC_RELAXED);
    resident_hand_back(m->resident);
}

static void shrink(struct managing * m, uint64_t limit_before, const char ** why) {
    const uint64_t before = pool_of(m);
    if (m->budget.pool < PREDICT_BUDGET_LEAST || !make_do(m)) {
        hand_back(m);
        snprintf(words, sizeof words, "handed_back left=%" PRIu64, m->budget.pool);
        *why = words;
        return;
    }
    if (m->shrunk.ns) { return; }
    m->shrunk.ns = clock_monotonic_ns();
    m->shrunk.pool = before;
    m->shrunk.limit = limit_before;
}

/* Once it has lasted, so that one line tells what many steps have come to; and not of trifles. */
static void say_shrunk(struct managing * m, const char ** why) {
    const uint64_t pool = pool_of(m), before = m->shrunk.pool;
    if (!m->shrunk.ns || clock_monotonic_ns() - m->shrunk.ns < SHRUNK_NS) { return; }
    m->shrunk.ns = 0;
    if (pool > before - before / GROW_SHARE) { return; }
    snprintf(words, sizeof words, "less now=%" PRIu64 " before=%" PRIu64 " limit=%" PRIu64 " limit_before=%" PRIu64,
             pool, before, m->budget.limit, m->shrunk.limit);
    *why = words;
}

/* Once it has settled, and not again after there was less: what was free may be needed again. What a graph was foreseen
 * to need stays with the program, so after that it settles anew. */
static void grow(struct managing * m) {
    const uint64_t pool = pool_of(m), most = resident_pool_most(m->resident);
    const uint64_t room = budget_room(m->asked, resident_totals(m->resident).pool_free);
    const uint64_t more = room < most - pool ? room : most - pool;
    if (pool >= most || more < pool / GROW_SHARE) { return; }
    m->may_grow = false;
    m->budget.pool = pool + more;
    make_do(m);
}

/* What the pool has, plain mmap would have for the page cache. */
static void look_at_plain_run(struct managing * m, int64_t left, uint64_t held) {
    const struct budget * b = &m->budget;
    if (left == INT64_MAX) { return; }
    const int64_t plain = left + (int64_t) (b->reserve + b->files - b->code + held);
    plain_run_resize(m->plain, plain > 0 ? (uint64_t) plain : 0);
}

void managing_give_up(struct managing * m, const char ** why) {
    const double second = 1e9;
    const struct plain_run_times t = plain_run_times(m->plain);
    hand_back(m);
    snprintf(words, sizeof words, "handed_back managed=%.0f plain=%.0f tokens=%d",
             1000 * second / ((double) t.managed_ns + 1), 1000 * second / ((double) t.plain_ns + 1), PLAIN_RUN_TOKENS);
    *why = words;
}

void managing_look(struct managing * m, const char ** why) {
    struct budget budget;
    *why = NULL;
    say_shrunk(m, why);
    const uint64_t pool = pool_of(m);
    const struct resident_totals t = resident_totals(m->resident);
    const uint64_t held = t.pool > t.pool_unused ? t.pool - t.pool_unused : 0;
    budget_count_cached(t.pool_cached);
    const int64_t left = budget_left(m->asked);
    look_at_plain_run(m, left, held);
    if (left < 0) {
        if (!budget_find(m->asked, held < pool ? held : pool, 0, &budget) || budget.pool >= pool) { return; }
        const uint64_t limit_before = m->budget.limit;
        m->budget = budget;
        m->may_grow = false;
        m->was_short = true;
        shrink(m, limit_before, why);
    } else if (m->may_grow && clock_monotonic_ns() - m->calm_since > SETTLED_NS) {
        grow(m);
    }
}

/* ---- before a graph ---- */

static void make_room(struct managing * m, uint64_t growth, const char ** why) {
    const struct resident_totals t = resident_totals(m->resident);
    budget_count_cached(t.pool_cached);
    const int64_t left = budget_left(m->asked); /* what the pool has yet to fill is there: it shrinks once that lacks */
    if (left == INT64_MAX || left >= (int64_t) growth) { return; }
    const uint64_t pool = pool_of(m), lacking = growth - (uint64_t) left;
    m->budget.pool = pool > lacking ? pool - lacking : 0;
    m->calm_since = clock_monotonic_ns();
    m->may_grow = !m->was_short;
    shrink(m, m->budget.limit, why);
    resident_await_pool(m->resident, m->budget.pool);
}

void managing_prepare(struct managing * m, uint32_t rows, uint64_t growth, const char ** why) {
    *why = NULL;
    if (growth) { make_room(m, growth, why); }
    if ((rows == 1) == m->of_one_row) { return; }
    m->of_one_row = rows == 1;
    if (!m->experts) { return; }
    experts_resize(m->experts, kept_of(m), m->resident);
}
