/* SPDX-License-Identifier: MIT
 *
 * STRING, TENSOR and TEMPLATE blocks: what is written once and then known by number.
 */
#include <stdlib.h>
#include <string.h>

#include "format/rows_from.h"
#include "format/trace.h"

enum { N_PARAMS = 16, OPS_MAX = 4096, NODES_MAX = 1 << 24, BLOCK_MAX = 4096 };

const char * string_at(const struct tat_trace * trace, uint64_t number) {
    return number < trace->strings.count ? LIST(const char *, trace->strings)[number] : "";
}

/* A block carries the number of its first element, so the elements of a lost block stay empty. No number may exceed
 * `most`, which is how many fit in the file; otherwise a few hostile bytes would take any amount of memory. */
static bool skip_to(struct list * list, uint64_t first, size_t size, uint64_t most) {
    if (first < list->count || first > most) { return false; }
    while (list->count < first) {
        if (!list_add(list, size)) { return false; }
    }
    return true;
}

bool decode_strings(struct tat_trace * trace, struct tat_in in) {
    const uint64_t first = tat_get_varint(&in);
    const uint64_t count = tat_get_count(&in, 1);
    const uint32_t known = trace->strings.count;
    if (!skip_to(&trace->strings, first, sizeof(char *), trace->size)) { return false; }
    for (uint32_t i = known; i < trace->strings.count; i++) { LIST(const char *, trace->strings)[i] = ""; }
    for (uint64_t i = 0; i < count && !in.bad; i++) {
        const uint64_t length = tat_get_varint(&in);
        const char * text = tat_get_bytes(&in, length);
        const char ** slot = text ? list_add(&trace->strings, sizeof(char *)) : NULL;
        if (!slot) { return false; }
        *slot = arena_string(&trace->arena, text, length);
        if (!*slot) { *slot = ""; }
    }
    return !in.bad;
}

static enum tat_role role_of(const struct tat_tensor * t) {
    switch (t->component) {
        case TAT_COMPONENT_ATTN_Q: return TAT_ROLE_Q;
        case TAT_COMPONENT_ATTN_K:
        case TAT_COMPONENT_KV_K: return TAT_ROLE_K;
        case TAT_COMPONENT_ATTN_V:
        case TAT_COMPONENT_KV_V: return TAT_ROLE_V;
        case TAT_COMPONENT_ATTN_OUTPUT: return TAT_ROLE_O;
        default: break;
    }
    if (strncmp(t->name, "Qcur", 4) == 0) { return TAT_ROLE_Q; }
    if (strncmp(t->name, "Kcur", 4) == 0) { return TAT_ROLE_K; }
    if (strncmp(t->name, "Vcur", 4) == 0) { return TAT_ROLE_V; }
    if (strncmp(t->name, "attn_out", 8) == 0) { return TAT_ROLE_O; }
    return TAT_ROLE_NONE;
}

/* llama.cpp names what it computes in layer 7 "ffn_out-7". */
static uint16_t layer_of_result(const char * name) {
    const char * dash = strrchr(name, '-');
    if (!dash || dash[1] < '0' || dash[1] > '9') { return TAT_NO_LAYER; }
    char * end;
    const unsigned long layer = strtoul(dash + 1, &end, 10);
    return layer < TAT_NO_LAYER && (*end == '\0' || *end == ' ') ? (uint16_t) layer : TAT_NO_LAYER;
}

/* Grows an array indexed by string number up to that string. NULL: no such string, or no memory. */
static void * by_string(struct tat_trace * trace, struct list * list, uint64_t string, size_t size) {
    if (string >= trace->strings.count) { return NULL; }
    if (string >= list->count && !skip_to(list, string + 1, size, trace->strings.count)) { return NULL; }
    return (char *) list->data + string * size;
}

static void remember_type(struct tat_trace * trace, uint64_t name, const struct tat_tensor * t) {
    struct type * type = by_string(trace, &trace->types, name, sizeof *type);
    if (type) { *type = (struct type){ t->block, t->block_bytes }; }
}

static bool decode_tensor(struct tat_trace * trace, struct tat_in * in, struct tat_tensor * t) {
    t->name = string_at(trace, tat_get_varint(in));
    t->occurrence = (uint32_t) tat_get_varint(in);
    t->kind = (enum tat_tensor_kind) tat_get_varint(in);
    t->memory = (enum tat_memory) tat_get_varint(in);
    t->type = (uint32_t) tat_get_varint(in);
    const uint64_t type_name = tat_get_varint(in);
    t->type_name = string_at(trace, type_name);
    t->block = (uint32_t) tat_get_varint(in);
    t->block_bytes = (uint32_t) tat_get_varint(in);
    for (int i = 0; i < 4; i++) { t->ne[i] = tat_get_varint(in); }
    for (int i = 0; i < 4; i++) { t->nb[i] = tat_get_varint(in); }
    t->bytes = tat_get_varint(in);
    t->address = tat_get_varint(in);
    t->buffer = tat_get_varint(in);
    t->buffer_name = string_at(trace, tat_get_varint(in));
    t->file = (uint32_t) tat_get_varint(in);
    t->file_offset = tat_get_varint(in);
    const bool inner = t->kind == TAT_TENSOR_ACTIVATION || t->kind == TAT_TENSOR_INPUT;
    t->component = inner ? TAT_COMPONENT_OTHER : tat_component_of(t->name);
    t->layer = inner ? layer_of_result(t->name) : (uint16_t) tat_layer_of(t->name);
    t->role = role_of(t);
    if (t->block == 0 || t->block > BLOCK_MAX || t->block_bytes > BLOCK_MAX) { return false; }
    remember_type(trace, type_name, t);
    return !in->bad && t->kind >= TAT_TENSOR_WEIGHT && t->kind <= TAT_TENSOR_INPUT && t->memory >= TAT_MEMORY_FILE &&
           t->memory <= TAT_MEMORY_BUFFER;
}

