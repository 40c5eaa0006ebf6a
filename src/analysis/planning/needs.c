/* SPDX-License-Identifier: MIT
 *
 * Of what was read, the pieces that tokens need, in the order in which they need them.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/planning/needs.h"

struct cutting {
    struct planning * p;
    bool * wanted;                /* by slice: a generated token read all of it */
    struct piece_tensor * inside; /* of one file, in its order */
    uint32_t * tensor;            /* by `inside` */
    uint32_t count;
    uint32_t * first_piece; /* by slice; its pieces lie side by side */
    uint32_t * n_pieces;
    struct list pieces; /* struct plan_piece, in the order of files */
};

static bool is_stack(const struct planning * p, uint32_t tensor) {
    return slices_of(&p->references.slices, tensor) > 1;
}

/* ---- which tensors ---- */

static void find_wanted(const struct cutting * c) {
    const struct references * r = &c->p->references;
    for (size_t m = 0; m < r->marks.count; m++) {
        if (mark_phase(r, m) != TAT_PHASE_GENERATE) { continue; }
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            if (is_slice(r, reference_at(r, i))) { c->wanted[reference_at(r, i)] = true; }
        }
    }
}

static bool tensor_is_wanted(const struct cutting * c, uint32_t tensor) {
    const struct slices * s = &c->p->references.slices;
    for (uint32_t slice = s->first[tensor]; slice < s->first[tensor + 1]; slice++) {
        if (c->wanted[slice]) { return true; }
    }
    return false;
}

struct placed {
    uint64_t offset;
    uint32_t tensor;
};

static int by_offset(const void * a, const void * b) {
    const struct placed *x = a, *y = b;
    return x->offset != y->offset  ? (x->offset < y->offset ? -1 : 1)
           : x->tensor < y->tensor ? -1
                                   : x->tensor > y->tensor;
}

/* Weights of one file that are mapped and that tokens read whole. False: memory. */
static bool list_tensors(struct cutting * c, uint32_t file) {
    const struct subject * s = c->p->subject;
    struct placed * all = calloc((size_t) s->n_tensors + 1, sizeof *all);
    uint32_t n = 0;
    for (uint32_t t = 0; t < s->n_tensors && all; t++) {
        const struct tat_tensor * tensor = &s->tensors[t];
        if (tensor->kind != TAT_TENSOR_WEIGHT || !counts_once(s, t) || !tensor_is_wanted(c, t)) { continue; }
        if (tensor->file != file + 1) { continue; }
        if (tensor->memory == TAT_MEMORY_FILE) {
            all[n++] = (struct placed){ tensor->file_offset, t };
        } else {
            c->p->copied_bytes += tensor->bytes;
        }
    }
    if (n) { qsort(all, n, sizeof *all, by_offset); }
    for (c->count = 0; c->count < n; c->count++) {
        const uint32_t t = all[c->count].tensor;
        c->tensor[c->count] = t;
        c->inside[c->count] = (struct piece_tensor){ all[c->count].offset, s->tensors[t].bytes,
                                                     is_stack(c->p, t) ? slices_of(&c->p->references.slices, t) : 0 };
    }
    free(all);
    return all;
}

/* ---- which pieces ---- */

/* Of a stack that was cut by experts, the expert's; else all that its bytes are in. */
static void find_slice(struct cutting * c, const struct pieces * pieces, uint32_t in, uint32_t slice, uint32_t base) {
    const struct piece_tensor * t = &c->inside[in];
    const uint32_t expert = slice - c->p->references.slices.first[c->tensor[in]];
    const uint64_t each = t->experts ? t->bytes / t->experts : 0;
    uint32_t first = 0;
    if (each < 2 * pieces->page_bytes) {
        c->n_pieces[slice] = pieces_dense(pieces, t->offset, t->bytes, &first);
    } else {
        first = pieces_first(pieces, t->offset + each * expert);
        while (first < pieces->count && (pieces->piece[first].tensor != in || pieces->piece[first].expert != expert)) {
            first++;
        }
        c->n_pieces[slice] = first < pieces->count;
    }
    c->first_piece[slice] = base + first;
}

