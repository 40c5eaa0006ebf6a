/* SPDX-License-Identifier: MIT */
#include "format/plan.h"

#include <stdlib.h>
#include <string.h>

#include "format/extent.h"

/* ---- layouts ---- */

enum { LAYOUT_SLOTS = 1 << 17 /* twice as many as numbers */ };

/* The slot that holds the number of a layout, or will hold it. */
static uint16_t * layout_slot(const struct tat_trace * trace, uint64_t run_bytes, uint64_t stride) {
    const struct tat_layout * known = LIST(const struct tat_layout, trace->layouts);
    uint64_t hash = (run_bytes * UINT64_C(0x9e3779b97f4a7c15) ^ stride) * UINT64_C(0xd6e8feb86659fd93);
    for (hash ^= hash >> 32;; hash++) {
        uint16_t * slot = &trace->layout_of[hash % LAYOUT_SLOTS];
        if (!*slot || (known[*slot].run_bytes == run_bytes && known[*slot].stride == stride)) { return slot; }
    }
}

static uint16_t layout_add(struct tat_trace * trace, uint64_t run_bytes, uint64_t stride) {
    struct tat_layout * layout = trace->layouts.count < UINT16_MAX ? list_add(&trace->layouts, sizeof *layout) : NULL;
    if (!layout) { return 0; }
    *layout = (struct tat_layout){ run_bytes, stride };
    return (uint16_t) (trace->layouts.count - 1);
}

uint16_t layout_number(struct tat_trace * trace, uint64_t run_bytes, uint64_t stride) {
    uint16_t number = 0;
    pthread_mutex_lock(&trace->lock);
    if (!trace->layout_of) { trace->layout_of = calloc(LAYOUT_SLOTS, sizeof *trace->layout_of); }
    uint16_t * slot = trace->layout_of ? layout_slot(trace, run_bytes, stride) : NULL;
    if (slot && !*slot) { *slot = layout_add(trace, run_bytes, stride); }
    if (slot) { number = *slot; }
    pthread_mutex_unlock(&trace->lock);
    return number;
}

struct tat_layout tat_trace_layout(const struct tat_trace * trace, uint16_t layout) {
    struct tat_trace * t = (struct tat_trace *) trace; /* only the lock and what it guards change */
    struct tat_layout found = { 0 };
    pthread_mutex_lock(&t->lock);
    if (layout < t->layouts.count) { found = LIST(struct tat_layout, t->layouts)[layout]; }
    pthread_mutex_unlock(&t->lock);
    return found;
}

void plan_set_piece(struct tat_trace * trace, struct tat_access * a, uint64_t base, uint64_t offset, uint64_t run_bytes,
                    uint64_t stride, uint64_t count) {
    a->offset = base + offset;
    a->bytes = run_bytes * count;
    a->rows = count > UINT32_MAX ? UINT32_MAX : (uint32_t) count;
    a->layout = count > 1 ? layout_number(trace, run_bytes, stride) : 0;
    a->flags &= (uint16_t) ~(TAT_ACCESS_STRIDED | TAT_ACCESS_APPROXIMATE);
    if (count > 1) { a->flags |= a->layout ? TAT_ACCESS_STRIDED : TAT_ACCESS_APPROXIMATE; }
}

static const struct operand_rule * rule_of(const char * op, int operand) {
    for (size_t i = 0; i < OPERAND_RULES; i++) {
        if (operand_rules[i].operand == operand && strcmp(operand_rules[i].op, op) == 0) { return &operand_rules[i]; }
    }
    return NULL;
}

/* ---- building ---- */

struct builder {
    struct tat_trace * trace;
    const struct tat_template * t;
    struct list records, varies;
    struct piece * pieces; /* PIECES_MAX */
    uint32_t * captured;   /* by entry and kind: 1 + the first capture */
    bool failed;
};

enum { CAPTURE_KINDS = TAT_CAPTURE_OFFSET + 1 };

struct tat_expectation tat_template_expect(const struct tat_template * t, uint32_t rule) {
    struct tat_expectation x = { 0 };
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        const struct tat_entry * node = &t->entries[t->n_leaves + i];
        if (!node_executes(node->facts, rule)) { continue; }
        x.n_callbacks++;
        x.n_executable++;
        if (node_fuses(node->facts, rule) && i + 1 < t->n_nodes) {
            i++;
            x.n_executable++;
            x.n_fused++;
        }
    }
    return x;
}

