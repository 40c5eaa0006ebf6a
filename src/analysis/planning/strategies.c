/* SPDX-License-Identifier: MIT
 *
 * What a strategy reads for each recorded token, and how long the token waits for it. The manager places by the same
 * code (plan/placement.h) and keeps experts by the same policies (policy/policy.h).
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/caching/bound.h"
#include "analysis/caching/outcomes.h"
#include "analysis/planning/planning.h"
#include "analysis/token_times.h"
#include "plan/timeline.h"

#define NOT_READ UINT64_MAX

struct evaluating {
    const struct planning * p;
    const struct plan_strategy * strategy;
    struct plan_outcome * outcome;
    uint8_t * classes;
    bool * missed; /* by need: a cached piece that is not there */
    /* By piece: how much was streamed when it was needed last or, of one that is left, the graph that needed it last.
     * NOT_READ: none did. */
    uint64_t * last;
    struct list reads;                             /* struct timeline_read */
    struct list of;                                /* uint32_t, by read: its need */
    struct list streamed;                          /* struct streamed_read, in order */
    uint32_t released;                             /* index in `streamed`: those before are out of the ring */
    uint64_t streamed_bytes, left_bytes, given_up; /* read, of all graphs but the first */
    bool given_up_stays;                           /* in the page cache, which has the memory that is kept free */
    uint64_t operation, in_ring;                   /* the latest that needs the ring, and how much of it */
    struct {
        uint64_t known, before; /* when this router had chosen, and the one before it; the same: none of this graph */
        uint32_t graph;
        double right, wrong; /* experts that are still due */
        uint32_t * judged;   /* by expert: 1 + the index of the router that judged it */
        bool * is_foreseen;  /* by expert */
        uint32_t n;          /* routers so far */
    } router;
};

struct streamed_read {
    uint64_t end; /* how much was streamed with it */
    uint64_t until;
};

/* ---- experts ---- */

/* Which needs of a generated graph are of experts that were not there. */
static void mark_missed(const struct planning * p, uint32_t graph, const bool * is_missed, bool * missed,
                        uint32_t * need) {
    const struct plan_need * n = p->needs.data;
    for (; *need < p->needs.count && n[*need].graph == graph; ++*need) {
        const uint32_t item = n[*need].item;
        missed[*need] = p->item[item].is_expert && is_missed[p->expert_of[item]];
    }
}

/* By generated token: what cached experts were wanted, and found. Sets `missed` by need, if that is not NULL. */
static bool run_policy(const struct planning * p, uint64_t capacity, const struct policy_kind * kind, bool * missed,
                       struct phase_bytes * wanted, struct phase_bytes * found) {
    const struct cache_string * s = &p->string;
    const struct policy_items items = { s->bytes, NULL, s->n_items };
    struct policy * policy = policy_new(kind, capacity, &items);
    bool * is_missed = calloc((size_t) s->n_items + 1, sizeof *is_missed);
    uint32_t i = 0, need = 0, graph = 0;
    *wanted = *found = (struct phase_bytes){ 0 };
    for (uint32_t g = 0; g < s->graphs.count && policy && is_missed; g++) {
        const bool generated = graph_at(s, g)->generated;
        for (; i < graph_at(s, g)->end; i++) {
            const uint32_t expert = item_at(s, i);
            const uint64_t held = policy_access(policy, expert);
            add_to(wanted, generated, s->bytes[expert]);
            add_to(found, generated, held);
            is_missed[expert] = held == 0;
        }
        if (generated && missed) { mark_missed(p, graph++, is_missed, missed, &need); }
    }
    const bool good = policy && is_missed;
    free(is_missed);
    policy_free(policy);
    return good;
}

/* A bound in hindsight: which reads it saves is its own affair. */
static double least_share(const struct planning * p, uint64_t capacity) {
    struct bound b;
    const struct cache_string * s = &p->string;
    const uint64_t wanted = s->first.generated + s->repeat.generated;
    double share = -1;
    if (bound_begin(&b, s)) {
        const struct again again = bound_find(&b, capacity);
        share = wanted ? 1 - (double) (s->first.generated + again.generated) / (double) wanted : 0;
    }
    bound_end(&b);
    return share;
}

double planning_hit_share(const struct planning * p, uint64_t capacity, const struct policy_kind * kind) {
    struct phase_bytes wanted, found;
    if (!kind) { return least_share(p, capacity); }
    if (!run_policy(p, capacity, kind, NULL, &wanted, &found)) { return -1; }
    return ratio(found.generated, wanted.generated);
}

/* ---- what is read, and when ---- */

static const struct plan_need * need_at(const struct planning * p, uint32_t i) {
    return &LIST(const struct plan_need, p->needs)[i];
}