static bool add_pieces(struct cutting * c, const struct pieces * pieces, uint32_t file) {
    const struct planning * p = c->p;
    const struct slices * s = &p->references.slices;
    const uint32_t base = c->pieces.count;
    for (uint32_t i = 0; i < pieces->count; i++) {
        const struct piece * piece = &pieces->piece[i];
        struct plan_piece * out = list_add(&c->pieces, sizeof *out);
        if (!out) { return false; }
        *out = (struct plan_piece){ .offset = piece->page * pieces->page_bytes,
                                    .bytes = piece->pages * pieces->page_bytes,
                                    .file = file,
                                    .tensor = UINT32_MAX,
                                    .expert = piece->tensor == PIECE_DENSE ? TAT_NO_EXPERT : (uint16_t) piece->expert };
    }
    for (uint32_t in = 0; in < c->count; in++) {
        for (uint32_t slice = s->first[c->tensor[in]]; slice < s->first[c->tensor[in] + 1]; slice++) {
            find_slice(c, pieces, in, slice, base);
        }
    }
    return true;
}

static bool cut_files(struct cutting * c) {
    for (uint32_t file = 0; file < c->p->subject->n_files; file++) {
        struct pieces pieces;
        if (!list_tensors(c, file)) { return false; }
        if (!c->count) { continue; }
        if (!pieces_cut(c->inside, c->count, PLAN_PAGE, &pieces)) {
            c->p->cut_failed = true;
            continue;
        }
        const bool good = add_pieces(c, &pieces, file);
        pieces_free(&pieces);
        if (!good) { return false; }
    }
    return true;
}

/* ---- in which order ---- */

struct ordering {
    struct cutting * c;
    uint32_t * item; /* by piece: 1 + its place in the order; 0: none yet */
    struct plan_piece * out;
    struct placement_item * items;
    uint32_t n;
};

static void add_item(struct ordering * o, uint32_t piece, uint32_t tensor, bool with_last) {
    const struct planning * p = o->c->p;
    const struct plan_piece * from = &LIST(const struct plan_piece, o->c->pieces)[piece];
    if (o->item[piece]) { return; }
    o->item[piece] = o->n + 1;
    o->out[o->n] = *from;
    o->out[o->n].tensor = tensor;
    o->out[o->n].layer = p->subject->tensors[tensor].layer;
    o->items[o->n] = (struct placement_item){ .bytes = from->bytes,
                                              .is_expert = from->expert != TAT_NO_EXPERT,
                                              .with_last = with_last };
    o->n++;
}

/* A tensor is met for the first time: of a stack, all experts are in the order. */
static void add_tensor(struct ordering * o, uint32_t tensor) {
    const struct slices * s = &o->c->p->references.slices;
    const uint32_t before = o->n;
    for (uint32_t slice = s->first[tensor]; slice < s->first[tensor + 1]; slice++) {
        for (uint32_t i = 0; i < o->c->n_pieces[slice]; i++) {
            add_item(o, o->c->first_piece[slice] + i, tensor, o->n > before);
        }
    }
}

static void find_order(struct ordering * o) {
    struct planning * p = o->c->p;
    const struct references * r = &p->references;
    for (size_t m = 0; m < r->marks.count; m++) {
        if (mark_phase(r, m) != TAT_PHASE_GENERATE) { continue; }
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const uint32_t ref = reference_at(r, i);
            if (!is_slice(r, ref) || !o->c->n_pieces[ref]) { continue; }
            if (!o->item[o->c->first_piece[ref]] || !o->item[o->c->first_piece[ref] + o->c->n_pieces[ref] - 1]) {
                add_tensor(o, r->slices.tensor[ref]);
            }
            for (uint32_t k = 0; k < o->c->n_pieces[ref]; k++) {
                const uint32_t item = o->item[o->c->first_piece[ref] + k];
                if (item) { o->out[item - 1].uses++; }
            }
        }
    }
}

static bool order_pieces(struct cutting * c) {
    struct planning * p = c->p;
    struct ordering o = { .c = c };
    const size_t room = (size_t) c->pieces.count + 1, slices = (size_t) p->references.slices.count + 1;
    o.item = calloc(room, sizeof *o.item);
    o.out = calloc(room, sizeof *o.out);
    o.items = calloc(room, sizeof *o.items);
    p->first_item = calloc(slices, sizeof *p->first_item);
    p->n_items = calloc(slices, sizeof *p->n_items);
    p->item_of = calloc(room, sizeof *p->item_of);
    p->piece = o.out;
    p->item = o.items;
    const bool good = o.item && o.out && o.items && p->first_item && p->n_items && p->item_of;
    if (good) { find_order(&o); }
    p->n_pieces = o.n;
    for (uint32_t i = 0; i < c->pieces.count && good; i++) { p->item_of[i] = o.item[i] ? o.item[i] - 1 : NO_ITEM; }
    for (uint32_t i = 0; i + 1 < slices && good; i++) {
        p->first_item[i] = c->first_piece[i];
        p->n_items[i] = c->n_pieces[i];
    }
    free(o.item);
    return good;
}

