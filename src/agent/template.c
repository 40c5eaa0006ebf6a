/* SPDX-License-Identifier: MIT */
#include "agent/template.h"

#include <stdlib.h>
#include <string.h>

#include "agent/graph_walk.h"
#include "agent/registry.h"
#include "agent/table.h"

/* Odd, random: a sum of products with them is a universal hash whose products do not wait for each other. */
static const uint64_t K[] = {
    0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xff51afd7ed558ccd,
    0xc4ceb9fe1a85ec53, 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3,
    0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x9fb21c651e98df25, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
    0x85ebca77c2b2ae63, 0x27d4eb2f165667c5, 0xd1b54a32d192ed03, 0xaef17502108ef2d9, 0x8cb92ba72f3d8dd7,
    0xf1357aea2e62a9c5, 0xabc98388fb8fac03, 0xda3e39cb94b95bdb, 0x8538ecb5bd456ea3, 0xca01f9dd51cfaf2d,
    0xe19b01aa9d42c633, 0xb7e151628aed2a6b, 0x93c467e37db0c7a5, 0xc0ac29b7c97c50dd, 0xa4093822299f31d1,
};
#define K_FIXED 14
_Static_assert(sizeof K / sizeof K[0] >= K_FIXED + TAT_MAX_SRC, "a constant for each word");

uint64_t template_node_hash(const struct ggml_layout * l, const struct ggml_tensor * node, uint32_t leaves) {
    const int64_t *              ne     = layout_ne(l, node);
    const size_t *               nb     = layout_nb(l, node);
    struct ggml_tensor * const * src    = layout_src(l, node);
    const bool                   slides = leaves & EXPECT_SLIDES;
    const uint32_t               param  = slides ? 0 : (uint32_t) layout_op_params(l, node)[0];
    const uint64_t               data   = slides ? 0 : (uint64_t) (uintptr_t) layout_data(l, node);

    uint64_t sum = (uint64_t) (uintptr_t) node * K[0];
    sum += ((uint64_t) (uint32_t) layout_op(l, node) << 32 | (uint32_t) layout_type(l, node)) * K[1];
    sum += ((uint64_t) (uint32_t) layout_flags(l, node) << 32 | param) * K[2];
    sum += data * K[3];
    sum += (uint64_t) (uintptr_t) layout_view_src(l, node) * K[4];
    for (int i = 0; i < 4; i++) { sum += (uint64_t) ne[i] * K[5 + i] + (uint64_t) nb[i] * K[9 + i]; }
    for (int i = 0; i < l->n_src; i++) { sum += (uint64_t) (uintptr_t) src[i] * K[K_FIXED + i]; }
    for (leaves &= ~EXPECT_SLIDES; leaves; leaves &= leaves - 1) {
        const struct ggml_tensor * leaf = src[__builtin_ctz(leaves)];
        const int64_t *            size = layout_ne(l, leaf);
        sum                             = (sum ^ sum >> 29) * K[13];
        sum += (uint64_t) (uintptr_t) layout_data(l, leaf) * K[0];
        for (int i = 0; i < 4; i++) {
            sum += (uint64_t) size[i] * K[5 + i] + (uint64_t) layout_nb(l, leaf)[i] * K[9 + i];
        }
    }
    return sum;
}

/* Guarded by the registry's lock. */
static struct template ** templates;
static uint32_t           n_templates, capacity;
static struct table       by_hash;

static uint64_t graph_hash(const struct graph * g) {
    const struct ggml_layout * l   = &g->host->layout;
    uint64_t                   sum = g->n_nodes;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        /* Which sources are leaves and which views slide is not known yet: that is left to the comparison afterwards.
         */
        const uint32_t view = layout_view_src(l, g->nodes[i]) ? EXPECT_SLIDES : 0;
        sum                 = table_hash(sum) + template_node_hash(l, g->nodes[i], view);
    }
    return sum;
}

