/* SPDX-License-Identifier: MIT
 *
 * Attention by head: which bytes of the weights and of the KV cache each head reads, and how many share. Of one token,
 * the last that was generated.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/attention/attention.h"
#include "analysis/units.h"
#include "format/head_shapes.h"

enum { HEADS_MAX = 1 << 17 /* sums kept for all layers and parts together */, LAYERS_SIZE = 64 };

enum of_head { Q_WEIGHTS, K_WEIGHTS, V_WEIGHTS, O_WEIGHTS, K_READ, V_READ, K_WRITTEN, V_WRITTEN, HEAD_PARTS };

static const struct {
    const char *key, *label;
    bool of_query; /* true: query heads; false: KV heads */
} of_heads[HEAD_PARTS] = {
    [Q_WEIGHTS] = { "q_weights", "Q weights", true },
    [K_WEIGHTS] = { "k_weights", "K weights", false },
    [V_WEIGHTS] = { "v_weights", "V weights", false },
    [O_WEIGHTS] = { "output_weights", "output weights", true },
    [K_READ] = { "k_cache_read", "K cache, read", false },
    [V_READ] = { "v_cache_read", "V cache, read", false },
    [K_WRITTEN] = { "k_cache_written", "K cache, written", false },
    [V_WRITTEN] = { "v_cache_written", "V cache, written", false },
};

/* One layer of the sample: bytes by part and head. */
struct head_bytes {
    const struct head_shape * shape;
    double * bytes[HEAD_PARTS]; /* NULL: nothing was split */
};

static const struct result_column columns[] = {
    { "part", "part", UNIT_TEXT },          { "of", "of", UNIT_TEXT },
    { "layers", "layers", UNIT_COUNT },     { "heads", "heads", UNIT_COUNT },
    { "bytes", "bytes/token", UNIT_BYTES }, { "bytes_per_head", "per head", UNIT_BYTES },
};

static const struct result_column layer_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "part", "part", UNIT_TEXT },
    { "bytes", "bytes by head", UNIT_BYTES },
};

static const struct result_column sharing_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "heads", "query heads", UNIT_COUNT },
    { "kv_heads", "KV heads", UNIT_COUNT },
};

static uint64_t heads_of(const struct head_shape * shape, enum of_head part) {
    return of_heads[part].of_query ? shape->n_head : shape->n_head_kv;
}

bool attention_begin_heads(struct attention * a) {
    struct tat_error error;
    a->heads = tat_access_heads_new(a->subject->trace, &error);
    a->by_head = calloc((size_t) a->span + 1, sizeof *a->by_head);
    return a->heads && a->by_head;
}

void attention_free_heads(struct attention * a) {
    for (uint32_t i = 0; a->by_head && i < a->span; i++) {
        for (int p = 0; p < HEAD_PARTS; p++) { free(a->by_head[i].bytes[p]); }
    }
    free(a->by_head);
    tat_access_heads_free(a->heads);
}

static enum of_head part_of(const struct tat_tensor * t, const struct tat_access * record) {
    const bool write = record->flags & TAT_ACCESS_WRITE;
    switch (t->component) {
        case TAT_COMPONENT_ATTN_Q: return Q_WEIGHTS;
        case TAT_COMPONENT_ATTN_K: return K_WEIGHTS;
        case TAT_COMPONENT_ATTN_V: return V_WEIGHTS;
        case TAT_COMPONENT_ATTN_OUTPUT: return O_WEIGHTS;
        case TAT_COMPONENT_KV_K: return write ? K_WRITTEN : K_READ;
        case TAT_COMPONENT_KV_V: return write ? V_WRITTEN : V_READ;
        default: return HEAD_PARTS;
    }
}

