/* SPDX-License-Identifier: MIT */
#include "format/head_shapes.h"

#include <stdlib.h>
#include <string.h>

static const struct tat_entry * source(const struct tat_template * t, const struct tat_entry * node, int s) {
    return node->src[s] == TAT_NO_ENTRY ? NULL : &t->entries[node->src[s]];
}

static bool is_cache(const struct tat_tensor * tensors, const struct tat_entry * e, enum tat_component component) {
    return tensors[e->tensor].kind == TAT_TENSOR_STATE && tensors[e->tensor].component == component;
}

/* What a node tells. Flash attention tells all at once; without it, the product with K tells a half and the one with V
 * the other. */
static bool shape_of(const struct tat_tensor * tensors, const struct tat_template * t, const struct tat_entry * node,
                     struct head_shape * shape) {
    const struct tat_entry *a = source(t, node, 0), *b = source(t, node, 1), *c = source(t, node, 2);
    if (!a || !b) { return false; }
    if (strcmp(node->op, "FLASH_ATTN_EXT") == 0 && c) {
        *shape = (struct head_shape){
            .n_head = a->ne[2], .n_head_kv = b->ne[2], .k_size = b->ne[0], .v_size = c->ne[0], .layer = b->layer
        };
    } else if (strcmp(node->op, "MUL_MAT") == 0 && is_cache(tensors, a, TAT_COMPONENT_KV_K)) {
        *shape =
            (struct head_shape){ .n_head = b->ne[2], .n_head_kv = a->ne[2], .k_size = a->ne[0], .layer = a->layer };
    } else if (strcmp(node->op, "MUL_MAT") == 0 && is_cache(tensors, a, TAT_COMPONENT_KV_V)) {
        *shape = (struct head_shape){
            .n_head = b->ne[2], .n_head_kv = a->ne[2], .v_size = a->ne[1], .layer = a->layer, .v_transposed = true
        };
    } else {
        return false;
    }
    /* A layer may read another layer's cache; what counts is the layer of the attention. */
    if (node->layer != TAT_NO_LAYER) { shape->layer = node->layer; }
    return shape->layer != TAT_NO_LAYER && shape->n_head && shape->n_head_kv && shape->n_head < TAT_NO_HEAD &&
           shape->n_head_kv < TAT_NO_HEAD;
}

static int by_place(const void * a, const void * b) {
    const struct head_shape *x = a, *y = b;
    if (x->template_id != y->template_id) { return x->template_id < y->template_id ? -1 : 1; }
    return (int) x->layer - (int) y->layer;
}

/* Joins the halves of a layer. If a layer has two attentions of different shapes, no shape fits both. */
static void join(struct head_shape * into, const struct head_shape * half) {
    const bool same = into->n_head == half->n_head && into->n_head_kv == half->n_head_kv &&
                      (!into->k_size || !half->k_size || into->k_size == half->k_size) &&
                      (!into->v_size || !half->v_size || into->v_size == half->v_size);
    if (!same) {
        into->n_head = into->n_head_kv = into->k_size = into->v_size = 0;
        return;
    }
    if (!into->k_size) { into->k_size = half->k_size; }
    if (!into->v_size) { into->v_size = half->v_size; }
    into->v_transposed |= half->v_transposed;
}

/* Counts the shapes of all graphs, and stores them if there is room. */
static size_t find(const struct tat_trace * trace, struct head_shape * shapes) {
    uint32_t n_templates, n_tensors;
    const struct tat_template * t = tat_trace_templates(trace, &n_templates);
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &n_tensors);
    size_t found = 0;
    for (uint32_t i = 0; i < n_templates; i++) {
        for (uint32_t n = 0; n < t[i].n_nodes; n++) {
            struct head_shape shape;
            if (!shape_of(tensors, &t[i], &t[i].entries[t[i].n_leaves + n], &shape)) { continue; }
            shape.template_id = i;
            if (shapes) { shapes[found] = shape; }
            found++;
        }
    }
    return found;
}

bool head_shapes_find(struct head_shapes * all, const struct tat_trace * trace) {
    const size_t found = find(trace, NULL);
    all->count = 0;
    all->shapes = calloc(found + 1, sizeof all->shapes[0]);
    if (!all->shapes) { return false; }
    find(trace, all->shapes);
    qsort(all->shapes, found, sizeof all->shapes[0], by_place);
    for (size_t i = 0; i < found; i++) {
        if (all->count && by_place(&all->shapes[all->count - 1], &all->shapes[i]) == 0) {
            join(&all->shapes[all->count - 1], &all->shapes[i]);
        } else {
            all->shapes[all->count++] = all->shapes[i];
        }
    }
    return true;
}

void head_shapes_free(struct head_shapes * all) {
    free(all->shapes);
}

const struct head_shape * head_shape_at(const struct head_shapes * all, uint32_t template_id, uint16_t layer) {
    const struct head_shape key = { .template_id = template_id, .layer = layer };
    const struct head_shape * found = bsearch(&key, all->shapes, all->count, sizeof key, by_place);
    return found && found->n_head ? found : NULL;
}