/* ---- needs ---- */

static bool add_needs(struct planning * p, const struct course_read * read, uint32_t from, uint32_t stage) {
    for (uint32_t i = 0; i < p->n_items[read->slice]; i++) {
        const uint32_t item = p->item_of[p->first_item[read->slice] + i];
        bool there = item == NO_ITEM;
        const bool is_expert = !there && p->item[item].is_expert;
        for (uint32_t k = from; k < p->needs.count && !there && !is_expert; k++) {
            there = LIST(const struct plan_need, p->needs)[k].item == item; /* of the same operation */
        }
        if (there) { continue; }
        struct plan_need * need = list_add(&p->needs, sizeof *need);
        if (!need) { return false; }
        *need = (struct plan_need){ read->at, read->until, read->known, read->operation, item, read->graph, stage };
    }
    return true;
}

static bool find_needs(struct planning * p) {
    const struct course * c = &p->course;
    const struct slices * s = &p->references.slices;
    uint32_t from = 0, stage = 0;
    p->stage_at = calloc((size_t) c->reads.count + 1, sizeof *p->stage_at);
    for (uint32_t i = 0; i < c->reads.count && p->stage_at; i++) {
        const struct course_read *read = course_at(c, i), *last = i ? course_at(c, i - 1) : NULL;
        const uint32_t layer = p->subject->tensors[s->tensor[read->slice]].layer;
        if (!last || last->graph != read->graph || p->subject->tensors[s->tensor[last->slice]].layer != layer) {
            p->stage_at[stage++] = read->at;
        }
        if (!last || last->operation != read->operation) { from = p->needs.count; }
        if (!add_needs(p, read, from, stage - 1)) { return false; }
    }
    p->n_stages = stage;
    p->n_timed = c->reads.count ? course_at(c, c->reads.count - 1)->graph + 1 : 0;
    return p->stage_at;
}

/* ---- the experts that were chosen ---- */

/* An expert is kept or dropped with its slices in all stacks that the same router chooses from: those of a layer that
 * hold as many. */
static bool number_experts(struct planning * p) {
    const struct slices * s = &p->references.slices;
    const uint32_t span = layer_span(p->subject);
    uint32_t * first = calloc((size_t) span + 1, sizeof *first); /* by layer: 1 + its first stack */
    p->expert_of = malloc(((size_t) p->n_pieces + 1) * sizeof *p->expert_of);
    p->string.bytes = calloc((size_t) p->n_pieces + 1, sizeof *p->string.bytes);
    const bool good = first && p->expert_of && p->string.bytes;
    for (uint32_t i = 0; i < p->n_pieces && good; i++) {
        const struct plan_piece * piece = &p->piece[i];
        const uint32_t layer = piece->layer < span ? piece->layer : span;
        p->expert_of[i] = NO_ITEM;
        if (!p->item[i].is_expert) { continue; }
        if (!first[layer]) { first[layer] = i + 1; }
        const uint32_t other = first[layer] - 1; /* of the layer's first stack: its expert 0 */
        const bool same = slices_of(s, p->piece[other].tensor) == slices_of(s, piece->tensor);
        const uint32_t before = same && piece->tensor != p->piece[other].tensor ? other + piece->expert : i;
        p->expert_of[i] = before < i ? p->expert_of[before] : p->string.n_items++;
        p->string.bytes[p->expert_of[i]] += piece->bytes;
    }
    free(first);
    return good;
}

