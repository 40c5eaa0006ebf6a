/* SPDX-License-Identifier: MIT */
#include "analysis/speed/speed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/machine.h"
#include "analysis/parts.h"
#include "analysis/run_metadata.h"
#include "analysis/storage/storage.h"
#include "analysis/token_times.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
    struct node_counter nodes;
    uint32_t n_ops, n_layers; /* the last layer: none */
    uint64_t ns, wait_ns;     /* of generated tokens whose waits were recorded */
    struct work phase[TAT_PHASE_COUNT];
    struct work *operation, *layer; /* of the phase that is judged; in `all` */
    struct work all[];
};

static void * begin(const struct subject * subject) {
    const uint32_t n_ops = tat_trace_n_ops(subject->trace), n_layers = layer_span(subject) + 1;
    struct state * s = calloc(1, sizeof *s + ((size_t) n_ops + n_layers) * sizeof s->all[0]);
    if (!s) { return NULL; }
    s->subject = subject;
    s->n_ops = n_ops;
    s->n_layers = n_layers;
    s->operation = s->all;
    s->layer = s->all + n_ops;
    return s;
}

static void add(struct work * to, const struct work * more) {
    to->flops += more->flops;
    to->memory_bytes += more->memory_bytes;
    to->activation_bytes += more->activation_bytes;
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t nodes = node_counter_step(&s->nodes, t, i), bytes = a->bytes * t->evaluations;
        struct work w = { 0 };
        if (!is_inference(phase_of(a))) { continue; }
        if (nodes) {
            const uint32_t number = s->subject->evaluations[a->evaluation].template_id;
            w.flops = nodes * flops_of(&s->subject->templates[number], a->node);
        }
        const bool kept = holder_of(&s->subject->tensors[a->tensor]) != HOLDS_ACTIVATION;
        *(kept ? &w.memory_bytes : &w.activation_bytes) = bytes;
        add(&s->phase[phase_of(a)], &w);
        if (phase_of(a) != TAT_PHASE_GENERATE) { continue; }
        add(&s->operation[a->op], &w);
        add(&s->layer[a->layer < s->n_layers ? a->layer : s->n_layers - 1], &w);
        s->ns += t->wait_ns ? t->ns[i] : 0;
        s->wait_ns += t->wait_ns ? t->wait_ns[i] : 0;
    }
}

/* ---- tables ---- */

#define WORK_COLUMNS                                                                                                   \
    { "flops", "FLOP", UNIT_COUNT }, { "memory_bytes", "weights, KV", UNIT_BYTES },                                    \
        { "activation_bytes", "activations", UNIT_BYTES }, {                                                           \
        "intensity", "FLOP/byte", UNIT_INDEX                                                                           \
    }
enum { COLUMNS = 5 };

static json_t * add_work(struct result * r, const struct work * w) {
    json_t * row = result_row(r);
    const uint64_t bytes = w->memory_bytes + w->activation_bytes;
    result_put_count(r, row, "flops", w->flops);
    result_put_count(r, row, "memory_bytes", w->memory_bytes);
    result_put_count(r, row, "activation_bytes", w->activation_bytes);
    if (bytes) { result_put_real(r, row, "intensity", ratio(w->flops, bytes)); }
    return row;
}

static bool is_empty(const struct work * w) {
    return !w->flops && !w->memory_bytes && !w->activation_bytes;
}