/* For tensors in a file, offsets are those in the file. */
static uint64_t base_of(const struct tat_tensor * tensor, const struct tat_entry * e) {
    const bool in_file = tensor->file && (tensor->memory == TAT_MEMORY_FILE || tensor->memory == TAT_MEMORY_COPY);
    return (in_file ? tensor->file_offset : 0) + (uint64_t) e->offset;
}

static struct tat_access * add_record(struct builder * b, const struct tat_access * a) {
    struct tat_access * record = list_add(&b->records, sizeof *record);
    if (record) { *record = *a; }
    b->failed |= record == NULL;
    return record;
}

static bool take_pieces(struct tat_trace * trace, size_t n) {
    return n == 1 || (n <= PIECES_MAX && __atomic_add_fetch(&trace->pieces, n - 1, __ATOMIC_RELAXED) <= PIECES_TOTAL);
}

/* The whole of a shape. If that takes too many records, one that bounds them, with the exact number of bytes. */
static void add_shape(struct builder * b, struct tat_access a, const struct tat_entry * e, const uint64_t * ne,
                      uint64_t base) {
    const struct extent extent = extent_of(ne, e->nb, e->type_block, e->type_block_bytes);
    const size_t n = extent_count(&extent, PIECES_MAX);
    if (n == 0 || !take_pieces(b->trace, n)) {
        plan_set_piece(b->trace, &a, base, 0, extent_span(&extent), 0, 1);
        a.bytes = extent_bytes(&extent);
        if (n) { a.flags |= TAT_ACCESS_APPROXIMATE; }
        add_record(b, &a);
        return;
    }
    extent_pieces(&extent, 0, b->pieces, PIECES_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct piece * p = &b->pieces[i];
        plan_set_piece(b->trace, &a, base, p->offset, p->run_bytes, p->stride, p->count);
        add_record(b, &a);
    }
}

static bool find_captures(struct builder * b) {
    const struct tat_template * t = b->t;
    b->captured = calloc((size_t) (t->n_leaves + t->n_nodes) * CAPTURE_KINDS + 1, sizeof *b->captured);
    for (uint32_t i = 0; b->captured && i < t->n_captures; i++) {
        uint32_t * first = &b->captured[(size_t) t->captures[i].entry * CAPTURE_KINDS + t->captures[i].kind];
        if (!*first) { *first = i + 1; }
    }
    return b->captured != NULL;
}

/* The first capture of an entry; UINT32_MAX: there is none. */
static uint32_t capture_of(const struct builder * b, uint32_t entry, enum tat_capture_kind kind) {
    return b->captured[(size_t) entry * CAPTURE_KINDS + kind] - 1;
}

struct extent selection_extent(const struct tat_entry * e, enum operand_use use) {
    const int dim = use_dimension(use);
    const uint64_t ne[4] = { e->ne[0], dim > 1 ? e->ne[1] : 1, dim > 2 ? e->ne[2] : 1, 1 };
    return extent_of(ne, e->nb, e->type_block, e->type_block_bytes);
}

/* The most that these ids can touch: each a different row or slice. */
static uint64_t most_bytes(const struct tat_entry * e, const struct tat_entry * ids, enum operand_use use) {
    const struct extent all = extent_of(e->ne, e->nb, e->type_block, e->type_block_bytes);
    const struct extent one = selection_extent(e, use);
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) { n *= ids->ne[i]; }
    const uint64_t whole = extent_bytes(&all), each = extent_bytes(&one);
    return each && n > whole / each ? whole : n * each;
}

/* Stands for what the ids name. Until an evaluation says more, only bounds are known. */
static void add_varying(struct builder * b, struct tat_access a, const struct tat_entry * e, uint32_t entry,
                        uint32_t ids, enum operand_use use, uint64_t base) {
    const struct extent extent = extent_of(e->ne, e->nb, e->type_block, e->type_block_bytes);
    plan_set_piece(b->trace, &a, base, 0, extent_span(&extent), 0, 1);
    a.bytes = most_bytes(e, &b->t->entries[ids], use);
    a.flags |= TAT_ACCESS_APPROXIMATE;
    struct vary * vary = list_add(&b->varies, sizeof *vary);
    b->failed |= vary == NULL;
    if (!vary || !add_record(b, &a)) { return; }
    *vary = (struct vary){
        .record = b->records.count - 1,
        .n_records = 1,
        .capture = capture_of(b, ids, use_capture(use)),
        .use = use,
        .entry = entry,
        .ids = ids,
        .one = selection_extent(e, use),
    };
}

