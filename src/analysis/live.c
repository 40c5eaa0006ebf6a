/* SPDX-License-Identifier: MIT */
#include "analysis/live.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/choices.h"
#include "analysis/model_names.h"
#include "analysis/parts.h"
#include "analysis/units.h"
#include "format/graph_result.h"

enum { HOTTEST = 10 };
#define WINDOW_NS UINT64_C(2000000000) /* how long "now" is */
#define IDLE_NS   UINT64_C(2000000000)

struct heat {
    uint64_t accesses, bytes, ns;
    double rank; /* heat_of; set when they are sorted */
    uint32_t tensor;
};

struct live {
    struct heat * heat; /* by tensor */
    struct routing routing;
    struct choice_table choices;
    struct access_counter accesses;
    struct phase_total phase[TAT_PHASE_COUNT];
    uint64_t pieces; /* ubatches whose first graph has no result: other graphs continued it, or another backend did */
    uint64_t bytes, weight_bytes, ns;
    uint32_t n_tensors, done;
};

struct live * live_new(void) {
    return calloc(1, sizeof(struct live));
}

static void forget(struct live * live) {
    routing_free(&live->routing);
    choice_table_free(&live->choices);
    free(live->heat);
    *live = (struct live){ 0 };
}

void live_free(struct live * live) {
    if (live) { forget(live); }
    free(live);
}

/* ---- sums ---- */

struct adding {
    struct live * live;
    const struct tat_tensor * tensors;
};

static bool add_tally(const struct tat_tally * t, void * user) {
    const struct adding * x = user;
    struct live * live = x->live;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t accesses = access_counter_step(&live->accesses, t, i), bytes = a->bytes * t->evaluations;
        if (!is_inference(phase_of(a))) { continue; }
        live->bytes += bytes;
        live->ns += t->ns ? t->ns[i] : 0;
        if (x->tensors[a->tensor].kind != TAT_TENSOR_WEIGHT) { continue; }
        struct heat * heat = &live->heat[x->tensors[a->tensor].weight];
        live->weight_bytes += bytes;
        heat->bytes += bytes;
        heat->accesses += accesses;
        heat->ns += t->ns ? t->owner_ns[i] : 0;
    }
    return true;
}

static bool make_room(struct live * live, uint32_t n_tensors) {
    if (n_tensors <= live->n_tensors) { return true; }
    struct heat * more = reallocarray(live->heat, n_tensors, sizeof *more);
    if (!more) { return false; }
    for (uint32_t i = live->n_tensors; i < n_tensors; i++) { more[i] = (struct heat){ .tensor = i }; }
    live->heat = more;
    live->n_tensors = n_tensors;
    return true;
}

/* Counts what the evaluation's routers chose. False: no memory. */
static bool add_choices(struct live * live, const struct tat_trace * trace, uint32_t evaluation) {
    return routing_read(&live->routing, trace, evaluation) &&
           choice_table_add(&live->choices, &live->routing, (struct choice_span){ 0 });
}

bool live_update(struct live * live, const struct tat_trace * trace, bool revised) {
    uint32_t n, n_tensors, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    struct adding x = { live, tat_trace_tensors(trace, &n_tensors) };
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    if (revised) { forget(live); }
    if (!make_room(live, n_tensors)) { return false; }
    for (uint32_t i = live->done; i < n; i++) {
        struct phase_total * phase = &live->phase[e[i].phase];
        if (is_inference(e[i].phase) && !add_choices(live, trace, i)) { return false; }
        if (e[i].flags & TAT_EVALUATION_OUTSIDE) { continue; }
        live->pieces += e[i].n_tokens && graph_result_of(&templates[e[i].template_id], x.tensors) == RESULT_NONE;
        phase->evaluations++;
        phase->tokens += e[i].n_tokens;
        phase->ns += e[i].end_ns - e[i].begin_ns;
    }
    const uint32_t done = live->done;
    live->done = n;
    return tat_trace_tally(trace, done, n, add_tally, &x, NULL) == 0;
}

/* ---- now ---- */

struct now {
    uint64_t tokens, bytes, weight_bytes, ns; /* in the last seconds */
    uint64_t idle_ns;                         /* since the last graph ended */
};