bool decode_tensors(struct tat_trace * trace, struct tat_in in) {
    const uint64_t first = tat_get_varint(&in);
    const uint64_t count = tat_get_count(&in, 1);
    const uint32_t known = trace->tensors.count;
    if (!skip_to(&trace->tensors, first, sizeof(struct tat_tensor), trace->size / 20)) { return false; }
    for (uint32_t i = known; i < trace->tensors.count; i++) {
        struct tat_tensor * lost = &LIST(struct tat_tensor, trace->tensors)[i];
        lost->name = lost->type_name = lost->buffer_name = "";
        lost->layer = TAT_NO_LAYER;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct tat_tensor * t = list_add(&trace->tensors, sizeof *t);
        if (!t) { return false; }
        if (!decode_tensor(trace, &in, t)) {
            trace->tensors.count--;
            return false;
        }
    }
    return true;
}

/* Numbers operations as they are met. False: there is no such string, so the operation is unknown, since a wrong name
 * would be worse than none; or there are more operations than any ggml has. */
static bool op_number(struct tat_trace * trace, uint64_t string, uint16_t * op) {
    uint16_t * number = by_string(trace, &trace->op_of, string, sizeof *number);
    if (!number) { return false; }
    if (!*number) {
        const char ** name = trace->ops.count < OPS_MAX ? list_add(&trace->ops, sizeof *name) : NULL;
        if (!name) { return false; }
        *name = string_at(trace, string);
        *number = (uint16_t) trace->ops.count;
    }
    *op = (uint16_t) (*number - 1);
    return true;
}

static void set_packed(struct tat_entry * e) {
    e->nb[0] = e->type_block_bytes;
    e->nb[1] = e->nb[0] * (e->ne[0] / e->type_block);
    e->nb[2] = e->nb[1] * e->ne[1];
    e->nb[3] = e->nb[2] * e->ne[2];
}

/* Reads what leaves and nodes have in common. No shape may have more than 2^48 elements or reach over more than 2^60
 * bytes, so that sums and products of them stay exact. */
static bool decode_entry(struct tat_trace * trace, struct tat_in * in, struct tat_entry * e, uint64_t * address) {
    e->name = string_at(trace, tat_get_varint(in));
    const uint64_t op = tat_get_varint(in);
    const uint64_t type = tat_get_varint(in);
    e->op = string_at(trace, op);
    if (!op_number(trace, op, &e->op_index)) { return false; }
    e->flags = (uint32_t) tat_get_varint(in);
    uint64_t elements = 1;
    for (int i = 0; i < 4; i++) {
        e->ne[i] = tat_get_varint(in);
        if (e->ne[i] && elements > (UINT64_C(1) << 48) / e->ne[i]) { return false; }
        elements *= e->ne[i] ? e->ne[i] : 1;
    }
    if (type >= trace->types.count || LIST(struct type, trace->types)[type].block == 0) { return false; }
    e->type_block = LIST(struct type, trace->types)[type].block;
    e->type_block_bytes = LIST(struct type, trace->types)[type].block_bytes;
    if (tat_get_varint(in)) {
        set_packed(e);
    } else {
        for (int i = 0; i < 4; i++) {
            e->nb[i] = tat_get_varint(in);
            if (e->ne[i] && e->nb[i] > (UINT64_C(1) << 60) / e->ne[i]) { return false; }
        }
    }
    const uint64_t tensor = tat_get_varint(in);
    e->offset = tat_get_zigzag(in);
    *address += (uint64_t) tat_get_zigzag(in);
    e->address = *address;
    e->tensor = (uint32_t) tensor;
    for (int i = 0; i < TAT_MAX_SRC; i++) { e->src[i] = TAT_NO_ENTRY; }
    e->layer = layer_of_result(e->name);
    if (e->layer == TAT_NO_LAYER && tensor < trace->tensors.count) {
        e->layer = LIST(struct tat_tensor, trace->tensors)[tensor].layer;
    }
    return !in->bad && tensor < trace->tensors.count && LIST(struct tat_tensor, trace->tensors)[tensor].kind != 0;
}

