/* SPDX-License-Identifier: MIT */
#include "agent/graph_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/files.h"
#include "agent/lives.h"
#include "agent/registry.h"
#include "agent/sink.h"
#include "agent/table.h"
#include "format/buffer.h"
#include "format/node_rules.h"
#include "tat/gguf.h"

enum { TYPE_F32 = 0, OP_PARAM_WORDS = 16 };

/* A graph's tensors: leaves first, then the nodes in their order. */
struct walk {
    const struct graph * graph;
    const struct ggml_layout * l;
    const struct ggml_tensor ** leaves;
    uint32_t n_leaves, leaves_capacity;
    uint32_t * uses;      /* how often nodes use each node's result */
    struct table index;   /* address -> node, or n_nodes + leaf */
    struct table names;   /* an entry for each root of that name */
    struct table written; /* address of a root that a node writes to -> that node */
};

static const struct ggml_tensor * tensor_at(const struct walk * w, uint32_t i) {
    return i < w->graph->n_nodes ? w->graph->nodes[i] : w->leaves[i - w->graph->n_nodes];
}

static uint32_t index_of(const struct walk * w, const struct ggml_tensor * tensor) {
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&w->index, table_hash((uintptr_t) tensor), &steps)) != TABLE_NONE;) {
        if (tensor_at(w, i) == tensor) { return i; }
    }
    return TABLE_NONE;
}

/* A tensor's entry number in the block. */
static uint32_t entry_of(const struct walk * w, const struct ggml_tensor * tensor) {
    const uint32_t i = index_of(w, tensor);
    return i < w->graph->n_nodes ? w->n_leaves + i : i - w->graph->n_nodes;
}

static bool add_leaf(struct walk * w, const struct ggml_tensor * leaf) {
    if (w->n_leaves == w->leaves_capacity) {
        const uint32_t more = w->leaves_capacity ? w->leaves_capacity * 2 : 512;
        void * bigger = realloc(w->leaves, more * sizeof w->leaves[0]);
        if (!bigger) { return false; }
        w->leaves = bigger;
        w->leaves_capacity = more;
    }
    w->leaves[w->n_leaves] = leaf;
    return table_add(&w->index, table_hash((uintptr_t) leaf), w->graph->n_nodes + w->n_leaves++);
}

static bool index_tensors(struct walk * w) {
    const struct graph * g = w->graph;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (!table_add(&w->index, table_hash((uintptr_t) g->nodes[i]), i)) { return false; }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        struct ggml_tensor * const * src = layout_src(w->l, g->nodes[i]);
        for (int s = 0; s < w->l->n_src; s++) {
            if (!src[s]) { continue; }
            const uint32_t at = index_of(w, src[s]);
            if (at == TABLE_NONE && !add_leaf(w, src[s])) { return false; }
            if (at != TABLE_NONE && at < g->n_nodes) { w->uses[at]++; }
        }
    }
    return true;
}

static void walk_end(struct walk * w) {
    free(w->leaves);
    free(w->uses);
    table_free(&w->index);
    table_free(&w->names);
    table_free(&w->written);
}

static bool walk_begin(struct walk * w, const struct graph * g) {
    *w = (struct walk){ .graph = g, .l = &g->host->layout };
    w->uses = calloc(g->n_nodes ? g->n_nodes : 1, sizeof w->uses[0]);
    if (w->uses && index_tensors(w)) { return true; }
    walk_end(w);
    return false;
}

static bool op_is(const struct walk * w, const struct ggml_tensor * t, const char * op) {
    return strcmp(w->graph->host->ggml.op_desc(t), op) == 0;
}

static bool is_empty(const struct walk * w, const struct ggml_tensor * t) {
    return op_is(w, t, "NONE") || op_is(w, t, "RESHAPE") || op_is(w, t, "VIEW") || op_is(w, t, "PERMUTE") ||
           op_is(w, t, "TRANSPOSE");
}