struct summing {
    struct now * now;
    const struct tat_tensor * tensors;
};

static bool add_now(const struct tat_tally * t, void * user) {
    const struct summing * x = user;
    for (size_t i = 0; i < t->count; i++) {
        const uint64_t bytes = t->records[i].bytes * t->evaluations;
        x->now->bytes += bytes;
        if (x->tensors[t->records[i].tensor].kind == TAT_TENSOR_WEIGHT) { x->now->weight_bytes += bytes; }
    }
    return true;
}

/* The evaluations that ended in the window, beginning with the last. */
static bool look_at_now(const struct tat_trace * trace, uint64_t now_ns, struct now * now) {
    uint32_t n, n_tensors;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const uint64_t begin = now_ns > WINDOW_NS ? now_ns - WINDOW_NS : 0;
    struct summing x = { now, tat_trace_tensors(trace, &n_tensors) };
    uint32_t first = n;
    *now = (struct now){ .ns = now_ns - begin };
    while (first > 0 && e[first - 1].end_ns > begin) {
        first--;
        if (is_inference(e[first].phase)) { now->tokens += e[first].n_tokens; }
    }
    if (n) { now->idle_ns = now_ns > e[n - 1].end_ns ? now_ns - e[n - 1].end_ns : 0; }
    return tat_trace_tally(trace, first, n, add_now, &x, NULL) == 0;
}

/* ---- result ---- */

static double per_second(uint64_t what, uint64_t ns) {
    return 1e9 * ratio(what, ns);
}

static int hottest(const void * a, const void * b) {
    const struct heat *x = a, *y = b;
    if (x->rank != y->rank) { return x->rank < y->rank ? 1 : -1; }
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static void add_hottest(const struct live * live, const struct tat_trace * trace, struct result * r) {
    static const struct result_column columns[] = {
        { "tensor", "tensor", UNIT_TEXT },
        { "reads_per_byte", "reads of a byte", UNIT_FACTOR },
        { "bytes", "bytes read", UNIT_BYTES },
        { "time_share", "of the time", UNIT_SHARE },
    };
    uint32_t n_tensors;
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &n_tensors);
    struct heat * sorted = malloc(((size_t) live->n_tensors + 1) * sizeof *sorted);
    r->failed |= !sorted;
    result_table(r, "tensors", "Weights whose bytes are read most often (of equals, the slowest first)", SHOW_ALWAYS,
                 columns, sizeof columns / sizeof columns[0]);
    if (!sorted) { return; }
    if (live->n_tensors) {
        memcpy(sorted, live->heat, live->n_tensors * sizeof *sorted);
        for (uint32_t i = 0; i < live->n_tensors; i++) {
            sorted[i].rank = heat_of(ratio(sorted[i].bytes, tensors[sorted[i].tensor].bytes));
        }
        qsort(sorted, live->n_tensors, sizeof *sorted, hottest);
    }
    for (uint32_t i = 0; i < live->n_tensors && i < HOTTEST && sorted[i].accesses; i++) {
        json_t * row = result_row(r);
        result_put_text(r, row, "tensor", tensors[sorted[i].tensor].name);
        result_put_layer(r, row, "layer", tensors[sorted[i].tensor].layer);
        result_put_count(r, row, "accesses", sorted[i].accesses);
        result_put_count(r, row, "bytes", sorted[i].bytes);
        result_put_real(r, row, "reads_per_byte", ratio(sorted[i].bytes, tensors[sorted[i].tensor].bytes));
        result_put_count(r, row, "ns", sorted[i].ns);
        result_put_real(r, row, "time_share", ratio(sorted[i].ns, live->ns));
    }
    free(sorted);
}

static void add_experts(const struct live * live, struct result * r) {
    static const struct result_column columns[] = {
        { "layer", "layer", UNIT_NUMBER },
        { "selections", "selections", UNIT_COUNT },
        { "shares", "shares by expert, from 0", UNIT_SHARES },
    };
    result_table(r, "experts", "Experts, by layer", SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < live->choices.n_layers; i++) {
        const struct choices * c = &live->choices.layer[i];
        if (!c->selections) { continue; }
        json_t * row = result_row(r);
        json_t * shares = json_array();
        for (uint32_t e = 0; e < c->n_experts; e++) {
            json_array_append_new(shares, json_real(ratio(c->all[e], c->selections)));
        }
        result_put_layer(r, row, "layer", c->layer);
        result_put_count(r, row, "selections", c->selections);
        result_put(r, row, "shares", shares);
    }
}