static bool decode_node(struct tat_trace * trace, struct tat_in * in, struct tat_entry * e, uint32_t n_entries) {
    e->facts = (uint32_t) tat_get_varint(in);
    const uint64_t source = tat_get_varint(in);
    if (source >> TAT_MAX_SRC) { return false; }
    for (int s = 0; s < TAT_MAX_SRC; s++) {
        if (!(source >> s & 1)) { continue; }
        const uint64_t entry = tat_get_varint(in);
        if (entry >= n_entries) { return false; }
        e->src[s] = (uint32_t) entry;
    }
    const uint64_t params = tat_get_varint(in);
    if (params >> N_PARAMS) { return false; }
    if (params) {
        e->params = trace->params.count;
        for (int i = 0; i < N_PARAMS; i++) {
            int32_t * word = list_add(&trace->params, sizeof *word);
            if (!word) { return false; }
            if (params >> i & 1) { *word = (int32_t) (uint32_t) tat_get_varint(in); }
        }
    }
    return !in->bad;
}

/* A node that llama.cpp does not name ("node_21") belongs to the layer of what it is made from. */
static void inherit_layer(struct tat_entry * entries, uint32_t node) {
    struct tat_entry * e = &entries[node];
    if (strncmp(e->name, "node_", 5) != 0) { return; }
    for (int s = 0; s < TAT_MAX_SRC && e->layer == TAT_NO_LAYER; s++) {
        if (e->src[s] < node) { e->layer = entries[e->src[s]].layer; }
    }
}

static bool decode_captures(struct tat_in * in, struct tat_template * t, struct tat_capture * captures) {
    for (uint32_t i = 0; i < t->n_captures; i++) {
        const uint64_t kind = tat_get_varint(in), entry = tat_get_varint(in), node = tat_get_varint(in),
                       src = tat_get_varint(in);
        if (kind < TAT_CAPTURE_ROWS || kind > TAT_CAPTURE_OFFSET || entry >= t->n_leaves + t->n_nodes ||
            node >= t->n_nodes || src >= TAT_MAX_SRC || (i && node < captures[i - 1].node)) {
            return false;
        }
        captures[i] =
            (struct tat_capture){ (enum tat_capture_kind) kind, (uint32_t) entry, (uint32_t) node, (uint32_t) src };
    }
    return !in->bad;
}

/* Rows in: those looked up in the token embeddings, or the embeddings passed in. Rows out: the last node's. */
static void count_rows(const struct tat_trace * trace, struct tat_template * t) {
    const struct tat_tensor * tensors = LIST(struct tat_tensor, trace->tensors);
    for (uint32_t i = 0; i < t->n_leaves + t->n_nodes && !t->n_tokens; i++) {
        const struct tat_entry * e = &t->entries[i];
        if (i < t->n_leaves && strcmp(e->name, "inp_embd") == 0) { t->n_tokens = (uint32_t) e->ne[1]; }
        if (e->src[1] != TAT_NO_ENTRY && picks_tokens(t, tensors, e)) {
            t->n_tokens = (uint32_t) t->entries[e->src[1]].ne[0];
        }
    }
    if (t->n_nodes) { t->n_outputs = (uint32_t) t->entries[t->n_leaves + t->n_nodes - 1].ne[1]; }
}

static bool decode_graph(struct tat_trace * trace, struct tat_in * in, struct tat_template * t) {
    const uint32_t n = t->n_leaves + t->n_nodes;
    struct tat_entry * entries = arena_alloc(&trace->arena, n * sizeof *entries + 1);
    if (!entries) { return false; }
    memset(entries, 0, n * sizeof *entries);
    t->entries = entries;
    uint64_t address = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!decode_entry(trace, in, &entries[i], &address)) { return false; }
        if (i >= t->n_leaves && !decode_node(trace, in, &entries[i], n)) { return false; }
        if (i >= t->n_leaves) { inherit_layer(entries, i); }
    }
    t->n_captures = (uint32_t) tat_get_count(in, 4);
    struct tat_capture * values = arena_alloc(&trace->arena, t->n_captures * sizeof *values + 1);
    t->captures = values;
    return values && decode_captures(in, t, values);
}

bool decode_template(struct tat_trace * trace, struct tat_in in) {
    const uint64_t id = tat_get_varint(&in);
    const uint64_t context = tat_get_varint(&in);
    const uint64_t leaves = tat_get_varint(&in);
    const uint64_t nodes = tat_get_varint(&in);
    /* An entry takes at least 12 bytes. */
    if (in.bad || leaves > NODES_MAX || nodes > NODES_MAX || leaves + nodes > (uint64_t) (in.end - in.at) / 12 + 1) {
        return false;
    }
    struct tat_template t = { .context = (uint32_t) context,
                              .n_leaves = (uint32_t) leaves,
                              .n_nodes = (uint32_t) nodes };
    if (!decode_graph(trace, &in, &t) || !skip_to(&trace->templates, id, sizeof t, trace->size / 24)) { return false; }
    struct tat_template * slot = list_add(&trace->templates, sizeof t);
    if (!slot) { return false; }
    count_rows(trace, &t);
    t.known = true;
    *slot = t;
    return true;
}