static bool equal(const struct graph * g, const struct template * t) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (template_node_hash(&g->host->layout, g->nodes[i], t->expected[i].leaves) != t->expected[i].hash) {
            return false;
        }
    }
    return true;
}

static struct template * find(const struct graph * g, uint64_t hash) {
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&by_hash, hash, &steps)) != TABLE_NONE;) {
        if (templates[i]->n_nodes == g->n_nodes && equal(g, templates[i])) { return templates[i]; }
    }
    return NULL;
}

static struct template * add(const struct graph * g, uint64_t hash) {
    if (n_templates == capacity) {
        const uint32_t     more   = capacity ? capacity * 2 : 16;
        struct template ** bigger = realloc(templates, more * sizeof bigger[0]);
        if (!bigger) { return NULL; }
        templates = bigger;
        capacity  = more;
    }
    struct template * t = calloc(1, sizeof *t);
    if (!t) { return NULL; }
    t->id   = n_templates;
    t->hash = hash;
    if (!graph_walk(g, t) || !table_add(&by_hash, hash, n_templates)) {
        free(t->expected);
        free(t->captures);
        free(t);
        return NULL;
    }
    templates[n_templates++] = t;
    return t;
}

const struct template * template_of(const struct graph * g) {
    registry_lock();
    const uint64_t    hash = graph_hash(g);
    struct template * t    = find(g, hash);
    if (!t) { t = add(g, hash); }
    /* A template that found no room is encoded again when next seen. */
    if (t && !t->written && !graph_walk_write(g, t)) { t = NULL; }
    registry_unlock();
    return t;
}

static bool executes(const struct expected * node, uint32_t rule) {
    if ((rule & TAT_RULE_SKIP_EMPTY) && (node->facts & TAT_NODE_EMPTY)) { return false; }
    return !(rule & TAT_RULE_SKIP_UNASKED) || (node->facts & TAT_NODE_COMPUTE);
}

static struct steps * make_steps(const struct template * t, uint32_t rule) {
    struct steps * steps = malloc(sizeof *steps + (size_t) t->n_nodes * sizeof steps->step[0]);
    if (!steps) { return NULL; }
    uint32_t n = 0, from = 0, capture = 0;
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        if (!executes(&t->expected[i], rule)) { continue; }
        if ((rule & TAT_RULE_FUSE_NORM) && (t->expected[i].facts & TAT_NODE_FUSES_NEXT)) { i++; }
        struct step * step = &steps->step[n++];
        *step              = (struct step){ .first_node = from, .last_node = i, .first_capture = capture };
        while (capture < t->n_captures && t->captures[capture].node <= i) { capture++; }
        step->n_captures = capture - step->first_capture;
        from             = i + 1;
    }
    steps->n_steps   = n;
    steps->tail_node = from;
    return steps;
}

const struct steps * template_steps(const struct template * t, uint32_t rule) {
    struct steps ** slot  = (struct steps **) &t->steps[rule];
    struct steps *  steps = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (steps) { return steps; }
    steps                 = make_steps(t, rule);
    struct steps * others = NULL;
    if (steps && !__atomic_compare_exchange_n(slot, &others, steps, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        free(steps);
        steps = others;
    }
    return steps;
}

uint32_t template_first_rule(const struct template * t) {
    bool asked = false;
    for (uint32_t i = 0; i < t->n_nodes && !asked; i++) { asked = t->expected[i].facts & TAT_NODE_COMPUTE; }
    if (!asked) { return 0; }
    const char *   off  = getenv("GGML_CPU_DISABLE_FUSION");
    const uint32_t fuse = off && atoi(off) == 1 ? 0 : TAT_RULE_FUSE_NORM;
    return TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | fuse;
}

void templates_after_fork(void) {
    templates   = NULL;
    n_templates = capacity = 0;
    memset(&by_hash, 0, sizeof by_hash);
}