static void set_headline(const struct live * live, const struct tat_trace * trace, struct result * r,
                         const struct now * now, bool running) {
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const uint64_t tokens = live->phase[TAT_PHASE_GENERATE].tokens + live->phase[TAT_PHASE_MIXED].tokens;
    char text[UNITS_SIZE], count[UNITS_SIZE];
    if (!running && tat_trace_main_model(trace)) {
        result_headline(r, "The run has ended.");
    } else if (!running) {
        result_headline(r, "The run has ended, with %s generated tokens.", format_count(count, tokens));
    } else if (n == 0) {
        result_headline(r, "No graph has been computed yet.");
    } else if (now->idle_ns > IDLE_NS) {
        result_headline(r, "No graph has ended for %s.", format_duration(text, now->idle_ns));
    } else {
        const char * what = e[n - 1].phase == TAT_PHASE_GENERATE ? "Generating"
                            : e[n - 1].phase == TAT_PHASE_PROMPT ? "Reading the prompt"
                            : e[n - 1].phase == TAT_PHASE_MIXED  ? "Prompts and generation"
                            : e[n - 1].phase == TAT_PHASE_VERIFY ? "Checking drafts"
                            : e[n - 1].phase == TAT_PHASE_WARMUP ? "Warming up"
                                                                 : "Computing";
        result_headline(r, "%s: %.1f tokens/s now.", what, per_second(now->tokens, now->ns));
    }
}

/* What each of several models computes: a draft's tokens are not what the run generates. */
static void add_models(const struct tat_trace * trace, struct result * r) {
    uint32_t n, n_models, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    const struct tat_model * models = tat_trace_models(trace, &n_models);
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    if (tat_trace_main_model(trace) == 0) { return; }
    uint64_t(*tokens)[TAT_PHASE_COUNT] = calloc(n_models, sizeof *tokens);
    r->failed |= !tokens;
    for (uint32_t i = 0; tokens && i < n; i++) {
        uint32_t m = 0;
        while (m < n_models && models[m].number != templates[e[i].template_id].model) { m++; }
        if (m < n_models) { tokens[m][e[i].phase] += e[i].n_tokens; }
    }
    json_t * all = json_array();
    result_put(r, result_values(r), "models", all);
    for (uint32_t m = 0; tokens && m < n_models; m++) {
        char p[UNITS_SIZE], g[UNITS_SIZE], v[UNITS_SIZE];
        if (!models[m].n_evaluations) { continue; }
        json_t * model = json_object();
        result_put_text(r, model, "model", models[m].name);
        result_put_text(r, model, "part", tat_part_name(models[m].part));
        for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
            result_put_count(r, model, tat_phase_name((enum tat_phase) phase), tokens[m][phase]);
        }
        json_array_append_new(all, model);
        result_line(r, tat_part_name(models[m].part), "%s: tokens: %s of prompts, %s generated, %s of drafts",
                    models[m].name, format_count(p, tokens[m][TAT_PHASE_PROMPT]),
                    format_count(g, tokens[m][TAT_PHASE_GENERATE] + tokens[m][TAT_PHASE_MIXED]),
                    format_count(v, tokens[m][TAT_PHASE_VERIFY]));
    }
    free(tokens);
}