static bool add(const struct tat_access * record, struct tat_layout layout, void * user) {
    (void) layout;
    struct attention * a = user;
    const enum of_head part = part_of(&a->subject->tensors[record->tensor], record);
    if (record->head_first == TAT_NO_HEAD || record->head_count == 0 || part == HEAD_PARTS ||
        record->layer >= a->span) {
        return true;
    }
    struct head_bytes * layer = &a->by_head[record->layer];
    layer->shape = tat_access_heads_shape(a->heads, record);
    if (!layer->shape) { return true; }
    const uint64_t n = heads_of(layer->shape, part);
    if (!layer->bytes[part]) {
        if (n > HEADS_MAX - a->n_by_head) { return true; }
        layer->bytes[part] = calloc(n, sizeof *layer->bytes[part]);
        a->failed |= !layer->bytes[part];
        if (!layer->bytes[part]) { return false; }
        a->n_by_head += n;
    }
    a->split_block |= record->head_count > 1;
    for (uint32_t i = 0; i < record->head_count && record->head_first + i < n; i++) {
        layer->bytes[part][record->head_first + i] += (double) record->bytes / record->head_count;
    }
    return true;
}

void attention_split(struct attention * a, const struct tat_access * record) {
    if (part_of(&a->subject->tensors[record->tensor], record) == HEAD_PARTS) { return; }
    tat_access_heads_split(a->heads, record, 1, add, a);
}

/* ---- results ---- */

static void show_layers(const struct attention * a, struct result * r) {
    result_table(r, "head_bytes", "Bytes by head", SHOW_NEVER, layer_columns,
                 sizeof layer_columns / sizeof layer_columns[0]);
    for (uint32_t i = 0; i < a->span; i++) {
        const struct head_bytes * l = &a->by_head[i];
        for (int p = 0; l->shape && p < HEAD_PARTS; p++) {
            if (!l->bytes[p]) { continue; }
            json_t * row = result_row(r);
            json_t * bytes = json_array();
            for (uint64_t h = 0; h < heads_of(l->shape, (enum of_head) p); h++) {
                json_array_append_new(bytes, json_real(l->bytes[p][h]));
            }
            result_put_layer(r, row, "layer", i);
            result_put_text(r, row, "part", of_heads[p].key);
            result_put(r, row, "bytes", bytes);
        }
    }
}

static void show_parts(const struct attention * a, struct result * r) {
    result_table(r, "heads", "What the heads of a layer read and write for one token, the last one", SHOW_ASKED,
                 columns, sizeof columns / sizeof columns[0]);
    for (int p = 0; p < HEAD_PARTS; p++) {
        uint64_t layers = 0, heads = 0;
        double bytes = 0;
        for (uint32_t i = 0; i < a->span; i++) {
            const struct head_bytes * l = &a->by_head[i];
            if (!l->bytes[p]) { continue; }
            const uint64_t n = heads_of(l->shape, (enum of_head) p);
            for (uint64_t h = 0; h < n; h++) { bytes += l->bytes[p][h]; }
            layers++;
            heads += n;
        }
        if (layers == 0) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "part", of_heads[p].label);
        result_put_text(r, row, "key", of_heads[p].key);
        result_put_text(r, row, "of", of_heads[p].of_query ? "query heads" : "KV heads");
        result_put_count(r, row, "layers", layers);
        result_put_real(r, row, "heads", ratio(heads, layers));
        result_put_real(r, row, "bytes", bytes);
        result_put_real(r, row, "bytes_per_head", bytes / (double) heads);
    }
    if (a->split_block) {
        result_note(r,
                    "If several heads share a block of a quantised weight, its bytes are divided evenly among them.");
    }
}

struct sharing {
    uint64_t layers, n_head, n_head_kv; /* of the first layer */
    bool differ, shared;
};