static bool add_read(struct evaluating * e, uint32_t need, struct timeline_read is) {
    const uint32_t n = e->reads.count;
    const uint64_t last = n ? LIST(const struct timeline_read, e->reads)[n - 1].at : 0;
    struct timeline_read * read = list_add(&e->reads, sizeof *read);
    uint32_t * of = list_extend(&e->of, sizeof *of, 1);
    if (!read || !of) { return false; }
    *of = need;
    *read = is;
    if (read->at < last) { read->at = last; }
    if (read->from > read->at) { read->from = read->at; }
    if (read->guessed > read->from) { read->guessed = read->from; }
    return true;
}

static bool add_fault(struct evaluating * e, uint32_t need, double rate) {
    const struct plan_need * n = need_at(e->p, need);
    const uint64_t bytes = e->p->piece[n->item].bytes;
    return add_read(e, need,
                    (struct timeline_read){ .at = n->at,
                                            .bytes = bytes,
                                            .kind = TIMELINE_FAULT,
                                            .fault_ns = rate > 0 ? 1e9 * (double) bytes / rate : 0 });
}

/* ---- what is foreseen ---- */

/* What a router guessed for nothing is read as well, if it is not in memory. */
static bool add_wrong(struct evaluating * e, uint32_t need, uint32_t slices) {
    const struct planning * p = e->p;
    const struct timeline_read wrong = { .at = e->router.known,
                                         .from = e->router.known,
                                         .guessed = e->router.before,
                                         .bytes = p->piece[need_at(p, need)->item].bytes,
                                         .kind = TIMELINE_WASTED };
    for (; e->router.wrong >= 1; e->router.wrong--) {
        for (uint32_t i = 0; i < slices; i++) {
            if (!add_read(e, need, wrong)) { return false; }
        }
    }
    return true;
}

/* The first need of what a router chose. */
static bool next_router(struct evaluating * e, uint32_t need) {
    const struct planning * p = e->p;
    const struct plan_need * n = need_at(p, need);
    const struct placement * x = &e->outcome->placement;
    const bool same_graph = e->router.n && e->router.graph == n->graph;
    uint32_t all = 0, first = 0;
    e->router.before = same_graph ? e->router.known : n->known;
    e->router.known = n->known;
    e->router.graph = n->graph;
    e->router.n++;
    const uint32_t tensor = p->piece[n->item].tensor;
    for (uint32_t i = need; i < p->needs.count && need_at(p, i)->graph == n->graph; i++) {
        if (!p->item[need_at(p, i)->item].is_expert) { continue; }
        if (need_at(p, i)->known != n->known) { break; }
        all++;
        first += p->piece[need_at(p, i)->item].tensor == tensor;
    }
    if (e->router.before == e->router.known) { return true; }
    const double absent = x->cached ? 1 - (double) x->cache / (double) x->cached : 0;
    e->router.wrong += (1 - PREDICT_GUESSES_RIGHT) * absent * first;
    return add_wrong(e, need, first ? all / first : 0);
}

/* An expert is foreseen with all its slices. Of those that were missed, so many are as guesses come true. */
static bool is_foreseen(struct evaluating * e, uint32_t expert) {
    if (e->router.before == e->router.known) { return false; }
    if (e->router.judged[expert] == e->router.n) { return e->router.is_foreseen[expert]; }
    e->router.judged[expert] = e->router.n;
    e->router.right += PREDICT_GUESSES_RIGHT;
    e->router.is_foreseen[expert] = e->router.right >= 1;
    if (e->router.right >= 1) { e->router.right--; }
    return e->router.is_foreseen[expert];
}

static bool add_missed(struct evaluating * e, uint32_t need, uint64_t not_before) {
    const struct planning * p = e->p;
    const struct plan_need * n = need_at(p, need);
    if (!e->missed[need]) { return true; }
    const bool foreseen = is_foreseen(e, p->expert_of[n->item]);
    return add_read(e, need,
                    (struct timeline_read){ .at = n->at,
                                            .from = n->known > not_before ? n->known : not_before,
                                            .guessed = foreseen ? e->router.before : UINT64_MAX,
                                            .bytes = p->piece[n->item].bytes,
                                            .kind = TIMELINE_CHOSEN });
}

/* ---- what streams ---- */

/* From when on the ring has room for what ends so far into all that is streamed. */
static uint64_t room_from(struct evaluating * e, uint64_t end, uint64_t at) {
    const struct streamed_read * s = LIST(const struct streamed_read, e->streamed);
    const uint64_t ring = e->outcome->placement.ring;
    while (e->released < e->streamed.count && s[e->released].end + ring < end) { e->released++; }
    const uint64_t from = e->released ? s[e->released - 1].until : 0;
    return from > at ? at : from;
}

/* What an operation needs stays until it is done. If the ring has no room beside that, nothing that it waits for can
 * make room: the manager gives the piece up, and the operation finds it in the file. */
