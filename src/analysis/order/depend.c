/* SPDX-License-Identifier: MIT */
#include "analysis/order/depend.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 1 << 21 }; /* for all sets together: 16 MiB, ten times what the largest models take */

/* Sets of elements. */
struct sets {
    uint64_t * node;    /* by node: the elements it needs, itself included */
    uint64_t * written; /* by shared tensor: what its writers need */
    uint64_t * read;    /* and what its readers need */
    uint32_t * shared;  /* by tensor: 1 + number of a shared one, or 0 */
    uint32_t n_shared, words;
};

static void add(uint64_t * to, const uint64_t * set, uint32_t words) {
    for (uint32_t i = 0; i < words; i++) { to[i] |= set[i]; }
}

static bool works(const struct tat_entry * node) {
    return !(node->facts & TAT_NODE_EMPTY);
}

/* Finds tensors whose contents change while the graph is computed: several nodes write them, or they were there
 * before. */
static void find_shared(struct sets * s, const struct subject * subject, const struct tat_template * t) {
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        const struct tat_entry * n = &t->entries[t->n_leaves + i];
        if (works(n)) { s->shared[n->tensor]++; }
    }
    for (uint32_t i = 0; i < subject->n_tensors; i++) {
        const bool result = subject->tensors[i].kind == TAT_TENSOR_ACTIVATION;
        s->shared[i] = s->shared[i] > (result ? 1 : 0) ? ++s->n_shared : 0;
    }
}

static bool sets_make(struct sets * s, const struct tat_template * t) {
    s->node = calloc((size_t) t->n_nodes * s->words + 1, sizeof s->node[0]);
    s->written = calloc((size_t) s->n_shared * s->words + 1, sizeof s->written[0]);
    s->read = calloc((size_t) s->n_shared * s->words + 1, sizeof s->read[0]);
    return s->node && s->written && s->read;
}

static void sets_free(struct sets * s) {
    free(s->node);
    free(s->written);
    free(s->read);
    free(s->shared);
}

static uint64_t * of(const struct sets * s, uint64_t * sets, uint32_t number) {
    return sets + (size_t) number * s->words;
}

/* What a node needs apart from itself. */
static void gather(struct sets * s, const struct tat_template * t, uint32_t node, uint64_t * need) {
    const struct tat_entry * n = &t->entries[t->n_leaves + node];
    for (int i = 0; i < TAT_MAX_SRC; i++) {
        const uint32_t src = n->src[i];
        if (src == TAT_NO_ENTRY) { continue; }
        if (src >= t->n_leaves && src - t->n_leaves < node) { add(need, of(s, s->node, src - t->n_leaves), s->words); }
        const uint32_t shared = s->shared[t->entries[src].tensor];
        if (shared && works(n)) { add(need, of(s, s->written, shared - 1), s->words); }
    }
    if (works(n) && s->shared[n->tensor]) {
        add(need, of(s, s->written, s->shared[n->tensor] - 1), s->words);
        add(need, of(s, s->read, s->shared[n->tensor] - 1), s->words);
    }
}

/* Adds the node to what later users of its tensors need. */
static void publish(struct sets * s, const struct tat_template * t, uint32_t node, const uint64_t * set) {
    const struct tat_entry * n = &t->entries[t->n_leaves + node];
    if (!works(n)) { return; }
    for (int i = 0; i < TAT_MAX_SRC; i++) {
        const uint32_t shared = n->src[i] == TAT_NO_ENTRY ? 0 : s->shared[t->entries[n->src[i]].tensor];
        if (shared) { add(of(s, s->read, shared - 1), set, s->words); }
    }
    if (s->shared[n->tensor]) { add(of(s, s->written, s->shared[n->tensor] - 1), set, s->words); }
}

static void walk(struct sets * s, const struct tat_template * t, const uint32_t * nodes, struct depend * d) {
    uint32_t element = 0;
    for (uint32_t i = 0; i < t->n_nodes; i++) {
        uint64_t * set = of(s, s->node, i);
        gather(s, t, i, set);
        if (element < d->count && nodes[element] == i) {
            memcpy(d->before + (size_t) element * d->words, set, d->words * sizeof *set);
            set[element / 64] |= 1ull << element % 64;
            element++;
        }
        publish(s, t, i, set);
    }
}

enum depend_status depend_make(struct depend * d, const struct subject * subject, const struct tat_template * t,
                               const uint32_t * nodes, uint32_t count) {
    struct sets s = { .words = (count + 63) / 64 };
    *d = (struct depend){ .count = count, .words = s.words };
    s.shared = calloc((size_t) subject->n_tensors + 1, sizeof s.shared[0]);
    if (!s.shared) { return DEPEND_FAILED; }
    find_shared(&s, subject, t);
    if (((uint64_t) t->n_nodes + 2 * (uint64_t) s.n_shared) * s.words > WORDS_MAX) {
        sets_free(&s);
        return DEPEND_TOO_LARGE;
    }
    d->before = calloc((size_t) count * d->words + 1, sizeof d->before[0]);
    const bool good = d->before && sets_make(&s, t);
    if (good) {
        walk(&s, t, nodes, d);
    } else {
        depend_free(d);
    }
    sets_free(&s);
    return good ? DEPEND_KNOWN : DEPEND_FAILED;
}

void depend_free(struct depend * d) {
    free(d->before);
    *d = (struct depend){ 0 };
}
