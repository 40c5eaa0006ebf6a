/* SPDX-License-Identifier: MIT
 *
 * What `tat plan` expects of made-up models and machines: more memory is not slower, nor is a faster disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/disk_kept.h"
#include "analysis/planning/planning.h"
#include "dice.h"
#include "plan/reading.h"

enum { PAGE = 4096, LAYERS = 12, GRAPHS = 6, EXPERTS = 8, CHOSEN = 2, STACKS = 3, PIECES_MOST = 1024 };

static uint32_t seed;

static uint32_t roll(uint32_t sides) {
    return dice(&seed, sides);
}

/* ---- a made-up model ---- */

static struct placement_item item[PIECES_MOST];
static struct plan_piece piece[PIECES_MOST];
static uint32_t expert_of[PIECES_MOST];
static uint64_t expert_bytes[PIECES_MOST], tokens[GRAPHS], stage_at[GRAPHS * LAYERS];
static double compute_ns[GRAPHS];

static void add_piece(struct planning * p, uint32_t layer, bool is_expert, bool with_last) {
    const uint64_t bytes = PAGE * (uint64_t) (is_expert ? 64 : 4 + roll(252));
    item[p->n_pieces] = (struct placement_item){ .bytes = bytes, .is_expert = is_expert, .with_last = with_last };
    piece[p->n_pieces] = (struct plan_piece){ .bytes = bytes, .layer = layer, .tensor = p->n_pieces };
    *(is_expert ? &p->expert_bytes : &p->dense_bytes) += bytes;
    p->n_pieces++;
}

struct operation {
    uint32_t first, end; /* pieces; of experts: those of a stack */
    uint64_t ns;
    bool is_chosen;
};

static struct operation operation[PIECES_MOST];
static uint32_t n_operations;

/* As long as it takes to read its weights from memory, and a little. */
static void add_operation(const struct planning * p, uint32_t first, bool is_chosen) {
    uint64_t bytes = 0;
    for (uint32_t i = first; i < p->n_pieces; i++) { bytes += item[i].bytes; }
    if (is_chosen) { bytes = bytes / EXPERTS * CHOSEN; }
    operation[n_operations++] = (struct operation){ first, p->n_pieces, bytes / 10 + roll(20000), is_chosen };
}

static void add_layer(struct planning * p, uint32_t layer, bool has_experts) {
    for (uint32_t op = 0, ops = 2 + roll(4); op < ops; op++) {
        const uint32_t first = p->n_pieces, n = 1 + roll(4);
        for (uint32_t i = 0; i < n; i++) { add_piece(p, layer, false, i > 0); }
        add_operation(p, first, false);
    }
    for (uint32_t stack = 0; stack < STACKS && has_experts; stack++) {
        const uint32_t first = p->n_pieces;
        for (uint32_t e = 0; e < EXPERTS; e++) {
            expert_of[p->n_pieces] = layer * EXPERTS + e;
            piece[p->n_pieces].expert = (uint16_t) e;
            add_piece(p, layer, true, e > 0);
            piece[p->n_pieces - 1].tensor = first;
            expert_bytes[layer * EXPERTS + e] += item[p->n_pieces - 1].bytes;
        }
        add_operation(p, first, true);
    }
}

static bool choice[EXPERTS];

/* Half of them are those of the token before. */
static void choose(void) {
    for (int keep = CHOSEN / 2, e = 0; e < EXPERTS; e++) {
        choice[e] &= keep > 0;
        keep -= choice[e];
    }
    for (int n = 0; n < CHOSEN;) {
        n = 0;
        choice[roll(EXPERTS)] = true;
        for (int e = 0; e < EXPERTS; e++) { n += choice[e]; }
    }
}

static void add_need(struct planning * p, struct plan_need need) {
    *(struct plan_need *) list_add(&p->needs, sizeof need) = need;
}

