/* SPDX-License-Identifier: MIT */
#include "agent/template_cache.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/graph_walk.h"
#include "agent/lives.h"
#include "agent/registry.h"
#include "agent/table.h"
#include "format/node_rules.h"

/* Guarded by the registry's lock. */
static struct graph_template ** templates;
static uint32_t n_templates, capacity;
static uint32_t next_id;
static struct table by_hash;     /* to an index of templates[] */
static uint64_t looked_in_epoch; /* when templates of dead objects were last freed */

static uint64_t uses; /* relaxed */

static uint64_t graph_hash(const struct graph * g) {
    const struct ggml_layout * l = &g->host->layout;
    uint64_t sum = g->n_nodes;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        /* Not known yet: which sources are leaves and which views slide. The comparison afterwards settles that. */
        const uint32_t view = layout_view_src(l, g->nodes[i]) ? NODE_SLIDES : 0;
        sum = table_hash(sum) + g->host->hash->of(l, g->nodes[i], view);
    }
    return sum;
}

static bool equal(const struct graph * g, const struct graph_template * t) {
    return t->host == g->host->number &&
           g->host->hash->all_match(&g->host->layout, g->nodes, t->expected, 0, g->n_nodes);
}

/* True if what it was made for is still there, not something else at the same address. */
static bool is_current(struct graph_template * t) {
    if (template_is_current(t)) { return true; }
    for (uint32_t i = 0; i < t->n_lives; i++) {
        if (!life_goes_on(t->lives[i])) { return false; }
    }
    __atomic_store_n(&t->epoch, lives_epoch(), __ATOMIC_RELAXED);
    return true;
}

static struct graph_template * find(const struct graph * g, uint64_t hash) {
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&by_hash, hash, &steps)) != TABLE_NONE;) {
        if (templates[i]->n_nodes == g->n_nodes && is_current(templates[i]) && equal(g, templates[i])) {
            return templates[i];
        }
    }
    return NULL;
}

static void free_template(struct graph_template * t) {
    for (int rule = 0; rule < TAT_RULE_COUNT; rule++) { free(t->steps[rule]); }
    free(t->expected);
    free(t->captures);
    free(t->lives);
    free(t);
}

static int by_use(const void * a, const void * b) {
    const uint64_t x = __atomic_load_n(&(*(struct graph_template * const *) a)->last_used, __ATOMIC_RELAXED);
    const uint64_t y = __atomic_load_n(&(*(struct graph_template * const *) b)->last_used, __ATOMIC_RELAXED);
    return (x > y) - (x < y);
}

static void remove_some(bool (*goes)(struct graph_template * t, uint32_t at), template_let_go * let_go) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n_templates; i++) {
        if (goes(templates[i], i) && let_go(templates[i])) {
            free_template(templates[i]);
        } else {
            templates[kept++] = templates[i];
        }
    }
    n_templates = kept;
    table_free(&by_hash);
    for (uint32_t i = 0; i < kept; i++) {
        if (!table_add(&by_hash, templates[i]->hash, i)) { return; } /* no memory: templates are made again as if new */
    }
}

static bool is_of_older_half(struct graph_template * t, uint32_t at) {
    (void) t;
    return at < n_templates / 2;
}

static bool is_dead(struct graph_template * t, uint32_t at) {
    (void) at;
    return !is_current(t);
}

/* Frees templates of dead objects and, if there are still too many, the least recently used half. Those in use stay. */
static void make_room(template_let_go * let_go) {
    if (looked_in_epoch != lives_epoch()) {
        looked_in_epoch = lives_epoch();
        remove_some(is_dead, let_go);
    }
    if (n_templates < agent_options()->templates_max) { return; }
    qsort(templates, n_templates, sizeof templates[0], by_use);
    remove_some(is_of_older_half, let_go);
}

static struct graph_template * add(const struct graph * g, uint64_t hash, template_let_go * let_go) {
    make_room(let_go);
    if (n_templates == capacity) {
        const uint32_t more = capacity ? capacity * 2 : 16;
        struct graph_template ** bigger = realloc(templates, more * sizeof bigger[0]);
        if (!bigger) { return NULL; }
        templates = bigger;
        capacity = more;
    }
    struct graph_template * t = calloc(1, sizeof *t);
    if (!t) { return NULL; }
    t->id = next_id;
    t->hash = hash;
    t->host = g->host->number;
    t->epoch = lives_epoch();
    if (!graph_walk(g, t) || !table_add(&by_hash, hash, n_templates)) {
        free_template(t);
        return NULL;
    }
    template_used(t);
    templates[n_templates++] = t;
    next_id++;
    return t;
}

void template_used(const struct graph_template * t) {
    const uint64_t now = __atomic_add_fetch(&uses, 1, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *) &t->last_used, now, __ATOMIC_RELAXED);
}

const struct graph_template * template_of(const struct graph * g, const struct graph_template ** holder,
                                          template_let_go * let_go) {
    registry_lock();
    registry_refresh();
    const uint64_t hash = graph_hash(g);
    struct graph_template * t = find(g, hash);
    if (!t) { t = add(g, hash, let_go); }
    /* A template that found no room is encoded again the next time it is seen. */
    if (t && !t->written && !graph_walk_write(g, t)) { t = NULL; }
    __atomic_store_n(holder, t, __ATOMIC_SEQ_CST);
    registry_unlock();
    return t;
}

bool template_is_current(const struct graph_template * t) {
    return __atomic_load_n(&t->epoch, __ATOMIC_RELAXED) == lives_epoch();
}

static struct steps * make_steps(const struct graph_template * t, uint32_t rule) {
    struct steps * steps = malloc(sizeof *steps + (size_t) t->n_nodes * sizeof steps->step[0]);
    if (!steps) { return NULL; }
    uint32_t n = 0, from = 0, capture = 0;
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        const uint32_t facts = t->expected[i].facts;
        if (!node_executes(facts, rule)) { continue; }
        if (node_fuses(facts, rule)) { i++; }
        struct step * step = &steps->step[n++];
        *step = (struct step){ .first_node = from, .last_node = i, .first_capture = capture };
        while (capture < t->n_captures && t->captures[capture].node <= i) { capture++; }
        step->n_captures = capture - step->first_capture;
        from = i + 1;
    }
    steps->n_steps = n;
    steps->tail_node = from;
    return steps;
}

const struct steps * template_steps(const struct graph_template * t, uint32_t rule) {
    struct steps ** slot = (struct steps **) &t->steps[rule];
    struct steps * steps = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (steps) { return steps; }
    steps = make_steps(t, rule);
    struct steps * others = NULL;
    if (steps && !__atomic_compare_exchange_n(slot, &others, steps, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        free(steps);
        steps = others;
    }
    return steps;
}

uint32_t template_first_rule(const struct graph_template * t) {
    bool asked = false;
    for (uint32_t i = 0; i < t->n_nodes && !asked; i++) { asked = t->expected[i].facts & TAT_NODE_COMPUTE; }
    if (!asked) { return 0; }
    const char * off = getenv("GGML_CPU_DISABLE_FUSION");
    const uint32_t fuse = off && atoi(off) == 1 ? 0 : TAT_RULE_FUSE_NORM;
    return TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | fuse;
}

void templates_after_fork(void) {
    templates = NULL;
    n_templates = capacity = next_id = 0;
    looked_in_epoch = 0;
    memset(&by_hash, 0, sizeof by_hash);
}