static struct sharing show_sharing(const struct attention * a, struct result * r) {
    struct sharing s = { 0 };
    const uint32_t template_id = a->subject->evaluations[a->sample].template_id;
    result_table(r, "sharing", "Query heads and KV heads by layer", SHOW_NEVER, sharing_columns,
                 sizeof sharing_columns / sizeof sharing_columns[0]);
    for (uint32_t i = 0; i < a->span; i++) {
        const struct head_shape * shape = tat_access_heads_shape_at(a->heads, template_id, (uint16_t) i);
        if (!shape) { continue; }
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", i);
        result_put_count(r, row, "heads", shape->n_head);
        result_put_count(r, row, "kv_heads", shape->n_head_kv);
        s.differ |= s.layers && (s.n_head != shape->n_head || s.n_head_kv != shape->n_head_kv);
        s.shared |= shape->n_head > shape->n_head_kv;
        if (s.layers++ == 0) { s.n_head = shape->n_head, s.n_head_kv = shape->n_head_kv; }
    }
    return s;
}

/* "each of 30 layers", "the only layer with attention". */
static const char * in_layers(char text[static LAYERS_SIZE], uint64_t layers) {
    if (layers == 1) { return "the only layer with attention"; }
    snprintf(text, LAYERS_SIZE, "each of %" PRIu64 " layers", layers);
    return text;
}

/* With latent attention all heads read one vector, from which each makes its own K and V. */
static bool is_latent(const struct attention * a) {
    bool latent = false;
    for (uint32_t i = 0; i < a->span; i++) { latent |= a->layer[i].distinct < a->layer[i].cache.read; }
    return latent;
}

static void say_shared(struct result * r, const struct sharing * s, bool latent, const char * question) {
    const double each = ratio(s->n_head, s->n_head_kv);
    char layers[LAYERS_SIZE];
    if (latent && s->n_head_kv == 1) {
        result_line(r, "heads", "%" PRIu64 " query heads per layer, all on one latent vector of K and V", s->n_head);
        result_answer(r, question,
                      "Yes: in %s, %" PRIu64
                      " query heads read the same latent vector of each token, from which all of them "
                      "make K and V.",
                      in_layers(layers, s->layers), s->n_head);
        return;
    }
    if (s->n_head_kv == 1) {
        result_line(r, "heads", "%" PRIu64 " query heads per layer, all on one KV head", s->n_head);
    } else {
        result_line(r, "heads", "%" PRIu64 " query heads per layer, %.3g on each of %" PRIu64 " KV heads", s->n_head,
                    each, s->n_head_kv);
    }
    result_answer(r, question,
                  "Yes: in %s, %" PRIu64 " query heads share %" PRIu64
                  " KV head%s, so the KV cache is %.3g times smaller than "
                  "if each had K and V of its own.",
                  in_layers(layers, s->layers), s->n_head, s->n_head_kv, s->n_head_kv == 1 ? "" : "s", each);
}

static void say(struct result * r, const struct sharing * s, bool latent) {
    static const char question[] = "Do heads share?";
    char layers[LAYERS_SIZE];
    if (s->layers == 0) {
        result_answer(r, question, "Unknown: no layer was seen to attend to a KV cache.");
    } else if (s->differ) {
        result_line(r, "heads",
                    "numbers differ between layers; the first has %" PRIu64 " query heads on %" PRIu64 " KV heads",
                    s->n_head, s->n_head_kv);
        result_answer(r, question,
                      "%s, but the numbers differ between the %" PRIu64 " layers: the first has %" PRIu64
                      " query heads on %" PRIu64 " KV heads.",
                      s->shared ? "Yes" : "No", s->layers, s->n_head, s->n_head_kv);
    } else if (s->shared) {
        say_shared(r, s, latent, question);
    } else {
        result_line(r, "heads", "%" PRIu64 " query heads per layer, each with K and V of its own", s->n_head);
        result_answer(r, question, "No: in %s, the %" PRIu64 " query heads have K and V of their own.",
                      in_layers(layers, s->layers), s->n_head);
    }
}

void attention_show_heads(struct attention * a, struct result * r) {
    struct sharing s = { 0 };
    if (a->sample != UINT32_MAX) { s = show_sharing(a, r); }
    say(r, &s, is_latent(a));
    show_parts(a, r);
    show_layers(a, r);
}
