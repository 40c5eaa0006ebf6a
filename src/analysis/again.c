/* SPDX-License-Identifier: MIT */
#include "analysis/again.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "format/list.h"

/* The most runs that are taken one by one. Beyond that, which no real trace reaches, a strided range counts as a
 * whole. */
enum { RUNS_MAX = 1 << 24 };

/* A weight that several operands of a template touch. */
struct pair {
    uint32_t template_id, tensor;
    uint64_t pending[TAT_RULE_COUNT][TAT_PHASE_COUNT]; /* bytes that differ from one evaluation to the next, */
    bool whole[TAT_RULE_COUNT]; /* read again if the records that are alike cover the whole tensor */
};

struct tensor {
    bool shared;       /* in any template */
    uint64_t bytes;    /* touched in the current unit */
    uint32_t whole_in; /* 1 + the evaluation that ended early after it had read the whole tensor */
};

struct again {
    const struct subject * subject;
    struct list pairs; /* struct pair, ascending */
    struct tensor * tensor;
    /* The current unit: a group of evaluations that are alike, or what differs in one. */
    struct ranges ranges;
    uint32_t evaluation;
    bool alike, part; /* part: belongs to an evaluation that ended early, whose alike records came just before */
    uint64_t evaluations;
    uint32_t last_alike;             /* 1 + evaluation */
    uint64_t runs;                   /* runs taken one by one so far */
    uint64_t bytes[TAT_PHASE_COUNT]; /* the answer so far */
    bool failed;
};

/* ---- pairs ---- */

static struct pair * pair_at(const struct again * a, size_t i) {
    return &LIST(struct pair, a->pairs)[i];
}

static bool add_pair(struct again * a, uint32_t template_id, uint32_t tensor) {
    const struct pair * last = a->pairs.count ? pair_at(a, a->pairs.count - 1) : NULL;
    if (last && last->template_id == template_id && last->tensor == tensor) { return true; }
    struct pair * pair = list_add(&a->pairs, sizeof *pair);
    if (!pair) { return false; }
    *pair = (struct pair){ .template_id = template_id, .tensor = tensor };
    a->tensor[tensor].shared = true;
    return true;
}

static int ascending(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

static bool find_pairs_of(struct again * a, uint32_t number) {
    const struct tat_template * t = &a->subject->templates[number];
    uint32_t * owner = malloc(((size_t) t->n_nodes * (TAT_MAX_SRC + 1) + 1) * sizeof *owner);
    size_t n = 0;
    bool good = owner != NULL;
    for (uint32_t i = 0; good && i < t->n_nodes; i++) {
        for (int src = -1; src < TAT_MAX_SRC; src++) {
            const uint32_t entry = src < 0 ? t->n_leaves + i : t->entries[t->n_leaves + i].src[src];
            if (entry == TAT_NO_ENTRY) { continue; }
            const uint32_t tensor = a->subject->tensors[t->entries[entry].tensor].weight;
            if (a->subject->tensors[tensor].kind == TAT_TENSOR_WEIGHT) { owner[n++] = tensor; }
        }
    }
    if (n) { qsort(owner, n, sizeof *owner, ascending); }
    for (size_t i = 1; good && i < n; i++) {
        if (owner[i] == owner[i - 1]) { good = add_pair(a, number, owner[i]); }
    }
    free(owner);
    return good;
}

static struct pair * find_pair(const struct again * a, uint32_t template_id, uint32_t tensor) {
    size_t low = 0, high = a->pairs.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        struct pair * p = pair_at(a, mid);
        if (p->template_id == template_id && p->tensor == tensor) { return p; }
        if (p->template_id < template_id || (p->template_id == template_id && p->tensor < tensor)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

struct again * again_begin(const struct subject * subject) {
    struct again * a = calloc(1, sizeof *a);
    if (!a) { return NULL; }
    a->subject = subject;
    a->tensor = calloc((size_t) subject->n_tensors + 1, sizeof *a->tensor);
    bool good = a->tensor != NULL;
    for (uint32_t i = 0; good && i < subject->n_templates; i++) { good = find_pairs_of(a, i); }
    if (good) { return a; }
    again_end(a, NULL, &good);
    return NULL;
}

/* ---- units ---- */

/* Closes a tensor at the end of a unit, in which `unique` of its bytes were touched. */
static void end_tensor(uint64_t number, uint64_t unique, void * user) {
    struct again * a = user;
    struct tensor * tensor = &a->tensor[number];
    const struct tat_evaluation * e = &a->subject->evaluations[a->evaluation];
    struct pair * pair = find_pair(a, e->template_id, (uint32_t) number);
    if (tensor->bytes > unique) { a->bytes[e->phase] += (tensor->bytes - unique) * a->evaluations; }
    tensor->bytes = 0;
    if (!pair) { return; }
    if (!a->alike && !a->part) {
        pair->pending[e->rule][e->phase] += unique;
    } else if (!a->alike) {
        a->bytes[e->phase] += tensor->whole_in == a->evaluation + 1 ? unique : 0;
    } else if (unique == a->subject->tensors[number].bytes) {
        /* An evaluation that ended early has not read more than a complete one. */
        pair->whole[e->rule] = true;
        tensor->whole_in = a->evaluation + 1;
    }
}

static void end_unit(struct again * a) {
    ranges_each(&a->ranges, end_tensor, a);
    a->failed |= a->ranges.failed;
}

void again_tally(struct again * a, const struct tat_tally * tally) {
    if (tally->alike && tally->count) { a->last_alike = tally->records[0].evaluation + 1; }
}

void again_add(struct again * a, const struct tat_tally * tally, const struct tat_access * access) {
    if (!a->tensor[access->tensor].shared) { return; }
    if (access->evaluation != a->evaluation || tally->alike != a->alike) { end_unit(a); }
    a->evaluation = access->evaluation;
    a->alike = tally->alike;
    a->part = !tally->alike && a->last_alike == access->evaluation + 1;
    a->evaluations = tally->evaluations;
    a->tensor[access->tensor].bytes += access->bytes;
    struct range range = access_range(a->subject, access, access->tensor);
    a->runs += range.count;
    if (a->runs > RUNS_MAX) { range = (struct range){ range.space, range.from, range_extent(&range), 0, 1 }; }
    ranges_add(&a->ranges, range);
}

void again_end(struct again * a, uint64_t bytes[TAT_PHASE_COUNT], bool * failed) {
    if (!a) { return; }
    end_unit(a);
    for (size_t i = 0; i < a->pairs.count; i++) {
        for (int rule = 0; rule < TAT_RULE_COUNT; rule++) {
            const uint64_t * pending = pair_at(a, i)->pending[rule];
            for (int p = 0; p < TAT_PHASE_COUNT && pair_at(a, i)->whole[rule]; p++) { a->bytes[p] += pending[p]; }
        }
    }
    if (bytes) { memcpy(bytes, a->bytes, sizeof a->bytes); }
    *failed |= a->failed;
    free(a->pairs.data);
    free(a->tensor);
    free(a);
}
