/* SPDX-License-Identifier: MIT */
#include "agent/evaluation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/agent.h"
#include "agent/capture.h"
#include "agent/clock.h"
#include "agent/evaluation_state.h"
#include "agent/events.h"
#include "agent/sink.h"
#include "agent/table.h"
#include "agent/template_cache.h"

enum {
    SLOTS = 64,
    RECENT = 64,
};
#define INSTEAD(condition) __builtin_expect(!!(condition), 0)
/* Kept out of the callback, which would otherwise save registers for it at every node. */
#define RARELY __attribute__((noinline, cold))

static struct evaluation slots[SLOTS];

/* Set by libtat_agent_exact.so before there is any graph. */
static bool waits_for_barriers;

/* The template last seen for a graph with the same first node, last node and size: a guess, checked node by node.
 * Acquire and release make the template's contents visible with its address.
 *
 * A slot's `tmpl` is its owner's hazard pointer: what it points to is not freed. It is set either with the
 * registry's lock held, or to a guess that is still the guess afterwards. Whoever frees a template first takes the
 * guess away, then looks at the slots. These four accesses are sequentially consistent, so one of the two threads
 * sees the other. */
static const struct graph_template * recent[RECENT];

static void count_lost(enum tat_loss_reason reason) {
    __atomic_fetch_add(&agent_totals.lost[reason], 1, __ATOMIC_RELAXED);
}

