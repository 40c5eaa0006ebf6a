/* SPDX-License-Identifier: MIT
 *
 * Cells of the KV cache: how many attention reads in a layer, and which of them the mask lets through.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/attention/attention.h"

static bool is_cache(const struct attention * a, const struct tat_entry * e, enum tat_component component) {
    return a->class[e->tensor] == OUR_CACHE && a->subject->tensors[e->tensor].component == component;
}

static const struct tat_entry * source(const struct tat_template * t, const struct tat_entry * node, int s) {
    return node->src[s] == TAT_NO_ENTRY ? NULL : &t->entries[node->src[s]];
}

static uint32_t capture_of(const struct tat_template * t, uint32_t entry) {
    for (uint32_t i = 0; i < t->n_captures && entry != TAT_NO_ENTRY; i++) {
        if (t->captures[i].kind == TAT_CAPTURE_MASK && t->captures[i].entry == entry) { return i; }
    }
    return UINT32_MAX;
}

/* Flash attention tells everything at once. Without it, the product with K has the cells, and a SOFT_MAX after it the
 * mask. */
static bool node_of(const struct attention * a, const struct tat_template * t, const struct tat_entry * node,
                    struct attention_node * found) {
    const struct tat_entry *x = source(t, node, 0), *y = source(t, node, 1);
    const bool flash = strcmp(node->op, "FLASH_ATTN_EXT") == 0, product = strcmp(node->op, "MUL_MAT") == 0;
    const struct tat_entry * k = flash ? y : product ? x : NULL;
    if (!k || !is_cache(a, k, TAT_COMPONENT_KV_K) || k->ne[1] == 0 || k->ne[3] == 0) { return false; }
    found->layer = node->layer != TAT_NO_LAYER ? node->layer : k->layer;
    found->streams = k->ne[3];
    found->cells = k->ne[1] * k->ne[3];
    found->mask = flash ? capture_of(t, node->src[3]) : UINT32_MAX;
    return found->layer != TAT_NO_LAYER && tat_trace_has_layer(a->subject->trace, found->layer);
}

static struct attention_node * last_node(const struct attention * a) {
    return &LIST(struct attention_node, a->nodes)[a->nodes.count - 1];
}

/* For a layer that attends twice in a graph, the first attention counts. */
static bool add_template(struct attention * a, uint32_t number) {
    const struct tat_template * t = &a->subject->templates[number];
    const uint32_t first = a->nodes.count;
    for (uint32_t n = 0; n < t->n_nodes; n++) {
        const struct tat_entry * node = &t->entries[t->n_leaves + n];
        struct attention_node found = { .template_id = number };
        struct attention_node * last = a->nodes.count > first ? last_node(a) : NULL;
        if (node_of(a, t, node, &found)) {
            if (last && last->layer == found.layer) { continue; }
            last = list_add(&a->nodes, sizeof *last);
            if (!last) { return false; }
            *last = found;
        } else if (last && last->mask == UINT32_MAX && strcmp(node->op, "SOFT_MAX") == 0 &&
                   (node->layer == last->layer || node->layer == TAT_NO_LAYER)) {
            last->mask = capture_of(t, node->src[1]);
        }
    }
    return true;
}

bool attention_find_nodes(struct attention * a) {
    for (uint32_t i = 0; i < a->subject->n_templates; i++) {
        if (!add_template(a, i)) { return false; }
    }
    return true;
}

/* ---- masks ---- */

struct run {
    uint64_t first, end;
};

struct masks {
    struct attention * a;
    const struct tat_template * t;
    struct visible * visible; /* by capture */
};

static int by_first(const void * x, const void * y) {
    const struct run *a = x, *b = y;
    return (a->first > b->first) - (a->first < b->first);
}

static uint64_t union_of(struct run * runs, size_t n) {
    uint64_t seen = 0, end = 0;
    qsort(runs, n, sizeof *runs, by_first);
    for (size_t i = 0; i < n; i++) {
        const uint64_t from = runs[i].first > end ? runs[i].first : end;
        if (runs[i].end > from) {
            seen += runs[i].end - from;
            end = runs[i].end;
        }
    }
    return seen;
}