/* ggml-cpu's condition for computing RMS_NORM and the following MUL as one. */
static bool fuses_next(const struct walk * w, uint32_t i) {
    const struct graph * g = w->graph;
    if (i + 1 >= g->n_nodes) { return false; }
    const struct ggml_tensor *norm = g->nodes[i], *mul = g->nodes[i + 1];
    const int32_t flags = layout_flags(w->l, norm), mul_flags = layout_flags(w->l, mul);
    struct ggml_tensor * const * src = layout_src(w->l, mul);
    if (!op_is(w, norm, "RMS_NORM") || !op_is(w, mul, "MUL") || !(flags & mul_flags & GGML_FLAG_COMPUTE) ||
        w->uses[i] != 1 || layout_view_src(w->l, norm) || (flags & GGML_FLAG_OUTPUT) ||
        (src[0] != norm && src[1] != norm) || !src[0] || !src[1] ||
        memcmp(layout_ne(w->l, norm), layout_ne(w->l, mul), 4 * sizeof(int64_t)) != 0) {
        return false;
    }
    const struct ggml_tensor * weight = src[0] == norm ? src[1] : src[0];
    const struct ggml_tensor * input = layout_src(w->l, norm)[0];
    return input && layout_type(w->l, input) == TYPE_F32 && layout_type(w->l, mul) == TYPE_F32 &&
           layout_type(w->l, weight) == TYPE_F32 && layout_ne(w->l, weight)[0] == layout_ne(w->l, norm)[0] &&
           layout_nb(w->l, weight)[0] == sizeof(float);
}

static uint32_t facts_of(const struct walk * w, uint32_t i) {
    const int32_t flags = layout_flags(w->l, w->graph->nodes[i]);
    return (is_empty(w, w->graph->nodes[i]) ? TAT_NODE_EMPTY : 0u) |
           (flags & GGML_FLAG_COMPUTE ? TAT_NODE_COMPUTE : 0u) | (flags & GGML_FLAG_OUTPUT ? TAT_NODE_OUTPUT : 0u) |
           (fuses_next(w, i) ? TAT_NODE_FUSES_NEXT : 0u);
}

bool graph_facts(const struct graph * g, uint32_t * facts) {
    struct walk w;
    if (!walk_begin(&w, g)) { return false; }
    for (uint32_t i = 0; i < g->n_nodes; i++) { facts[i] = facts_of(&w, i); }
    walk_end(&w);
    return true;
}

/* What is captured beside the ids that decide which bytes are touched (node_rules.h): positions, visible cells, and the
 * experts' weights. */
static const struct capture_rule {
    const char * op;
    int src;
    enum tat_capture_kind kind;
    const char * prefix; /* of the operand's name; NULL: any name */
} capture_rules[] = {
    { "ROPE", 1, TAT_CAPTURE_POSITIONS, NULL },
    { "FLASH_ATTN_EXT", 3, TAT_CAPTURE_MASK, NULL },
    { "SOFT_MAX", 1, TAT_CAPTURE_MASK, NULL },
    { "MUL", 1, TAT_CAPTURE_GATES, "ffn_moe_weights" },
};

static uint64_t elements(const struct walk * w, const struct ggml_tensor * t) {
    const int64_t * ne = layout_ne(w->l, t);
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) { n *= ne[i] > 0 ? (uint64_t) ne[i] : 0; }
    return n;
}

static const struct ggml_tensor * root_of(const struct walk * w, const struct ggml_tensor * t) {
    const struct ggml_tensor * view = layout_view_src(w->l, t);
    return view ? view : t;
}

/* Before there was SET_ROWS, llama.cpp copied new keys and values to a view of the cache that moves on with every
 * ubatch. Such views are compared without their offset, which is captured. */
static void mark_sliding(const struct walk * w, struct graph_template * t) {
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        const struct ggml_tensor * node = w->graph->nodes[i];
        if (!op_is(w, node, "CPY") || strncmp(layout_name(w->l, root_of(w, node)), "cache_", 6) != 0) { continue; }
        const struct ggml_tensor * target = layout_src(w->l, node)[1];
        const uint32_t at = target ? index_of(w, target) : TABLE_NONE;
        t->expected[i].mask |= NODE_SLIDES;
        if (at < t->n_nodes) { t->expected[at].mask |= NODE_SLIDES; }
    }
}