static void add_tables(const struct state * s, struct result * r) {
    static const struct result_column phases[COLUMNS] = { { "phase", "phase", UNIT_TEXT }, WORK_COLUMNS };
    static const struct result_column operations[COLUMNS] = { { "operation", "operation", UNIT_TEXT }, WORK_COLUMNS };
    static const struct result_column layers[COLUMNS] = { { "layer", "layer", UNIT_NUMBER }, WORK_COLUMNS };
    result_table(r, "phases", "Work and bytes, by phase", SHOW_ASKED, phases, COLUMNS);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (is_empty(&s->phase[p])) { continue; }
        result_put_text(r, add_work(r, &s->phase[p]), "phase", tat_phase_name((enum tat_phase) p));
    }
    result_table(r, "operations", "Of generation, by operation", SHOW_ASKED, operations, COLUMNS);
    for (uint32_t i = 0; i < s->n_ops; i++) {
        if (is_empty(&s->operation[i])) { continue; }
        result_put_text(r, add_work(r, &s->operation[i]), "operation",
                        tat_trace_op_name(s->subject->trace, (uint16_t) i));
    }
    result_table(r, "layers", "Of generation, by layer", SHOW_ASKED, layers, COLUMNS);
    for (uint32_t i = 0; i < s->n_layers; i++) {
        if (is_empty(&s->layer[i])) { continue; }
        result_put_layer(r, add_work(r, &s->layer[i]), "layer", i + 1 < s->n_layers ? i : TAT_NO_LAYER);
    }
}

/* ---- words ---- */

struct speed {
    struct pace pace;
    struct machine_roofs roofs;
    struct machine machine;
    struct limits limits;
    double rate, ceiling; /* tokens/s */
};

static const char * gigaflops(char text[static UNITS_SIZE], double flops) {
    snprintf(text, UNITS_SIZE, "%.1f GFLOP", flops / 1e9);
    return text;
}

static void put_values(const struct speed * s, enum limit limit, struct result * r) {
    static const char * const keys[LIMITS + 1] = { "memory", "compute", "barriers", "disk", "others", "none" };
    json_t *values = result_values(r), *shares = json_object();
    result_put_count(r, values, "threads", s->pace.threads);
    result_put_real(r, values, "token_ns", s->pace.token_ns);
    result_put_real(r, values, "token_bytes", s->pace.token_bytes);
    result_put_real(r, values, "token_flops", s->pace.token_flops);
    result_put_real(r, values, "tokens_per_second", s->rate);
    result_put(r, values, "measured", json_boolean(s->roofs.known));
    result_put_text(r, values, "limit", keys[limit]);
    result_put(r, values, "shares", shares);
    result_put(r, values, "disk_recorded", json_boolean(s->pace.blocked_share >= 0));
    for (int i = 0; i < LIMITS; i++) {
        if (s->limits.share[i] >= 0) { result_put_real(r, shares, keys[i], s->limits.share[i]); }
    }
    if (s->ceiling > 0) { result_put_real(r, values, "ceiling_tokens_per_second", s->ceiling); }
}

/* "It is limited by ...", or that nothing is. */
static void say_limit(const struct speed * s, enum limit limit, char * text, size_t size) {
    static const char * const names[] = { "memory bandwidth", "arithmetic", "waiting at barriers", "the disk",
                                          "other programs" };
    char share[UNITS_SIZE], rate[UNITS_SIZE];
    const double read = roofs_read(&s->roofs, s->pace.threads, (uint64_t) s->pace.token_bytes);
    if (limit == LIMITS) {
        snprintf(text, size, "No single limit that was measured explains half of its time.");
        return;
    }
    format_share(share, s->limits.share[limit]);
    if (limit == LIMIT_MEMORY) {
        snprintf(text, size,
                 "It is limited by memory bandwidth: at %s of the %s/s that %" PRIu32 " %s on this machine.", share,
                 format_bytes(rate, (uint64_t) read), s->pace.threads,
                 s->pace.threads == 1 ? "thread sustains" : "threads sustain");
    } else if (limit == LIMIT_DISK && s->pace.blocked_share >= 0) {
        snprintf(text, size, "It is limited by the disk: in %s of the time a thread was in a page fault.", share);
    } else {
        snprintf(text, size, "It is limited by %s: %s of the time goes to %s.", names[limit], share,
                 limit == LIMIT_OTHERS ? "them" : "it");
    }
}