static bool has_room(struct evaluating * e, const struct plan_need * n, uint64_t bytes) {
    if (e->operation != n->operation) { e->in_ring = 0; }
    e->operation = n->operation;
    const bool good = e->in_ring + bytes <= e->outcome->placement.ring;
    if (good) { e->in_ring += bytes; }
    return good;
}

/* Not read if it is still there from its last use: so far, no more was streamed than the ring holds. */
static bool add_streamed(struct evaluating * e, uint32_t need, uint64_t not_before) {
    const struct planning * p = e->p;
    const struct plan_need * n = need_at(p, need);
    const uint64_t bytes = p->piece[n->item].bytes, ring = e->outcome->placement.ring;
    const uint64_t so_far =
        e->streamed.count ? LIST(const struct streamed_read, e->streamed)[e->streamed.count - 1].end : 0;
    if (!has_room(e, n, bytes)) {
        if (e->given_up_stays) { return true; }
        if (n->graph) { e->given_up += bytes; }
        return add_fault(e, need, p->costs.given_up_rate);
    }
    if (e->last[n->item] != NOT_READ && so_far - e->last[n->item] + bytes <= ring) {
        e->last[n->item] = so_far;
        return true;
    }
    struct streamed_read * s = list_add(&e->streamed, sizeof *s);
    if (!s) { return false; }
    *s = (struct streamed_read){ so_far + bytes, n->until };
    e->last[n->item] = so_far + bytes;
    if (n->graph) { e->streamed_bytes += bytes; }
    const uint64_t from = room_from(e, so_far + bytes, n->at);
    return add_read(e, need,
                    (struct timeline_read){ .at = n->at,
                                            .from = from > not_before ? from : not_before,
                                            .guessed = UINT64_MAX,
                                            .bytes = bytes,
                                            .kind = TIMELINE_STREAM });
}

static bool add_need(struct evaluating * e, uint32_t need, uint32_t lead) {
    const struct planning * p = e->p;
    const struct plan_need * n = need_at(p, need);
    const uint64_t not_before = lead > n->stage ? 0 : lead ? p->stage_at[n->stage - lead] : n->at;
    switch ((enum placement_class) e->classes[n->item]) {
        case PLACE_PIN: return true;
        case PLACE_STREAM: return add_streamed(e, need, not_before);
        case PLACE_CACHE:
            if ((!e->router.n || e->router.known != n->known || e->router.graph != n->graph) && !next_router(e, need)) {
                return false;
            }
            return add_missed(e, need, not_before);
        case PLACE_LEAVE: break;
    }
    if (e->last[n->item] == n->graph) { return true; } /* other tensors of it, so other pages */
    e->last[n->item] = n->graph;
    if (n->graph) { e->left_bytes += p->piece[n->item].bytes; }
    return add_fault(e, need, p->costs.fault_rate);
}

/* ---- how long tokens wait ---- */

static void add_loss(struct timeline_loss * sum, const struct timeline_loss * more) {
    sum->waited += more->waited;
    sum->taken += more->taken;
}

/* The first graph's waits are those of a start. */
static bool find_times(struct evaluating * e) {
    const struct planning * p = e->p;
    struct plan_outcome * o = e->outcome;
    const uint32_t n = e->reads.count, graphs = p->n_timed;
    struct timeline_loss * lost = calloc((size_t) n + 1, sizeof *lost);
    struct timeline_loss * by_graph = calloc((size_t) graphs + 1, sizeof *by_graph);
    uint64_t * ns = calloc((size_t) graphs + 1, sizeof *ns);
    struct timeline_loss sum = { 0 };
    uint64_t tokens = 0;
    uint32_t counted = 0;
    bool good = lost && by_graph && ns;
    struct timeline_machine machine = p->machine;
    machine.ring = o->placement.ring;
    good = good && timeline_run(&machine, e->reads.data, n, lost, &o->ahead_bytes);
    for (uint32_t i = 0; i < n && good; i++) {
        add_loss(&by_graph[need_at(p, LIST(const uint32_t, e->of)[i])->graph], &lost[i]);
    }
    for (uint32_t g = 1; g < graphs && good; g++) {
        add_loss(&sum, &by_graph[g]);
        tokens += p->tokens[g];
        ns[counted++] = (uint64_t) (p->compute_ns[g] + by_graph[g].waited + by_graph[g].taken);
    }
    if (good && tokens) {
        qsort(ns, counted, sizeof *ns, by_value);
        o->lost = (struct timeline_loss){ sum.waited / (double) tokens, sum.taken / (double) tokens };
        o->token_ns = p->token_compute_ns + o->lost.waited + o->lost.taken;
        o->p50_ns = (double) percentile(ns, counted, 50);
        o->p99_ns = (double) percentile(ns, counted, 99);
    }
    free(lost);
    free(by_graph);
    free(ns);
    return good;
}