static void add_offset(const struct walk * w, struct graph_template * t, uint32_t node) {
    const uint32_t entry = w->n_leaves + node;
    t->captures[t->n_captures++] = (struct capture){ entry, node, 0, TAT_CAPTURE_OFFSET };
    t->capture_bytes += 2 * TAT_VARINT_MAX;
}

/* The rows looked up in the token embeddings are the text itself. */
static bool is_text(const struct walk * w, const struct ggml_tensor * node) {
    const struct ggml_tensor * table = layout_src(w->l, node)[0];
    return table && op_is(w, node, "GET_ROWS") && strstr(layout_name(w->l, table), "token_embd");
}

/* A value is read once, however many nodes use it. */
static void add_capture(const struct walk * w, struct graph_template * t, uint32_t node,
                        const struct capture_rule * rule) {
    const struct ggml_tensor * operand = layout_src(w->l, w->graph->nodes[node])[rule->src];
    if (!operand || (rule->prefix && strncmp(layout_name(w->l, operand), rule->prefix, strlen(rule->prefix)) != 0)) {
        return;
    }
    if (agent_options()->is_private && is_text(w, w->graph->nodes[node])) { return; }
    const uint32_t entry = entry_of(w, operand);
    for (uint32_t i = 0; i < t->n_captures; i++) {
        if (t->captures[i].entry == entry && t->captures[i].kind == rule->kind) { return; }
    }
    t->captures[t->n_captures++] = (struct capture){ entry, node, (uint16_t) rule->src, (uint16_t) rule->kind };
    /* A mask's row is a few runs. If there are more, the capture is cut, and the evaluation is marked. */
    const uint64_t each = rule->kind == TAT_CAPTURE_MASK ? 1 : TAT_VARINT_MAX;
    t->capture_bytes += 64 + each * elements(w, operand);
}

static void find_captures_of(const struct walk * w, struct graph_template * t, uint32_t node) {
    for (size_t r = 0; r < OPERAND_RULES; r++) {
        const struct operand_rule * rule = &operand_rules[r];
        if (!use_has_ids(rule->use) || !op_is(w, w->graph->nodes[node], rule->op)) { continue; }
        add_capture(w, t, node, &(struct capture_rule){ rule->op, rule->ids, use_capture(rule->use), NULL });
    }
    for (size_t r = 0; r < sizeof capture_rules / sizeof capture_rules[0]; r++) {
        if (op_is(w, w->graph->nodes[node], capture_rules[r].op)) { add_capture(w, t, node, &capture_rules[r]); }
    }
    const bool slides = t->expected[node].mask & NODE_SLIDES;
    if (slides && op_is(w, w->graph->nodes[node], "CPY")) { add_offset(w, t, node); }
}

static void find_captures(const struct walk * w, struct graph_template * t) {
    for (uint32_t i = 0; i < w->graph->n_nodes; i++) { find_captures_of(w, t, i); }
}

static bool is_state(const struct walk * w, const struct ggml_tensor * root) {
    return layout_buffer(w->l, root) && strncmp(layout_name(w->l, root), "cache_", 6) == 0;
}

static bool add_life(struct graph_template * t, uint32_t life) {
    if (life == TABLE_NONE) { return false; }
    for (uint32_t i = 0; i < t->n_lives; i++) {
        if (t->lives[i] == life) { return true; }
    }
    uint32_t * more = life ? realloc(t->lives, (t->n_lives + 1) * sizeof *more) : NULL;
    if (!more) { return life == 0; }
    t->lives = more;
    t->lives[t->n_lives++] = life;
    return true;
}