/* The records from `first` on move with the offset of their view, if that was captured. */
static void let_slide(struct builder * b, uint32_t first, uint32_t entry) {
    const uint32_t capture = capture_of(b, entry, TAT_CAPTURE_OFFSET);
    if (capture == UINT32_MAX || b->records.count == first) { return; }
    struct vary * vary = list_add(&b->varies, sizeof *vary);
    b->failed |= vary == NULL;
    if (!vary) { return; }
    *vary = (struct vary){
        .record = first,
        .n_records = b->records.count - first,
        .capture = capture,
        .use = USE_OFFSET,
        .entry = entry,
    };
}

/* A node's place in a plan. */
struct place {
    uint32_t callback, node;
    uint32_t inner; /* entry of a result that fusion keeps in registers, or TAT_NO_ENTRY */
    bool timed;     /* false for the second of a fused pair: the first has the callback's time */
};

static void add_operand(struct builder * b, const struct place * at, int operand, bool fused, bool idle) {
    const struct tat_template * t = b->t;
    const struct tat_entry * n = &t->entries[t->n_leaves + at->node];
    const uint32_t entry = operand == OPERAND_DST ? t->n_leaves + at->node : n->src[operand];
    const struct tat_entry * e = &t->entries[entry];
    const struct tat_tensor * tensor = &LIST(struct tat_tensor, b->trace->tensors)[e->tensor];
    struct tat_access a = {
        .start_ns = at->callback,
        .duration_ns = at->timed ? UINT32_MAX : 0,
        .tensor = e->tensor,
        .node = at->node,
        .rows = 1,
        .op = n->op_index,
        .layer = n->layer != TAT_NO_LAYER ? n->layer : tensor->layer,
        .expert = TAT_NO_EXPERT,
        .head_first = TAT_NO_HEAD,
        .operand = (uint8_t) (operand + 1),
        .kind = (uint8_t) ((unsigned) tensor->role | (unsigned) tensor->memory << 4),
        .flags = operand == OPERAND_DST ? TAT_ACCESS_WRITE : 0,
    };
    if (b->trace->layers && !b->trace->layers[a.layer]) { return; }
    const uint64_t base = base_of(tensor, e);
    const struct operand_rule * rule = rule_of(n->op, operand);
    const enum operand_use use = rule ? rule->use : USE_WHOLE;
    if (fused || idle || use == USE_NOTHING) {
        a.offset = base;
        a.flags |= fused ? TAT_ACCESS_FUSED : TAT_ACCESS_UNREAD;
        add_record(b, &a);
        return;
    }
    uint64_t ne[4];
    memcpy(ne, e->ne, sizeof ne);
    if (use == USE_MASK) {
        const uint32_t first = n->src[0];
        if (first != TAT_NO_ENTRY && t->entries[first].ne[1] < ne[1]) { ne[1] = t->entries[first].ne[1]; }
    } else if (use_has_ids(use) && n->src[rule->ids] != TAT_NO_ENTRY) {
        add_varying(b, a, e, entry, n->src[rule->ids], use, base);
        return;
    }
    const uint32_t first = b->records.count;
    add_shape(b, a, e, ne, base);
    if (operand == OPERAND_DST) { let_slide(b, first, entry); }
}

/* Adds all operands of a node. A node without a result runs and touches nothing. */
static void add_node(struct builder * b, const struct place * at) {
    const uint32_t entry = b->t->n_leaves + at->node;
    const struct tat_entry * n = &b->t->entries[entry];
    const bool idle = n->ne[0] == 0 || n->ne[1] == 0 || n->ne[2] == 0 || n->ne[3] == 0;
    for (int s = 0; s < TAT_MAX_SRC; s++) {
        if (n->src[s] != TAT_NO_ENTRY) { add_operand(b, at, s, n->src[s] == at->inner, idle); }
    }
    add_operand(b, at, OPERAND_DST, entry == at->inner, idle);
}