static void add_graph(struct planning * p, uint32_t graph, uint64_t * now, bool chosen[LAYERS][EXPERTS]) {
    const uint64_t began = *now;
    uint32_t layer = UINT32_MAX;
    uint64_t known = 0;
    for (uint32_t i = 0; i < n_operations; i++) {
        const struct operation * o = &operation[i];
        if (piece[o->first].layer != layer) {
            layer = piece[o->first].layer;
            stage_at[p->n_stages++] = *now;
            memcpy(choice, chosen[layer], sizeof choice);
            choose();
            memcpy(chosen[layer], choice, sizeof choice);
        }
        if (o->is_chosen && !operation[i - 1].is_chosen) {
            known = *now;
            for (uint32_t e = 0; e < EXPERTS && p->string.n_items; e++) {
                if (choice[e]) { *(uint32_t *) list_extend(&p->string.items, sizeof e, 1) = layer * EXPERTS + e; }
            }
        }
        for (uint32_t k = o->first; k < o->end; k++) {
            if (o->is_chosen && !choice[k - o->first]) { continue; }
            add_need(p, (struct plan_need){ *now, *now + o->ns, o->is_chosen ? known : 0,
                                            (uint64_t) graph * n_operations + i, k, graph, p->n_stages - 1 });
        }
        *now += o->ns;
    }
    const struct string_graph end = { p->string.items.count, true };
    *(struct string_graph *) list_add(&p->string.graphs, sizeof end) = end;
    compute_ns[graph] = (double) (*now - began);
    tokens[graph] = 1;
}

static void make_model(struct planning * p, bool has_experts) {
    static bool chosen[LAYERS][EXPERTS];
    uint64_t now = 0;
    memset(chosen, 0, sizeof chosen);
    memset(expert_bytes, 0, sizeof expert_bytes);
    *p = (struct planning){ .item = item, .piece = piece, .expert_of = expert_of, .compute_ns = compute_ns };
    n_operations = 0;
    for (uint32_t layer = 0; layer < LAYERS; layer++) { add_layer(p, layer, has_experts); }
    p->string.bytes = expert_bytes;
    p->string.n_items = has_experts ? LAYERS * EXPERTS : 0;
    for (uint32_t graph = 0; graph < GRAPHS; graph++) { add_graph(p, graph, &now, chosen); }
    p->tokens = tokens;
    p->stage_at = stage_at;
    p->n_graphs = p->n_timed = GRAPHS;
    p->string.tokens = GRAPHS;
    p->needed_bytes = p->dense_bytes + p->expert_bytes;
    p->stack_bytes = has_experts ? EXPERTS * item[p->n_pieces - 1].bytes : 0;
    p->chosen_bytes = has_experts ? STACKS * CHOSEN * item[p->n_pieces - 1].bytes : 0;
    p->token_compute_ns = compute_ns[0];
}

static void free_model(struct planning * p) {
    free(p->needs.data);
    free(p->string.items.data);
    free(p->string.graphs.data);
}

/* ---- a made-up machine ---- */

static void make_machine(struct planning * p, double disk) {
    p->costs = (struct predict_costs){ disk, disk, disk / 2, p->token_compute_ns, PREDICT_MAP_NS_PER_BYTE, disk / 20 };
    p->machine.disk = disk_bursts_of_rate(disk);
    for (int n = 0; n < BURST_READS; n++) { p->machine.disk.ns[0][n] += 90000; } /* of 1 MiB */
    p->machine.while_computing = p->machine.disk;
}

static void any_machine(struct planning * p) {
    p->machine = (struct timeline_machine){ .at_once = READING_AT_ONCE,
                                            .together = roll(2),
                                            .guesses_at_once = READING_GUESSES_AT_ONCE,
                                            .map_ns_per_byte = PREDICT_MAP_NS_PER_BYTE,
                                            .start_ns = PREDICT_START_NS,
                                            .wake_ns = PREDICT_WAKE_NS,
                                            .taken = roll(2) };
    make_machine(p, 2e8 * (1 + roll(20)));
}