/* The first buffer of its KV cache or state identifies a context; without one, the graph object does. */
static bool find_context(const struct walk * w, struct graph_template * t) {
    const void * key = NULL;
    uint32_t life = 0;
    for (uint32_t i = 0; i < w->n_leaves && !key; i++) {
        const struct ggml_tensor * root = root_of(w, w->leaves[i]);
        if (!is_state(w, root)) { continue; }
        key = layout_buffer(w->l, root);
        life = registry_life(w->graph->host, root);
    }
    const bool is_buffer = life != 0;
    if (!is_buffer) {
        const struct ggml_tensor * last = w->graph->nodes[w->graph->n_nodes - 1];
        key = w->graph->key;
        life = life_of_graph(key, layout_buffer(w->l, root_of(w, last)));
    }
    if (!add_life(t, life)) { return false; }
    t->context = registry_context(life, key, is_buffer);
    return true;
}

static bool find_lives(const struct walk * w, struct graph_template * t) {
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        if (!add_life(t, registry_life(w->graph->host, root_of(w, w->leaves[i])))) { return false; }
    }
    return find_context(w, t);
}

/* Counted as the reader does: the rows looked up in the token embeddings, or the embeddings passed in. */
static uint32_t tokens_of(const struct walk * w) {
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        if (strcmp(layout_name(w->l, w->leaves[i]), "inp_embd") == 0) {
            return (uint32_t) layout_ne(w->l, w->leaves[i])[1];
        }
    }
    for (uint32_t i = 0; i < w->graph->n_nodes; i++) {
        const struct ggml_tensor * node = w->graph->nodes[i];
        struct ggml_tensor * const * src = layout_src(w->l, node);
        if (!op_is(w, node, "GET_ROWS") || !src[0] || !src[1]) { continue; }
        const struct ggml_tensor * table = root_of(w, src[0]);
        const bool known = index_of(w, table) >= w->graph->n_nodes;
        if (known && tat_component_of(layout_name(w->l, table)) == TAT_COMPONENT_TOKEN_EMBD) {
            return (uint32_t) layout_ne(w->l, src[1])[0];
        }
    }
    return 0;
}

static void expect(const struct walk * w, struct graph_template * t) {
    mark_sliding(w, t);
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        struct expected * e = &t->expected[i];
        struct ggml_tensor * const * src = layout_src(w->l, w->graph->nodes[i]);
        for (int s = 0; s < w->l->n_src; s++) {
            if (src[s] && index_of(w, src[s]) >= t->n_nodes) { e->mask |= 1u << s; }
        }
        e->facts = facts_of(w, i);
        e->hash = w->graph->host->hash->of(w->l, w->graph->nodes[i], e->mask);
    }
}

bool graph_walk(const struct graph * g, struct graph_template * t) {
    struct walk w;
    if (!walk_begin(&w, g)) { return false; }
    files_refresh();
    t->n_nodes = g->n_nodes;
    t->expected = calloc(g->n_nodes + 1, sizeof t->expected[0]);
    t->captures = calloc(g->n_nodes + 1, sizeof t->captures[0]);
    const bool memory = t->expected && t->captures;
    if (memory) {
        expect(&w, t);
        find_captures(&w, t);
        t->n_tokens = tokens_of(&w);
        t->has_output = g->n_nodes && layout_ne(w.l, g->nodes[g->n_nodes - 1])[1] > 0;
    }
    const bool found = memory && find_lives(&w, t);
    walk_end(&w);
    return found;
}

/* How many roots of that name came before this one. */
static uint32_t occurrence(struct walk * w, uint32_t name) {
    uint32_t steps = 0, n = 0;
    const uint64_t hash = table_hash(name);
    while (table_next(&w->names, hash, &steps) != TABLE_NONE) { n++; }
    table_add(&w->names, hash, name);
    return n;
}

static bool is_written(const struct walk * w, const struct ggml_tensor * root) {
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&w->written, table_hash((uintptr_t) root), &steps)) != TABLE_NONE;) {
        if (root_of(w, w->graph->nodes[i]) == root) { return true; }
    }
    return false;
}