static void say_verdict(const struct speed * s, enum limit limit, struct result * r) {
    static const char question[] = "Why is it that fast and not faster?";
    char rate[UNITS_SIZE], bytes[UNITS_SIZE], time[UNITS_SIZE], speed[UNITS_SIZE], ceiling[UNITS_SIZE], why[256],
        most[128] = "";
    format_rate(rate, s->rate);
    format_bytes(bytes, (uint64_t) s->pace.token_bytes);
    format_duration(time, (uint64_t) s->pace.token_ns);
    format_bytes(speed, (uint64_t) (1e9 * s->pace.token_bytes / s->pace.token_ns));
    if (s->roofs.known || limit != LIMITS) {
        say_limit(s, limit, why, sizeof why);
    } else {
        snprintf(why, sizeof why,
                 "How near that is to what the machine can do was not measured: `tat doctor --memory` "
                 "does that.");
    }
    if (s->ceiling > 0) {
        snprintf(most, sizeof most, " The ceiling is %s tokens/s.", format_rate(ceiling, s->ceiling));
    }
    result_headline(r,
                    "Generation runs at %s tokens/s: the median token takes %s for %s of weights and KV cache, %s/s. "
                    "%s%s",
                    rate, time, bytes, speed, why, most);
    result_answer(r, question, "The median token takes %s for %s of weights and KV cache, %s/s. %s%s", time, bytes,
                  speed, why, most);
}

static void add_limit(const struct speed * s, enum limit limit, struct result * r, const char * label, const char * of,
                      const char * unknown) {
    char share[UNITS_SIZE];
    if (s->limits.share[limit] < 0) {
        result_line(r, label, "%s", unknown);
    } else {
        result_line(r, label, "%s of the time%s", format_share(share, s->limits.share[limit]), of);
    }
}

/* Each limit, with its figure. */
static void add_limits(const struct speed * s, struct result * r) {
    static const char measure[] = "not measured: `tat doctor --memory` does that";
    char memory[128], compute[160], rate[UNITS_SIZE], work[UNITS_SIZE];
    const double read = roofs_read(&s->roofs, s->pace.threads, (uint64_t) s->pace.token_bytes);
    snprintf(memory, sizeof memory, ", as the machine reads %s/s%s", format_bytes(rate, (uint64_t) read),
             s->pace.token_bytes < (double) s->roofs.cache_bytes ? " (a token's bytes fit the last cache)" : "");
    snprintf(compute, sizeof compute, ", for %s a token", gigaflops(work, s->pace.token_flops));
    snprintf(compute + strlen(compute), sizeof compute - strlen(compute), ", as the machine does %s/s of F32",
             gigaflops(rate, roofs_arithmetic(&s->roofs, s->pace.threads)));
    add_limit(s, LIMIT_MEMORY, r, "memory", memory, measure);
    add_limit(s, LIMIT_COMPUTE, r, "arithmetic", compute, measure);
    add_limit(s, LIMIT_BARRIERS, r, "barriers", " of thread 0",
              s->pace.threads > 1 ? "not recorded: `tat record --exact-time` does that"
                                  : "one thread has none to wait for");
    add_limit(s, LIMIT_DISK, r, "disk",
              s->pace.blocked_share >= 0 ? ": a thread was in a page fault, as the section on storage says"
                                         : ", as the kernel's counts suggest: `tat record --io` records waiting itself",
              "not recorded");
    add_limit(s, LIMIT_OTHERS, r, "others", " that the threads wanted", "not recorded");
}