static const struct plan_strategy all = { "all", "all", PLACE_MAY_PIN | PLACE_MAY_STREAM | PLACE_MAY_CACHE,
                                          &policy_cycle };

static double token_ns(const struct planning * p, uint64_t budget) {
    struct plan_outcome o;
    assert_true(planning_evaluate(p, budget, &all, LEAD_EARLIEST, NULL, &o));
    assert_true(o.token_ns >= p->token_compute_ns - 1);
    return o.token_ns;
}

/* ---- tests ---- */

enum { MODELS = 60, SIZES = 16 };

/* How much slower more memory is at most, or a faster disk. */
static double worst_by_memory(bool has_experts) {
    double worst = 0;
    struct planning p;
    for (int model = 0; model < MODELS; model++) {
        make_model(&p, has_experts);
        any_machine(&p);
        double least = 0;
        for (uint64_t size = 3; size <= SIZES; size++) {
            const double now = token_ns(&p, p.needed_bytes / SIZES * size);
            if (least > 0 && now / least - 1 > worst) { worst = now / least - 1; }
            if (!(least > 0) || now < least) { least = now; }
        }
        free_model(&p);
    }
    return worst;
}

static double worst_by_disk(bool has_experts) {
    double worst = 0;
    struct planning p;
    for (int model = 0; model < MODELS; model++) {
        make_model(&p, has_experts);
        any_machine(&p);
        const uint64_t budget = p.needed_bytes / SIZES * (4 + roll(SIZES - 5));
        double least = 0;
        for (double rate = 1e8; rate < 1e10; rate *= 1.3) {
            make_machine(&p, rate);
            const double now = token_ns(&p, budget);
            if (least > 0 && now / least - 1 > worst) { worst = now / least - 1; }
            if (!(least > 0) || now < least) { least = now; }
        }
        free_model(&p);
    }
    return worst;
}

static void more_memory_is_not_slower(void ** state) {
    (void) state;
    seed = 1;
    const double dense = worst_by_memory(false), experts = worst_by_memory(true);
    print_message("more memory is slower by %.4f, with experts by %.4f at most\n", dense, experts);
    assert_true(dense <= 0.02);
    assert_true(experts <= 0.05);
}

static void a_faster_disk_is_not_slower(void ** state) {
    (void) state;
    seed = 2;
    const double dense = worst_by_disk(false), experts = worst_by_disk(true);
    print_message("a faster disk is slower by %.4f, with experts by %.4f at most\n", dense, experts);
    assert_true(dense <= 0.01);
    assert_true(experts <= 0.01);
}

/* What was measured of a disk is not: other programs ran. */
static void larger_bursts_take_no_less(void ** state) {
    (void) state;
    struct disk_bursts b;
    json_t * kept = json_pack("{s:[]}", "rates");
    seed = 3;
    for (unsigned block = 64 << 10; block <= 1 << 20; block *= 4) {
        for (int depth = 1; depth <= BURST_READS; depth++) {
            json_array_append_new(json_object_get(kept, "rates"),
                                  json_pack("{s:s, s:s, s:i, s:i, s:f}", "how", "direct, burst", "order", "random",
                                            "block_bytes", (int) block, "depth", depth, "per_second",
                                            1e9 + 1e7 * (double) roll(100)));
        }
    }
    assert_true(disk_kept_bursts(kept, false, &b));
    json_decref(kept);
    for (double bytes = 4096; bytes < 4 << 20; bytes *= 1.2) {
        for (unsigned n = 1; n <= BURST_READS; n++) {
            const double ns = disk_burst_ns(&b, n, bytes);
            assert_true(ns > 0 && disk_burst_ns(&b, n, bytes * 1.1) >= ns);
            assert_true(n == BURST_READS || disk_burst_ns(&b, n + 1, bytes) >= ns);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_memory_is_not_slower),
        cmocka_unit_test(a_faster_disk_is_not_slower),
        cmocka_unit_test(larger_bursts_take_no_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