static bool find_written(struct walk * w) {
    for (uint32_t i = 0; i < w->graph->n_nodes; i++) {
        const struct ggml_tensor *node = w->graph->nodes[i], *root = root_of(w, node);
        if (root == node || is_empty(w, node) || is_written(w, root)) { continue; }
        if (!table_add(&w->written, table_hash((uintptr_t) root), i)) { return false; }
    }
    return true;
}

/* A control vector has no name of its own ("leaf_7"). It is added to a layer's output ("l_out-7"), which names the
 * layer. */
static uint16_t direction_of(const struct walk * w, const struct ggml_tensor * leaf) {
    if (strncmp(layout_name(w->l, leaf), "leaf_", 5) != 0) { return 0; }
    for (uint32_t i = 0; i < w->graph->n_nodes; i++) {
        const struct ggml_tensor * node = w->graph->nodes[i];
        unsigned layer;
        if (layout_src(w->l, node)[1] != leaf || !op_is(w, node, "ADD")) { continue; }
        return sscanf(layout_name(w->l, node), "l_out-%u", &layer) == 1 && layer < TAT_NO_LAYER ? (uint16_t) layer : 0;
    }
    return 0;
}

static uint32_t tensor_number(struct walk * w, const struct ggml_tensor * tensor) {
    const uint32_t i = index_of(w, tensor);
    struct root root = { .tensor = tensor, .is_leaf = i == TABLE_NONE || i >= w->graph->n_nodes };
    if (root.is_leaf) {
        root.is_written = is_written(w, tensor);
        root.direction = direction_of(w, tensor);
    } else {
        root.occurrence = occurrence(w, registry_string(layout_name(w->l, tensor)));
    }
    return registry_tensor(w->graph->host, &root);
}

/* Contiguous, as ggml lays rows out: then the strides need not be written. */
static bool is_packed(const struct walk * w, const struct ggml_tensor * t) {
    const struct ggml_functions * ggml = &w->graph->host->ggml;
    const int64_t * ne = layout_ne(w->l, t);
    const size_t * nb = layout_nb(w->l, t);
    const int64_t block = ggml->blck_size(layout_type(w->l, t));
    const size_t bytes = ggml->type_size(layout_type(w->l, t));
    return block > 0 && nb[0] == bytes && nb[1] == bytes * (size_t) (ne[0] / block) &&
           nb[2] == nb[1] * (size_t) ne[1] && nb[3] == nb[2] * (size_t) ne[2];
}

static void put_params(const struct walk * w, struct tat_out * out, const struct ggml_tensor * t) {
    const int32_t * params = layout_op_params(w->l, t);
    uint32_t mask = 0;
    for (int i = 0; i < OP_PARAM_WORDS; i++) { mask |= (params[i] != 0 ? 1u : 0u) << i; }
    tat_put_varint(out, mask);
    for (int i = 0; i < OP_PARAM_WORDS; i++) {
        if (params[i]) { tat_put_varint(out, (uint32_t) params[i]); }
    }
}

static void put_sources(const struct walk * w, struct tat_out * out, const struct ggml_tensor * t) {
    struct ggml_tensor * const * src = layout_src(w->l, t);
    uint32_t mask = 0;
    for (int s = 0; s < w->l->n_src; s++) { mask |= (src[s] ? 1u : 0u) << s; }
    tat_put_varint(out, mask);
    for (int s = 0; s < w->l->n_src; s++) {
        if (src[s]) { tat_put_varint(out, entry_of(w, src[s])); }
    }
}