static void add_lines(const struct live * live, const struct tat_trace * trace, struct result * r,
                      const struct now * now, bool running) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    const struct phase_total *p = &live->phase[TAT_PHASE_PROMPT], *g = &live->phase[TAT_PHASE_GENERATE];
    uint32_t n;
    char * models = model_names(trace);
    uint64_t lost = 0;
    char a[UNITS_SIZE], b[UNITS_SIZE], mixed[64] = "";
    tat_trace_evaluations(trace, &n);
    for (int reason = 0; reason < TAT_LOSS_COUNT; reason++) { lost += s->lost[reason]; }
    result_line(r, "program", "%s, process %" PRIu32 ", with %s", last_part(tat_trace_header(trace)->program),
                tat_trace_header(trace)->pid, models ? models : "a model");
    free(models);
    if (live->phase[TAT_PHASE_MIXED].tokens) {
        snprintf(mixed, sizeof mixed, ", %s in mixed batches", format_count(a, live->phase[TAT_PHASE_MIXED].tokens));
    }
    if (live->pieces) {
        result_line(
            r, "tokens",
            "%s of prompts, %s generated%s, since the start; no rates, because ubatches are computed in several "
            "graphs, or in part by another backend",
            format_count(a, p->tokens), format_count(b, g->tokens), mixed);
    } else {
        result_line(r, "tokens", "%s of prompts at %.1f/s, %s generated at %.1f/s%s, since the start",
                    format_count(a, p->tokens), per_second(p->tokens, p->ns), format_count(b, g->tokens),
                    per_second(g->tokens, g->ns), mixed);
    }
    add_models(trace, r);
    if (running) {
        result_line(r, "touched", "%s/s now, %s/s of it weights", format_mean_bytes(a, per_second(now->bytes, now->ns)),
                    format_mean_bytes(b, per_second(now->weight_bytes, now->ns)));
    } else {
        result_line(r, "touched", "%s, %s of it weights", format_bytes(a, live->bytes),
                    format_bytes(b, live->weight_bytes));
    }
    result_line(r, "trace", "%s, %s", tat_trace_path(trace), format_bytes(a, s->used_bytes));
    if (lost || s->events_lost || s->damaged_bytes || s->orphan_evaluations) {
        result_line(r, "losses", "%" PRIu64 " graphs, %" PRIu64 " events, %" PRIu64 " bytes damaged",
                    lost + s->orphan_evaluations, s->events_lost, s->damaged_bytes);
    } else {
        result_line(r, "losses", "none");
    }
    result_put_count(r, result_values(r), "evaluations", n);
    result_put_count(r, result_values(r), "lost_evaluations", lost + s->orphan_evaluations);
    result_put_count(r, result_values(r), "lost_events", s->events_lost);
    result_put_count(r, result_values(r), "damaged_bytes", s->damaged_bytes);
    result_put_count(r, result_values(r), "trace_bytes", s->used_bytes);
}

static void add_values(const struct live * live, const struct tat_trace * trace, struct result * r,
                       const struct now * now, bool running) {
    json_t * values = result_values(r);
    json_t * tokens = json_object();
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    result_put(r, values, "running", json_boolean(running));
    result_put_text(r, values, "trace", tat_trace_path(trace));
    result_put_text(r, values, "phase", n ? tat_phase_name(e[n - 1].phase) : "");
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        result_put_count(r, tokens, tat_phase_name((enum tat_phase) p), live->phase[p].tokens);
    }
    result_put(r, values, "tokens", tokens);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        char key[64];
        if (!is_inference((enum tat_phase) p) || live->pieces) { continue; }
        snprintf(key, sizeof key, "%s_tokens_per_second", tat_phase_name((enum tat_phase) p));
        result_put_real(r, values, key, per_second(live->phase[p].tokens, live->phase[p].ns));
    }
    result_put_count(r, values, "bytes", live->bytes);
    result_put_count(r, values, "weight_bytes", live->weight_bytes);
    if (!running) { return; }
    result_put_real(r, values, "tokens_per_second_now", per_second(now->tokens, now->ns));
    result_put_real(r, values, "bytes_per_second_now", per_second(now->bytes, now->ns));
    result_put_real(r, values, "weight_bytes_per_second_now", per_second(now->weight_bytes, now->ns));
    result_put_count(r, values, "idle_ns", now->idle_ns);
    result_put_count(r, values, "window_ns", now->ns);
}

json_t * live_result(const struct live * live, const struct tat_trace * trace, uint64_t now_ns, bool running) {
    struct result r;
    struct now now = { 0 };
    result_begin(&r, "Recording");
    r.failed |= running && !look_at_now(trace, now_ns, &now);
    set_headline(live, trace, &r, &now, running);
    add_values(live, trace, &r, &now, running);
    add_lines(live, trace, &r, &now, running);
    add_hottest(live, trace, &r);
    add_experts(live, &r);
    return result_end(&r);
}