/* ---- all ---- */

static uint64_t tokens_timed(const struct planning * p) {
    uint64_t tokens = 0;
    for (uint32_t g = 1; g < p->n_timed; g++) { tokens += p->tokens[g]; }
    return tokens;
}

static bool walk(struct evaluating * e, uint32_t lead) {
    const struct planning * p = e->p;
    e->reads.count = e->of.count = e->streamed.count = e->released = 0;
    e->streamed_bytes = e->left_bytes = e->given_up = e->operation = e->in_ring = 0;
    e->router.n = 0;
    e->router.right = e->router.wrong = 0;
    memset(e->router.judged, 0, ((size_t) p->string.n_items + 1) * sizeof *e->router.judged);
    for (uint32_t i = 0; i < p->n_pieces; i++) { e->last[i] = NOT_READ; }
    for (uint32_t i = 0; i < p->needs.count; i++) {
        if (!add_need(e, i, lead)) { return false; }
    }
    return true;
}

/* Of MIN it is known how much it reads, not which of it: nothing is simulated. */
static bool find_reads(struct evaluating * e, uint32_t lead) {
    const struct planning * p = e->p;
    struct plan_outcome * o = e->outcome;
    const uint64_t tokens = tokens_timed(p);
    const bool caches = o->placement.cached > 0;
    const uint64_t capacity =
        o->placement.cache - placement_scratch(o->placement.cache, p->stack_bytes, p->chosen_bytes);
    struct phase_bytes wanted = { 0 }, found = { 0 };
    double missed = 0;
    o->hit_share = -1;
    if (caches && !e->strategy->policy) {
        o->hit_share = least_share(p, capacity);
        if (o->hit_share < 0) { return false; }
        wanted.generated = p->string.first.generated + p->string.repeat.generated;
        missed = (1 - o->hit_share) * ratio(wanted.generated, p->string.tokens);
    } else if (caches) {
        if (!run_policy(p, capacity, e->strategy->policy, e->missed, &wanted, &found)) { return false; }
        o->hit_share = ratio(found.generated, wanted.generated);
        missed = ratio(wanted.generated - found.generated, p->string.tokens);
    }
    if (!walk(e, lead)) { return false; }
    if (e->given_up && ratio(e->given_up, tokens) <= (double) p->spare) {
        e->given_up_stays = true;
        if (!walk(e, lead)) { return false; }
    }
    o->reads = (struct predict_reads){ ratio(e->streamed_bytes, tokens), missed, ratio(e->left_bytes, tokens),
                                       ratio(e->given_up, tokens) };
    return true;
}

static bool is_priced(const struct plan_outcome * o, const struct predict_costs * c) {
    return (o->reads.streamed == 0 || c->stream_rate > 0) && (o->reads.missed == 0 || c->miss_rate > 0) &&
           (o->reads.faulted == 0 || c->fault_rate > 0) && (o->reads.given_up == 0 || c->given_up_rate > 0) &&
           c->compute_ns > 0;
}

bool planning_evaluate(const struct planning * p, uint64_t budget, const struct plan_strategy * strategy, uint32_t lead,
                       uint8_t * classes, struct plan_outcome * outcome) {
    struct evaluating e = { .p = p, .strategy = strategy, .outcome = outcome };
    *outcome = (struct plan_outcome){ .hit_share = -1 };
    e.classes = calloc((size_t) p->n_pieces + 1, sizeof *e.classes);
    e.missed = calloc((size_t) p->needs.count + 1, sizeof *e.missed);
    e.last = malloc(((size_t) p->n_pieces + 1) * sizeof *e.last);
    e.router.judged = calloc((size_t) p->string.n_items + 1, sizeof *e.router.judged);
    e.router.is_foreseen = calloc((size_t) p->string.n_items + 1, sizeof *e.router.is_foreseen);
    bool good = e.classes && e.missed && e.last && e.router.judged && e.router.is_foreseen;
    if (good) { outcome->placement = placement_make(p->item, p->n_pieces, budget, strategy->may, e.classes); }
    good = good && find_reads(&e, lead);
    if (good) {
        outcome->bound = predict(&outcome->reads, &p->costs);
        const bool is_bound = (strategy->may & PLACE_MAY_CACHE) && !strategy->policy;
        if (is_priced(outcome, &p->costs) && !is_bound) { good = find_times(&e); }
        if (classes) { memcpy(classes, e.classes, p->n_pieces); }
    }
    free(e.classes);
    free(e.missed);
    free(e.last);
    free(e.router.judged);
    free(e.router.is_foreseen);
    free(e.reads.data);
    free(e.of.data);
    free(e.streamed.data);
    return good;
}