/* Writes what leaves and nodes have in common. False: no memory for a number. */
static bool put_entry(struct walk * w, struct tat_out * out, const struct ggml_tensor * t, uint32_t tensor,
                      const char ** previous) {
    const struct ggml_functions * ggml = &w->graph->host->ggml;
    const struct ggml_tensor * root = root_of(w, t);
    const char * data = layout_data(w->l, t);
    const uint32_t name = registry_string(layout_name(w->l, t)), op = registry_string(ggml->op_desc(t)),
                   type = registry_string(ggml->type_name(layout_type(w->l, t)));
    tat_put_varint(out, name);
    tat_put_varint(out, op);
    tat_put_varint(out, type);
    tat_put_varint(out, (uint32_t) layout_flags(w->l, t));
    for (int i = 0; i < 4; i++) { tat_put_varint(out, (uint64_t) layout_ne(w->l, t)[i]); }
    tat_put_varint(out, is_packed(w, t));
    for (int i = 0; i < 4 && !is_packed(w, t); i++) { tat_put_varint(out, layout_nb(w->l, t)[i]); }
    tat_put_varint(out, tensor);
    tat_put_zigzag(out, data - layout_data(w->l, root));
    tat_put_zigzag(out, data - *previous);
    *previous = data;
    return name != TABLE_NONE && op != TABLE_NONE && type != TABLE_NONE && tensor != TABLE_NONE;
}

static void put_captures(struct tat_out * out, const struct graph_template * t) {
    tat_put_varint(out, t->n_captures);
    for (uint32_t i = 0; i < t->n_captures; i++) {
        tat_put_varint(out, t->captures[i].kind);
        tat_put_varint(out, t->captures[i].entry);
        tat_put_varint(out, t->captures[i].node);
        tat_put_varint(out, t->captures[i].src);
    }
}

/* The numbers of all roots. Each node is asked for once and in order, so that occurrences count up. */
static bool number_roots(struct walk * w, uint32_t * numbers) {
    const uint32_t n = w->graph->n_nodes + w->n_leaves;
    if (!find_written(w)) { return false; }
    for (uint32_t i = 0; i < n; i++) {
        const struct ggml_tensor * t = tensor_at(w, i);
        numbers[i] = root_of(w, t) == t ? tensor_number(w, t) : TABLE_NONE;
        if (root_of(w, t) == t && numbers[i] == TABLE_NONE) { return false; }
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct ggml_tensor * root = root_of(w, tensor_at(w, i));
        if (root == tensor_at(w, i)) { continue; }
        const uint32_t at = index_of(w, root);
        numbers[i] = at == TABLE_NONE ? tensor_number(w, root) : numbers[at];
    }
    return true;
}

static bool encode(struct walk * w, struct graph_template * t, const uint32_t * numbers, struct tat_out * out) {
    const uint32_t n_nodes = w->graph->n_nodes;
    const char * previous = NULL;
    bool good = true;
    tat_put_varint(out, t->id);
    tat_put_varint(out, t->context);
    tat_put_varint(out, w->n_leaves);
    tat_put_varint(out, n_nodes);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        good &= put_entry(w, out, w->leaves[i], numbers[n_nodes + i], &previous);
    }
    for (uint32_t i = 0; i < n_nodes; i++) {
        good &= put_entry(w, out, w->graph->nodes[i], numbers[i], &previous);
        tat_put_varint(out, t->expected[i].facts);
        put_sources(w, out, w->graph->nodes[i]);
        put_params(w, out, w->graph->nodes[i]);
    }
    put_captures(out, t);
    return good && !out->overflow;
}

bool graph_walk_write(const struct graph * g, struct graph_template * t) {
    enum { ENTRY_VARINTS = 16 + 2 + TAT_MAX_SRC + OP_PARAM_WORDS };
    struct walk w;
    if (!walk_begin(&w, g)) { return false; }
    const size_t entries = (size_t) g->n_nodes + w.n_leaves;
    const size_t size = (entries * ENTRY_VARINTS + (size_t) t->n_captures * 4 + 8) * TAT_VARINT_MAX;
    uint32_t * numbers = malloc((entries + 1) * sizeof numbers[0]);
    uint8_t * payload = malloc(size);
    struct tat_out out = { .at = payload, .end = payload + size };
    if (numbers && payload && number_roots(&w, numbers) && encode(&w, t, numbers, &out) && registry_flush()) {
        t->written = sink_write(&trace_sink, TAT_BLOCK_TEMPLATE, payload, (size_t) (out.at - payload));
    }
    free(payload);
    free(numbers);
    walk_end(&w);
    return t->written;
}