static uint32_t add_nodes(struct builder * b, uint32_t rule) {
    const struct tat_template * t = b->t;
    uint32_t callback = 0;
    for (uint32_t i = 0; i < t->n_nodes && !b->failed; i++) {
        const struct tat_entry * node = &t->entries[t->n_leaves + i];
        if (!node_executes(node->facts, rule)) { continue; }
        if (node_fuses(node->facts, rule) && i + 1 < t->n_nodes) {
            const uint32_t inner = t->n_leaves + i;
            add_node(b, &(struct place){ callback, i, inner, true });
            add_node(b, &(struct place){ callback, ++i, inner, false });
        } else if (!(node->facts & TAT_NODE_EMPTY)) {
            add_node(b, &(struct place){ callback, i, TAT_NO_ENTRY, true });
        }
        callback++;
    }
    return callback;
}

static int claim(const struct tat_trace * trace, const struct tat_access * a) {
    const enum tat_tensor_kind kind = LIST(struct tat_tensor, trace->tensors)[a->tensor].kind;
    return kind == TAT_TENSOR_WEIGHT ? 3 : kind == TAT_TENSOR_STATE ? 2 : a->flags & TAT_ACCESS_WRITE ? 1 : 0;
}

static struct timed * find_timed(const struct tat_trace * trace, const struct list * records, uint32_t n_callbacks) {
    const struct tat_access * record = records->data;
    struct timed * timed = malloc(((size_t) n_callbacks + 1) * sizeof *timed);
    for (uint32_t i = 0; timed && i < n_callbacks; i++) { timed[i] = (struct timed){ NO_RECORD, NO_RECORD }; }
    for (uint32_t i = 0; timed && i < records->count; i++) {
        struct timed * t = &timed[record[i].start_ns];
        if (t->first == NO_RECORD) { *t = (struct timed){ i, i }; }
        if (claim(trace, &record[i]) > claim(trace, &record[t->owner])) { t->owner = i; }
    }
    return timed;
}

static void plan_free(struct plan * plan) {
    if (!plan) { return; }
    free(plan->records);
    free(plan->varies);
    free(plan->timed);
    free(plan);
}

static struct plan * make_plan(struct tat_trace * trace, const struct tat_template * t, uint32_t rule) {
    struct builder b = { .trace = trace, .t = t, .pieces = malloc(PIECES_MAX * sizeof(struct piece)) };
    struct plan * plan = calloc(1, sizeof *plan);
    const bool ready = find_captures(&b) && b.pieces && plan;
    if (ready) { plan->n_callbacks = add_nodes(&b, rule); }
    if (ready && !b.failed) { plan->timed = find_timed(trace, &b.records, plan->n_callbacks); }
    const bool good = ready && plan->timed;
    free(b.pieces);
    free(b.captured);
    if (!good) {
        free(b.records.data);
        free(b.varies.data);
        free(plan);
        return NULL;
    }
    plan->records = b.records.data;
    plan->n_records = b.records.count;
    plan->varies = b.varies.data;
    plan->n_varies = b.varies.count;
    return plan;
}

/* Makes room for all templates; a followed trace gets more of them. */
static bool make_room(struct tat_trace * trace) {
    const uint32_t n = trace->templates.count;
    if (trace->plans && trace->n_plans >= n) { return true; }
    struct plan ** more = reallocarray(trace->plans, ((size_t) n + 1) * TAT_RULE_COUNT, sizeof *more);
    if (!more) { return false; }
    memset(&more[(size_t) trace->n_plans * TAT_RULE_COUNT], 0,
           (size_t) (n - trace->n_plans) * TAT_RULE_COUNT * sizeof *more);
    trace->plans = more;
    trace->n_plans = n;
    return true;
}

const struct plan * plan_of(struct tat_trace * trace, uint32_t template_id, uint32_t rule) {
    struct plan * plan = NULL;
    pthread_mutex_lock(&trace->lock);
    const bool room = make_room(trace);
    if (room) { plan = trace->plans[template_id * TAT_RULE_COUNT + rule]; }
    pthread_mutex_unlock(&trace->lock);
    if (plan || !room) { return plan; }

    struct plan * made = make_plan(trace, &LIST(struct tat_template, trace->templates)[template_id], rule);
    pthread_mutex_lock(&trace->lock);
    struct plan ** slot = &trace->plans[template_id * TAT_RULE_COUNT + rule];
    if (*slot) { /* another thread was quicker */
        plan_free(made);
    } else {
        *slot = made;
    }
    plan = *slot;
    pthread_mutex_unlock(&trace->lock);
    return plan;
}

void plans_free(struct tat_trace * trace) {
    for (size_t i = 0; trace->plans && i < (size_t) trace->n_plans * TAT_RULE_COUNT; i++) {
        plan_free(trace->plans[i]);
    }
    free(trace->plans);
}
