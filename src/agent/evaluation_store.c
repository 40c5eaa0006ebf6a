/* SPDX-License-Identifier: MIT
 *
 * The end of an evaluation: which rule ggml followed, and the block that records the evaluation.
 */
#include "agent/agent.h"
#include "agent/evaluation_state.h"
#include "agent/events.h"
#include "agent/sink.h"
#include "agent/template_cache.h"
#include "agent/token_filter.h"

/* The rule under which a complete run of this graph has as many callbacks as there were, or TAT_RULE_COUNT if there is
 * none. A rule that skips or fuses nodes which this ggml was seen to execute singly does not fit: the counts are equal
 * by chance. */
static uint32_t fitting_rule(const struct evaluation * e) {
    static const uint32_t known[] = {
        TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM,
        TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED,
        TAT_RULE_SKIP_EMPTY,
        0,
    };
    if (e->n_callbacks == e->steps->n_steps) { return e->rule; }
    const struct ggml_plan_layout * probed = &e->graph.host->plan;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (probed->rule_known && (known[i] & ~probed->rule)) { continue; }
        const struct steps * steps = template_steps(e->tmpl, known[i]);
        if (steps && steps->n_steps == e->n_callbacks) { return known[i]; }
    }
    return TAT_RULE_COUNT;
}

/* The rule in force follows from the number of callbacks alone. */
static void settle_rule(struct evaluation * e) {
    if (e->flags & TAT_EVALUATION_ABORTED) {
        if (e->n_callbacks > e->steps->n_steps) { e->flags |= TAT_EVALUATION_UNMATCHED; }
        return;
    }
    const uint32_t rule = fitting_rule(e);
    if (rule == TAT_RULE_COUNT) {
        e->flags |= TAT_EVALUATION_UNMATCHED;
    } else if (rule != e->rule) {
        if (e->tmpl->n_captures) { e->flags |= TAT_EVALUATION_RELEARNED; }
        e->rule = rule;
        __atomic_store_n(&((struct host *) e->graph.host)->rule, rule, __ATOMIC_RELAXED);
    }
}

static uint32_t stored_stamps(const struct evaluation * e) {
    const uint32_t taken = e->n_callbacks < e->stamps_capacity ? e->n_callbacks : e->stamps_capacity;
    return e->flags & TAT_EVALUATION_OUTSIDE ? 0 : taken;
}

static void put_stamps(const struct evaluation * e, struct tat_out * out) {
    const uint32_t stored = stored_stamps(e);
    tat_put_varint(out, e->n_callbacks);
    tat_put_varint(out, stored);
    uint64_t previous = e->begin_tick >> AGENT_STAMP_SHIFT;
    for (uint32_t i = 0; i < stored; i++) {
        const uint64_t stamp = e->stamps[i] >> AGENT_STAMP_SHIFT;
        tat_put_varint(out, stamp >= previous ? stamp - previous : 0);
        if (stamp > previous) { previous = stamp; }
    }
}

/* A node's wait is at most the time from the stamp before to its own. */
static void put_waits(const struct evaluation * e, struct tat_out * out) {
    const uint32_t stored = stored_stamps(e);
    tat_put_varint(out, stored);
    uint64_t previous = e->begin_tick >> AGENT_STAMP_SHIFT;
    for (uint32_t i = 0; i < stored; i++) {
        const uint64_t stamp = e->stamps[i] >> AGENT_STAMP_SHIFT, most = stamp > previous ? stamp - previous : 0;
        const uint64_t wait = stamp - ((e->stamps[i] - e->waits[i]) >> AGENT_STAMP_SHIFT);
        tat_put_varint(out, wait < most ? wait : most);
        previous += most;
    }
}

/* Stores only the captured positions, from which a reader tells the phase; the other captures stay empty. */
static void put_positions(const struct evaluation * e, struct tat_out * out) {
    const struct graph_template * t = e->tmpl;
    const size_t bytes = e->positions.to - e->positions.from;
    const bool has = e->positions.capture < t->n_captures;
    tat_put_varint(out, t->n_captures - has + bytes);
    for (uint32_t i = 0; i < t->n_captures; i++) {
        if (has && i == e->positions.capture) {
            tat_put_bytes(out, e->captures + e->positions.from, bytes);
        } else {
            tat_put_varint(out, 0);
        }
    }
}

static void put_captures(const struct evaluation * e, struct tat_out * out) {
    const bool good = !(e->flags & (TAT_EVALUATION_RELEARNED | TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_CUT));
    const size_t bytes = good ? (size_t) (e->captured.at - e->captures) : 0;
    if (good && (e->flags & TAT_EVALUATION_OUTSIDE)) {
        put_positions(e, out);
    } else {
        tat_put_varint(out, bytes);
        tat_put_bytes(out, e->captures, bytes);
    }
}

static void settle_flags(struct evaluation * e) {
    settle_rule(e);
    if (e->captured.overflow) { e->flags |= TAT_EVALUATION_CUT; }
    if (!tokens_count(e->tmpl->context, e->tmpl->n_tokens, e->tmpl->has_output)) { e->flags |= TAT_EVALUATION_OUTSIDE; }
    /* Some versions have no barrier after the last node. */
    if (e->n_barriers && e->n_barriers + 1 >= e->n_callbacks) { e->flags |= TAT_EVALUATION_EXACT; }
}

bool evaluation_store(struct evaluation * e, const struct graph_call * call, uint64_t end_tick) {
    struct tat_out out = { .at = e->payload, .end = e->payload + e->payload_capacity };
    settle_flags(e);
    template_used(e->tmpl);
    tat_put_varint(&out, e->tmpl->id);
    tat_put_varint(&out, e->flags);
    tat_put_varint(&out, e->rule);
    tat_put_zigzag(&out, call->status);
    tat_put_varint(&out, call->n_threads > 0 ? (uint64_t) call->n_threads : 0);
    tat_put_varint(&out, events_thread_id());
    tat_put_varint(&out, e->begin_tick);
    tat_put_varint(&out, end_tick - e->begin_tick);
    put_stamps(e, &out);
    put_captures(e, &out);
    if (e->flags & TAT_EVALUATION_EXACT) { put_waits(e, &out); }
    return !out.overflow && sink_write(&trace_sink, TAT_BLOCK_EVALUATION, e->payload, (size_t) (out.at - e->payload));
}
