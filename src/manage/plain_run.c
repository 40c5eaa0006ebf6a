/* SPDX-License-Identifier: MIT */
#include "manage/plain_run.h"

#include <stdlib.h>

#include "plan/predict.h"
#include "policy/policy.h"

#define LOSS_LEAST 0.5 /* where not all fits */

struct token {
    uint64_t ns, waited_ns, read_bytes, disk_ns;
    uint64_t missed; /* bytes that plain mmap would have read */
};

struct plain_run {
    uint64_t * bytes; /* by piece */
    uint32_t n_pieces;
    uint64_t all, read_ahead;
    struct policy * cache;
    uint64_t capacity, wanted_capacity; /* the second one relaxed */
    uint64_t missed;                    /* by the graph at hand */
    struct token token[PLAIN_RUN_TOKENS];
    struct token sum; /* of those */
    uint32_t n_tokens, next;
    struct plain_run_times times;
};

static void add(struct token * sum, const struct token * t) {
    sum->ns += t->ns;
    sum->waited_ns += t->waited_ns;
    sum->read_bytes += t->read_bytes;
    sum->disk_ns += t->disk_ns;
    sum->missed += t->missed;
}

static void take_away(struct token * sum, const struct token * t) {
    sum->ns -= t->ns;
    sum->waited_ns -= t->waited_ns;
    sum->read_bytes -= t->read_bytes;
    sum->disk_ns -= t->disk_ns;
    sum->missed -= t->missed;
}

struct plain_run * plain_run_new(const uint64_t * bytes, uint32_t n_pieces, uint64_t read_ahead, uint64_t capacity) {
    struct plain_run * p = calloc(1, sizeof *p);
    if (!p) { return NULL; }
    p->n_pieces = n_pieces;
    p->read_ahead = read_ahead;
    p->capacity = p->wanted_capacity = capacity;
    p->bytes = malloc(((size_t) n_pieces + 1) * sizeof *p->bytes);
    for (uint32_t i = 0; i < n_pieces && p->bytes; i++) {
        p->bytes[i] = bytes[i] ? bytes[i] : 1;
        p->all += p->bytes[i];
    }
    const struct policy_items items = { .bytes = p->bytes, .count = n_pieces };
    if (p->bytes) { p->cache = policy_new(&policy_lru, capacity, &items); }
    if (!p->cache) {
        plain_run_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < n_pieces; i++) { policy_access(p->cache, i); }
    return p;
}

void plain_run_free(struct plain_run * p) {
    if (!p) { return; }
    policy_free(p->cache);
    free(p->bytes);
    free(p);
}

void plain_run_resize(struct plain_run * p, uint64_t capacity) {
    __atomic_store_n(&p->wanted_capacity, capacity, __ATOMIC_RELAXED);
}

static void read_in(struct plain_run * p, uint32_t piece) {
    p->missed += p->bytes[piece] - policy_access(p->cache, piece);
}

/* What is in memory already is neither read nor used. */
static void read_around(struct plain_run * p, uint32_t piece) {
    uint64_t left = p->read_ahead / 2;
    for (uint32_t i = piece; i-- > 0 && p->bytes[i] <= left; left -= p->bytes[i]) {
        if (!policy_bytes_held(p->cache, i)) { read_in(p, i); }
    }
    left = p->read_ahead / 2;
    for (uint32_t i = piece; i < p->n_pieces && p->bytes[i] <= left; left -= p->bytes[i], i++) {
        if (i != piece && !policy_bytes_held(p->cache, i)) { read_in(p, i); }
    }
}

void plain_run_touch(struct plain_run * p, uint32_t piece) {
    if (!policy_bytes_held(p->cache, piece)) { read_around(p, piece); }
    read_in(p, piece);
}

static void take_capacity(struct plain_run * p) {
    const uint64_t wanted = __atomic_load_n(&p->wanted_capacity, __ATOMIC_RELAXED);
    if (wanted == p->capacity) { return; }
    p->capacity = wanted;
    policy_resize(p->cache, wanted);
}

/* Of all tokens of the window. 0: not known. */
static double plain_ns(const struct token * sum) {
    const double compute = (double) (sum->ns - sum->waited_ns);
    if (!sum->missed) { return compute; }
    const double per_ns = sum->disk_ns ? (double) sum->read_bytes / (double) sum->disk_ns : 0;
    return per_ns > 0 ? compute + (double) sum->missed / per_ns : 0;
}

bool plain_run_is_faster(struct plain_run * p, const struct plain_run_graph * graph, uint64_t known_ns) {
    const uint64_t waited = graph->waited_ns < graph->ns ? graph->waited_ns : graph->ns;
    const struct token now = { graph->ns, waited, graph->read_bytes, graph->disk_ns, p->missed };
    p->missed = 0;
    take_capacity(p);
    if (!graph->is_token) { return false; }
    if (p->n_tokens == PLAIN_RUN_TOKENS) {
        take_away(&p->sum, &p->token[p->next]);
    } else {
        p->n_tokens++;
    }
    p->token[p->next] = now;
    p->next = (p->next + 1) % PLAIN_RUN_TOKENS;
    add(&p->sum, &now);
    if (p->n_tokens < PLAIN_RUN_TOKENS) { return false; }
    const double plain = known_ns ? (double) known_ns * PLAIN_RUN_TOKENS : plain_ns(&p->sum);
    const double managed = (double) p->sum.ns;
    p->times = (struct plain_run_times){ p->sum.ns / PLAIN_RUN_TOKENS, (uint64_t) (plain / PLAIN_RUN_TOKENS),
                                         p->capacity >= p->all };
    return plain > 0 && managed > plain * (1 + (p->times.all_fits ? PREDICT_GAIN_LEAST : LOSS_LEAST));
}

struct plain_run_times plain_run_times(const struct plain_run * p) {
    return p->times;
}