static struct evaluation * take_slot(void) {
    for (int i = 0; i < SLOTS; i++) {
        bool free_slot = false;
        if (__atomic_compare_exchange_n(&slots[i].taken, &free_slot, true, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            return &slots[i];
        }
    }
    return NULL;
}

static void free_slot(struct evaluation * e) {
    __atomic_store_n(&e->tmpl, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&e->taken, false, __ATOMIC_RELEASE);
}

/* Memory with all its pages present, since the hot path must not fault. */
static void * populated(void * old, size_t old_bytes, size_t bytes) {
    if (old) { munmap(old, old_bytes); }
    void * memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool enough(uint8_t ** memory, size_t * capacity, size_t bytes) {
    if (bytes <= *capacity) { return true; }
    bytes = (bytes * 2 + 0xffff) & ~(size_t) 0xffff;
    *memory = populated(*memory, *capacity, bytes);
    *capacity = *memory ? bytes : 0;
    return *memory != NULL;
}

static bool prepare_buffers(struct evaluation * e, const struct graph_template * t) {
    const uint32_t n = t->n_nodes + 1;
    const size_t each = waits_for_barriers ? 2 : 1; /* words per callback: its stamp, and perhaps its wait */
    if (n > e->stamps_capacity) {
        const size_t before = e->stamps_capacity * each * sizeof(uint64_t);
        e->stamps = populated(e->stamps, before, 2 * n * each * sizeof(uint64_t));
        e->stamps_capacity = e->stamps ? 2 * n : 0;
        e->waits = e->stamps ? e->stamps + (each - 1) * e->stamps_capacity : NULL;
    }
    const size_t used = e->captures ? (size_t) (e->captured.at - e->captures) : 0;
    /* In the middle of a graph, what was captured so far must stay; captures that do not fit are then cut, and the
     * evaluation is marked. */
    if (used == 0 || t->capture_bytes + 64 <= e->captures_capacity) {
        if (!enough(&e->captures, &e->captures_capacity, t->capture_bytes + 64)) { return false; }
        e->captured.at = e->captures + used;
        e->captured.end = e->captures + e->captures_capacity;
    }
    return e->stamps && enough(&e->payload, &e->payload_capacity,
                               EVALUATION_FIXED_BYTES + n * each * TAT_VARINT_MAX + e->captures_capacity);
}

static uint32_t recent_slot(const struct graph * g) {
    const struct ggml_layout * l = &g->host->layout;
    const struct ggml_tensor * last = g->nodes[g->n_nodes - 1];
    const uint64_t hash = g->host->hash->of(l, g->nodes[0], 0) + g->host->hash->of(l, last, 0) * 3;
    return (uint32_t) (table_hash(hash + g->n_nodes) % RECENT);
}

/* Takes this template out of all guesses. True if no evaluation holds it either. The registry's lock must be held. */
static bool let_go(const struct graph_template * t) {
    for (int i = 0; i < RECENT; i++) {
        const struct graph_template * guess = t;
        __atomic_compare_exchange_n(&recent[i], &guess, NULL, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (__atomic_load_n(&slots[i].tmpl, __ATOMIC_SEQ_CST) == t) { return false; }
    }
    return true;
}

/* The slow way, for a guess that was wrong: finds the graph's template, or makes it. */
static bool look_up(struct evaluation * e) {
    if (!agent_enter()) { return false; }
    const struct graph_template * t = template_of(&e->graph, &e->tmpl, let_go);
    agent_leave();
    if (!t) { return false; }
    __atomic_store_n(&recent[recent_slot(&e->graph)], e->tmpl, __ATOMIC_RELEASE);
    if (!__atomic_load_n(&e->graph.host->rule_known, __ATOMIC_ACQUIRE)) {
        struct host * host = (struct host *) e->graph.host;
        __atomic_store_n(&host->rule, template_first_rule(e->tmpl), __ATOMIC_RELAXED);
        __atomic_store_n(&host->rule_known, true, __ATOMIC_RELEASE);
    }
    e->rule = __atomic_load_n(&e->graph.host->rule, __ATOMIC_RELAXED);
    e->steps = template_steps(e->tmpl, e->rule);
    return e->steps && prepare_buffers(e, e->tmpl);
}

static bool choose_template(struct evaluation * e) {
    const struct graph_template ** guess = &recent[recent_slot(&e->graph)];
    const struct graph_template * t = __atomic_load_n(guess, __ATOMIC_ACQUIRE);
    __atomic_store_n(&e->tmpl, t, __ATOMIC_SEQ_CST);
    if (!t || t != __atomic_load_n(guess, __ATOMIC_SEQ_CST)) { return look_up(e); }
    if (t->n_nodes != e->graph.n_nodes || t->host != e->graph.host->number || !template_is_current(t)) {
        return look_up(e);
    }
    e->rule = __atomic_load_n(&e->graph.host->rule, __ATOMIC_RELAXED);
    e->steps = template_steps(e->tmpl, e->rule);
    return e->steps && prepare_buffers(e, e->tmpl);
}

static bool nodes_match(const struct evaluation * e, uint32_t from, uint32_t to) {
    const struct host * host = e->graph.host;
    return host->hash->all_match(&host->layout, e->graph.nodes, e->tmpl->expected, from, to);
}

/* The guessed template belongs to another graph. What was captured so far stays right, since the nodes up to here are
 * the same. */
static RARELY bool change_template(struct evaluation * e) {
    const int error = errno; /* ggml is in the middle of its work */
    const bool found = look_up(e);
    errno = error;
    if (found) { return true; }
    __atomic_store_n(&e->tmpl, NULL, __ATOMIC_RELEASE);
    return false;
}

static void take_capture(struct evaluation * e, uint32_t number) {
    const struct capture * capture = &e->tmpl->captures[number];
    const size_t from = (size_t) (e->captured.at - e->captures);
    capture_read(&e->graph.host->layout, e->graph.nodes[capture->node], capture, &e->captured);
    if (capture->kind != TAT_CAPTURE_POSITIONS || e->positions.to) { return; }
    e->positions.capture = number;
    e->positions.from = from;
    e->positions.to = (size_t) (e->captured.at - e->captures);
}

static __attribute__((noinline)) void take_captures(struct evaluation * e, uint32_t k) {
    const struct step * step = &e->steps->step[k];
    for (uint32_t i = step->first_capture; i < step->first_capture + step->n_captures; i++) { take_capture(e, i); }
}

/* The node is not the template's, or there are more callbacks than steps: either this is another graph, or this ggml
 * calls back by another rule. */
static RARELY void at_other_node(struct evaluation * e, uint32_t k) {
    const bool beyond = k >= e->steps->n_steps;
    if (beyond && (k > e->steps->n_steps || nodes_match(e, e->steps->tail_node, e->graph.n_nodes))) { return; }
    if (change_template(e) && k < e->steps->n_steps) { take_captures(e, k); }
}

static inline void at_step(struct evaluation * e, uint32_t k) {
    const struct step * step = &e->steps->step[k];
    if (INSTEAD(k >= e->steps->n_steps || !nodes_match(e, step->first_node, step->last_node + 1))) {
        at_other_node(e, k);
    } else if (step->n_captures) {
        take_captures(e, k);
    }
}

/* The evaluation whose callback this thread has just had, as its thread 0. */
static _Thread_local struct evaluation * before_barrier;

void evaluation_wait_for_barriers(void) {
    waits_for_barriers = true;
}

/* This ggml does not export its barrier, or calls it within its own file. */
static void miss_barriers(const struct evaluation * e) {
    static bool noted; /* relaxed */
    if (e->n_barriers || e->n_callbacks < 2 || __atomic_exchange_n(&noted, true, __ATOMIC_RELAXED)) { return; }
    event_text(TAT_EVENT_NOTE, "exact times cannot be had: this ggml's barrier cannot be seen");
}

struct evaluation * evaluation_at_barrier(void) {
    struct evaluation * e = before_barrier;
    if (!e) { return NULL; }
    before_barrier = NULL;
    e->stamps[e->n_callbacks - 1] = clock_ticks(e->clock); /* on arrival: the callback's own work is not waiting */
    return e;
}

void evaluation_passed_barrier(struct evaluation * e) {
    const uint32_t k = e->n_callbacks - 1;
    const uint64_t tick = clock_ticks(e->clock);
    e->waits[k] = tick - e->stamps[k];
    e->stamps[k] = tick;
    e->n_barriers++;
}

static void on_node(void * state) {
    struct evaluation * e = state;
    const uint32_t k = e->n_callbacks++;
    if (INSTEAD(!e->tmpl || k >= e->stamps_capacity)) { return; }
    e->stamps[k] = clock_ticks(e->clock);
    at_step(e, k);
    if (INSTEAD(waits_for_barriers)) {
        e->waits[k] = 0; /* the last node may have no barrier after it */
        before_barrier = e;
    }
}

static void on_node_empty(void * state) {
    (void) state;
}

/* An evaluation counts as emitted when it counts as stored or lost. One that still runs when the trace is closed is
 * neither. */
static bool refuse(struct evaluation * e, enum tat_loss_reason reason) {
    if (e) { free_slot(e); }
    if (agent_enter()) {
        __atomic_fetch_add(&agent_totals.evaluations_emitted, 1, __ATOMIC_RELAXED);
        count_lost(reason);
        agent_leave();
    }
    return false;
}

/* The program wants no recording now. TAT_AGENT_EMPTY keeps an empty callback, which shows what the hook alone
 * costs. */
static bool pass(const struct graph_call * call, struct watch * watch, enum tat_agent_mode mode) {
    if (agent_enter()) {
        __atomic_fetch_add(&agent_totals.evaluations_emitted, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&agent_totals.evaluations_filtered, 1, __ATOMIC_RELAXED);
        agent_leave();
    }
    *watch = (struct watch){ on_node_empty, NULL };
    return mode == TAT_AGENT_EMPTY && !call->hands_off;
}

/* A plan whose layout is not proven is not touched; the trace says why, once for each host. */
static bool leave_alone(const struct graph_call * call) {
    struct host * host = call->host;
    if (host->trouble[0] && !__atomic_exchange_n(&host->told, true, __ATOMIC_RELAXED)) {
        char text[sizeof host->trouble + 64];
        snprintf(text, sizeof text, "graphs were not recorded: %s", host->trouble);
        event_text(TAT_EVENT_NOTE, text);
    }
    return refuse(NULL, host->trouble[0] ? TAT_LOSS_LAYOUT : TAT_LOSS_SLOTS);
}

bool evaluation_begin(const struct graph_call * call, struct watch * watch) {
    const enum tat_agent_mode mode = agent_mode();
    struct host * host = call->host;
    if (mode != TAT_AGENT_RECORD) { return pass(call, watch, mode); }
    if (call->hands_off) { return leave_alone(call); }
    const int n_nodes = host->ggml.graph_n_nodes(call->graph);
    if (n_nodes <= 0) { return refuse(NULL, TAT_LOSS_LAYOUT); }
    struct evaluation * e = take_slot();
    if (!e) { return refuse(NULL, TAT_LOSS_SLOTS); }
    e->graph = (struct graph){ host, call->graph, host->ggml.graph_nodes(call->graph), (uint32_t) n_nodes };
    e->n_callbacks = 0;
    e->flags = 0;
    e->n_barriers = 0;
    e->positions.capture = UINT32_MAX;
    e->positions.to = 0;
    e->clock = agent_clock();
    e->captured.at = e->captures;
    e->captured.overflow = false;
    if (!choose_template(e)) { return refuse(e, sink_refusal(&trace_sink)); }
    *watch = (struct watch){ on_node, e };
    e->begin_tick = clock_ticks(e->clock);
    return true;
}

/* Compares the nodes that had no callback. In a graph of views alone these are all nodes. */
static void compare_rest(struct evaluation * e) {
    const struct steps * steps = e->steps;
    const uint32_t from = e->n_callbacks < steps->n_steps ? steps->step[e->n_callbacks].first_node : steps->tail_node;
    if (!nodes_match(e, from, e->graph.n_nodes)) { change_template(e); }
}

static void finish(struct evaluation * e, const struct graph_call * call, uint64_t end_tick) {
    __atomic_fetch_add(&agent_totals.evaluations_emitted, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&agent_totals.callbacks_emitted, e->n_callbacks, __ATOMIC_RELAXED);
    if (call->aborted) { e->flags |= TAT_EVALUATION_ABORTED; }
    if (e->tmpl) { compare_rest(e); }
    if (waits_for_barriers) { miss_barriers(e); }
    if (e->tmpl && evaluation_store(e, call, end_tick)) {
        __atomic_fetch_add(&agent_totals.evaluations_stored, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&agent_totals.callbacks_stored, e->n_callbacks, __ATOMIC_RELAXED);
    } else {
        count_lost(sink_refusal(&trace_sink));
    }
}

void evaluation_end(struct evaluation * e, const struct graph_call * call) {
    if (!e) { return; } /* TAT_AGENT_EMPTY */
    const uint64_t end_tick = clock_ticks(e->clock);
    before_barrier = NULL;
    if (agent_enter()) {
        finish(e, call, end_tick);
        agent_leave();
    }
    free_slot(e);
}

void evaluations_after_fork(void) {
    for (int i = 0; i < SLOTS; i++) {
        slots[i].taken = false;
        slots[i].tmpl = NULL;
    }
    for (int i = 0; i < RECENT; i++) { recent[i] = NULL; }
}