/* What would change it, each with the ceiling it leads to. */
static void add_changes(const struct speed * s, struct result * r) {
    const double bytes = s->pace.token_bytes, flops = s->pace.token_flops;
    const uint32_t best = roofs_best_threads(&s->roofs, (uint64_t) bytes);
    char rate[UNITS_SIZE];
    if (!s->roofs.known) { return; }
    struct machine_roofs twice = s->roofs;
    for (uint32_t i = 0; i < twice.n_reads; i++) { twice.read[i].per_second *= 2; }
    if (best != s->pace.threads) {
        result_line(r, "with threads", "%" PRIu32 " in place of %" PRIu32 ": a ceiling of %s tokens/s", best,
                    s->pace.threads, format_rate(rate, ceiling_of(&s->roofs, best, bytes, flops)));
    } else {
        result_line(r, "with threads", "none: %" PRIu32 " read fastest", best);
    }
    result_line(r, "with half the bytes", "a ceiling of %s tokens/s",
                format_rate(rate, ceiling_of(&s->roofs, s->pace.threads, bytes / 2, flops)));
    result_line(r, "with faster memory", "twice as fast: a ceiling of %s tokens/s",
                format_rate(rate, ceiling_of(&twice, s->pace.threads, bytes, flops)));
}

static void explain(const struct speed * s, struct result * r) {
    result_note(
        r, "A limit's share is the time that it alone would take, by the token's. The largest is named where it is "
           "half or more. FLOP follow from shapes; bytes are those touched, weights and KV cache from memory.");
    if (s->roofs.known) {
        result_note(
            r, "The ceiling is the roofline's: bytes at the speed of reading, or FLOP at that of F32 multiply-adds, "
               "whichever takes longer. Quantized products use integer instructions, which can be faster.");
    }
}

/* ---- the whole ---- */

/* The median token where each graph has one, else the average. 0: memory, or there is none. */
static double token_time(const struct state * s) {
    const struct phase_total * g = &s->subject->phase[TAT_PHASE_GENERATE];
    size_t n = 0;
    uint64_t * times = g->tokens == g->evaluations ? evaluation_times(s->subject, TAT_PHASE_GENERATE, &n) : NULL;
    const double median = n ? (double) percentile(times, n, 50) : ratio(g->ns, g->tokens);
    free(times);
    return median;
}

static struct speed speed_of(const struct state * s) {
    const struct phase_total * g = &s->subject->phase[TAT_PHASE_GENERATE];
    const struct work * w = &s->phase[TAT_PHASE_GENERATE];
    const struct storage_pace blocked = storage_pace_of(s->subject);
    struct speed x = { .machine = machine_of(s->subject) };
    json_t * metadata = run_metadata(s->subject->trace);
    x.roofs = roofs_load(metadata);
    json_decref(metadata);
    x.pace = (struct pace){
        .threads = x.machine.threads,
        .token_ns = token_time(s),
        .token_bytes = ratio(w->memory_bytes, g->tokens),
        .token_flops = ratio(w->flops, g->tokens),
        .wait_share = s->ns ? ratio(s->wait_ns, s->ns) : -1,
        .missing = x.machine.process ? machine_missing(&x.machine) : -1,
        .others_share = x.machine.processors ? machine_lost(&x.machine) : -1,
        .faults = ratio(x.machine.major_faults, s->subject->run->n_evaluations),
        .blocked_share = blocked.token_ns > 0 ? blocked.blocked_ns / blocked.token_ns : -1,
    };
    x.limits = limits_of(&x.pace, &x.roofs);
    x.rate = x.pace.token_ns > 0 ? 1e9 / x.pace.token_ns : 0;
    x.ceiling = ceiling_of(&x.roofs, x.pace.threads, x.pace.token_bytes, x.pace.token_flops);
    return x;
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    if (!s->subject->phase[TAT_PHASE_GENERATE].tokens) {
        result_headline(r, "No generated token was evaluated: nothing tells why it is not faster.");
        result_absent(r);
    } else {
        const struct speed x = speed_of(s);
        const enum limit limit = verdict_of(&x.limits);
        put_values(&x, limit, r);
        say_verdict(&x, limit, r);
        add_limits(&x, r);
        add_changes(&x, r);
        explain(&x, r);
    }
    add_tables(s, r);
    free(s);
}

const struct analysis speed_analysis = {
    .name = "speed",
    .all_layers = "a token's time is that of all layers together",
    .title = "Speed",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