/* A mask's values: for each query its runs (skipped, seen) of cells, ended by (0, 0). Streams follow each other. */
static bool read_mask(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct masks * m = user;
    const struct tat_capture * c = &m->t->captures[capture];
    struct visible * v = &m->visible[capture];
    if (c->kind != TAT_CAPTURE_MASK) { return true; }
    const uint64_t * ne = m->t->entries[c->entry].ne;
    uint64_t rows = 0, at = 0, row = 0, of_row = 0;
    struct run * const runs = malloc((count / 2 + 1) * sizeof *runs);
    size_t n = 0;
    m->a->failed |= !runs;
    for (size_t i = 0; i + 1 < count; i += 2) { rows += values[i + 1] == 0; }
    v->bad = rows == 0 || ne[2] != 1 || ne[3] == 0 || rows % ne[3] != 0;
    for (size_t i = 0; i + 1 < count && runs && !v->bad; i += 2) {
        const uint64_t skipped = (uint64_t) values[i], seen = (uint64_t) values[i + 1];
        if (seen == 0) {
            v->most = of_row > v->most ? of_row : v->most;
            v->sum += of_row;
            row++;
            at = of_row = 0;
            continue;
        }
        if (skipped > ne[0] - at || seen > ne[0] - at - skipped) {
            v->bad = 1; /* beyond the mask's end, as in a hostile trace */
            break;
        }
        const uint64_t stream = row / (rows / ne[3]) * ne[0];
        runs[n++] = (struct run){ stream + at + skipped, stream + at + skipped + seen };
        at += skipped + seen;
        of_row += seen;
    }
    if (runs && !v->bad) { v->seen = union_of(runs, n); }
    v->queries = rows;
    free(runs);
    return !m->a->failed;
}

/* ---- evaluations ---- */

static const struct attention_node * first_node(const struct attention * a, uint32_t template_id) {
    const struct attention_node * nodes = LIST(const struct attention_node, a->nodes);
    size_t low = 0, high = a->nodes.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (nodes[middle].template_id < template_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return nodes + low;
}

/* Divides the bytes that the layer read by whose cells they are: each of its tokens wrote one cell. */
static void add_layer(struct attention * a, struct attention_step * s, const struct attention_node * n,
                      const struct visible * v, uint64_t tokens) {
    const struct attention_layer * l = &a->layer[n->layer];
    const double read = l->now == a->at + 1 ? (double) l->now_read / (double) n->cells : 0;
    const uint64_t seen = v->seen < n->cells ? v->seen : n->cells;
    const uint64_t fresh = tokens < seen ? tokens : seen;
    s->visible += ratio(v->sum, v->queries);
    s->fresh += read * (double) fresh;
    s->cached += read * (double) (seen - fresh);
    s->hidden += read * (double) (n->cells - seen);
}

static void add_to_layer(struct attention_layer * l, const struct attention_node * n, const struct visible * v,
                         uint64_t most, bool generated) {
    if (v && v->most > l->most_visible) { l->most_visible = v->most; }
    if (v && v->most < most) { l->narrower = true; }
    if (!generated) { return; }
    l->evaluations++;
    l->cells += (double) n->cells;
    if (v) {
        l->masked++;
        l->visible += ratio(v->sum, v->queries);
    }
}

static const struct visible * visible_to(const struct attention_node * n, const struct visible * visible) {
    return n->mask == UINT32_MAX || visible[n->mask].bad || visible[n->mask].queries == 0 ? NULL : &visible[n->mask];
}

static void add_nodes(struct attention * a, const struct tat_evaluation * e, const struct visible * visible) {
    const struct attention_node * first = first_node(a, e->template_id);
    const struct attention_node * end = LIST(const struct attention_node, a->nodes) + a->nodes.count;
    struct attention_step * s = &a->step[a->at];
    uint64_t most = 0;
    s->known = true;
    for (const struct attention_node * n = first; n < end && n->template_id == e->template_id; n++) {
        const struct visible * v = visible_to(n, visible);
        if (v && v->most > most) { most = v->most; }
    }
    for (const struct attention_node * n = first; n < end && n->template_id == e->template_id; n++) {
        const struct visible * v = visible_to(n, visible);
        s->layers++;
        s->cells += (double) n->cells;
        s->known &= v != NULL;
        if (v) { add_layer(a, s, n, v, e->n_tokens); }
        add_to_layer(&a->layer[n->layer], n, v, most, e->phase == TAT_PHASE_GENERATE);
    }
    s->known &= s->layers > 0;
    if (s->layers) {
        s->cells /= s->layers;
        s->visible /= s->layers;
    }
}

void attention_end_step(struct attention * a) {
    if (a->at == UINT32_MAX || !a->counts || a->failed) { return; }
    const struct tat_evaluation * e = &a->subject->evaluations[a->at];
    const struct tat_template * t = &a->subject->templates[e->template_id];
    struct masks m = { a, t, calloc((size_t) t->n_captures + 1, sizeof *m.visible) };
    if (!m.visible || tat_trace_each_capture(a->subject->trace, a->at, read_mask, &m, NULL) < 0) { a->failed = true; }
    if (!a->failed) { add_nodes(a, e, m.visible); }
    free(m.visible);
}