static int ascending(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

/* What one graph's routers chose, once for each router, in the order of their numbers. */
static bool add_chosen(struct planning * p, size_t mark, uint32_t * seen, bool * met) {
    struct cache_string * s = &p->string;
    const struct references * r = &p->references;
    const bool generated = mark_phase(r, mark) == TAT_PHASE_GENERATE;
    uint32_t tensor = UINT32_MAX, from = s->items.count;
    for (size_t i = mark_at(r, mark)->first; i < mark_at(r, mark + 1)->first; i++) {
        const uint32_t ref = reference_at(r, i);
        if (!is_slice(r, ref) || !p->n_items[ref]) { continue; }
        const uint32_t item = p->item_of[p->first_item[ref]];
        if (item == NO_ITEM || !p->item[item].is_expert) { continue; }
        if (r->slices.tensor[ref] != tensor) {
            if (s->items.count > from) {
                qsort(LIST(uint32_t, s->items) + from, s->items.count - from, sizeof(uint32_t), ascending);
            }
            tensor = r->slices.tensor[ref];
            from = s->items.count;
        }
        const uint32_t expert = p->expert_of[item];
        if (seen[expert] == mark + 1) { continue; }
        seen[expert] = (uint32_t) mark + 1;
        add_to(met[expert] ? &s->repeat : &s->first, generated, s->bytes[expert]);
        met[expert] = true;
        uint32_t * added = list_extend(&s->items, sizeof *added, 1);
        if (!added) { return false; }
        *added = expert;
    }
    if (s->items.count > from) {
        qsort(LIST(uint32_t, s->items) + from, s->items.count - from, sizeof(uint32_t), ascending);
    }
    return cache_string_end_graph(s, mark);
}

static bool find_string(struct planning * p) {
    struct cache_string * s = &p->string;
    *s = (struct cache_string){ .references = &p->references, .unit = TAT_CACHE_EXPERT, .sample = 1 };
    bool good = number_experts(p);
    bool * met = calloc((size_t) s->n_items + 1, sizeof *met);
    uint32_t * seen = calloc((size_t) s->n_items + 1, sizeof *seen);
    good = good && met && seen;
    for (size_t m = 0; m < p->references.marks.count && good; m++) { good = add_chosen(p, m, seen, met); }
    s->first_sampled = s->first;
    s->repeat_sampled = s->repeat;
    free(met);
    free(seen);
    return good;
}

/* The largest stack, all of its experts. */
static uint64_t largest_stack(const struct planning * p) {
    uint64_t most = 0, sum = 0;
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        const bool same = i && p->piece[i].tensor == p->piece[i - 1].tensor;
        sum = (same ? sum : 0) + p->piece[i].bytes;
        if (p->item[i].is_expert && sum > most) { most = sum; }
    }
    return most;
}

/* The most that a generated graph chooses of a layer's experts. */
static uint64_t most_chosen(const struct planning * p) {
    const struct plan_need * needs = p->needs.data;
    uint64_t most = 0, sum = 0;
    uint32_t graph = UINT32_MAX, layer = UINT32_MAX;
    for (size_t i = 0; i < p->needs.count; i++) {
        const struct plan_piece * piece = &p->piece[needs[i].item];
        if (!p->item[needs[i].item].is_expert) { continue; }
        sum = (needs[i].graph == graph && piece->layer == layer ? sum : 0) + piece->bytes;
        graph = needs[i].graph;
        layer = piece->layer;
        if (sum > most) { most = sum; }
    }
    return most;
}

/* ---- all ---- */

bool planning_find_needs(struct planning * p) {
    const struct references * r = &p->references;
    const size_t slices = (size_t) r->slices.count + 1, tensors = (size_t) p->subject->n_tensors + 1;
    struct cutting c = { .p = p };
    c.wanted = calloc(slices, sizeof *c.wanted);
    c.inside = calloc(tensors, sizeof *c.inside);
    c.tensor = calloc(tensors, sizeof *c.tensor);
    c.first_piece = calloc(slices, sizeof *c.first_piece);
    c.n_pieces = calloc(slices, sizeof *c.n_pieces);
    bool good = c.wanted && c.inside && c.tensor && c.first_piece && c.n_pieces;
    if (good) { find_wanted(&c); }
    good = good && cut_files(&c) && order_pieces(&c) && find_needs(p) && find_string(p);
    for (uint32_t i = 0; i < p->n_pieces && good; i++) {
        *(p->item[i].is_expert ? &p->expert_bytes : &p->dense_bytes) += p->item[i].bytes;
    }
    p->needed_bytes = p->expert_bytes + p->dense_bytes;
    if (good) {
        p->stack_bytes = largest_stack(p);
        p->chosen_bytes = most_chosen(p);
    }
    free(c.wanted);
    free(c.inside);
    free(c.tensor);
    free(c.first_piece);
    free(c.n_pieces);
    free(c.pieces.data);
    return good;
}
